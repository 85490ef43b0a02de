// Crash is the truth for core files: some parked goroutines, and a death on command, with a traceback written
// right before by the one that dies. The commands do not answer:
//
//	crash  panics as with GOTRACEBACK=crash: Go prints its own traceback to stderr, with goroutines of the
//	       runtime and with fp, sp and pc of each frame, and aborts
//	segv   the same by a nil dereference in a goroutine called crasher: a signal frame on a stack
//	abort  SIGABRT to the process from outside of the story, as gcore's victims and OOM victims look: no
//	       handler of Go runs (the signal's default action is restored first)
//
// The core file is the kernel's (core_pattern; the limit is raised by the program itself), or qemu's when run by
// its user mode. -truth FILE: the traceback goes there, and the ready line's goroutines to FILE.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"targets/truth"
)

var (
	file  = flag.String("truth", "", "write the last traceback here")
	quiet = make(chan int)
)

func main() {
	flag.Parse()
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
	}
	startParked()
	server := truth.Server{
		Ready: map[string]interface{}{"core_limit": limit.Cur},
		Commands: map[string]func() map[string]interface{}{
			"crash": func() map[string]interface{} {
				debug.SetTraceback("crash")
				writeTruth()
				panic("crash on purpose")
			},
			"segv": func() map[string]interface{} {
				debug.SetTraceback("crash")
				go crasher(nil)
				select {}
			},
			"abort": func() map[string]interface{} {
				writeTruth()
				abort()
				select {}
			},
		},
	}
	server.Serve()
}

func startParked() {
	for i := 0; i < 5; i++ {
		r := truth.Expect("receive", "chan receive")
		go parked(r, 3)
	}
	r := truth.Expect("select", "select")
	go func() {
		r.Here()
		select {
		case <-quiet:
		case <-make(chan int):
		}
	}()
	r1 := truth.Expect("sleep", "sleep")
	go func() {
		r1.Here()
		time.Sleep(1000 * time.Hour)
	}()
	r2 := truth.Expect("syscall", "syscall")
	go func() {
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			panic(err)
		}
		var b [1]byte
		r2.Here()
		syscall.Read(fds[0], b[:])
	}()
	r3 := truth.Expect("panicking", "chan receive")
	go func() {
		defer func() {
			r3.Here()
			<-quiet
		}()
		panic("never seen")
	}()
}

//go:noinline
func parked(r *truth.Goroutine, n int) int {
	if n > 0 {
		return parked(r, n-1) + 1
	}
	r.Here()
	return <-quiet
}

type thing struct{ a, b int }

//go:noinline
func crasher(t *thing) int {
	writeTruth()
	return t.b
}

func writeTruth() {
	if *file == "" {
		return
	}
	list, err := json.Marshal(truth.List())
	if err == nil {
		err = os.WriteFile(*file+".json", list, 0o666)
	}
	if err == nil {
		err = os.WriteFile(*file, truth.Stack(), 0o666)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
