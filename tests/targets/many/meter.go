package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"targets/truth"
)

// meter notes gaps between readings of the clock. Only its own thread touches what it measures; others ask
// it for a copy or for a fresh start, and wait.
type meter struct {
	measured
	snapshot measured

	asked, answered int64 // atomic
	clear           bool  // what was asked for

	goid uint64
	tid  int
}

type measured struct {
	max, unexplained, maxDelay int64
	gaps                       [5]int64 // longer than gapLimits
	readings, since            int64
}

var (
	gapLimits = [5]int64{1e4, 1e5, 1e6, 1e7, 1e8}
	gapNames  = [5]string{"over_10us", "over_100us", "over_1ms", "over_10ms", "over_100ms"}
)

func newMeter(nice int) *meter {
	m := &meter{}
	ready := make(chan bool)
	go func() {
		runtime.LockOSThread()
		m.goid, m.tid = truth.ID(), syscall.Gettid()
		if nice != 0 {
			if err := syscall.Setpriority(syscall.PRIO_PROCESS, m.tid, nice); err != nil {
				fmt.Fprintln(os.Stderr, "meter-nice:", err)
			}
		}
		stat, err := os.Open(fmt.Sprintf("/proc/self/task/%d/schedstat", m.tid))
		if err != nil {
			stat = nil
		}
		close(ready)
		m.spin(stat)
	}()
	<-ready
	return m
}

// spin never returns. It reads how long the thread waited for a CPU after each gap that matters and from time to
// time in between, so that at most a few milliseconds of waiting can be credited to the wrong gap.
func (m *meter) spin(stat *os.File) {
	start := time.Now()
	last := time.Since(start)
	delay := runDelay(stat)
	checked := last
	for {
		now := time.Since(start)
		gap := int64(now - last)
		last = now
		m.readings++
		if gap > gapLimits[0] || now-checked > 5*time.Millisecond {
			m.note(gap, stat, &delay)
			checked = now
			last = time.Since(start) // our own bookkeeping is no gap
		}
		if asked := atomic.LoadInt64(&m.asked); asked != m.answered {
			m.snapshot = m.measured
			if m.clear {
				m.measured = measured{since: time.Now().UnixNano()}
			}
			delay = runDelay(stat)
			last = time.Since(start)
			atomic.StoreInt64(&m.answered, asked) // from here on nothing that happens may be missed
		}
	}
}

func (m *meter) note(gap int64, stat *os.File, delay *int64) {
	d := runDelay(stat)
	waited := d - *delay
	*delay = d
	for i, limit := range gapLimits {
		if gap > limit {
			m.gaps[i]++
		}
	}
	raise(&m.max, gap)
	if gap > gapLimits[0] {
		raise(&m.maxDelay, waited)
		raise(&m.unexplained, gap-waited)
	}
}

func raise(p *int64, v int64) {
	if v > *p {
		*p = v
	}
}

// runDelay returns for how long the calling thread has ever waited for a CPU, 0 where the kernel does not tell.
func runDelay(stat *os.File) int64 {
	if stat == nil {
		return 0
	}
	var buf [64]byte
	n, err := syscall.Pread(int(stat.Fd()), buf[:], 0)
	if err != nil {
		return 0
	}
	// "time on CPU, time waiting, slices": the second number.
	var ns int64
	field := 0
	for _, c := range buf[:n] {
		if c == ' ' {
			field++
		} else if field == 1 {
			ns = ns*10 + int64(c-'0')
		}
	}
	return ns
}

func (m *meter) ask(clear bool) measured {
	m.clear = clear
	want := atomic.AddInt64(&m.asked, 1)
	for atomic.LoadInt64(&m.answered) < want {
		time.Sleep(100 * time.Microsecond)
	}
	return m.snapshot
}

func (m *meter) reset() { m.ask(true) }

func (m *meter) read() map[string]interface{} {
	v := m.ask(false)
	answer := map[string]interface{}{
		"max_pause_ns":       v.max,
		"max_unexplained_ns": v.unexplained,
		"max_cpu_wait_ns":    v.maxDelay,
		"measured_ns":        time.Now().UnixNano() - v.since,
		"readings":           v.readings,
	}
	for i, name := range gapNames {
		answer[name] = v.gaps[i]
	}
	return answer
}
