package main

import (
	"sync"

	"targets/truth"
)

var (
	heldMutex   sync.Mutex
	heldForRead sync.RWMutex
	heldToWrite sync.RWMutex
	neverDone   sync.WaitGroup
	condMutex   sync.Mutex
	neverSignal = sync.NewCond(&condMutex)
	once        sync.Once
)

// The first name is that of newer releases: sync.Mutex and RWMutex waits have names since Go 1.20,
// WaitGroup since 1.24 or 1.25.
func startLocks() {
	heldMutex.Lock()
	for i := 0; i < 3; i++ {
		r := truth.Expect("mutex", "sync.Mutex.Lock", "semacquire")
		go func() {
			r.Here()
			heldMutex.Lock()
		}()
	}

	// A holder that is blocked itself, to be named by whoever explains the wait above: this one
	// holds its own mutex and waits for the other.
	var second sync.Mutex
	held := make(chan bool)
	r := truth.Expect("mutex-holder-waits", "sync.Mutex.Lock", "semacquire")
	go func() {
		second.Lock()
		r.Here()
		close(held)
		heldMutex.Lock()
	}()
	<-held
	r1 := truth.Expect("mutex-behind-holder", "sync.Mutex.Lock", "semacquire")
	go func() {
		r1.Here()
		second.Lock()
	}()

	heldForRead.RLock()
	r2 := truth.Expect("rwmutex-writer", "sync.RWMutex.Lock", "semacquire")
	go func() {
		r2.Here()
		heldForRead.Lock()
	}()

	heldToWrite.Lock()
	r3 := truth.Expect("rwmutex-reader", "sync.RWMutex.RLock", "semacquire")
	go func() {
		r3.Here()
		heldToWrite.RLock()
	}()
	r4 := truth.Expect("rwmutex-second-writer", "sync.Mutex.Lock", "semacquire")
	go func() {
		r4.Here()
		heldToWrite.Lock()
	}()

	neverDone.Add(1)
	r5 := truth.Expect("waitgroup", "sync.WaitGroup.Wait", "semacquire")
	go func() {
		r5.Here()
		neverDone.Wait()
	}()

	for i := 0; i < 2; i++ {
		r6 := truth.Expect("cond", "sync.Cond.Wait")
		go func() {
			condMutex.Lock()
			r6.Here()
			neverSignal.Wait()
		}()
	}

	// One goroutine blocked inside Once.Do, one waiting for it.
	inside := make(chan bool)
	r7 := truth.Expect("once-inside", "chan receive")
	go func() {
		once.Do(func() {
			r7.Here()
			close(inside)
			<-quiet
		})
	}()
	<-inside
	r8 := truth.Expect("once-waiter", "sync.Mutex.Lock", "semacquire")
	go func() {
		r8.Here()
		once.Do(func() {})
	}()
}
