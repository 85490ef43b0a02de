// Roots is the truth for pointers on stacks: goroutines that wait while a slot of their stack holds the only pointer to
// an object, which they will use again or not. What the collector thinks of each object it tells itself: an object
// it frees has a finalizer.
//
//	verdict  {"objects":[{"case":"…","goid":…,"address":…,"live":true}]}  after collections
//	objects  the same without collections
//	stick    {"queued":[addresses]}  finalizers and cleanups get stuck; nothing is freed any more
//	heap     {"live":…}  bytes of live objects (runtime/metrics) after collections, and how much of it is "garbage"
//
// -spin N: so many goroutines run all the time, each with an object in a register or slot that it uses.
// -n N: so many goroutines wait ten calls deep, for measuring.
package main

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"targets/truth"
)

// object is large enough not to share a slot with others, and has pointers.
type object struct {
	next *object
	id   int
	pad  [6]uintptr
}

// What is known of an object. The address is none that the collector sees.
type record struct {
	name    string
	goid    uint64
	address uintptr
	dead    uint32
}

var (
	mu      sync.Mutex
	records []*record
	wait    = make(chan int) // nobody ever sends
	sink    uintptr
)

//go:noinline
func newObject(name string) *object {
	o := &object{}
	r := &record{name: name, goid: truth.ID(), address: address(o)}
	mu.Lock()
	o.id = len(records)
	records = append(records, r)
	mu.Unlock()
	runtime.SetFinalizer(o, func(o *object) { atomic.StoreUint32(&r.dead, 1) })
	return o
}

//go:noinline
func use(o *object) {
	atomic.AddUintptr(&sink, uintptr(o.id))
}

//go:noinline
func block() { <-wait }

// run starts a goroutine that ends up in block.
func run(name string, f func(name string)) {
	r := truth.Expect(name, "chan receive", "chan send", "select", "sync.Mutex.Lock", "semacquire", "select (no cases)", "sleep",
		"sync.Cond.Wait", "sync.WaitGroup.Wait")
	go func() {
		r.Here()
		f(name)
	}()
}

func verdict() map[string]interface{} {
	for i := 0; i < 4; i++ {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	return objects()
}

func objects() map[string]interface{} {
	mu.Lock()
	defer mu.Unlock()
	var list []map[string]interface{}
	for _, r := range records {
		list = append(list, map[string]interface{}{"case": r.name, "goid": r.goid, "address": uint64(r.address),
			"live": atomic.LoadUint32(&r.dead) == 0})
	}
	return map[string]interface{}{"objects": list}
}

func main() {
	spin := flag.Int("spin", 0, "goroutines that run all the time")
	procs := flag.Int("procs", 0, "GOMAXPROCS (default: leave)")
	n := flag.Int("n", 0, "goroutines that wait ten calls deep")
	heap := flag.Int("heap", 0, "MiB of live objects of many kinds")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	locals()
	arguments()
	stackObjects()
	deferred()
	calls()
	waits()
	for i := 0; i < *n; i++ {
		go nested(10, &object{id: i})
	}
	special()
	fill(*heap)
	for i := 0; i < *spin; i++ {
		go spinning()
	}
	server := truth.Server{
		Ready: map[string]interface{}{"global": uint64(address(global)), "unused": uint64(unused),
			"pending": pending},
		Commands: map[string]func() map[string]interface{}{"verdict": verdict, "objects": objects,
			"heap": heapLive, "stick": stick},
	}
	server.Serve()
}

// nested waits some calls deep, with a live pointer in each frame.
//
//go:noinline
func nested(depth int, o *object) {
	if depth == 0 {
		block()
	} else {
		nested(depth-1, o)
	}
	use(o)
}

// spinning is interrupted anywhere, not only at calls.
func spinning() {
	o := newObject("spinning")
	for i := 0; ; i++ {
		o.pad[i%6]++
		o.id ^= i & 1
	}
}
