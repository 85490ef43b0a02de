package store

import (
	"sync"
	"time"

	"shop/internal/roles"
	"shop/internal/trouble"
)

// Session is what the shop knows of a visitor.
type Session struct {
	Visits int
	Seen   time.Time
	Cart   []int
}

// Sessions is the map that every request reads and writes.
type Sessions struct {
	mu  sync.RWMutex
	all map[uint64]*Session

	hot  *trouble.Trouble
	stop chan struct{}
}

const (
	sessionLimit = 4096
	hotSessions  = 100000
	hotWorkers   = 4
)

// NewSessions: with the trouble on, the map is large, and each visit looks for expired sessions in all of it with
// the lock held; some goroutines write and read all the time besides.
func NewSessions(hot *trouble.Trouble) *Sessions {
	s := &Sessions{all: map[uint64]*Session{}, hot: hot}
	hot.OnSwitch(s.heat)
	hot.Tell("entries", func() interface{} {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return len(s.all)
	})
	return s
}

// Visit notes a request of the visitor and returns how many there were.
func (s *Sessions) Visit(visitor uint64, product int) int {
	asked := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hot.On() {
		locked := time.Now()
		s.hot.Meter("write_waited").Add(locked.Sub(asked))
		defer s.hot.Meter("write_held").Since(locked)
		s.expire(locked.Add(-time.Hour))
	} else if len(s.all) > sessionLimit {
		s.all = map[uint64]*Session{}
	}
	session := s.all[visitor]
	if session == nil {
		session = &Session{}
		s.all[visitor] = session
	}
	session.Visits++
	session.Seen = asked
	if product >= 0 && len(session.Cart) < 20 {
		session.Cart = append(session.Cart, product)
	}
	return session.Visits
}

// Cart returns what the visitor wants to buy.
func (s *Sessions) Cart(visitor uint64) []int {
	asked := time.Now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.hot.On() {
		locked := time.Now()
		s.hot.Meter("read_waited").Add(locked.Sub(asked))
		defer s.hot.Meter("read_held").Since(locked)
	}
	session := s.all[visitor]
	if session == nil {
		return nil
	}
	return append([]int(nil), session.Cart...)
}

// Empty forgets the cart.
func (s *Sessions) Empty(visitor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session := s.all[visitor]; session != nil {
		session.Cart = nil
	}
}

// expire is called with the lock held, which is the trouble.
//
//go:noinline
func (s *Sessions) expire(before time.Time) {
	for visitor, session := range s.all {
		if session.Seen.Before(before) {
			delete(s.all, visitor)
		}
	}
}

// heat fills the map and starts the goroutines that use it, or ends and clears all that.
func (s *Sessions) heat(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = map[uint64]*Session{}
	if s.stop != nil {
		close(s.stop)
		s.stop = nil
	}
	if !on {
		return
	}
	now := time.Now()
	for i := uint64(0); i < hotSessions; i++ {
		s.all[1<<32+i] = &Session{Seen: now}
	}
	s.stop = make(chan struct{})
	for i := 0; i < hotWorkers; i++ {
		go s.hammer(s.stop, i)
	}
}

// hammer writes and reads the map every 10 ms.
func (s *Sessions) hammer(stop chan struct{}, n int) {
	defer roles.Enter("session-hammer", "writes and reads the hot map every 10 ms")()
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

// touch is a visit that does not look for expired sessions, so that a hammer alone does not fill a CPU.
func (s *Sessions) touch(visitor uint64) {
	asked := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	locked := time.Now()
	s.hot.Meter("write_waited").Add(locked.Sub(asked))
	defer s.hot.Meter("write_held").Since(locked)
	session := s.all[visitor]
	if session == nil {
		session = &Session{}
		s.all[visitor] = session
	}
	session.Visits++
	session.Seen = locked
}
