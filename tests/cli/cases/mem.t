# What mem refuses, before it looks for a target.
$ gosonde mem
! gosonde mem: no target: expected a PID, =NAME or a core file, as in `gosonde mem 1234`
? 2
$ gosonde mem --watch soon 1
! gosonde mem: --watch: "soon" is no duration: write 5m, 1.5s or 300ms
? 2
$ gosonde mem --watch 10s -d 10s 1
! gosonde mem: --watch and -d/--duration are the same: give one
? 2
$ gosonde mem --watch 1ms 1
! gosonde mem: --watch: must be at least 100ms
? 2
$ gosonde mem --dry-run 1
! gosonde mem: --dry-run belongs to --watch: one look needs no probes
? 2
$ gosonde mem --probe-costs 1
! gosonde mem: --probe-costs belongs to --watch: one look needs no probes
? 2
$ gosonde mem --watch 1s --dry-run --no-probes 1
! gosonde mem: --dry-run and --no-probes exclude each other
? 2
$ gosonde mem --path main.Order 1
! gosonde mem: --path belongs to --objects
? 2
$ gosonde mem --top 5 1
! gosonde mem: --top belongs to --objects
? 2
$ gosonde mem --retained 1
! gosonde mem: --retained belongs to --objects
? 2
$ gosonde mem --objects --watch 1s 1
! gosonde mem: --objects and --watch exclude each other: objects are looked at once
? 2
$ gosonde mem --objects --format html 1
! gosonde mem: --format html: --objects has text, json and pprof
? 2
$ gosonde mem --objects --format folded 1
! gosonde mem: --format folded: --objects has text, json and pprof
? 2
$ gosonde mem --objects --top 100001 1
! gosonde mem: --top 100001: must be at most 100000
? 2
$ gosonde mem --format svg 1
! gosonde mem: --format: "svg" is not one of text, json, folded, pprof, html
? 2
$ gosonde mem --format htm 1
! gosonde mem: --format: "htm" is not one of text, json, folded, pprof, html: did you mean html?
? 2
$ gosonde mem nosuch.file
! gosonde mem: cannot tell where the memory of nosuch.file goes: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
$ gosonde mem --watch 1s nosuch.file
! gosonde mem: cannot tell where the memory of nosuch.file goes: nosuch.file is no file and no PID. For the process of that name write =nosuch.file
? 3
$ gosonde mem --watch 1s --max-overhead much 1
! gosonde mem: cannot tell where the memory of 1 goes: --max-overhead: "much" is no share. Write it as 2% or as 0.02; 0 means no limit
? 2
$ gosonde mem --objects nosuch.file --format json
| {"schema":"gosonde.error/1","error":{"code":"not_found","message":"cannot tell where the memory of nosuch.file goes: nosuch.file is no file and no PID. For the process of that name write =nosuch.file","exit_code":3}}
? 3
# A file that cannot be written is told before watching.
$ gosonde mem --watch 60s --no-probes -o nosuch/file.json 1
! gosonde mem: cannot tell where the memory of 1 goes: cannot create nosuch/file.json: No such file or directory
? 1
