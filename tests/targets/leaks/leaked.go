package main

import (
	"context"
	"sync"

	"targets/truth"
)

// Each of these goroutines waits for something that nobody else knows of. Locks are in objects with pointers: small
// objects without any share a block of 16 bytes with others, and are kept by those.

type guarded struct {
	mu   sync.Mutex
	data *int
}

type shared struct {
	rw   sync.RWMutex
	data *int
}

type group struct {
	wg   sync.WaitGroup
	data *int
}

//go:noinline
func leakReceive() {
	ch, t := make(chan int), truth.Expect("leak receive", "chan receive")
	go func() {
		t.Here()
		<-ch
	}()
}

//go:noinline
func leakSend() {
	ch, t := make(chan int), truth.Expect("leak send", "chan send")
	go func() {
		t.Here()
		ch <- 1
	}()
}

//go:noinline
func leakSendBuffered() {
	ch, t := make(chan *int, 2), truth.Expect("leak send buffered", "chan send")
	go func() {
		t.Here()
		for {
			ch <- new(int)
		}
	}()
}

// A pool whose jobs channel nobody closes.
//
//go:noinline
func leakRange() {
	jobs := make(chan string)
	for i := 0; i < 3; i++ {
		t := truth.Expect("leak range", "chan receive")
		go func() {
			t.Here()
			for range jobs {
			}
		}()
	}
}

//go:noinline
func leakSelect() {
	a, b, t := make(chan int), make(chan string), truth.Expect("leak select", "select")
	var never chan bool
	go func() {
		t.Here()
		select {
		case <-a:
		case b <- "b":
		case <-never:
		}
	}()
}

//go:noinline
func leakSelectNil() {
	var a, b chan int
	// Such a select is not told apart from others by its state.
	t := truth.Expect("leak select nil", "select", "select (no cases)")
	go func() {
		t.Here()
		select {
		case <-a:
		case b <- 1:
		}
	}()
}

//go:noinline
func leakNil() {
	var ch chan int
	t := truth.Expect("leak nil receive", "chan receive (nil chan)")
	go func() {
		t.Here()
		<-ch
	}()
	u := truth.Expect("leak nil send", "chan send (nil chan)")
	go func() {
		u.Here()
		ch <- 1
	}()
	v := truth.Expect("leak select none", "select (no cases)")
	go func() {
		v.Here()
		select {}
	}()
}

//go:noinline
func leakMutex() {
	g, t := &guarded{data: new(int)}, truth.Expect("leak mutex", "sync.Mutex.Lock", "semacquire")
	g.mu.Lock()
	go func() {
		t.Here()
		g.mu.Lock()
		*g.data++
	}()
}

//go:noinline
func leakRWMutex() {
	g, t := &shared{data: new(int)}, truth.Expect("leak rwmutex read", "sync.RWMutex.RLock", "semacquire")
	g.rw.Lock()
	go func() {
		t.Here()
		g.rw.RLock()
		*g.data++
	}()
	h, u := &shared{data: new(int)}, truth.Expect("leak rwmutex write", "sync.RWMutex.Lock", "semacquire")
	h.rw.RLock()
	go func() {
		u.Here()
		h.rw.Lock()
		*h.data++
	}()
}

//go:noinline
func leakWaitGroup() {
	g, t := &group{data: new(int)}, truth.Expect("leak waitgroup", "sync.WaitGroup.Wait", "semacquire")
	g.wg.Add(1)
	go func() {
		t.Here()
		g.wg.Wait()
		*g.data++
	}()
}

//go:noinline
func leakCond() {
	c, t := sync.NewCond(&sync.Mutex{}), truth.Expect("leak cond", "sync.Cond.Wait")
	go func() {
		t.Here()
		c.L.Lock()
		c.Wait()
		c.L.Unlock()
	}()
}

// Each waits for the other.
//
//go:noinline
func leakCycle() {
	a, b := make(chan int), make(chan int)
	t, u := truth.Expect("leak cycle", "chan receive"), truth.Expect("leak cycle", "chan receive")
	go func() {
		t.Here()
		<-a
		b <- 1
	}()
	go func() {
		u.Here()
		<-b
		a <- 1
	}()
}

// The first would wake the second, the second the third, …
//
//go:noinline
func leakChain() {
	ch := make(chan int)
	for i := 0; i < 20; i++ {
		in, out, t := ch, make(chan int), truth.Expect("leak chain", "chan receive")
		go func() {
			t.Here()
			<-in
			close(out)
		}()
		ch = out
	}
}

//go:noinline
func leakContext() {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	t := truth.Expect("leak context", "chan receive")
	go func() {
		t.Here()
		<-ctx.Done()
	}()
}

// It alone keeps a megabyte.
//
//go:noinline
func leakHolder() {
	ch, t := make(chan int), truth.Expect("leak holder", "chan receive")
	big := make([]*[512]byte, 2048)
	for i := range big {
		big[i] = new([512]byte)
	}
	go func() {
		t.Here()
		<-ch
		big[0][0]++
	}()
}

func startLeaks() {
	leakReceive()
	leakSend()
	leakSendBuffered()
	leakRange()
	leakSelect()
	leakSelectNil()
	leakNil()
	leakMutex()
	leakRWMutex()
	leakWaitGroup()
	leakCond()
	leakCycle()
	leakChain()
	leakContext()
	leakHolder()
	leakHidden()
}
