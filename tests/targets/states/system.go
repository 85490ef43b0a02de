package main

import (
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"targets/truth"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// startSystem starts what waits for the kernel, in a system call or in the network poller.
func startSystem() {
	startSockets()
	startPipes()

	var fds [2]int
	must(syscall.Pipe(fds[:]))
	r := truth.Expect("syscall-read", "syscall")
	go func() {
		var b [1]byte
		r.Here()
		syscall.Read(fds[0], b[:])
	}()

	r1 := truth.Expect("syscall-nanosleep", "syscall")
	go func() {
		r1.Here()
		left := syscall.Timespec{Sec: 3600 * 1000}
		for syscall.Nanosleep(&left, &left) == syscall.EINTR {
		}
	}()

	// A system call by number: futex wait on a word that nobody wakes.
	r2 := truth.Expect("syscall-futex", "syscall")
	go func() {
		word := new(uint32)
		r2.Here()
		for {
			syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 0, 0, 0, 0, 0)
		}
	}()

	r3 := truth.Expect("locked-syscall", "syscall")
	go func() {
		runtime.LockOSThread()
		var b [1]byte
		r3.Here()
		syscall.Read(fds[0], b[:])
	}()

	r4 := truth.Expect("locked-chan-receive", "chan receive")
	go func() {
		runtime.LockOSThread()
		r4.Here()
		<-quiet
	}()

	// os/signal starts a goroutine that waits in signal_recv, which the runtime shows as a system call.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	truth.ExpectFound("signal-loop", "os/signal.loop", "syscall")
	r5 := truth.Expect("signal-waiter", "chan receive")
	go func() {
		r5.Here()
		<-signals
	}()
}

func startSockets() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(err)
	connect := func() (client, server net.Conn) {
		client, err := net.Dial("tcp4", listener.Addr().String())
		must(err)
		server, err = listener.Accept()
		must(err)
		keep = append(keep, client, server)
		return client, server
	}
	silent, _ := connect()
	sink, flooded := connect()
	// A fixed size: the kernel would go on enlarging the buffer, and the writer would go on moving.
	sink.(*net.TCPConn).SetReadBuffer(4096)
	keep = append(keep, listener)

	r := truth.Expect("tcp-accept", "IO wait")
	go func() {
		r.Here()
		listener.Accept()
	}()

	r1 := truth.Expect("tcp-read", "IO wait")
	go func() {
		b := make([]byte, 16)
		r1.Here()
		silent.Read(b)
	}()

	// The peer does not read either, so the buffers fill up.
	r2 := truth.Expect("tcp-write", "IO wait")
	go func() {
		b := make([]byte, 64<<10)
		flooded.(*net.TCPConn).SetWriteBuffer(4096)
		r2.Here()
		for {
			if _, err := flooded.Write(b); err != nil {
				return
			}
		}
	}()

	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(err)
	keep = append(keep, udp)
	r3 := truth.Expect("udp-read", "IO wait")
	go func() {
		b := make([]byte, 16)
		r3.Here()
		udp.ReadFrom(b)
	}()
}

func startPipes() {
	reader, writer, err := os.Pipe()
	must(err)
	keep = append(keep, reader, writer)
	started := make(chan bool)
	r := truth.Expect("pipe-read", "IO wait")
	go func() {
		b := make([]byte, 1)
		r.Here()
		close(started)
		reader.Read(b)
	}()
	<-started
	// Only one reader at a time: the second waits for the file's own read lock, in either order.
	// The pair is told apart by its state, so both roles allow both.
	r.Either("semacquire")
	r1 := truth.Expect("pipe-read-second", "semacquire", "IO wait")
	go func() {
		b := make([]byte, 1)
		r1.Here()
		reader.Read(b)
	}()
}
