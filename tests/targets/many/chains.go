package main

import "sync/atomic"

// The parked goroutines: start functions and what they call. Frames are small, so that a stack stays at the
// minimum of 2 KiB as in real servers. Frames of main are 8 (orders), 9 (mails), 10 (index) and 11 (cache).

var quiet = make(chan int)

type service struct{ id int }

func orders(n *int64) { (&service{1}).run(n) }
func mails(n *int64)  { dispatch(n) }
func index(n *int64)  { supervise(n) }
func cache(n *int64)  { warm(n) }

//go:noinline
func warm(n *int64) { supervise(n); sink++ }

//go:noinline
func supervise(n *int64) { dispatch(n); sink++ }

//go:noinline
func dispatch(n *int64) { (&service{2}).run(n); sink++ }

//go:noinline
func (s *service) run(n *int64) { s.serve(n); sink += s.id }

//go:noinline
func (s *service) serve(n *int64) { s.handle(n); sink += s.id }

//go:noinline
func (s *service) handle(n *int64) { process(s, n); sink++ }

//go:noinline
func process(s *service, n *int64) { fetch(s, n, s.id); sink++ }

//go:noinline
func fetch(s *service, n *int64, id int) { receive(n); sink += id + s.id }

//go:noinline
func receive(n *int64) { wait(n); sink++ }

//go:noinline
func wait(n *int64) {
	atomic.AddInt64(n, 1)
	sink += <-quiet
}

var sink int

// paths gives as many distinct stacks as asked for: the bits of which choose a way through two functions.
func paths(n *int64, which, of int) {
	if of <= 1 {
		wait(n)
		return
	}
	if which%2 == 0 {
		left(n, which/2, (of+1)/2)
	} else {
		right(n, which/2, (of+1)/2)
	}
}

//go:noinline
func left(n *int64, which, of int) {
	if of <= 1 {
		wait(n)
	} else if which%2 == 0 {
		left(n, which/2, (of+1)/2)
	} else {
		right(n, which/2, (of+1)/2)
	}
	sink++
}

//go:noinline
func right(n *int64, which, of int) {
	if of <= 1 {
		wait(n)
	} else if which%2 == 0 {
		left(n, which/2, (of+1)/2)
	} else {
		right(n, which/2, (of+1)/2)
	}
	sink--
}
