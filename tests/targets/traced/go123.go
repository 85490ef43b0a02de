//go:build go1.23

package main

import (
	"iter"
	"time"
)

func init() { workers["pull"] = pull }

// pull: a coroutine that does some work each time.
func pull() {
	next, _ := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
			work(300 * time.Microsecond)
		}
	})
	for {
		next()
		time.Sleep(5 * time.Millisecond)
	}
}
