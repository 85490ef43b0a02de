// Churn is the truth for reading without stopping: goroutines are born, call, grow their stacks, block for a
// moment, return and die as fast as they can, beside some parked ones that are known exactly.
//
// Whatever is read of a changing goroutine at one moment, its stack obeys a grammar, so that a torn read is
// seen. Of its frames take those of main.rest, main.even, main.odd and main.born, from the innermost to the
// outermost, joined by ";": the ready line has the regular expression as "grammar". A blocked one begins with
// main.rest or is main.born alone. Other frames (of the runtime, of small functions) are only further inside.
//
// The program also checks itself: each frame keeps a checksum of an array on the stack, reached through a
// pointer from the frame below, and looks at it again on the way back. Command check, and the answer to exit:
// {"born":…,"died":…,"failures":0}; the exit status is 1 if a check failed.
package main

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"targets/truth"
)

const grammar = `^(main\.rest;)?(main\.even;)?(main\.odd;main\.even;)*(main\.odd;)?main\.born$`

var (
	births, deaths, failures uint64

	depth         = flag.Int("depth", 40, "deepest stack of a changing goroutine")
	quiet, quiet2 = make(chan int), make(chan int)
	meeting       = make(chan uint64)
	contended     sync.Mutex
	stop          uint32
)

func main() {
	population := flag.Int("n", 200, "goroutines alive at any time, beside the parked ones")
	parked := flag.Int("parked", 100, "parked goroutines")
	procs := flag.Int("procs", 0, "GOMAXPROCS (default: leave)")
	pace := flag.Duration("pace", 0, "each goroutine sleeps for so long before it dies (default: not)")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	for i := 0; i < *parked; i++ {
		startParked(i)
	}
	truth.Settle()
	for i := 0; i < *population; i++ {
		spawn(uint64(i)*0x9e3779b97f4a7c15+1, *pace)
	}
	server := truth.Server{
		Ready:    map[string]interface{}{"grammar": grammar, "population": *population},
		Commands: map[string]func() map[string]interface{}{"check": check},
		Exit: func() (map[string]interface{}, int) {
			atomic.StoreUint32(&stop, 1)
			if atomic.LoadUint64(&failures) > 0 {
				return check(), 1
			}
			return check(), 0
		},
	}
	server.Serve()
}

func check() map[string]interface{} {
	return map[string]interface{}{
		"born": atomic.LoadUint64(&births), "died": atomic.LoadUint64(&deaths),
		"failures": atomic.LoadUint64(&failures),
	}
}

func startParked(i int) {
	switch i % 3 {
	case 0:
		r := truth.Expect("parked-receive", "chan receive")
		go parkedReceive(r)
	case 1:
		r := truth.Expect("parked-select", "select")
		go parkedSelect(r)
	case 2:
		r := truth.Expect("parked-sleep", "sleep")
		go parkedSleep(r)
	}
}

//go:noinline
func parkedReceive(r *truth.Goroutine) {
	r.Here()
	<-quiet
}

//go:noinline
func parkedSelect(r *truth.Goroutine) {
	r.Here()
	select {
	case <-quiet:
	case <-quiet2:
	}
}

//go:noinline
func parkedSleep(r *truth.Goroutine) {
	r.Here()
	time.Sleep(1000 * time.Hour)
}

func spawn(seed uint64, pace time.Duration) {
	atomic.AddUint64(&births, 1)
	go born(seed, pace)
}

// born is a changing goroutine: a short life, and a successor.
//
//go:noinline
func born(seed uint64, pace time.Duration) {
	for i := seed >> 4 % 4; i > 0; i-- {
		seed = next(seed)
		// The innermost is even(0). No function for this: it would be one more frame, or none.
		var mark uint64
		if n := int(seed >> 20 % uint64(*depth+1)); n%2 == 0 {
			even(n, seed, &mark)
		} else {
			odd(n, seed, &mark)
		}
		verify(mark == 1)
	}
	if pace > 0 {
		time.Sleep(pace)
	}
	if atomic.LoadUint32(&stop) == 0 {
		spawn(next(seed), pace)
	}
	atomic.AddUint64(&deaths, 1)
}
