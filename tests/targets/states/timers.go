package main

import (
	"context"
	"time"

	"targets/truth"
)

const never = 1000 * time.Hour

func startTimers() {
	r := truth.Expect("sleep", "sleep")
	go func() {
		r.Here()
		time.Sleep(never)
	}()

	r1 := truth.Expect("ticker", "chan receive")
	go func() {
		t := time.NewTicker(never)
		defer t.Stop()
		r1.Here()
		<-t.C
	}()

	r2 := truth.Expect("time-after", "select")
	go func() {
		r2.Here()
		select {
		case <-time.After(never):
		case <-quiet:
		}
	}()

	r3 := truth.Expect("context-timeout", "chan receive")
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), never)
		defer cancel()
		r3.Here()
		<-ctx.Done()
	}()

	// Started by the timer code on a system stack: no goroutine is its parent.
	r4 := truth.Expect("after-func", "chan receive").Orphan()
	time.AfterFunc(time.Millisecond, func() {
		r4.Here()
		<-quiet
	})
}
