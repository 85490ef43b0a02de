// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Bigheap is the truth for what can be reached in a heap. It builds -mb megabytes of objects in the -shape
//
//	tree    a search tree with keys in random order, so that pointers lead anywhere
//	map     a map of pointers, with strings (objects without pointers)
//	lists   lists that grow in turns, so that their nodes stand between each other
//	chain   one list through all nodes in random order: the worst case
//	slices  slices of pointers, interfaces and arrays in objects, small and large
//	mixed   a quarter each of all but chain
//
// and then, with the collector off, -garbage objects that nothing reaches. The ready line tells what the runtime
// counted after its last collection (heap_alloc, heap_objects), how many objects of our own types there are and
// their bytes, and the addresses of some that are reached (reachable) and of garbage (garbage). Their
// bits are inverted, in our own memory too: otherwise the list would be what reaches them.
//
// Commands beside those of package truth:
//
//	grow  {"grow":N}  allocates and drops 10,000 objects
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"targets/truth"
)

type node struct {
	left, right *node
	key         uint64
	value       *value
}

type value struct {
	text  string
	count [4]uint64
}

type link struct {
	next *link
	id   uint64
	back *link
	what interface{}
}

type entry struct {
	key   uint64
	name  string
	owner *entry
	tags  []string
}

type block struct { // larger than objects with a bitmap in their span
	items [100]*value
	sizes [20]uint64
}

type wide struct { // a large object, with pointers at its end
	pad  [9000]uint64
	last *value
}

// What keeps everything.
var (
	tree     *node
	table    map[uint64]*entry
	lists    []*link
	chain    *link
	blocks   []*block
	anything []interface{}
	wides    []*wide
)

// Where everything is, and where nobody looks.
type sample struct {
	objects, bytes uint64
	addresses      []uint64
}

var known, dropped sample

func (s *sample) add(p unsafe.Pointer, size uintptr, every uint64) {
	if s.objects%every == 0 {
		s.addresses = append(s.addresses, ^uint64(uintptr(p)))
	}
	s.objects++
	s.bytes += uint64(size)
}

var every uint64 = 1000

func newValue(text string) *value {
	v := &value{text: text}
	known.add(unsafe.Pointer(v), unsafe.Sizeof(*v), every)
	return v
}

func name(i uint64) string { return fmt.Sprintf("object number %d", i) }

func buildTree(bytes uint64, random *rand.Rand) {
	for end := known.bytes + bytes; known.bytes < end; {
		key := random.Uint64()
		at := &tree
		for *at != nil {
			if key < (*at).key {
				at = &(*at).left
			} else {
				at = &(*at).right
			}
		}
		n := &node{key: key}
		if key%8 == 0 {
			n.value = newValue("tree")
		}
		known.add(unsafe.Pointer(n), unsafe.Sizeof(*n), every)
		*at = n
	}
}

func buildMap(bytes uint64, random *rand.Rand) {
	table = map[uint64]*entry{}
	var last *entry
	for end := known.bytes + bytes; known.bytes < end; {
		key := random.Uint64()
		e := &entry{key: key, name: name(key), owner: last}
		if key%4 == 0 {
			e.tags = []string{"a", e.name}
			known.bytes += 2 * uint64(unsafe.Sizeof(""))
		}
		if key%16 == 0 {
			last = e
		}
		known.add(unsafe.Pointer(e), unsafe.Sizeof(*e), every)
		known.bytes += uint64(len(e.name)) + 16 // and its place in the map
		table[key] = e
	}
}

func buildLists(bytes uint64) {
	const n = 1000
	if lists == nil {
		lists = make([]*link, n)
	}
	var back *link
	for i, end := uint64(0), known.bytes+bytes; known.bytes < end; i++ {
		l := &link{next: lists[i%n], id: i, back: back}
		if i%64 == 0 {
			l.what = newValue("list")
		} else if i%64 == 1 {
			l.what = i
		}
		known.add(unsafe.Pointer(l), unsafe.Sizeof(*l), every)
		lists[i%n] = l
		if i%1024 == 0 {
			back = l
		}
	}
}

func buildChain(bytes uint64, random *rand.Rand) {
	n := int(bytes / uint64(unsafe.Sizeof(link{})))
	all := make([]*link, n)
	for i := range all {
		all[i] = &link{id: uint64(i)}
		known.add(unsafe.Pointer(all[i]), unsafe.Sizeof(*all[i]), every)
	}
	random.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, l := range all {
		l.next, chain = chain, l
	}
}

func buildSlices(bytes uint64, random *rand.Rand) {
	var v *value
	for i, end := 0, known.bytes+bytes; known.bytes < end; i++ {
		b := new(block)
		known.add(unsafe.Pointer(b), unsafe.Sizeof(*b), every)
		for k := range b.items {
			if k%4 == 0 || v == nil {
				v = newValue("block")
			}
			b.items[k] = v
		}
		blocks = append(blocks, b)
		switch i % 16 {
		case 0:
			anything = append(anything, newValue("any"), i, b)
		case 1:
			anything = append(anything, map[string]*value{"one": newValue("in a map")}, blocks[random.Intn(len(blocks))])
		}
		if i%512 == 0 {
			w := &wide{last: newValue("wide")}
			known.add(unsafe.Pointer(w), unsafe.Sizeof(*w), 1)
			wides = append(wides, w)
		}
	}
}

func build(shape string, bytes uint64) bool {
	random := rand.New(rand.NewSource(1))
	switch shape {
	case "tree":
		buildTree(bytes, random)
	case "map":
		buildMap(bytes, random)
	case "lists":
		buildLists(bytes)
	case "chain":
		buildChain(bytes, random)
	case "slices":
		buildSlices(bytes, random)
	case "mixed":
		buildTree(bytes/4, random)
		buildMap(bytes/4, random)
		buildLists(bytes / 4)
		buildSlices(bytes/4, random)
	default:
		return false
	}
	return true
}

// Garbage that knows other garbage and what is alive, as usual. In short chains, so that what looks like a pointer
// does not bring all of it back.
//
//go:noinline
func litter(n int) {
	var last *link
	for i := 0; i < n; i++ {
		if i%10 == 0 {
			last = nil
		}
		last = &link{next: last, id: uint64(i), what: tree}
		dropped.add(unsafe.Pointer(last), unsafe.Sizeof(*last), uint64(n/500+1))
	}
}

// Overwrites what the calls before have left on the stack.
//
//go:noinline
func wipe(depth int) uint64 {
	var page [512]uint64
	page[depth] = uint64(depth)
	if depth == 0 {
		return page[depth]
	}
	return wipe(depth-1) + page[depth]
}

func main() {
	mb := flag.Uint64("mb", 64, "megabytes of objects")
	shape := flag.String("shape", "mixed", "tree, map, lists, chain, slices or mixed")
	garbage := flag.Int("garbage", 0, "objects that nothing reaches")
	samples := flag.Uint64("every", 1000, "report the address of every so-manieth object")
	flag.Parse()
	every = *samples

	if !build(*shape, *mb<<20) {
		fmt.Fprintln(os.Stderr, "bigheap: unknown shape", *shape)
		os.Exit(2)
	}
	wipe(8)
	runtime.GC()
	runtime.GC() // what has been swept counts
	debug.SetGCPercent(-1)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	litter(*garbage)
	wipe(8)
	server := truth.Server{
		NoSettle: true,
		Ready: map[string]interface{}{
			"heap_alloc": m.HeapAlloc, "heap_objects": m.HeapObjects, "heap_inuse": m.HeapInuse,
			"objects": known.objects, "bytes": known.bytes, "reachable": hex(known.addresses),
			"garbage": hex(dropped.addresses), "garbage_objects": dropped.objects, "garbage_bytes": dropped.bytes,
		},
		Commands: map[string]func() map[string]interface{}{
			"grow": func() map[string]interface{} {
				litter(10000)
				return map[string]interface{}{"grow": 10000}
			},
		},
	}
	server.Serve()
}

// Text, as JSON numbers are not exact in all readers.
func hex(addresses []uint64) []string {
	text := make([]string, len(addresses))
	for i, a := range addresses {
		text[i] = fmt.Sprintf("%x", a)
	}
	return text
}
