package main

import "targets/truth"

// Channels that nobody serves. Package variables, so that no leak finder calls these goroutines dead by
// mistake of ours: their wait objects stay reachable.
var (
	quiet       = make(chan int)
	quietStruct = make(chan struct{ a, b int64 })
	selectSend  = make(chan struct{ a, b int64 })
	full        = make(chan string, 2)
	nilChan     chan int
	other       = make(chan bool, 1)
)

func startChannels() {
	r := truth.Expect("chan-receive", "chan receive")
	go receiveFrom(r, quiet)

	r1 := truth.Expect("chan-receive-ok", "chan receive")
	go func() {
		r1.Here()
		_, ok := <-quietStruct
		_ = ok
	}()

	r2 := truth.Expect("chan-range", "chan receive")
	go func() {
		r2.Here()
		for range quiet {
		}
	}()

	r3 := truth.Expect("chan-send", "chan send")
	sendTo := make(chan int)
	keep = append(keep, sendTo)
	go func() {
		r3.Here()
		sendTo <- 7
	}()

	full <- "one"
	full <- "two"
	r4 := truth.Expect("chan-send-full", "chan send")
	go func() {
		r4.Here()
		full <- "three"
	}()

	r5 := truth.Expect("nil-chan-receive", "chan receive (nil chan)")
	go func() {
		r5.Here()
		<-nilChan
	}()

	r6 := truth.Expect("nil-chan-send", "chan send (nil chan)")
	go func() {
		r6.Here()
		nilChan <- 1
	}()

	r7 := truth.Expect("select", "select")
	go func() {
		r7.Here()
		select {
		case <-quiet:
		case selectSend <- struct{ a, b int64 }{1, 2}:
		case v := <-other:
			_ = v
		}
	}()

	r8 := truth.Expect("select-empty", "select (no cases)")
	go func() {
		r8.Here()
		select {}
	}()

	// The compiler turns a select with one case into the plain operation.
	r9 := truth.Expect("select-one-case", "chan receive")
	go func() {
		r9.Here()
		select {
		case <-quiet:
		}
	}()

	// Many goroutines with the same stack, for grouping.
	for i := 0; i < 10; i++ {
		r := truth.Expect("same-stack", "chan receive")
		go receiveFrom(r, quiet)
	}
}

// keep holds references that only goroutines would have otherwise.
var keep []interface{}

//go:noinline
func receiveFrom(r *truth.Goroutine, c chan int) int {
	r.Here()
	return <-c
}
