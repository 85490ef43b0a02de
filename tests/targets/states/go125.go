//go:build go1.25

package main

import (
	"runtime"
	"time"

	"targets/truth"
)

func init() { starters = append(starters, startCleanup) }

// startCleanup blocks a cleanup goroutine of the runtime. Go 1.24 runs cleanups on the finalizer goroutine,
// which is taken.
func startCleanup() {
	r := truth.Expect("cleanup", "chan receive").Orphan()
	addCleanup(r)
	for !r.Started() {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func addCleanup(r *truth.Goroutine) {
	garbage := &struct{ big [64]int }{}
	runtime.AddCleanup(garbage, block, r)
}
