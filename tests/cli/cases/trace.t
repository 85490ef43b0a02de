# What trace refuses, before it looks for a target.
$ gosonde trace
! gosonde trace: no target: expected a file or a PID, as in `gosonde trace FILE`
? 2
$ gosonde trace 1 --format pprof
! gosonde trace: --format: "pprof" is not one of gotrace, gotrace-1.22, perfetto, jsonl
? 2
$ gosonde trace 1 --format gotrac
! gosonde trace: --format: "gotrac" is not one of gotrace, gotrace-1.22, perfetto, jsonl: did you mean gotrace?
? 2
$ gosonde trace 1 --format jsonl --max-overhead much
! gosonde trace: cannot trace 1: --max-overhead: "much" is no share. Write it as 2% or as 0.02; 0 means no limit
? 2
$ gosonde trace nosuch.file --format jsonl
! gosonde trace: cannot trace nosuch.file: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
