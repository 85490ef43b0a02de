// Heap is the truth for the page heap: memory classes, spans, free and returned pages, and the memory profile, as
// the runtime itself tells of them. It does what it is told and is quiet in between.
//
//	grow      allocate some of everything: small objects with and without pointers, with headers, large ones, finalizers
//	drop      let go of two in three of them, and collect
//	stacks    start goroutines with stacks of all sizes, which wait
//	unstacks  end them, and collect
//	release   debug.FreeOSMemory()
//	metrics   {"metrics":{"/memory/classes/…":N,…},"stats":{"HeapObjects":N,…}}; collects nothing
//	sites     {"rate":N,"sites":[{"stack":["main.f",…],"size":N,"allocs":N,"frees":N},…]}: runtime.MemProfile
//
// Flags: -rate N sets runtime.MemProfileRate. No goroutine of the program runs between commands; with GOGC=off the
// runtime collects only when told.
package main

import (
	"flag"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"targets/truth"
)

type node struct {
	next, other *node
	n           [3]uint64
}

// header has more than 512 bytes and pointers: since Go 1.22 its type is written in front of it.
type header struct {
	p [80]*node
}

var (
	nodes   []*node
	plain   [][]byte
	headers []*header
	large   [][]*node
	quit    chan bool
	depths  = [...]int{1, 20, 200, 2000, 20000}
)

func main() {
	rate := flag.Int("rate", runtime.MemProfileRate, "runtime.MemProfileRate")
	flag.Parse()
	runtime.MemProfileRate = *rate
	server := truth.Server{Commands: map[string]func() map[string]interface{}{
		"grow": grow, "drop": drop, "stacks": stacks, "unstacks": unstacks, "release": release,
		"metrics": readMetrics, "sites": sites,
	}}
	readMetrics() // allocates what it needs the first time
	server.Serve()
}

func done() map[string]interface{} { return map[string]interface{}{"done": true} }

//go:noinline
func growNodes() {
	for i := 0; i < 60000; i++ {
		nodes = append(nodes, &node{})
	}
}

//go:noinline
func growPlain() {
	for i := 0; i < 20000; i++ {
		plain = append(plain, make([]byte, 8+i%3000))
	}
}

//go:noinline
func growHeaders() {
	for i := 0; i < 2000; i++ {
		headers = append(headers, newHeader())
	}
}

// newHeader is inlined: a stack of the profile has a pc of its own for it.
func newHeader() *header { return new(header) }

//go:noinline
func growLarge() {
	for i := 0; i < 30; i++ {
		large = append(large, make([]*node, 10000+i*5000))
	}
	for i := 0; i < 10; i++ {
		n := &node{}
		runtime.SetFinalizer(n, func(*node) {})
		nodes = append(nodes, n)
	}
}

func grow() map[string]interface{} {
	growNodes()
	growPlain()
	growHeaders()
	growLarge()
	return done()
}

func drop() map[string]interface{} {
	for i := range nodes {
		if i%3 != 0 {
			nodes[i] = nil
		}
	}
	for i := range plain {
		if i%3 != 0 {
			plain[i] = nil
		}
	}
	for i := range headers {
		if i%3 != 0 {
			headers[i] = nil
		}
	}
	for i := range large {
		if i%3 != 0 {
			large[i] = nil
		}
	}
	collect()
	return done()
}

// collect twice: what a finalizer held goes with the second, and so do profile records.
func collect() {
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
	runtime.GC()
	runtime.GC()
}

//go:noinline
func deep(n int, started chan bool) byte {
	var room [64]byte
	if n > 0 {
		room[n%64] = deep(n-1, started)
	} else {
		started <- true
		<-quit
	}
	return room[(n+1)%64]
}

func stacks() map[string]interface{} {
	quit = make(chan bool)
	started := make(chan bool)
	for i := 0; i < 100; i++ {
		go deep(depths[i%len(depths)], started)
		<-started
	}
	return done()
}

func unstacks() map[string]interface{} {
	if quit != nil {
		close(quit)
		quit = nil
	}
	for runtime.NumGoroutine() > 2 {
		time.Sleep(time.Millisecond)
	}
	collect()
	return done()
}

func release() map[string]interface{} {
	debug.FreeOSMemory()
	return done()
}

var (
	samples []metrics.Sample
	memory  runtime.MemStats
)

// settle reads until the scavenger, which goes on for a while after a collection, has nothing more to return.
func settle() {
	for i, quiet := 0, 0; i < 300 && quiet < 3; i++ {
		before := memory.HeapReleased
		time.Sleep(10 * time.Millisecond)
		runtime.ReadMemStats(&memory) // also makes the counters of the Ps' caches count
		metrics.Read(samples)
		if memory.HeapReleased == before {
			quiet++
		} else {
			quiet = 0
		}
	}
}

func readMetrics() map[string]interface{} {
	if samples == nil {
		for _, d := range metrics.All() {
			if d.Kind == metrics.KindUint64 && (strings.HasPrefix(d.Name, "/memory/") || strings.HasPrefix(d.Name, "/gc/")) {
				samples = append(samples, metrics.Sample{Name: d.Name})
			}
		}
	}
	values := make(map[string]uint64, len(samples))
	for _, s := range samples {
		values[s.Name] = 0
	}
	settle()
	for _, s := range samples {
		values[s.Name] = s.Value.Uint64()
	}
	return map[string]interface{}{
		"metrics": values,
		"stats": map[string]uint64{
			"HeapObjects": memory.HeapObjects, "HeapInuse": memory.HeapInuse, "HeapSys": memory.HeapSys,
			"StackInuse": memory.StackInuse, "NumGC": uint64(memory.NumGC), "NumForcedGC": uint64(memory.NumForcedGC),
			"LastGC": memory.LastGC,
		},
	}
}

func sites() map[string]interface{} {
	collect()
	var records []runtime.MemProfileRecord
	for n, ok := 0, false; !ok; {
		records = make([]runtime.MemProfileRecord, n+50)
		n, ok = runtime.MemProfile(records, true)
		if ok {
			records = records[:n]
		}
	}
	list := []map[string]interface{}{}
	for _, r := range records {
		if r.AllocObjects == 0 {
			continue
		}
		stack := []string{}
		frames := runtime.CallersFrames(r.Stack())
		for {
			f, more := frames.Next()
			stack = append(stack, f.Function)
			if !more {
				break
			}
		}
		list = append(list, map[string]interface{}{
			"stack": stack, "size": r.AllocBytes / r.AllocObjects, "allocs": r.AllocObjects, "frees": r.FreeObjects,
		})
	}
	return map[string]interface{}{"rate": runtime.MemProfileRate, "sites": list}
}
