// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// gotrace_check FILE reads a Go execution trace with golang.org/x/exp/trace and prints what is in it, one JSON
// object per line: goroutines with the times they spent in each state, then a summary. With -transitions also every
// change of state of a goroutine, in the order of time. An error of the reader ends it with exit code 1.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"

	"golang.org/x/exp/trace"
)

// A state with its number of entries and its nanoseconds.
type entry [2]int64

type goroutine struct {
	ID       trace.GoID       `json:"goid"`
	Name     string           `json:"start"`
	Born     bool             `json:"born"`
	Gone     bool             `json:"gone"`
	Running  entry            `json:"running"`
	Runnable entry            `json:"runnable"`
	Waiting  entry            `json:"waiting"`
	Syscall  entry            `json:"syscall"`
	Reasons  map[string]int64 `json:"reasons,omitempty"`
	state    trace.GoState
	since    trace.Time
	reason   string
}

type transition struct {
	Time   int64      `json:"t"`
	ID     trace.GoID `json:"goid"`
	From   string     `json:"from"`
	To     string     `json:"to"`
	Reason string     `json:"reason,omitempty"`
	Thread int64      `json:"thread"`
	Proc   int64      `json:"proc"`
	By     trace.GoID `json:"by,omitempty"`
	Top    string     `json:"top,omitempty"`
}

type summary struct {
	Events     int            `json:"events"`
	Kinds      map[string]int `json:"kinds"`
	Goroutines int            `json:"goroutines"`
	Procs      int            `json:"procs"`
	Threads    int            `json:"threads"`
	Tasks      int            `json:"tasks"`
	Ranges     map[string]int `json:"ranges"`
	Metrics    map[string]int `json:"metrics"`
	Samples    int            `json:"samples"`
	Begin      int64          `json:"begin"`
	End        int64          `json:"end"`
}

type checker struct {
	gs      map[trace.GoID]*goroutine
	gone    []*goroutine
	procs   map[trace.ProcID]bool
	threads map[trace.ThreadID]bool
	sum     summary
	each    *json.Encoder
}

func (g *goroutine) of(s trace.GoState) *entry {
	switch s {
	case trace.GoRunning:
		return &g.Running
	case trace.GoRunnable:
		return &g.Runnable
	case trace.GoWaiting:
		return &g.Waiting
	case trace.GoSyscall:
		return &g.Syscall
	}
	return nil
}

func (g *goroutine) leave(t trace.Time) {
	if e := g.of(g.state); e != nil {
		e[1] += int64(t - g.since)
		if g.state == trace.GoWaiting && g.reason != "" {
			g.Reasons[g.reason] += int64(t - g.since)
		}
	}
}

func top(s trace.Stack) (inner, outer string) {
	s.Frames()(func(f trace.StackFrame) bool {
		if inner == "" {
			inner = f.Func
		}
		outer = f.Func
		return true
	})
	return inner, outer
}

func (c *checker) transition(ev trace.Event) {
	st := ev.StateTransition()
	if st.Resource.Kind == trace.ResourceProc {
		c.procs[st.Resource.Proc()] = true
	}
	if st.Resource.Kind != trace.ResourceGoroutine {
		return
	}
	id := st.Resource.Goroutine()
	from, to := st.Goroutine()
	if from == to {
		return
	}
	g := c.gs[id]
	if g == nil {
		g = &goroutine{ID: id, Born: from == trace.GoNotExist, Reasons: map[string]int64{}}
		c.gs[id] = g
	}
	inner, outer := top(st.Stack)
	if g.Name == "" {
		g.Name = outer
	}
	g.leave(ev.Time())
	g.state, g.since, g.reason = to, ev.Time(), st.Reason
	if e := g.of(to); e != nil {
		e[0]++
	}
	if to == trace.GoNotExist {
		g.Gone = true
		c.gone = append(c.gone, g)
		delete(c.gs, id)
	}
	if c.each != nil {
		by := trace.GoID(0)
		if e := ev.Goroutine(); e != id && e != trace.NoGoroutine {
			by = e
		}
		if inner == "" {
			inner, _ = top(ev.Stack())
		}
		c.each.Encode(transition{int64(ev.Time()), id, from.String(), to.String(), st.Reason, int64(ev.Thread()),
			int64(ev.Proc()), by, inner})
	}
}

func (c *checker) event(ev trace.Event) {
	c.sum.Events++
	c.sum.Kinds[ev.Kind().String()]++
	if ev.Thread() != trace.NoThread {
		c.threads[ev.Thread()] = true
	}
	if c.sum.Begin == 0 {
		c.sum.Begin = int64(ev.Time())
	}
	c.sum.End = int64(ev.Time())
	top(ev.Stack())
	switch ev.Kind() {
	case trace.EventStateTransition:
		c.transition(ev)
	case trace.EventTaskBegin:
		c.sum.Tasks++
	case trace.EventRangeBegin, trace.EventRangeActive:
		c.sum.Ranges[ev.Range().Name]++
	case trace.EventMetric:
		c.sum.Metrics[ev.Metric().Name]++
	case trace.EventStackSample:
		c.sum.Samples++
	}
}

func check(name string, each *json.Encoder, out *json.Encoder) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := trace.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	c := &checker{gs: map[trace.GoID]*goroutine{}, procs: map[trace.ProcID]bool{}, threads: map[trace.ThreadID]bool{},
		each: each, sum: summary{Kinds: map[string]int{}, Ranges: map[string]int{}, Metrics: map[string]int{}}}
	for {
		ev, err := r.ReadEvent()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d events: %w", c.sum.Events, err)
		}
		c.event(ev)
	}
	all := c.gone
	for _, g := range c.gs {
		g.leave(trace.Time(c.sum.End))
		all = append(all, g)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	for _, g := range all {
		out.Encode(g)
	}
	c.sum.Goroutines, c.sum.Procs, c.sum.Threads = len(all), len(c.procs), len(c.threads)
	return out.Encode(c.sum)
}

func main() {
	transitions := flag.Bool("transitions", false, "print each change of state, before all else")
	flag.Parse()
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	out := json.NewEncoder(w)
	var each *json.Encoder
	if *transitions {
		each = out
	}
	for _, name := range flag.Args() {
		if err := check(name, each, out); err != nil {
			w.Flush()
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	}
	w.Flush()
}
