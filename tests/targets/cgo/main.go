// Cgo is the truth for stacks with C in them: a goroutine inside a C call, a thread that C made and that calls
// into Go and blocks there, and calls from Go to C to Go and so on. It needs CGO_ENABLED=1 and a C compiler.
package main

/*
void wait_in_c(void);
void call_go_from_thread(int which);
void call_go(int depth);
void start_silent_thread(void);
*/
import "C"

import (
	"runtime"

	"targets/truth"
)

var (
	quiet   = make(chan int)
	threads [2]*truth.Goroutine
	nested  *truth.Goroutine
	nestedC *truth.Goroutine
)

func main() {
	r := truth.Expect("cgo-call", "syscall")
	go func() {
		r.Here()
		C.wait_in_c()
	}()

	// Not ours to describe: a thread that never calls into Go.
	C.start_silent_thread()

	// Threads of C get a goroutine of their own while they are in Go: it has no creator.
	threads[0] = truth.Expect("cgo-callback-thread", "chan receive").Orphan()
	C.call_go_from_thread(0)
	threads[1] = truth.Expect("cgo-callback-thread-select", "select").Orphan()
	C.call_go_from_thread(1)

	// Go, C, Go, C, Go.
	nested = truth.Expect("cgo-nested", "chan receive")
	go func() {
		C.call_go(2)
	}()

	// The same, but in the end it waits in C.
	nestedC = truth.Expect("cgo-nested-in-c", "syscall")
	go func() {
		C.call_go(-2)
	}()

	// Back from C with nothing left of it.
	r1 := truth.Expect("cgo-returned", "chan receive")
	go func() {
		runtime.LockOSThread()
		C.call_go(0)
		r1.Here()
		<-quiet
	}()
	server := truth.Server{}
	server.Serve()
}

//export goFromThread
func goFromThread(which C.int) {
	fromThread(int(which))
}

//go:noinline
func fromThread(which int) {
	r := threads[which]
	r.Here()
	if which == 0 {
		<-quiet
		return
	}
	select {
	case <-quiet:
	case <-make(chan int):
	}
}

//export goFromC
func goFromC(depth C.int) {
	switch {
	case depth > 1:
		deeper(depth - 1)
	case depth == 1:
		waitInGo(nested)
	case depth < -1:
		deeper(depth + 1)
	case depth == -1:
		nestedC.Here()
		C.wait_in_c()
	}
}

//go:noinline
func deeper(depth C.int) { C.call_go(depth) }

//go:noinline
func waitInGo(r *truth.Goroutine) {
	r.Here()
	<-quiet
}
