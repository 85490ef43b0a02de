package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

func next(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	return x
}

// small and large are what a frame keeps on the stack.
type small struct{ words [4]uint64 }
type large struct{ words [40]uint64 }

func (s *small) fill(seed uint64) (sum uint64) {
	for i := range s.words {
		seed = next(seed)
		s.words[i] = seed
		sum += seed
	}
	return sum
}

func (s *small) sum() (sum uint64) {
	for _, w := range s.words {
		sum += w
	}
	return sum
}

func (l *large) fill(seed uint64) (sum uint64) {
	for i := range l.words {
		seed = next(seed)
		l.words[i] = seed
		sum += seed
	}
	return sum
}

func (l *large) sum() (sum uint64) {
	for _, w := range l.words {
		sum += w
	}
	return sum
}

// even and odd call each other down to even(0), which rests. The pointer into the caller's frame has to be moved
// along whenever the stack is.

//go:noinline
func even(n int, seed uint64, above *uint64) uint64 {
	var here small
	want := here.fill(seed)
	*above++
	var mark uint64
	var result uint64
	if n == 0 {
		result = rest(seed)
	} else {
		result = odd(n-1, next(seed), &mark)
		verify(mark == 1)
	}
	verify(here.sum() == want)
	return result + want
}

//go:noinline
func odd(n int, seed uint64, above *uint64) uint64 {
	var here large
	want := here.fill(seed)
	*above++
	var mark uint64
	result := even(n-1, next(seed), &mark)
	verify(mark == 1)
	verify(here.sum() == want)
	return result + want
}

func verify(ok bool) {
	if !ok {
		atomic.AddUint64(&failures, 1)
	}
}

// rest blocks for a moment, in one of several ways, or not at all.
//
//go:noinline
func rest(seed uint64) uint64 {
	switch seed >> 8 % 8 {
	case 0:
		time.Sleep(time.Duration(seed>>16%50) * time.Microsecond)
	case 1:
		runtime.Gosched()
	case 2:
		contended.Lock()
		runtime.Gosched()
		contended.Unlock()
	case 3, 4:
		select {
		case v := <-meeting:
			return v
		case meeting <- seed:
		case <-time.After(time.Millisecond):
		}
	case 5:
		c := make(chan uint64, 1)
		c <- seed
		return <-c
	}
	return seed
}
