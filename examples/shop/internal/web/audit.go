package web

import (
	"sync"
	"time"

	"shop/internal/roles"
	"shop/internal/trouble"
)

// auditor notes each request, in the background.
type auditor struct {
	leak, leakTimer *trouble.Trouble

	mu     sync.Mutex
	leaked map[string][]uint64
	byPage map[string]int
}

func newAuditor(leak, leakTimer *trouble.Trouble) *auditor {
	a := &auditor{leak: leak, leakTimer: leakTimer, leaked: map[string][]uint64{}, byPage: map[string]int{}}
	for _, t := range []*trouble.Trouble{leak, leakTimer} {
		name := t.Name
		t.Tell("leaked_goroutines", func() interface{} {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.leaked[name])
		})
		t.Tell("leaked_ids", func() interface{} {
			a.mu.Lock()
			defer a.mu.Unlock()
			return append([]uint64{}, a.leaked[name]...)
		})
	}
	return a
}

// Record counts the request, and with a trouble on it starts a goroutine that tells of it on a channel that
// nobody reads any more: Record has given up waiting long before.
func (a *auditor) Record(page string) {
	a.mu.Lock()
	a.byPage[page]++
	a.mu.Unlock()
	if a.leak.On() {
		done := make(chan string)
		go a.report(done, page)
	}
	if a.leakTimer.On() {
		done := make(chan string)
		go a.reportLater(done, page)
	}
}

// report blocks in a send for ever.
func (a *auditor) report(done chan<- string, page string) {
	a.note(a.leak)
	done <- page
}

// reportLater blocks in a select, until a timer of one hour at best.
func (a *auditor) reportLater(done chan<- string, page string) {
	a.note(a.leakTimer)
	select {
	case done <- page:
	case <-time.After(time.Hour):
	}
}

// note keeps the id of a goroutine that is about to leak.
func (a *auditor) note(t *trouble.Trouble) {
	id := roles.ID()
	a.mu.Lock()
	a.leaked[t.Name] = append(a.leaked[t.Name], id)
	a.mu.Unlock()
}
