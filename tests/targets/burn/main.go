// Burn spends time in a known way and lets the runtime's own profiles tell where.
//
//	-blockrate N   runtime.SetBlockProfileRate(N), default 1: every event
//	-mutexrate N   runtime.SetMutexProfileFraction(N), default 1
//
// Commands, beside those of package truth. Nothing runs before a command and between them:
//
//	burn        one second of CPU: burnA 60 %, burnB 30 %, burnC 10 %
//	burn-long   the same for five seconds
//	kernel      one second of CPU in read(2) of /dev/zero
//	wait        three seconds of waiting for a mutex, an RWMutex, channels, a select, a WaitGroup and a Cond
//	labels      one second of CPU, half of it with the pprof label part=left, half with part=right
//	cpu-start   starts the runtime's CPU profile
//	cpu         {"cpu_bytes":N}    ends it
//	block       {"block_bytes":N}  the block profile so far
//	mutex       {"mutex_bytes":N}  the mutex profile so far
//	used        {"cpu_ns":N}       user and system time of the process so far
package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"targets/truth"
)

var (
	sum  uint64
	stop int32
)

// The three do the same, so that iterations are time.

//go:noinline
func burnA(n int) {
	x := sum
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sum = x
}

//go:noinline
func burnB(n int) {
	x := sum
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sum = x
}

//go:noinline
func burnC(n int) {
	x := sum
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sum = x
}

//go:noinline
func burn(length time.Duration) {
	for begin := time.Now(); time.Since(begin) < length; {
		burnA(60000)
		burnB(30000)
		burnC(10000)
	}
}

//go:noinline
func readZero(length time.Duration) {
	f, err := os.Open("/dev/zero")
	check(err)
	defer f.Close()
	b := make([]byte, 1<<20)
	for begin := time.Now(); time.Since(begin) < length; {
		_, err := f.Read(b)
		check(err)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func stopped() bool { return atomic.LoadInt32(&stop) != 0 }

// Each of the following waits in a function that waits for nothing else.

var (
	mu    sync.Mutex
	rw    sync.RWMutex
	items = make(chan int)
	quiet = make(chan int)
)

//go:noinline
func lockMutex() { mu.Lock() }

// With two that use it one waits at most: of more, the mutex profile takes an average.
func useMutex() {
	for !stopped() {
		lockMutex()
		time.Sleep(5 * time.Millisecond)
		mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func readLock() { rw.RLock() }

func useReadLock() {
	for !stopped() {
		readLock()
		time.Sleep(2 * time.Millisecond)
		rw.RUnlock()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func writeLock() { rw.Lock() }

func useWriteLock() {
	for !stopped() {
		writeLock()
		time.Sleep(4 * time.Millisecond)
		rw.Unlock()
		time.Sleep(3 * time.Millisecond)
	}
}

//go:noinline
func receive() (int, bool) { v, ok := <-items; return v, ok }

func consume() {
	for ok := true; ok; {
		_, ok = receive()
	}
}

func produce() {
	for i := 0; !stopped(); i++ {
		time.Sleep(3 * time.Millisecond)
		items <- i
	}
	close(items)
}

//go:noinline
func selectOne() bool {
	select {
	case <-quiet:
		return false
	case <-time.After(7 * time.Millisecond):
		return true
	}
}

func useSelect() {
	for !stopped() {
		selectOne()
	}
}

//go:noinline
func waitGroup() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		time.Sleep(6 * time.Millisecond)
		wg.Done()
	}()
	wg.Wait()
}

func useGroup() {
	for !stopped() {
		waitGroup()
	}
}

var cond = sync.NewCond(new(sync.Mutex))

//go:noinline
func waitCond() { cond.Wait() }

func useCond() {
	for !stopped() {
		cond.L.Lock()
		waitCond()
		cond.L.Unlock()
	}
}

func signalCond() {
	for !stopped() {
		time.Sleep(4 * time.Millisecond)
		cond.Signal()
	}
	time.Sleep(10 * time.Millisecond)
	cond.Broadcast()
}

func wait(length time.Duration) {
	atomic.StoreInt32(&stop, 0)
	items = make(chan int)
	var all sync.WaitGroup
	for _, f := range []func(){useMutex, useMutex, useReadLock, useReadLock, useWriteLock,
		consume, produce, useSelect, useGroup, useCond, signalCond} {
		all.Add(1)
		go func(f func()) {
			f()
			all.Done()
		}(f)
	}
	time.Sleep(length)
	atomic.StoreInt32(&stop, 1)
	all.Wait()
}

func labelled() {
	for _, part := range []string{"left", "right"} {
		done := make(chan bool)
		go pprof.Do(context.Background(), pprof.Labels("part", part), func(context.Context) {
			time.Sleep(1200 * time.Millisecond) // long enough for an observer to see the label
			burn(500 * time.Millisecond)
			close(done)
		})
		<-done
	}
}

func answer(name string, f func(*bytes.Buffer) error) map[string]interface{} {
	var b bytes.Buffer
	check(f(&b))
	return map[string]interface{}{name: b.Bytes()}
}

func lookup(name string) func() map[string]interface{} {
	return func() map[string]interface{} {
		return answer(name, func(b *bytes.Buffer) error { return pprof.Lookup(name).WriteTo(b, 0) })
	}
}

func used() map[string]interface{} {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return map[string]interface{}{"cpu_ns": u.Utime.Nano() + u.Stime.Nano()}
}

// work answers when the work is done; what it used is in the answer.
func work(f func()) func() map[string]interface{} {
	return func() map[string]interface{} {
		before := used()["cpu_ns"].(int64)
		begin := time.Now()
		done := make(chan bool)
		go func() {
			f()
			close(done)
		}()
		<-done
		return map[string]interface{}{
			"cpu_ns":  used()["cpu_ns"].(int64) - before,
			"wall_ns": time.Since(begin).Nanoseconds(),
		}
	}
}

func main() {
	blockRate := flag.Int("blockrate", 1, "block profile rate")
	mutexRate := flag.Int("mutexrate", 1, "mutex profile fraction")
	flag.Parse()
	runtime.SetBlockProfileRate(*blockRate)
	runtime.SetMutexProfileFraction(*mutexRate)
	var cpu bytes.Buffer
	s := truth.Server{Commands: map[string]func() map[string]interface{}{
		"burn":      work(func() { burn(time.Second) }),
		"burn-long": work(func() { burn(5 * time.Second) }),
		"kernel":    work(func() { readZero(time.Second) }),
		"wait":      work(func() { wait(3 * time.Second) }),
		"labels":    work(labelled),
		"block":     lookup("block"),
		"mutex":     lookup("mutex"),
		"used":      used,
		"cpu-start": func() map[string]interface{} {
			cpu.Reset()
			check(pprof.StartCPUProfile(&cpu))
			return map[string]interface{}{"started": true}
		},
		"cpu": func() map[string]interface{} {
			pprof.StopCPUProfile()
			return map[string]interface{}{"cpu": cpu.Bytes()}
		},
	}}
	s.Serve()
}
