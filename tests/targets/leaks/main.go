// Leaks has goroutines that will never run again (role "leak …") and goroutines that only look so (role "live …").
//
//	-what all      both kinds, one of each
//	-what live     only those that are right
//	-what churn    a right program that moves the only pointers to channels about, as fast as it can (-waiters,
//	               -movers, -rest, -ballast MiB)
//	-what growth   two go statements, one of which leaves goroutines behind on command
//	-what service  one go statement each: goroutines that come and go with a load that swings, and in a saw-tooth, each
//	               1.5 s; 1,000 a second that end soon, two of which stay each second; and a pool that was filled once
//	-what none     nothing
//	-load N        with any of them: N goroutines that replace objects of -ballast by new ones
//	-end           end after the ready line, by returning from main
//	-exit          the same by os.Exit(3)
//	-panic         the same by a panic
//
// Commands, beside those of package truth:
//
//	profile-leaks   {"leaks":N}    the runtime's own leak detection (Go 1.26 with the experiment, 1.27); -1: it has none
//	wake            {"woken":N}    wakes the live ones that can be woken from here, and waits until they have ended
//	grow            {"grown":10}   growth: 10 goroutines more from one go statement; from the other 10 come and go
//	moves           {"moves":N}    churn: how often a pointer was moved so far
//	spin            {"spin":true}  a goroutine runs that holds the only pointer to what another one waits for in a
//	                               register
//	unspin          {"spin":false} both end
//	service         {"stayed":N,"seconds":X}   service: goroutines that have stayed, and for how long it runs
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"targets/truth"
)

var (
	what    = flag.String("what", "all", "which goroutines to start")
	waiters = flag.Int("waiters", 200, "of churn")
	movers  = flag.Int("movers", 3, "of churn")
	rest    = flag.Duration("rest", time.Millisecond, "of a mover, after some moves; 0: none")
	ballast = flag.Int("ballast", 0, "MiB of live objects with pointers")
	load    = flag.Int("load", 0, "goroutines that work on the ballast")
	end     = flag.Bool("end", false, "return from main when ready")
	exit    = flag.Bool("exit", false, "os.Exit(3) when ready")
	panics  = flag.Bool("panic", false, "panic when ready")
)

type node struct {
	next [3]*node
	n    int
}

var heap []*node

func fill(mib int) {
	for i := 0; i < mib<<20/32; i++ {
		n := &node{n: i}
		if i > 3 {
			n.next = [3]*node{heap[i-1], heap[i/2], heap[i/3]}
		}
		heap = append(heap, n)
	}
}

// replace lets new objects take the places of old ones, with pauses for others.
func replace(seed uint64) {
	for x, n := seed, 0; ; n++ {
		x = x*6364136223846793005 + 1442695040888963407
		i := int(x>>33) % len(heap)
		old := heap[i]
		heap[i] = &node{next: [3]*node{heap[i/2], heap[i/3], old.next[2]}, n: old.n}
		if n%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// ---- growth ----

var stay = make(chan int)

//go:noinline
func grow(n int) {
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		group.Add(1)
		go func() { <-stay }()
		go func() {
			time.Sleep(time.Millisecond)
			group.Done()
		}()
	}
	group.Wait()
}

// ---- service ----

var (
	serviceBegan time.Time
	stayed       int64
)

//go:noinline
func swing(n int64, group chan bool) {
	for i := int64(0); i < n; i++ {
		go func() { <-group }()
	}
}

//go:noinline
func saw(group chan bool) {
	go func() { <-group }()
}

//go:noinline
func handle(stays bool) {
	go func() {
		if stays {
			atomic.AddInt64(&stayed, 1)
			<-stay
		}
		time.Sleep(5 * time.Millisecond)
	}()
}

//go:noinline
func startPool() {
	for i := 0; i < 50; i++ {
		go func() { <-stay }()
	}
}

func service() {
	serviceBegan = time.Now()
	startPool()
	go func() { // load that swings between 40 and 200
		for {
			for _, n := range []int64{40, 120, 200, 160, 80} {
				group := make(chan bool)
				swing(n, group)
				time.Sleep(300 * time.Millisecond)
				close(group)
			}
		}
	}()
	go func() {
		for {
			group := make(chan bool)
			for i := 0; i < 100; i++ {
				saw(group)
				time.Sleep(15 * time.Millisecond)
			}
			close(group)
		}
	}()
	go func() { // by the clock, as sleeps are longer than asked
		for n := 0; ; n++ {
			if ahead := time.Duration(n)*time.Millisecond - time.Since(serviceBegan); ahead > 0 {
				time.Sleep(ahead)
			}
			handle(n%500 == 0)
		}
	}()
}

// ---- churn ----

// A request waits until its answer comes. The only pointer to it is in one of the boxes.
type request struct {
	done chan int
	pad  [5]*node
}

type box struct {
	mu   sync.Mutex
	some []*request
}

var (
	boxes [64]*box
	moves int64
)

func (b *box) take(x uint64) *request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.some) == 0 {
		return nil
	}
	i := int(x % uint64(len(b.some)))
	r := b.some[i]
	b.some[i] = b.some[len(b.some)-1]
	b.some[len(b.some)-1] = nil
	b.some = b.some[:len(b.some)-1]
	return r
}

func (b *box) put(r *request) {
	b.mu.Lock()
	b.some = append(b.some, r)
	b.mu.Unlock()
}

func move(seed uint64) {
	for x := seed; ; {
		x = x*6364136223846793005 + 1442695040888963407
		r := boxes[x>>58].take(x >> 20)
		if r == nil {
			continue
		}
		// Another object each time, and the old one becomes garbage.
		fresh := &request{done: r.done}
		r.done = nil
		boxes[x>>40&63].put(fresh)
		atomic.AddInt64(&moves, 1)
		if *rest > 0 && x>>60 == 0 {
			time.Sleep(*rest)
		}
	}
}

func churn() {
	for i := range boxes {
		boxes[i] = &box{}
	}
	for i := 0; i < *waiters; i++ {
		r := &request{done: make(chan int)}
		done := r.done
		t := truth.Expect("live churn", "chan receive")
		go func() {
			t.Here()
			<-done
		}()
		boxes[i&63].put(r)
	}
	for i := 0; i < *movers; i++ {
		go move(uint64(i) * 977)
	}
}

// ----

func wake() int {
	n := len(wakers)
	for _, f := range wakers {
		f()
	}
	wakers = nil
	ended.Wait()
	return n
}

func profileLeaks() int {
	p := pprof.Lookup("goroutineleak")
	if p == nil {
		return -1
	}
	if err := p.WriteTo(io.Discard, 0); err != nil {
		return -1
	}
	return p.Count()
}

type answer = map[string]interface{}

func commands() map[string]func() map[string]interface{} {
	return map[string]func() map[string]interface{}{
		"profile-leaks": func() map[string]interface{} { return answer{"leaks": profileLeaks()} },
		"wake":          func() map[string]interface{} { return answer{"woken": wake()} },
		"moves":         func() map[string]interface{} { return answer{"moves": atomic.LoadInt64(&moves)} },
		"spin": func() map[string]interface{} {
			spinNow()
			return answer{"spin": true}
		},
		"unspin": func() map[string]interface{} {
			spinEnd()
			return answer{"spin": false}
		},
		"service": func() map[string]interface{} {
			return answer{"stayed": atomic.LoadInt64(&stayed), "seconds": time.Since(serviceBegan).Seconds()}
		},
		"grow": func() map[string]interface{} {
			grow(10)
			return answer{"grown": 10}
		},
	}
}

// finish ends the program in one of three ways, after telling of its goroutines.
func finish() {
	truth.Settle()
	text, err := json.Marshal(answer{"ready": true, "pid": os.Getpid(), "go": runtime.Version(),
		"goroutines": truth.List()})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
	if *exit {
		os.Exit(3)
	}
	if *panics {
		panic("as asked")
	}
}

func main() {
	flag.Parse()
	fill(*ballast)
	switch *what {
	case "all":
		startLive()
		startLeaks()
	case "live":
		startLive()
	case "service":
		service()
	case "churn":
		churn()
	}
	for i := 0; i < *load && len(heap) > 0; i++ {
		go replace(uint64(i) * 131)
	}
	// What became garbage while starting must not stand in memory that is handed out anew.
	runtime.GC()
	if *end || *exit || *panics {
		finish()
		return
	}
	(&truth.Server{Commands: commands()}).Serve()
}
