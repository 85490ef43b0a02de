package main

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"targets/truth"
)

// ---- leaks that a number hides from whom takes every word for a pointer ----

// Objects with pointers, of more and of less than 512 bytes: since Go 1.22 they say in different ways where theirs are.
type largeHider struct {
	data *int
	word uintptr
	pad  [80]uintptr
}

type smallHider struct {
	data *int
	word uintptr
	pad  [4]uintptr
}

var (
	largeHiders []*largeHider
	smallHiders []*smallHider
	oneHider    *largeHider
)

//go:noinline
func leakHidden() {
	for i := 0; i < 4; i++ {
		ch, t := make(chan int), truth.Expect("leak hidden by a number", "chan receive")
		word := *(*uintptr)(unsafe.Pointer(&ch))
		switch i {
		case 0:
			oneHider = &largeHider{data: new(int), word: word}
		case 1:
			largeHiders = append(largeHiders, &largeHider{data: new(int), word: word})
		case 2:
			smallHiders = append(smallHiders, &smallHider{data: new(int), word: word})
		case 3: // an array of many pages
			a := new([64]largeHider)
			a[40].word, a[40].data = word, new(int)
			largeHiders = append(largeHiders, &a[40])
		}
		go func() {
			t.Here()
			<-ch
		}()
	}
}

// ---- what only a register holds ----

var (
	spinning int32
	spinEnds int32
	spun     = make(chan bool)
)

// It holds the only pointer to @ch, and calls nothing that would need it in memory.
//
//go:noinline
func spin(ch chan int) {
	var n uint64
	atomic.StoreInt32(&spinning, 1)
	for atomic.LoadInt32(&spinEnds) == 0 {
		n += n ^ 7
	}
	ch <- int(n & 1)
}

//go:noinline
func wait(ch chan int) {
	<-ch
	spun <- true
}

//go:noinline
func startSpin() {
	ch := make(chan int)
	go wait(ch)
	go spin(ch)
}

func spinNow() {
	atomic.StoreInt32(&spinEnds, 0)
	atomic.StoreInt32(&spinning, 0)
	startSpin()
	for atomic.LoadInt32(&spinning) == 0 {
		runtime.Gosched()
	}
}

func spinEnd() {
	atomic.StoreInt32(&spinEnds, 1)
	<-spun
}
