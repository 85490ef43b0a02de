# Usage errors: exit code 2, the wrong word and the nearest valid one, not the whole help.
$ gosonde
! Usage: gosonde COMMAND [TARGET] [options]
!
! Looks into running Go programs from outside. They need no change and no restart,
! and are not stopped.
!
! Commands:
!   ps          List the Go processes of this machine
!   inspect     Show what a Go binary says about itself, and whether it is a trap
!   dump        Print every goroutine and its stack, now
!   top         Watch goroutines live, with the keys of htop
!   why         Where requests spend their time, and who is to blame
!   trace       Every goroutine's life on a timeline
!   record      Profiles: where time goes, on CPU and off
!   mem         Where resident memory goes, byte for byte, and what grows
!   leaks       Find goroutines that will never run again, or should have ended
!   doctor      Tell what works on this machine and what to do about the rest
!   help        Explain a command; print manual pages and shell completions
!
! TARGET is a PID, =NAME for the one Go process of that name, or a core file.
!
! `gosonde COMMAND --help` tells the options and shows examples;
! `gosonde --version` prints the version.
? 2
$ gosonde --version
| gosonde <VERSION>
$ gosonde -V
| gosonde <VERSION>
$ gosonde hepl
! gosonde: unknown command hepl: did you mean help?
? 2
$ gosonde zzzzzz
! gosonde: unknown command zzzzzz: `gosonde --help` lists the commands
? 2
$ gosonde inspect --formt json x
! gosonde inspect: unknown option --formt: did you mean --format?
? 2
$ gosonde inspect --zzzzzz x
! gosonde inspect: unknown option --zzzzzz: `gosonde inspect --help` lists the options
? 2
$ gosonde inspect --format xml x
! gosonde inspect: --format: "xml" is not one of text, json
? 2
$ gosonde inspect --format jsn x
! gosonde inspect: --format: "jsn" is not one of text, json: did you mean json?
? 2
$ gosonde inspect --format
! gosonde inspect: --format: FORMAT is missing
? 2
$ gosonde inspect --strict=yes x
! gosonde inspect: --strict takes no value
? 2
$ gosonde inspect -x y
! gosonde inspect: unknown option -x: `gosonde inspect --help` lists the options
? 2
$ gosonde inspect -d 5 x
! gosonde inspect: -d/--duration has no meaning here: this command looks once and ends. To keep looking use `gosonde top`
? 2
$ gosonde inspect --duration=5 x
! gosonde inspect: -d/--duration has no meaning here: this command looks once and ends. To keep looking use `gosonde top`
? 2
$ gosonde inspect a b
! gosonde inspect: "b" is too much: the target is already "a"
? 2
$ gosonde inspect
! gosonde inspect: no target: expected a file or a PID, or --module DIR
? 2
$ gosonde inspect ''
! gosonde inspect: the target is empty: expected a file or a PID
? 2
$ gosonde inspect --sha256 '' x
! gosonde inspect: --sha256: the value is empty
? 2
$ gosonde doctor 1
! gosonde doctor: "1" is too much: this command takes no target
? 2
$ gosonde help nonsense
! gosonde help: unknown command nonsense
? 2
$ gosonde help inspec
! gosonde help: unknown command inspec: did you mean inspect?
? 2
$ gosonde help --completion tcsh
! gosonde help: --completion: "tcsh" is not one of bash, zsh, fish
? 2

# After -- all words are targets, and a file may be called like an option.
$ gosonde inspect -- --strict
! gosonde inspect: there is no file --strict
? 3
$ gosonde inspect -qfjson -- -x
| {"schema":"gosonde.error/1","error":{"code":"not_found","message":"there is no file -x","exit_code":3}}
? 3
# With JSON asked for, failures are JSON too, whatever they are about.
$ gosonde inspect --format json --stirct x
| {"schema":"gosonde.error/1","error":{"code":"usage","message":"unknown option --stirct: did you mean --strict?","exit_code":2}}
? 2
$ gosonde inspect --format json nothing-here
| {"schema":"gosonde.error/1","error":{"code":"not_found","message":"there is no file nothing-here","exit_code":3}}
? 3
$ gosonde zzz --format=json
| {"schema":"gosonde.error/1","error":{"code":"usage","message":"unknown command zzz: `gosonde --help` lists the commands","exit_code":2}}
? 2
$ gosonde inspect -f json =no-such-process-name
| {"schema":"gosonde.error/1","error":{"code":"not_found","message":"no process is called \"no-such-process-name\". `gosonde ps` lists the Go processes","exit_code":3}}
? 3
# Names in messages are escaped.
$ gosonde inspect "$(printf 'a\033[31mb')"
! gosonde inspect: there is no file a\x1b[31mb
? 3
$ gosonde "$(printf '\033[31mred')"
! gosonde: unknown command \x1b[31mred: `gosonde --help` lists the commands
? 2

# Mistakes in one's own options are told before the target is asked for, with option, expression and place.
$ gosonde dump --function '(foo' 2147483647
! gosonde dump: --function '(foo': missing closing parenthesis at character 5. Write \( and \[ for brackets in names
? 2
$ gosonde dump --function fine --created-by 'main\.(öffne|schließe))' 2147483647
! gosonde dump: --created-by 'main\.(öffne|schließe))': unmatched closing parenthesis at character 23. Write \( and \[ for brackets in names
? 2
$ gosonde dump --function "$(printf 'a%.0s' $(seq 200))[$(printf 'b%.0s' $(seq 300))" 2147483647
! gosonde dump: --function '…bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb': missing terminating ] for character class at character 502. Write \( and \[ for brackets in names
? 2
$ gosonde dump --state sleepy 2147483647
! gosonde dump: no goroutine state is called "sleepy". States are idle, runnable, running, syscall, waiting, dead, copystack, preempted, leaked and "waiting for cgo callback". What it waits for is asked for with --wait-reason
? 2
$ gosonde dump --label =x 2147483647
! gosonde dump: a label condition needs a key: write key=value, or key for any value
? 2
$ gosonde dump --format json --function 'a**b)' 2147483647
| {"schema":"gosonde.error/1","error":{"code":"usage","message":"--function 'a**b)': quantifier does not follow a repeatable item at character 3. Write \\( and \\[ for brackets in names","exit_code":2}}
? 2
$ script -qec 'gosonde dump --format pprof 2147483647' /dev/null < /dev/null | tr -d '\r'
| gosonde dump: pprof is a binary format and standard output is a terminal: name a file with -o FILE
$ gosonde top 2147483647 < /dev/null
! gosonde top: standard input and output are no terminal. Add --batch for plain text
? 2
