// Package trouble has the switches for what the shop does wrong on purpose, and the counters that say exactly
// what it did.
package trouble

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Trouble is one planted mistake.
type Trouble struct {
	Name string
	What string

	on       atomic.Bool
	mu       sync.Mutex
	counters map[string]interface{}
	onSwitch []func(bool)
}

// On is asked on the way of each request; it costs one load.
func (t *Trouble) On() bool { return t.on.Load() }

// OnSwitch has f called at each change, also at the first.
func (t *Trouble) OnSwitch(f func(on bool)) {
	t.mu.Lock()
	t.onSwitch = append(t.onSwitch, f)
	t.mu.Unlock()
}

// Meter returns the meter of that name, made at the first call. Durations go there.
func (t *Trouble) Meter(name string) *Meter {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.counters[name].(*Meter)
	if !ok {
		m = &Meter{}
		t.counters[name] = m
	}
	return m
}

// Counter returns the counter of that name, made at the first call.
func (t *Trouble) Counter(name string) *Counter {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.counters[name].(*Counter)
	if !ok {
		c = &Counter{}
		t.counters[name] = c
	}
	return c
}

// Tell adds a value that is asked for when the truth is.
func (t *Trouble) Tell(name string, f func() interface{}) {
	t.mu.Lock()
	t.counters[name] = teller(f)
	t.mu.Unlock()
}

type teller func() interface{}

func (f teller) MarshalJSON() ([]byte, error) { return json.Marshal(f()) }

func (t *Trouble) flip(on bool) {
	if t.on.Swap(on) == on {
		return
	}
	t.mu.Lock()
	hooks := t.onSwitch
	t.mu.Unlock()
	for _, f := range hooks {
		f(on)
	}
}

// MarshalJSON writes the switch and the counters as one object.
func (t *Trouble) MarshalJSON() ([]byte, error) {
	t.mu.Lock()
	keys := map[string]interface{}{"on": t.On(), "what": t.What}
	for name, c := range t.counters {
		keys[name] = c
	}
	t.mu.Unlock()
	return json.Marshal(keys)
}

// Meter counts durations.
type Meter struct{ count, total, max atomic.Int64 }

// Since adds the time that has passed since start.
func (m *Meter) Since(start time.Time) { m.Add(time.Since(start)) }

// Timer starts a duration; the result is to be called at its end.
func (m *Meter) Timer() (stop func()) {
	start := time.Now()
	return func() { m.Since(start) }
}

// Add adds one duration.
func (m *Meter) Add(d time.Duration) {
	m.count.Add(1)
	m.total.Add(int64(d))
	for {
		old := m.max.Load()
		if int64(d) <= old || m.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// MarshalJSON writes {"count":…,"total_ns":…,"max_ns":…}.
func (m *Meter) MarshalJSON() ([]byte, error) {
	return []byte(fmt.Sprintf(`{"count":%d,"total_ns":%d,"max_ns":%d}`,
		m.count.Load(), m.total.Load(), m.max.Load())), nil
}

// Counter counts things.
type Counter struct{ n atomic.Int64 }

// Add adds n.
func (c *Counter) Add(n int64) int64 { return c.n.Add(n) }

// Value returns the sum.
func (c *Counter) Value() int64 { return c.n.Load() }

// MarshalJSON writes a plain number.
func (c *Counter) MarshalJSON() ([]byte, error) { return json.Marshal(c.n.Load()) }

// Set is all troubles of a shop.
type Set struct{ all map[string]*Trouble }

// NewSet returns a set of the troubles, all off.
func NewSet() *Set { return &Set{map[string]*Trouble{}} }

// New adds a trouble.
func (s *Set) New(name, what string) *Trouble {
	t := &Trouble{Name: name, What: what, counters: map[string]interface{}{}}
	s.all[name] = t
	return t
}

// All returns the troubles by name.
func (s *Set) All() map[string]*Trouble { return s.all }

// Names returns the names, sorted.
func (s *Set) Names() []string {
	var names []string
	for name := range s.all {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Switch turns the troubles of a comma-separated list on or off.
func (s *Set) Switch(list string, on bool) error {
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		t := s.all[name]
		if t == nil {
			return fmt.Errorf("no trouble %q; known: %s", name, strings.Join(s.Names(), " "))
		}
		t.flip(on)
	}
	return nil
}
