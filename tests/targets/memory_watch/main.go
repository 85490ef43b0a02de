// Memory_watch is the truth for who makes memory grow, and who gives it back. At the start there is memory of each kind
// (-mb of each; planted in the ready line); each command does one thing to it, in a function of its own, and answers how many
// bytes that was ("bytes").
//
//	munmap-half    the second half of a mapping: giveHalf
//	dontneed       madvise MADV_DONTNEED on a mapping: dropCache
//	shrink, grow   mremap of a mapping: shrinkTable, growTable
//	mmap           a new mapping, touched: mapCache
//	collapse       huge pages over a mapping of which one page in 512 was touched (MADV_COLLAPSE; 0 where there is none): makeHuge
//	make           objects of the Go heap, kept: loadOrders
//	spans          objects that take a span each, more than the runtime's first list of spans has room for: makeSpans
//	goroutines     goroutines that sleep on deep stacks: startWorkers
//	drop           the garbage planted at the start loses its last reference
//	free           debug.FreeOSMemory: releaseAll
//	limit          a memory limit below what is kept free, then allocation: obeyLimit
//	scavenge       nothing: the background scavenger works on what was dropped
//	file           a file mapped and read: mapFile
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"targets/truth"
)

const mib = 1 << 20

var (
	mb  = flag.Int("mb", 32, "MB of each kind")
	n   = flag.Int("n", 100, "goroutines")
	dir = flag.String("dir", os.TempDir(), "where to put the mapped file")

	half, cache, table, small []byte
	sparse                    []byte
	garbage                   [][]byte
	kept                      [][]byte
	quiet                     = make(chan int)
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func mapped(size int) []byte {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		fail(err)
	}
	touch(b)
	return b
}

type answer = map[string]interface{}

func bytes(n int) answer { return answer{"bytes": n} }

//go:noinline
func giveHalf() int {
	at := len(half) / 2
	_, _, e := syscall.Syscall(syscall.SYS_MUNMAP, uintptr(unsafe.Pointer(&half[at])), uintptr(at), 0)
	if e != 0 {
		fail(e)
	}
	return at
}

//go:noinline
func dropCache() int {
	if err := syscall.Madvise(cache, syscall.MADV_DONTNEED); err != nil {
		fail(err)
	}
	return len(cache)
}

func remap(b []byte, size int) []byte {
	at, _, e := syscall.Syscall6(syscall.SYS_MREMAP, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(size), 1, 0, 0)
	if e != 0 {
		fail(e)
	}
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), size)
}

//go:noinline
func shrinkTable() int {
	before := len(table)
	table = remap(table, before/4)
	return before - before/4
}

//go:noinline
func growTable() int {
	before := len(small)
	small = remap(small, *mb*mib)
	touch(small)
	return len(small) - before
}

//go:noinline
func makeHuge() int {
	skip := -uintptr(unsafe.Pointer(&sparse[0])) & (2*mib - 1)
	inner := sparse[skip : int(skip)+*mb*mib]
	for i := 0; i < len(inner); i += 2 * mib {
		inner[i] = 1
	}
	if syscall.Madvise(inner, 25) != nil {
		return 0
	}
	return len(inner)
}

//go:noinline
func mapCache() int {
	kept = append(kept, mapped(*mb*mib))
	return *mb * mib
}

//go:noinline
func loadOrders() int {
	for i := 0; i < *mb; i++ {
		b := make([]byte, mib)
		touch(b)
		kept = append(kept, b)
	}
	return *mb * mib
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

//go:noinline
func startWorkers() int {
	const used = 200 << 10
	ready := make(chan int)
	for i := 0; i < *n; i++ {
		go deep(used, ready)
		<-ready
	}
	return *n * used
}

// The list of all spans has room for 8192 at first; then it moves (runtime/mheap.go, recordspan).
//
//go:noinline
func makeSpans() int {
	for i := 0; i < 9000; i++ {
		kept = append(kept, make([]byte, 8192))
	}
	return 9000 * 8192
}

func drop() answer {
	garbage = nil
	runtime.GC()
	return bytes(*mb * mib)
}

//go:noinline
func releaseAll() int {
	debug.FreeOSMemory()
	return *mb * mib
}

// What is free is more than the limit allows: an allocation has to give some of it back before it gets more.
//
//go:noinline
func obeyLimit() int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	debug.SetMemoryLimit(int64(before.Sys-before.HeapReleased) - int64(*mb*mib/2))
	for i := 0; i < *mb/4; i++ {
		b := make([]byte, mib)
		touch(b)
		kept = append(kept, b)
	}
	runtime.ReadMemStats(&after)
	debug.SetMemoryLimit(1 << 62)
	return int(after.HeapReleased - before.HeapReleased)
}

//go:noinline
func mapFile() int {
	path := filepath.Join(*dir, "mapped file")
	if err := os.WriteFile(path, make([]byte, *mb*mib), 0o600); err != nil {
		fail(err)
	}
	f, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, *mb*mib, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	f.Close()
	sum := byte(0)
	for i := 0; i < len(b); i += 4096 {
		sum += b[i]
	}
	kept = append(kept, b)
	return *mb*mib + int(sum)
}

func plant() {
	half, cache, table, small = mapped(*mb*mib), mapped(*mb*mib), mapped(*mb*mib), mapped(mib)
	var err error
	sparse, err = syscall.Mmap(-1, 0, *mb*mib+2*mib, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		fail(err)
	}
	for i := 0; i < *mb; i++ {
		b := make([]byte, mib)
		touch(b)
		garbage = append(garbage, b)
	}
}

func command(f func() int) func() map[string]interface{} {
	return func() map[string]interface{} { return bytes(f()) }
}

func main() {
	flag.Parse()
	debug.SetGCPercent(1000) // what is dropped stays until a command asks
	plant()
	server := truth.Server{
		Ready: answer{"planted": *mb * mib},
		Commands: map[string]func() map[string]interface{}{
			"munmap-half": command(giveHalf), "dontneed": command(dropCache), "shrink": command(shrinkTable),
			"grow": command(growTable), "mmap": command(mapCache), "collapse": command(makeHuge), "make": command(loadOrders),
			"goroutines": command(startWorkers), "spans": command(makeSpans), "drop": drop,
			"free": command(releaseAll), "limit": command(obeyLimit), "file": command(mapFile),
			"scavenge": func() map[string]interface{} {
				debug.SetGCPercent(10)
				answer := drop()
				runtime.GC() // from the second collection on there is a goal
				return answer
			},
		},
	}
	server.NoSettle = true
	server.Serve()
}
