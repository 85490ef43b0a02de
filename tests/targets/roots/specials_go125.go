//go:build go1.25

package main

import "runtime"

func stickGo125() {
	for i := 0; i < 40; i++ { // more than there are goroutines for them
		runtime.AddCleanup(&object{}, func(int) { block() }, i)
	}
	collect()
	for i := 0; i < 100; i++ {
		runtime.AddCleanup(&object{}, func(*object) {}, known(&queued))
	}
}
