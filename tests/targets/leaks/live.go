package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"targets/truth"
)

// What these goroutines wait for can still come: from a global variable, a timer, a finalizer, or a goroutine
// that itself only sleeps.

var (
	globalChan  = make(chan int)
	globalMap   = map[string]chan int{}
	globalAny   interface{}
	globalSync  sync.Map
	globalValue atomic.Value
	globalFunc  func()
	globalQueue = make(chan chan int, 4)
	globalMutex sync.Mutex
	globalRW    sync.RWMutex
	globalGroup sync.WaitGroup
	globalCond  = sync.NewCond(new(sync.Mutex))
	globalInner struct {
		pad [3]int
		p   *struct{ list []chan int }
	}
	globalRaw  unsafe.Pointer
	globalKept *kept
	globalFile *os.File

	wakers []func()
	ended  sync.WaitGroup
)

type kept struct{ name *string }

// receive starts a goroutine that receives from @ch and ends.
func receive(role string, ch <-chan int) {
	t := truth.Expect("live "+role, "chan receive")
	ended.Add(1)
	go func() {
		defer ended.Done()
		t.Here()
		<-ch
	}()
}

// asleep receives like receive, but is woken by nobody while the program is looked at.
func asleep(role string, ch <-chan int) {
	t := truth.Expect("live "+role, "chan receive")
	go func() {
		t.Here()
		<-ch
	}()
}

//go:noinline
func liveGlobals() {
	receive("global", globalChan)
	wakers = append(wakers, func() { globalChan <- 1 })

	m := make(chan int)
	globalMap["x"] = m
	receive("map", m)
	wakers = append(wakers, func() { close(globalMap["x"]) })

	i := make(chan int)
	globalAny = i
	receive("interface", i)
	wakers = append(wakers, func() { close(globalAny.(chan int)) })

	s := make(chan int)
	globalSync.Store(7, s)
	receive("sync.Map", s)
	wakers = append(wakers, func() {
		v, _ := globalSync.Load(7)
		close(v.(chan int))
	})

	v := make(chan int)
	globalValue.Store(v)
	receive("atomic.Value", v)
	wakers = append(wakers, func() { close(globalValue.Load().(chan int)) })

	f := make(chan int)
	globalFunc = func() { close(f) }
	receive("closure", f)
	wakers = append(wakers, func() { globalFunc() })

	q := make(chan int)
	globalQueue <- q
	receive("queued", q)
	wakers = append(wakers, func() { close(<-globalQueue) })

	in := make(chan int)
	globalInner.p = &struct{ list []chan int }{[]chan int{nil, in}}
	receive("slice", in)
	wakers = append(wakers, func() { close(globalInner.p.list[1]) })

	r := new(chan int)
	*r = make(chan int)
	globalRaw = unsafe.Pointer(r)
	receive("unsafe.Pointer", *r)
	wakers = append(wakers, func() { close(*(*chan int)(globalRaw)) })
}

//go:noinline
func liveLocks() {
	globalMutex.Lock()
	t := truth.Expect("live mutex", "sync.Mutex.Lock", "semacquire")
	go func() {
		t.Here()
		globalMutex.Lock()
	}()
	globalRW.RLock()
	u := truth.Expect("live rwmutex", "sync.RWMutex.Lock", "semacquire")
	go func() {
		u.Here()
		globalRW.Lock()
	}()
	globalGroup.Add(1)
	v := truth.Expect("live waitgroup", "sync.WaitGroup.Wait", "semacquire")
	go func() {
		v.Here()
		globalGroup.Wait()
	}()
	w := truth.Expect("live cond", "sync.Cond.Wait")
	go func() {
		globalCond.L.Lock()
		w.Here()
		globalCond.Wait()
		globalCond.L.Unlock()
	}()
	wakers = append(wakers, globalMutex.Unlock, globalRW.RUnlock, globalGroup.Done,
		func() {
			globalCond.L.Lock()
			globalCond.Broadcast()
			globalCond.L.Unlock()
		})

	// The lock is in an object that only a sleeping goroutine knows.
	g := &guarded{data: new(int)}
	g.mu.Lock()
	x := truth.Expect("live mutex of a sleeper", "sync.Mutex.Lock", "semacquire")
	go func() {
		x.Here()
		g.mu.Lock()
	}()
	y := truth.Expect("live sleeper", "sleep")
	go func() {
		y.Here()
		time.Sleep(time.Hour)
		g.mu.Unlock()
	}()
}

// From timers only.
//
//go:noinline
func liveTimers() {
	a := make(chan int)
	time.AfterFunc(time.Hour, func() { close(a) })
	asleep("AfterFunc", a)

	t := truth.Expect("live time.After", "chan receive")
	go func() {
		t.Here()
		<-time.After(time.Hour)
	}()
	u := truth.Expect("live ticker", "chan receive")
	go func() {
		ticker := time.NewTicker(time.Hour)
		u.Here()
		<-ticker.C
	}()
	v := truth.Expect("live timeout", "select")
	go func() {
		never := make(chan int)
		v.Here()
		select {
		case <-never:
		case <-time.After(time.Hour):
		}
	}()
	w := truth.Expect("live context", "chan receive")
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	_ = cancel
	go func() {
		w.Here()
		<-ctx.Done()
	}()
}

// Only a finalizer leads to it.
//
//go:noinline
func liveFinalizer() {
	ch := make(chan int)
	globalKept = &kept{name: new(string)}
	runtime.SetFinalizer(globalKept, func(*kept) { close(ch) })
	receive("finalizer", ch)
	wakers = append(wakers, func() {
		globalKept = nil
		runtime.GC()
	})
}

// Only goroutines lead to it that wait for something outside of the program, or for what is live themselves.
//
//go:noinline
func liveStacks() {
	a := make(chan int)
	asleep("of a sleeper", a)
	t := truth.Expect("live sleeping holder", "sleep")
	go func() {
		t.Here()
		time.Sleep(time.Hour)
		close(a)
	}()

	// In a chain: the first is woken by a global.
	ch, first := make(chan int), make(chan int)
	globalMap["chain"] = first
	in := first
	for i := 0; i < 20; i++ {
		from, to := in, ch
		u := truth.Expect("live chain", "chan receive")
		go func() {
			u.Here()
			<-from
			close(to)
		}()
		in, ch = ch, make(chan int)
	}

	// By a deferred call.
	b := make(chan int)
	asleep("of a defer", b)
	v := truth.Expect("live deferrer", "sleep")
	go func() {
		for i := 0; i < 3; i++ {
			defer func() { b <- 1 }()
		}
		v.Here()
		time.Sleep(time.Hour)
	}()

	// In a blocking system call, and waiting for a file.
	c := make(chan int)
	asleep("of a reader", c)
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		panic(err)
	}
	w := truth.Expect("live reader", "syscall")
	go func() {
		w.Here()
		syscall.Read(p[0], make([]byte, 1))
		close(c)
	}()
	d := make(chan int)
	asleep("of IO", d)
	r, far, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	globalFile = far // or its finalizer would close it
	x := truth.Expect("live IO", "IO wait")
	go func() {
		x.Here()
		r.Read(make([]byte, 1))
		close(d)
	}()

	// io.Pipe: a mutex, a select and who sleeps with the other end.
	pr, pw := io.Pipe()
	y := truth.Expect("live io.Pipe", "select")
	go func() {
		y.Here()
		pr.Read(make([]byte, 1))
	}()
	z := truth.Expect("live io.Pipe writer", "sleep")
	go func() {
		z.Here()
		time.Sleep(time.Hour)
		pw.Close()
	}()
}

func startLive() {
	liveGlobals()
	liveLocks()
	liveTimers()
	liveFinalizer()
	liveStacks()
}
