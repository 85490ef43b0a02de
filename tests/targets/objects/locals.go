// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import "runtime"

// Objects whose types only variables of waiting functions tell, or variables in closures: small, so that the allocator
// notes no type, and behind nothing that has one. Each is counted where it is made.

// ByPointer is what a pointer on a stack leads to: 48 bytes.
type ByPointer struct {
	Up  *ByPointer
	Key [5]uint64
}

// InSlice is an element: 16 bytes.
type InSlice struct {
	Up  *ByPointer
	Key uint64
}

// InMap is what a map's values lead to: 32 bytes.
type InMap struct {
	Up  *InMap
	Key [3]uint64
}

// Queued goes through a channel: 64 bytes.
type Queued struct {
	Up  *Queued
	Key [7]uint64
}

// Boxed is in an interface: 80 bytes.
type Boxed struct {
	Up  *Boxed
	Key [9]uint64
}

func (b *Boxed) Area() float64 { return 0 }

// Inside is what a struct on the stack leads to: 96 bytes.
type Inside struct {
	Up  *Inside
	Key [11]uint64
}

type outside struct {
	id   int
	name string
	in   *Inside
	more [2]*Inside
}

// Argument is passed on: 112 bytes.
type Argument struct {
	Up  *Argument
	Key [13]uint64
}

// Escaped is a variable that went to the heap: 128 bytes.
type Escaped struct {
	Up  *Escaped
	Key [15]uint64
}

// Result is what a named result leads to: 144 bytes.
type Result struct {
	Up  *Result
	Key [17]uint64
}

// Deferred is known to a deferred call: 160 bytes.
type Deferred struct {
	Up  *Deferred
	Key [19]uint64
}

// ByValue, ByReference, Large and Receiver are what closures hold: 176, 192, 208, 224 bytes.
type ByValue struct {
	Up  *ByValue
	Key [21]uint64
}
type ByReference struct {
	Up  *ByReference
	Key [23]uint64
}
type Large struct {
	Up  *Large
	Key [25]uint64
}
type Receiver struct {
	Up  *Receiver
	Key [27]uint64
}

func (r *Receiver) method() uint64 { return r.Key[0] }

// Started is what a goroutine that has not begun, or whose function waits, was started with: 240 bytes.
type Started struct {
	Up  *Started
	Key [29]uint64
}

type large struct {
	key [4]uint64
	to  *Large
}

var (
	captured []func() uint64
	sink     interface{}
)

//go:noinline
func argument(a *Argument, ready chan<- bool) uint64 {
	ready <- true
	<-released
	return a.Key[0]
}

//go:noinline
func fill(o *outside) { o.in = &Inside{}; o.more[1] = &Inside{} }

//go:noinline
func touch(e *Escaped) {
	if e.Key[0] != 0 {
		sink = e
	}
}

//go:noinline
func result(ready chan<- bool) (r *Result, err error) {
	r = &Result{}
	defer func() { r.Up = nil }()
	ready <- true
	<-released
	return r, nil
}

//go:noinline
func boxed() Shape { return &Boxed{} }

//go:noinline
func area(s Shape) float64 { return s.Area() }

//go:noinline
func largest(l large) uint64 { return l.key[1] + l.to.Key[0] }

// heap puts what v leads to on the heap, and keeps nothing.
//
//go:noinline
func heap(v interface{}) {
	sink = v
	sink = nil
}

func locals(ready chan<- bool) {
	p := &ByPointer{}
	s := make([]InSlice, 5, 6)
	m := map[int]*InMap{1: {}, 2: {}, 3: {}}
	heap(p)
	heap(s)
	heap(m)
	q := make(chan *Queued, 4)
	q <- &Queued{}
	q <- &Queued{}
	shape := boxed()
	var o outside
	fill(&o)
	var e Escaped
	touch(&e)
	d := &Deferred{}
	heap(d)
	defer func() { d.Up = nil }()
	ready <- true
	<-released
	runtime.KeepAlive(p)
	runtime.KeepAlive(s)
	runtime.KeepAlive(m)
	runtime.KeepAlive(q)
	area(shape)
	runtime.KeepAlive(o.more[1])
	runtime.KeepAlive(o.in)
	touch(&e)
}

//go:noinline
func capture() {
	v := &ByValue{}
	r := &ByReference{}
	l := large{to: &Large{}}
	captured = append(captured, func() uint64 { return v.Key[0] })
	captured = append(captured, func() uint64 {
		r = &ByReference{Up: r}
		return r.Key[0]
	})
	captured = append(captured, func() uint64 { return largest(l) })
	captured = append(captured, (&Receiver{}).method)
}

func makeLocals(n int) map[string][2]int {
	ready := make(chan bool)
	for i := 0; i < n; i++ {
		go locals(ready)
		go argument(&Argument{}, ready)
		go result(ready)
		started := &Started{}
		go func() {
			ready <- true
			<-released
			started.Up = nil
		}()
		capture()
	}
	for i := 0; i < 4*n; i++ {
		<-ready
	}
	count := map[string][2]int{
		"main.ByPointer":                 {n, 48 * n},
		"[]main.InSlice (backing array)": {n, 96 * n},
		"main.InMap":                     {3 * n, 32 * 3 * n},
		"main.Queued":                    {2 * n, 64 * 2 * n},
		"main.Boxed":                     {n, 80 * n},
		"main.Inside":                    {2 * n, 96 * 2 * n},
		"main.Argument":                  {n, 112 * n},
		"main.Escaped":                   {n, 128 * n},
		"main.Result":                    {n, 144 * n},
		"main.Receiver":                  {n, 224 * n},
		"main.Started":                   {n, 240 * n},
	}
	// The compiler tells what closures hold since 1.23,
	if minor() >= 23 {
		count["main.Deferred"] = [2]int{n, 160 * n}
		count["main.ByValue"] = [2]int{n, 176 * n}
		count["main.ByReference"] = [2]int{n, 192 * n}
	}
	// … and of large values since 1.26.
	if minor() >= 26 {
		count["main.Large"] = [2]int{n, 208 * n}
	}
	return count
}
