package store

import (
	"sync"
	"time"

	"shop/internal/roles"
	"shop/internal/trouble"
)

// Visitor is what the shop knows of one visitor.
type Visitor struct {
	Visits int
	Seen   time.Time
	Cart   []int
}

// Visitors is the map that every request reads and writes.
type Visitors struct {
	mu  sync.RWMutex
	all map[uint64]*Visitor

	hot  *trouble.Trouble
	stop chan struct{}
}

const (
	visitorLimit = 4096
	hotVisitors  = 100000
	hotWorkers   = 4
)

// NewVisitors: with the trouble on, the map is large, and each visit looks for expired visitors in all of it with
// the lock held; some goroutines write and read all the time besides.
func NewVisitors(hot *trouble.Trouble) *Visitors {
	s := &Visitors{all: map[uint64]*Visitor{}, hot: hot}
	hot.OnSwitch(s.heat)
	hot.Tell("entries", func() interface{} {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return len(s.all)
	})
	return s
}

// Visit notes a request of the visitor and returns how many there were.
func (s *Visitors) Visit(visitor uint64, product int) int {
	asked := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hot.On() {
		locked := time.Now()
		s.hot.Meter("write_waited").Add(locked.Sub(asked))
		defer s.hot.Meter("write_held").Since(locked)
		s.expire(locked.Add(-time.Hour))
	} else if len(s.all) > visitorLimit {
		s.all = map[uint64]*Visitor{}
	}
	known := s.all[visitor]
	if known == nil {
		known = &Visitor{}
		s.all[visitor] = known
	}
	known.Visits++
	known.Seen = asked
	if product >= 0 && len(known.Cart) < 20 {
		known.Cart = append(known.Cart, product)
	}
	return known.Visits
}

// Cart returns what the visitor wants to buy.
func (s *Visitors) Cart(visitor uint64) []int {
	asked := time.Now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.hot.On() {
		locked := time.Now()
		s.hot.Meter("read_waited").Add(locked.Sub(asked))
		defer s.hot.Meter("read_held").Since(locked)
	}
	known := s.all[visitor]
	if known == nil {
		return nil
	}
	return append([]int(nil), known.Cart...)
}

// Empty forgets the cart.
func (s *Visitors) Empty(visitor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[visitor]; known != nil {
		known.Cart = nil
	}
}

// expire is called with the lock held, which is the trouble.
//
//go:noinline
func (s *Visitors) expire(before time.Time) {
	for visitor, known := range s.all {
		if known.Seen.Before(before) {
			delete(s.all, visitor)
		}
	}
}

// heat fills the map and starts the goroutines that use it, or ends and clears all that.
func (s *Visitors) heat(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = map[uint64]*Visitor{}
	if s.stop != nil {
		close(s.stop)
		s.stop = nil
	}
	if !on {
		return
	}
	now := time.Now()
	for i := uint64(0); i < hotVisitors; i++ {
		s.all[1<<32+i] = &Visitor{Seen: now}
	}
	s.stop = make(chan struct{})
	for i := 0; i < hotWorkers; i++ {
		go s.hammer(s.stop, i)
	}
}

// hammer writes and reads the map every 10 ms.
func (s *Visitors) hammer(stop chan struct{}, n int) {
	defer roles.Enter("visitor-hammer", "writes and reads the hot map every 10 ms")()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for i := uint64(0); ; i++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.touch(1<<33 + uint64(n))
			s.Cart(1<<32 + i)
		}
	}
}

// touch is a visit that does not look for expired visitors, so that a hammer alone does not fill a CPU.
func (s *Visitors) touch(visitor uint64) {
	asked := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	locked := time.Now()
	s.hot.Meter("write_waited").Add(locked.Sub(asked))
	defer s.hot.Meter("write_held").Since(locked)
	known := s.all[visitor]
	if known == nil {
		known = &Visitor{}
		s.all[visitor] = known
	}
	known.Visits++
	known.Seen = locked
}
