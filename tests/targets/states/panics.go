package main

import (
	"runtime"
	"sync/atomic"

	"targets/truth"
)

var (
	nilPointer *byPointer
	zero       int
)

// startPanics blocks goroutines inside deferred functions, with and without a panic under way.
func startPanics() {
	r := truth.Expect("defer-return", "chan receive")
	go func() {
		defer block(r)
		keepAlive(1)
	}()

	// More defers than the compiler opens inline, and in a loop: they are run by deferreturn.
	r1 := truth.Expect("defer-loop", "chan receive")
	go func() {
		for i := 0; i < 3; i++ {
			defer func(i int) {
				if i == 1 {
					block(r1)
				}
			}(i)
		}
	}()

	r2 := truth.Expect("defer-panic", "chan receive")
	go func() {
		defer block(r2)
		panicWith("on purpose")
	}()

	r3 := truth.Expect("defer-panic-recovered", "chan receive")
	go func() {
		defer func() {
			_ = recover()
			block(r3)
		}()
		panicWith(42)
	}()

	r4 := truth.Expect("defer-panic-nested", "chan receive")
	go func() {
		defer block(r4)
		defer panicWith("second")
		panicWith("first")
	}()

	r5 := truth.Expect("after-recover", "chan receive")
	go func() {
		recovers()
		r5.Here()
		<-quiet
	}()

	r6 := truth.Expect("defer-goexit", "chan receive")
	go func() {
		defer block(r6)
		runtime.Goexit()
	}()

	// Faults: sigpanic looks as if the faulting instruction had called it.
	r7 := truth.Expect("defer-nil-dereference", "chan receive")
	go func() {
		defer block(r7)
		dereference(nilPointer)
	}()
	r8 := truth.Expect("defer-divide", "chan receive")
	go func() {
		defer block(r8)
		divide(1, zero)
	}()
	r9 := truth.Expect("defer-index", "chan receive")
	go func() {
		defer block(r9)
		index([]int{1, 2, 3}, 3+zero)
	}()
	r10 := truth.Expect("defer-nil-map", "chan receive")
	go func() {
		defer block(r10)
		var m map[string]int
		m["x"] = 1
	}()
}

//go:noinline
func block(r *truth.Goroutine) {
	r.Here()
	<-quiet
}

//go:noinline
func panicWith(v interface{}) { panic(v) }

//go:noinline
func recovers() {
	defer func() { _ = recover() }()
	panicWith("recovered")
}

//go:noinline
func dereference(p *byPointer) int { return p.a }

//go:noinline
func divide(a, b int) int { return a / b }

//go:noinline
func index(s []int, i int) int { return s[i] }

//go:noinline
func keepAlive(x int) { atomic.AddUint64(&sink, uint64(x)) }
