# What record refuses, before it looks for a target.
$ gosonde record
! gosonde record: no target: expected a file or a PID, as in `gosonde record FILE`
? 2
$ gosonde record 1 --cpu --off-cpu
! gosonde record: --cpu, --off-cpu and --wall exclude each other. --wall has both
? 2
$ gosonde record 1 --hz 0
! gosonde record: --hz 0: must be 1 to 10000
? 2
$ gosonde record 1 --hz 20000
! gosonde record: --hz 20000: must be 1 to 10000
? 2
$ gosonde record 1 --format svg
! gosonde record: --format: "svg" is not one of auto, pprof, folded, speedscope, flame
? 2
$ gosonde record 1 --format flam
! gosonde record: --format: "flam" is not one of auto, pprof, folded, speedscope, flame: did you mean flame?
? 2
$ gosonde record 1 --max-overhead much --format folded
! gosonde record: cannot record 1: --max-overhead: "much" is no share. Write it as 2% or as 0.02; 0 means no limit
? 2
$ gosonde record nosuch.file --format folded
! gosonde record: cannot record nosuch.file: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
$ gosonde record nosuch.file --format folded --dry-run
! gosonde record: cannot record nosuch.file: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
