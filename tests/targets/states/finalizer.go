package main

import (
	"runtime"
	"time"

	"targets/truth"
)

// startFinalizer blocks the finalizer goroutine inside a finalizer. It counts as a goroutine of the program
// while it runs the program's code, and as one of the runtime otherwise.
func startFinalizer() {
	r := truth.Expect("finalizer", "chan receive").Orphan()
	makeGarbage(r)
	for !r.Started() {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func makeGarbage(r *truth.Goroutine) {
	garbage := &struct{ big [64]int }{}
	runtime.SetFinalizer(garbage, func(*struct{ big [64]int }) { block(r) })
}
