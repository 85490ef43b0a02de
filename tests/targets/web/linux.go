package main

import (
	"fmt"
	"syscall"
	"time"
)

// fullListener returns the address of a socket that nobody accepts from and whose queue is full.
func fullListener() string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(err)
	check(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	check(err)
	address := name.(*syscall.SockaddrInet4)
	for i := 0; i < 4; i++ {
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		check(err)
		syscall.Connect(c, address) // stays open for as long as the program runs
	}
	return fmt.Sprintf("127.0.0.1:%d", address.Port)
}

// touchPages writes to fresh pages until the time is over. Unmapping is part of it, but small.
func touchPages() {
	const size = 4 << 20
	for begin := time.Now(); time.Since(begin) < *length; {
		m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		check(err)
		syscall.Madvise(m, 15) // MADV_NOHUGEPAGE
		for i := 0; i < size; i += 4096 {
			m[i] = 1
		}
		check(syscall.Munmap(m))
	}
}
