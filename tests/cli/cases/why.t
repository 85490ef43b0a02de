# What why refuses, before it looks for a target.
$ gosonde why
! gosonde why: no target: expected a file or a PID, as in `gosonde why FILE`
? 2
$ gosonde why --slowest 0 1
! gosonde why: --slowest 0: must be 1 to 100
? 2
$ gosonde why -n 101 1
! gosonde why: --slowest 101: must be 1 to 100
? 2
$ gosonde why --slow fast 1
! gosonde why: --slow: "fast" is no duration: write 5m, 1.5s or 300ms
? 2
$ gosonde why --watch --interval 1ms 1
! gosonde why: --interval: must be at least 200ms
? 2
$ gosonde why --format xml 1
! gosonde why: --format: "xml" is not one of text, json
? 2
$ gosonde why --max-overhead much 1
! gosonde why: cannot tell why requests of 1 are slow: --max-overhead: "much" is no share. Write it as 2% or as 0.02; 0 means no limit
? 2
$ gosonde why nosuch.file
! gosonde why: cannot tell why requests of nosuch.file are slow: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
