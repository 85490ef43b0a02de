//go:build go1.23

package main

import (
	"iter"

	"targets/truth"
)

func init() { starters = append(starters, startIterators) }

// startIterators: iter.Pull runs its function as a coroutine, a goroutine of its own that waits for being
// asked ("coroutine"), and range over a function makes bodies named -range1.
func startIterators() {
	r := truth.Expect("coroutine", "coroutine")
	next, stop := iter.Pull(func(yield func(int) bool) {
		r.Here()
		for yield(1) {
		}
	})
	next()
	keep = append(keep, next, stop)

	// The one that asks, blocked because the coroutine is: the coroutine waits for a channel.
	r1 := truth.Expect("coroutine-blocked", "chan receive")
	r2 := truth.Expect("coroutine-caller", "coroutine")
	go func() {
		r2.Here()
		r1.Mine() // created by Pull
		next, _ := iter.Pull(func(yield func(int) bool) {
			r1.Here()
			<-quiet
			yield(1)
		})
		next()
	}()

	r3 := truth.Expect("range-func", "chan receive")
	go func() {
		for v := range numbers {
			for w := range numbers {
				if v+w > 1 {
					r3.Here()
					<-quiet
				}
			}
		}
	}()
}

//go:noinline
func numbers(yield func(int) bool) {
	for i := 0; i < 3; i++ {
		if !yield(i) {
			return
		}
	}
}
