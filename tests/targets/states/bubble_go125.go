//go:build go1.25

// Bubbles do not go together with the timers that the go line of our go.mod asks for.
//go:debug asynctimerchan=0

package main

import (
	"testing"
	"testing/synctest"
	"time"

	"targets/truth"
)

func init() { starters = append(starters, startBubble) }

// startBubble puts goroutines into a bubble of testing/synctest, where tracebacks say "(durable)" of waits that only
// the bubble itself can end, and "synctest bubble 1". One waits for a channel from outside; otherwise the bubble
// would notice that all is stuck.
func startBubble() {
	truth.ExpectFound("bubble-run", "internal/synctest.Run(", "synctest.Run (durable)", "synctest.Run")
	truth.ExpectFound("bubble-test", "testing/synctest.testingSynctestTest(", "chan receive (durable)", "chan receive")
	test := truth.Expect("bubble-outside", "chan receive").Orphan()
	durable := truth.Expect("bubble-durable", "chan receive (durable)")
	selects := truth.Expect("bubble-select", "select (durable)")
	sleep := truth.Expect("bubble-sleep", "sleep (durable)", "sleep")
	wait := truth.Expect("bubble-wait", "synctest.Wait (durable)", "synctest.Wait")
	inBubble := func(*testing.T) {
		inside, insideToo := make(chan int), make(chan int)
		durable.Mine()
		go func() {
			durable.Here()
			<-inside
		}()
		selects.Mine()
		go func() {
			selects.Here()
			select {
			case <-inside:
			case <-insideToo:
			}
		}()
		sleep.Mine()
		go func() {
			sleep.Here()
			time.Sleep(time.Hour)
		}()
		wait.Mine()
		go func() {
			wait.Here()
			synctest.Wait()
		}()
		test.Here()
		<-quiet
	}
	tests := []testing.InternalTest{{Name: "Bubble", F: func(t *testing.T) { synctest.Test(t, inBubble) }}}
	// Main is old but needs nothing of the go command. It never returns, as the test does not.
	go testing.Main(func(string, string) (bool, error) { return true, nil }, tests, nil, nil)
	truth.ExpectFound("bubble-main", "testing.Main(", "chan receive")
}
