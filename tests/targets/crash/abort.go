package main

import (
	"syscall"
	"unsafe"
)

// abort ends the process by SIGABRT with its default action, as if Go had no handler for it.
func abort() {
	var action [4]uint64 // struct sigaction of the kernel, all 0: SIG_DFL
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	syscall.Kill(syscall.Getpid(), syscall.SIGABRT)
}
