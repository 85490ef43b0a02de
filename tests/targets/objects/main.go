// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Objects is the truth for heap censuses. It builds known numbers of objects of named types, held by known global
// variables and goroutines, collects garbage, and tells in its ready line what there is:
//
//	types    {"main.Order":[N,BYTES]}  objects of each type, and their bytes in slots of the allocator
//	owned    {"main.orders":BYTES}     what would go with a variable
//	slack    {"main.orders":BYTES}     so much more it may be, for what the runtime adds
//	shared   bytes that two variables share
//	workers  how many goroutines of main.worker hold -hold bytes each
//	locals   the same as types, of those that only variables of functions and closures lead to
//	path     a type with one object, which main.orders leads to at the end of a list
//
// -n scales everything; -chain makes the orders a list that main.first alone leads to. Command beside those of package truth:
//
//	drop  {"drop":BYTES}  lets go of main.dropped without a collection: its objects become garbage
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"targets/truth"
)

// Item is 32 bytes.
type Item struct {
	SKU   *string
	Count int
	Price float64
	Next  *Item
}

// Order is 80 bytes.
type Order struct {
	ID    int
	Name  string
	Items []Item
	Tags  map[string]int
	Next  *Order
	Extra interface{}
}

// Node is 48 bytes.
type Node struct {
	Left, Right *Node
	Key         [4]uint64
}

// Big has a type header in Go 1.22 and later: 1024 bytes.
type Big struct {
	First *Node
	Pad   [126]uint64
	Last  *Node
}

// Huge is larger than all size classes.
type Huge struct {
	Nodes [8192]*Node
}

// Captured is only known to closures, so that nothing tells its type.
type Captured struct {
	Up  *Captured
	Key [5]uint64
}

// Circle and Square are what interfaces hold: 16 and 32 bytes.
type Circle struct {
	R    *float64
	Name uintptr
}
type Square struct {
	Side [3]float64
	Up   *Circle
}

func (c *Circle) Area() float64 { return *c.R }
func (s Square) Area() float64  { return s.Side[0] }

// Shape is implemented by a pointer and by a value.
type Shape interface{ Area() float64 }

// Job goes through channels: 64 bytes.
type Job struct {
	Data  [6]uint64
	Reply chan int
	Order *Order
}

// Needle is at the end of a path: 48 bytes.
type Needle struct {
	Thread *Needle
	Label  string
	Pad    [3]uint64
}

// Common is what two variables share: 96 bytes.
type Common struct {
	Pad  [11]uint64
	Link *Common
}

var (
	first    *Order
	orders   []*Order
	items    []Item
	tree     *Node
	bigs     []*Big
	huge     *Huge
	shapes   []Shape
	boxes    []interface{}
	jobs     chan *Job
	byName   map[string]*Order
	numbers  map[int]int
	closures []func() int
	oneOf    struct{ common []*Common }
	twoOf    map[int]*Common
	dropped  []*Dropped
	released = make(chan struct{})
)

// Dropped becomes garbage on request: 128 bytes.
type Dropped struct {
	Pad  [15]uint64
	Next *Dropped
}

func grow(depth int) *Node {
	if depth == 0 {
		return nil
	}
	n := &Node{Left: grow(depth - 1), Right: grow(depth - 1)}
	n.Key[0] = uint64(depth)
	return n
}

// Held is only on the stacks of workers: it has no pointers, and no header.
type Held struct{ Bytes []byte }

func worker(hold int, ready chan<- bool) {
	h := &Held{Bytes: make([]byte, hold)}
	ready <- true
	<-released
	runtime.KeepAlive(h)
}

func makeOrders(n int) {
	for i := 0; i < n; i++ {
		o := &Order{ID: i, Name: fmt.Sprintf("order number %08d", i)}
		o.Items = make([]Item, 4)
		if i%10 == 0 {
			o.Tags = map[string]int{"a": i}
		}
		if i > 0 {
			o.Next = orders[i-1]
		}
		orders = append(orders, o)
	}
	needle := &Needle{Label: "here"}
	orders[0].Extra = &Needle2{To: needle}
}

// Needle2 leads to the needle: 16 bytes.
type Needle2 struct {
	To  *Needle
	Pad uint64
}

func makeShapes(n int) {
	for i := 0; i < n; i++ {
		r := new(float64)
		*r = float64(i)
		c := &Circle{R: r}
		s := Square{Up: c}
		shapes = append(shapes, c, s)
		boxes = append(boxes, s)
	}
}

func makeMaps(n int) {
	byName = make(map[string]*Order)
	numbers = make(map[int]int)
	twoOf = make(map[int]*Common)
	for i := 0; i < n; i++ {
		byName[fmt.Sprintf("a key that is not in the map of orders %d", i)] = nil
		numbers[i] = i
		c := &Common{}
		oneOf.common = append(oneOf.common, c)
		twoOf[i] = c
	}
}

func makeClosures(n int) {
	for i := 0; i < n; i++ {
		captured := &Captured{}
		i := i
		closures = append(closures, func() int { return i + int(captured.Key[0]) })
	}
}

func build(n int) {
	makeOrders(n)
	items = make([]Item, 10*n)
	tree = grow(14) // 16383
	for i := 0; i < n; i++ {
		bigs = append(bigs, &Big{})
	}
	huge = &Huge{}
	for i := range huge.Nodes {
		huge.Nodes[i] = &Node{}
	}
	makeShapes(n)
	jobs = make(chan *Job, n)
	for i := 0; i < n; i++ {
		jobs <- &Job{}
	}
	makeMaps(n)
	makeClosures(n)
	for i := 0; i < n; i++ {
		dropped = append(dropped, &Dropped{})
	}
}

func types(n, workers int) map[string][2]int {
	nodes := 16383 + 8192
	return map[string][2]int{
		"main.Order":   {n, 80 * n},
		"main.Node":    {nodes, 48 * nodes},
		"main.Big":     {n, slot(1024) * n},
		"main.Huge":    {1, 65536},
		"main.Circle":  {n, 16 * n},
		"main.Square":  {2 * n, 32 * 2 * n},
		"main.Job":     {n, 64 * n},
		"main.Needle":  {1, 48},
		"main.Needle2": {1, 16},
		"main.Common":  {n, 96 * n},
		"main.Dropped": {n, 128 * n},
	}
}

// Since Go 1.22 objects of more than 512 bytes with pointers have 8 bytes more.
func slot(size int) int {
	if size == 1024 && minor() >= 22 {
		return 1152
	}
	return size
}

func minor() int {
	m := 0
	fmt.Sscanf(runtime.Version(), "go1.%d", &m)
	return m
}

func main() {
	n := flag.Int("n", 2000, "objects of each type")
	workers := flag.Int("workers", 100, "goroutines that hold memory")
	hold := flag.Int("hold", 16384, "bytes that each of them holds")
	chain := flag.Bool("chain", false, "the needle is at the end of a list")
	flag.Parse()

	build(*n)
	if *chain {
		first, orders = orders[len(orders)-1], nil
	}
	local := makeLocals(20)
	ready := make(chan bool)
	for i := 0; i < *workers; i++ {
		go worker(*hold, ready)
	}
	for i := 0; i < *workers; i++ {
		<-ready
	}
	runtime.GC()
	runtime.GC()
	debug.SetGCPercent(-1)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	server := truth.Server{NoSettle: true, Ready: map[string]interface{}{
		"n":            *n,
		"types":        types(*n, *workers),
		"locals":       local,
		"workers":      *workers,
		"hold":         *hold,
		"heap_alloc":   stats.HeapAlloc,
		"heap_objects": stats.HeapObjects,
		"owned": map[string]int{
			"main.items":    32 * 10 * *n,
			"main.tree":     48 * 16383,
			"main.bigs":     (slot(1024) + 8) * *n,
			"main.huge":     65536 + 48*8192,
			"main.jobs":     (64 + 8) * *n,
			"main.closures": (48 + 24 + 8) * *n,
			"main.dropped":  (128 + 8) * *n,
			"main.numbers":  16 * *n,
		},
		"slack": map[string]int{
			"main.bigs": 8 * *n, "main.items": 32768, "main.dropped": 8 * *n, "main.closures": 8 * *n,
			"main.jobs": 4096, "main.numbers": 80 * *n,
		},
		"shared": 96 * *n,
	}}
	server.Commands = map[string]func() map[string]interface{}{
		"drop": func() map[string]interface{} {
			bytes := 128 * len(dropped)
			// One by one: a stale pointer to the array would keep them all.
			for i := range dropped {
				dropped[i] = nil
			}
			dropped = nil
			return map[string]interface{}{"drop": bytes}
		},
	}
	server.Serve()
	close(released)
	runtime.KeepAlive([]interface{}{orders, items, tree, bigs, huge, shapes, boxes, jobs, byName, numbers, closures, oneOf, twoOf})
	os.Exit(0)
}
