// Memory is the truth for where resident memory goes: each mode plants one kind of it. The ready line has what was planted
// as "planted", by the name of gosonde's class; command metrics answers with the memory classes of runtime/metrics.
//
//	-mode idle        nothing
//	      loaded      live objects of 512 bytes
//	      kept        garbage that the heap keeps for reuse, for GOGC was raised
//	      behind      garbage that the scavenger is about to return
//	      fragmented  one of 16 objects of 512 bytes survives
//	      lazy        garbage returned to the kernel (with GODEBUG=madvdontneed=0: by MADV_FREE)
//	      limit       a memory limit 8 MB above what is live
//	      huge        objects in transparent huge pages
//	      stacks      deep stacks of goroutines
//	      files       a file of -dir, mapped and read
//	      shared      shared memory: half in /dev/shm, half anonymous
//	      anonymous   anonymous private mappings of 1 MB
//	      many        -n anonymous mappings of two pages, one of which is touched
//	      holes       -n pages of the heap, each between others that were returned
//	      runtime     much memory of the runtime's own: 64 Ps, 10,000 goroutines, finalizers, types, itabs, queues of the
//	                  collector, CPU profile, execution trace
//
// Command grow plants a sixteenth of it once more (modes loaded, anonymous). -mb: how much; -busy: goroutines that allocate all the time.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"syscall"
	"unsafe"

	"targets/truth"
)

const mib = 1 << 20

type node struct {
	next *node
	rest [504]byte
}

var (
	mode = flag.String("mode", "idle", "what to plant")
	mb   = flag.Int("mb", 64, "how many MB of it")
	dir  = flag.String("dir", os.TempDir(), "where to put the mapped file")
	n    = flag.Int("n", 20000, "mappings of mode many")
	busy = flag.Int("busy", 0, "goroutines that allocate all the time")

	kept    [][]*node
	blocks  [][]byte
	maps    [][]byte
	planted = map[string]int{}
	samples []metrics.Sample
	quiet   = make(chan int)
	sink    []byte
	values  []reflect.Value
	trees   []*tree
)

//go:noinline
func nodes(count int) []*node {
	v := make([]*node, count)
	for i := range v {
		v[i] = &node{}
		v[i].rest[0] = 1
	}
	return v
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func mapped(fd, size, prot, flags int) []byte {
	b, err := syscall.Mmap(fd, 0, size, prot, flags)
	if err != nil {
		fail(err)
	}
	return b
}

func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func loaded(bytes int) {
	kept = append(kept, nodes(bytes/512))
	planted["heap_live"] += bytes
	runtime.GC()
}

func garbage() {
	kept = append(kept, nodes(*mb*mib/512))
	kept = nil
	runtime.GC()
	runtime.GC()
}

func fragmented() {
	all := nodes(*mb * mib / 512)
	for i := range all {
		if i%16 != 0 {
			all[i] = nil
		}
	}
	kept = append(kept, all)
	runtime.GC()
	runtime.GC()
	planted["heap_unused"] = *mb * mib / 16 * 15
}

// The heap is aligned to huge pages, but an object of it need not be.
func huge() {
	b := make([]byte, *mb*mib+4*mib)
	skip := -uintptr(unsafe.Pointer(&b[0])) & (2*mib - 1)
	inner := b[skip : int(skip)+*mb*mib]
	if err := syscall.Madvise(inner, 14); err != nil {
		fail(err)
	}
	touch(inner)
	blocks = append(blocks, b)
	planted["heap_live"] = *mb * mib
	runtime.GC()
}

//go:noinline
func deep(bytes int, ready chan int) byte {
	var frame [4096]byte
	frame[bytes%4096] = 1
	if bytes > 0 {
		return deep(bytes-4096, ready) + frame[0]
	}
	ready <- 1
	<-quiet
	return frame[1]
}

func stacks() {
	// A stack is a power of two and doubles when it is full: 700 KB take one of 1 MB, of which what is below was touched
	// by copying the used part only.
	const used = 700 << 10
	ready := make(chan int)
	for i := 0; i < *mb; i++ {
		go deep(used, ready)
		<-ready
	}
	planted["stacks"] = *mb * used
	debug.FreeOSMemory()
}

func files() {
	path := filepath.Join(*dir, "mapped file")
	if err := os.WriteFile(path, make([]byte, *mb*mib), 0o600); err != nil {
		fail(err)
	}
	f, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	b := mapped(int(f.Fd()), *mb*mib, syscall.PROT_READ, syscall.MAP_SHARED)
	f.Close()
	sum := byte(0)
	for i := 0; i < len(b); i += 4096 {
		sum += b[i]
	}
	sink = []byte{sum}
	maps = append(maps, b)
	planted["files"] = *mb * mib
	debug.FreeOSMemory()
}

func shared() {
	f, err := os.CreateTemp("/dev/shm", "gosonde-test-")
	if err != nil {
		fail(err)
	}
	half := *mb * mib / 2
	os.Remove(f.Name())
	if err := f.Truncate(int64(half)); err != nil {
		fail(err)
	}
	rw := syscall.PROT_READ | syscall.PROT_WRITE
	maps = append(maps, mapped(int(f.Fd()), half, rw, syscall.MAP_SHARED),
		mapped(-1, half, rw, syscall.MAP_SHARED|syscall.MAP_ANON))
	for _, m := range maps {
		touch(m)
	}
	planted["shared"] = 2 * half
}

//go:noinline
func anonymous(bytes int) {
	for i := 0; i < bytes/mib; i++ {
		b := mapped(-1, mib, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		touch(b)
		maps = append(maps, b)
	}
	planted["anonymous"] += bytes / mib * mib
}

// Neighbours must not be merged, so every second one is read-only.
func many() {
	b := mapped(-1, *n*2*8192, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	for i := 0; i < *n; i++ {
		b[i*2*8192] = 1
		if err := syscall.Mprotect(b[(i*2+1)*8192:(i*2+2)*8192], syscall.PROT_READ); err != nil {
			fail(err)
		}
	}
	maps = append(maps, b)
	planted["anonymous"] = *n * 4096
}

type tree struct{ left, right *tree }

func grown(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grown(depth - 1), grown(depth - 1)}
}

func manyTypes() {
	for i := 1; i < 3000; i++ {
		t := reflect.ArrayOf(i, reflect.TypeOf(""))
		values = append(values, reflect.New(t), reflect.New(reflect.ChanOf(reflect.BothDir, t)))
		values = append(values, reflect.MakeMap(reflect.MapOf(reflect.ArrayOf(i, reflect.TypeOf(0)), t)))
	}
	for i := 0; i < 50000; i++ {
		p := new([16]byte)
		runtime.SetFinalizer(p, func(*[16]byte) {})
		values = append(values, reflect.ValueOf(p))
	}
}

// All of them have work at once, and with it whatever the runtime keeps for each P and M.
func everybody(wait, done chan int) {
	for i := 0; i < 64; i++ {
		go func() {
			for k := 0; k < 20; k++ {
				grown(8)
				runtime.Gosched()
			}
			done <- 1
		}()
	}
	for i := 0; i < 64; i++ {
		<-done
	}
	for i := 0; i < 10000; i++ {
		go func() { <-wait }()
	}
}

func runtimes() {
	runtime.GOMAXPROCS(64)
	if err := trace.Start(io.Discard); err != nil {
		fail(err)
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		fail(err)
	}
	trees = append(trees, grown(16))
	manyTypes()
	everybody(quiet, make(chan int))
	runtime.GC()
	runtime.GC()
}

func holes() {
	all := make([][]byte, 2**n)
	for i := range all {
		all[i] = make([]byte, 8192)
		touch(all[i])
	}
	for i := 0; i < len(all); i += 2 {
		all[i] = nil
	}
	blocks = all
	planted["heap_live"] = *n * 8192
	debug.FreeOSMemory()
}

func limit() {
	loaded(*mb * mib)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + 2*mib)
	for i := 0; i < 64; i++ {
		sink = make([]byte, 256<<10)
		touch(sink)
	}
	sink = nil
}

func plant() {
	switch *mode {
	case "idle":
	case "loaded":
		loaded(*mb * mib)
	case "kept":
		// The scavenger's goal grows with that of the heap. Until then it works.
		kept = append(kept, nodes(*mb*mib/512))
		kept = nil
		runtime.GC()
		debug.SetGCPercent(100000)
		planted["heap_free"] = *mb * mib
	case "behind":
		garbage()
	case "fragmented":
		fragmented()
	case "lazy":
		garbage()
		debug.FreeOSMemory()
		if strings.Contains(os.Getenv("GODEBUG"), "madvdontneed=0") {
			planted["heap_lazy"] = *mb * mib
		}
	case "limit":
		limit()
	case "huge":
		huge()
	case "stacks":
		stacks()
	case "files":
		files()
	case "shared":
		shared()
	case "anonymous":
		anonymous(*mb * mib)
	case "many":
		many()
	case "holes":
		holes()
	case "runtime":
		runtimes()
	default:
		fail(fmt.Errorf("unknown mode %q", *mode))
	}
}

func grow() map[string]interface{} {
	switch *mode {
	case "loaded":
		loaded(*mb * mib / 16)
	case "anonymous":
		anonymous(*mb * mib / 16)
	}
	return map[string]interface{}{"planted": planted}
}

func readMetrics() map[string]interface{} {
	metrics.Read(samples)
	m := map[string]interface{}{}
	for _, s := range samples {
		m[s.Name] = s.Value.Uint64()
	}
	return map[string]interface{}{"metrics": m}
}

func main() {
	flag.Parse()
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/classes/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	readMetrics()
	plant()
	for i := 0; i < *busy; i++ {
		go func() {
			for {
				nodes(1 << 12)
			}
		}()
	}
	server := truth.Server{
		Ready:    map[string]interface{}{"planted": planted, "mode": *mode},
		Commands: map[string]func() map[string]interface{}{"grow": grow, "metrics": readMetrics},
	}
	server.NoSettle = *busy > 0 || *mode == "runtime" // the trace is read all the time
	server.Serve()
}
