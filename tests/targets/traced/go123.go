//go:build go1.23

package main

import (
	"iter"
	"time"
)

func init() { workers["pull"] = pull }

// pull: a coroutine.
func pull() {
	next, _ := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	})
	for {
		next()
		time.Sleep(5 * time.Millisecond)
	}
}
