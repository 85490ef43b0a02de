// Part is the plugin of the program plugin.
package main

import (
	"targets/truth"
)

var quiet = make(chan int)

type waiter interface{ wait(c chan int) int }

type partWaiter struct{ n int }

//go:noinline
func (w *partWaiter) wait(c chan int) int { return <-c + w.n }

// Start starts goroutines that are blocked in code of the plugin.
func Start(callBack func(func())) {
	r := truth.Expect("plugin-receive", "chan receive")
	go block(r)

	r1 := truth.Expect("plugin-closure", "select")
	go func() {
		r1.Here()
		select {
		case <-quiet:
		case <-make(chan int):
		}
	}()

	r2 := truth.Expect("plugin-through-host", "chan receive")
	go callBack(func() { block(r2) })

	r3 := truth.Expect("plugin-interface", "chan receive")
	go func() {
		r3.Here()
		var w waiter = &partWaiter{1}
		w.wait(quiet)
	}()

	r4 := truth.Expect("plugin-inlined", "chan receive")
	go func() {
		r4.Here()
		inlined1(quiet)
	}()
}

func inlined2(c chan int) int { return <-c }

func inlined1(c chan int) int { return inlined2(c) + 1 }

//go:noinline
func block(r *truth.Goroutine) {
	r.Here()
	<-quiet
}

func main() {}
