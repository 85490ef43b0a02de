# What leaks refuses, before it looks for a target.
$ gosonde leaks
! gosonde leaks: no target: expected a PID, =NAME, a core file or -- PROGRAM, as in `gosonde leaks 1234`
? 2
$ gosonde leaks --between 1ms 1
! gosonde leaks: --between: must be at least 100ms
? 2
$ gosonde leaks --watch 1s 1
! gosonde leaks: --watch: must be at least 2s
? 2
$ gosonde leaks --watch 10s --connections 1
! gosonde leaks: --watch is for growth, which was not asked for: add --growth
? 2
$ gosonde leaks --after soon 1
! gosonde leaks: --after: "soon" is no duration: write 5m, 1.5s or 300ms
? 2
$ gosonde leaks --format xml 1
! gosonde leaks: --format: "xml" is not one of text, json, pprof
? 2
$ gosonde leaks --stop --growth 1
! gosonde leaks: --stop is for --unreachable, which was not asked for
? 2
$ gosonde leaks --
! gosonde leaks: -- is followed by no program
? 2
$ gosonde leaks 1 -- true
! gosonde leaks: the target is already "1": no program can be started beside it
? 2
$ gosonde leaks --growth -- true
! gosonde leaks: growth needs a program that runs; one that is started here is looked at when it has ended
? 2
$ gosonde leaks --stop -- true
! gosonde leaks: --stop is for live processes; a program at its end stands still
? 2
$ gosonde leaks -d 3s 1
! gosonde leaks: -d/--duration has no meaning here: this command looks once and ends. To keep looking use `gosonde top`
? 2
$ gosonde leaks nosuch.core
! gosonde leaks: cannot look for leaks in nosuch.core: nosuch.core is no file and no PID. For the process of that name write =nosuch.core
? 3
# What is started has to be a Go program, and its result is its own.
$ gosonde leaks -- ./nosuch.program
! gosonde leaks: cannot look for leaks in ./nosuch.program: cannot run ./nosuch.program: there is no such program (or it names an interpreter that does not exist)
? 3
$ gosonde leaks -- /bin/sh -c 'echo from the program; exit 7'
| from the program
! gosonde leaks: cannot look for leaks in /bin/sh: executable of PID * is not a Go program: it has neither Go build information nor a Go function table (pclntab) (glob)
? 3
$ gosonde leaks --format json -- /bin/true
| {"schema":"gosonde.error/1","error":{"code":"not_go","message":"cannot look for leaks in /bin/true: executable of PID * is not a Go program: it has neither Go build information nor a Go function table (pclntab)","exit_code":3}} (glob)
? 3
