# A result that cannot be written is a failure; a closed pipe is told in one line.
$ gosonde doctor > /dev/full
! gosonde doctor: cannot write standard output: No space left on device
? 1
$ gosonde help > /dev/full
! gosonde help: cannot write standard output: No space left on device
? 1
$ gosonde --help > /dev/full
! gosonde: cannot write standard output: No space left on device
? 1
$ gosonde inspect $SAMPLES/server --format json > /dev/full
! gosonde inspect: cannot write standard output: No space left on device
? 1
$ gosonde doctor >&-
! gosonde doctor: cannot write standard output: Bad file descriptor
? 1
# The pipe is closed before anything is written.
$ { sleep 0.3; gosonde help inspect; echo "exit $?" >&2; } | true
! gosonde help: cannot write standard output: Broken pipe
! exit 1
# -o: the file appears complete or not at all, and keeps what was there when the run fails.
$ gosonde help inspect -o out && head -1 out && ls
| Usage: gosonde inspect [FILE|PID|=NAME] [options]
| out
$ echo old > keep; gosonde inspect nothing-here -o keep; cat keep; ls
| old
| keep
| out
! gosonde inspect: there is no file nothing-here
$ gosonde help -o no/such/dir/file
! gosonde help: cannot create no/such/dir/file: No such file or directory
? 1
$ mkdir full; gosonde help -o full
! gosonde help: cannot open <TMP>/full: Is a directory
? 1
$ gosonde help -o /dev/full
! gosonde help: cannot write /dev/full: No space left on device
? 1
$ ln -s real link; echo x > real; gosonde help ps -o link 2>/dev/null; gosonde --version > /dev/null; test -L link && echo "still a link"
| still a link
$ gosonde help -o /dev/null
$ umask 027; gosonde help -o mode; stat -c %a mode
| 640
$ gosonde inspect $SAMPLES/server -o - | head -1
| <SAMPLES>/server: ELF, linux/amd64, go1.25.3: * (glob)
