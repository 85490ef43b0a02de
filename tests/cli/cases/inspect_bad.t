# Bad input: each with its message and exit code 3.
$ gosonde inspect $SAMPLES/nothing-here
! gosonde inspect: there is no file <SAMPLES>/nothing-here
? 3
$ gosonde inspect $SAMPLES
! gosonde inspect: <SAMPLES> is no regular file
? 3
$ mkfifo fifo; gosonde inspect fifo
! gosonde inspect: fifo is no regular file
? 3
$ gosonde inspect /dev/zero
! gosonde inspect: /dev/zero is no regular file
? 3
$ : > empty; gosonde inspect empty
! gosonde inspect: empty is empty
? 3
$ echo hello > text; gosonde inspect text
! gosonde inspect: text is no ELF, PE or Mach-O file: it starts with 68 65 6c 6c
? 3
$ gosonde inspect $SAMPLES/foreign
! gosonde inspect: <SAMPLES>/foreign is no Go program: it has neither build info nor a Go function table
? 3
$ gosonde inspect $SAMPLES/truncated
! gosonde inspect: <SAMPLES>/truncated: its 11 program headers at offset 0x40 are outside of its 100 bytes. The file is truncated or damaged
? 3
$ gosonde inspect $SAMPLES/elf32
! gosonde inspect: <SAMPLES>/elf32 is a 32-bit ELF file. gosonde reads 64-bit ones only
? 3
$ gosonde inspect $SAMPLES/core
! gosonde inspect: <SAMPLES>/core is a core file. `gosonde dump` reads it; inspect reads its executable
? 3
$ gosonde inspect 2147483647
! gosonde inspect: there is no process 2147483647
? 3
$ gosonde inspect 0
! gosonde inspect: "0" is no PID: PIDs are 1 to 2147483647 (for a file of that name write ./0)
? 2
$ gosonde inspect 99999999999999999999
! gosonde inspect: "99999999999999999999" is no PID: PIDs are 1 to 2147483647 (for a file of that name write ./99999999999999999999)
? 2
$ gosonde inspect =no-such-process-name
! gosonde inspect: no process is called "no-such-process-name". `gosonde ps` lists the Go processes
? 3
$ gosonde inspect =
! gosonde inspect: "=" needs a process name: =NAME
? 2
$ sh -c 'gosonde inspect $$; true'
! gosonde inspect: PID * (*sh) is no Go program: it has neither build info nor a Go function table (glob)
