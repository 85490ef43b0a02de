// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Lookalikes is the truth for which words of objects are pointers: objects of all sizes and kinds (holders) hold
// pointers to some objects (victims) and numbers that are addresses of others. What the collector thinks of a victim it tells
// itself, by a finalizer. The ready line has all victims, with the kind of their holder:
//
//	{"victims":[{"case":"…","address":"…","pointer":true,"live":true}]}
//
// Addresses are in hexadecimal with all bits inverted, in our own memory too. A later victim may have got the place of a dead
// one. With GOEXPERIMENT=arenas there are user arenas too. Commands beside those of package truth:
//
//	heap  {"heap_live":N}  bytes of objects as runtime/metrics says right after two collections
package main

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"targets/truth"
)

// Of a size that nothing else has: the place of a dead one stays empty.
type victim struct {
	id uint64
	_  [159]uint64
}

// What is known of a victim; no pointers in it.
type record struct {
	inverted uint64
	kind     int
	pointer  bool
	dead     uint32
}

const maxVictims = 8192

var (
	records [maxVictims]record
	n       int
	kinds   []string
	holders []interface{}
)

func finalized(v *victim) { atomic.StoreUint32(&records[v.id].dead, 1) }

func newVictim(pointer bool) *victim {
	v := &victim{id: uint64(n)}
	records[n] = record{inverted: ^uint64(uintptr(unsafe.Pointer(v))), kind: len(kinds) - 1, pointer: pointer}
	n++
	runtime.SetFinalizer(v, finalized)
	return v
}

func live() *victim   { return newVictim(true) }
func number() uintptr { return uintptr(unsafe.Pointer(newVictim(false))) }

// Elements of arrays. In each there is a pointer and a number.
type pair struct {
	p *victim
	u uintptr
}

type tailed struct { // ends with what is no pointer
	u uintptr
	p *victim
	_ [3]uintptr
}

type seven struct {
	u [3]uintptr
	p *victim
	q unsafe.Pointer
	i interface{}
}

type large struct { // a type whose bits nobody has until they are needed, in new releases
	first [40000]pair
	tail  [70001]uintptr
	last  tailed
	end   [100]uintptr
}

type medium struct {
	head [200]uintptr
	p    *victim
	in   [100]seven
	tail [61]uintptr
}

func (p *pair) fill()   { p.p, p.u = live(), number() }
func (t *tailed) fill() { t.p, t.u = live(), number() }
func (s *seven) fill() {
	s.u[0], s.u[2], s.p, s.q, s.i = number(), number(), live(), unsafe.Pointer(live()), live()
}

// Which of n elements are filled: the first, the last, and where pieces of a large object meet.
func some(n int) []int {
	if n < 6 {
		var all []int
		for i := 0; i < n; i++ {
			all = append(all, i)
		}
		return all
	}
	return []int{0, 1, n / 3, n / 2, n - 2, n - 1}
}

// begin names the kind of holders that follow.
func begin(format string, args ...interface{}) { kinds = append(kinds, fmt.Sprintf(format, args...)) }

func keep(x interface{}) { holders = append(holders, x) }

// Bytes of objects: the size classes, with and without the header of those with pointers (1.22 and later), and large ones.
var sizes = []int{16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448,
	480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376,
	6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576,
	27264, 28672, 32768, 40960, 65536, 100000, 1 << 20, 1<<20 + 8192, 3<<20 + 4096, 5000000}

//go:noinline
func slices() {
	for _, size := range sizes {
		begin("slice of %d bytes", size)
		if k := (size - 8) / 16; k > 0 {
			s := make([]pair, k)
			for _, i := range some(k) {
				s[i].fill()
			}
			keep(s)
		}
		if k := (size - 8) / 40; k > 0 {
			s := make([]tailed, k)
			for _, i := range some(k) {
				s[i].fill()
			}
			keep(s)
		}
		if k := (size - 8) / 64; k > 0 && size%3 == 0 {
			s := make([]seven, k)
			s[k-1].fill()
			keep(s)
		}
	}
}

//go:noinline
func values() {
	begin("small structs")
	for i := 0; i < 20; i++ {
		p, t, s := new(pair), new(tailed), new(seven)
		p.fill()
		t.fill()
		s.fill()
		keep(p)
		keep(t)
		keep(s)
	}
	begin("struct of many words")
	m := new(medium)
	for i := 0; i < 200; i += 50 {
		m.head[i] = number()
	}
	m.p, m.tail[0], m.tail[60] = live(), number(), number()
	m.in[0].fill()
	m.in[99].fill()
	keep(m)
	begin("large struct")
	l := new(large)
	for _, i := range some(len(l.first)) {
		l.first[i].fill()
	}
	l.last.fill()
	l.tail[0], l.tail[70000], l.end[0], l.end[99] = number(), number(), number(), number()
	keep(l)
	begin("slice of large structs")
	b := make([]large, 3)
	for i := range b {
		b[i].first[i].fill()
		b[i].tail[i*1000], b[i].end[i] = number(), number()
		b[i].last.fill()
	}
	keep(b)
}

//go:noinline
func buffers() {
	for _, k := range []int{1, 3, 30, 100, 1000, 3000, 100000} {
		begin("channel of %d", k)
		c := make(chan pair, k)
		for i := 0; i < k; i++ {
			p := pair{u: 1}
			if i < 3 || i == k-1 {
				p.fill()
			}
			c <- p
		}
		keep(c)
	}
}

//go:noinline
func maps() {
	for _, k := range []int{1, 7, 100, 20000} {
		begin("map of %d", k)
		m, t := map[uintptr]*victim{}, map[int]tailed{}
		for i := 0; i < k; i++ {
			if i%(k/50+1) == 0 {
				v := tailed{}
				v.fill()
				m[number()], t[i] = live(), v
			} else {
				m[uintptr(i)], t[i] = nil, tailed{}
			}
		}
		keep(m)
		keep(t)
	}
}

//go:noinline
func made() {
	array := func(n int, elem interface{}) reflect.Value {
		return reflect.New(reflect.ArrayOf(n, reflect.TypeOf(elem)))
	}
	for _, k := range []int{3, 31, 33, 77, 500, 1999, 5000, 77777} {
		begin("array of %d made by reflect", k)
		for _, v := range []reflect.Value{array(k, pair{}), array(k, tailed{})} {
			for _, i := range some(k) {
				switch x := v.Elem().Index(i).Addr().Interface().(type) {
				case *pair:
					x.fill()
				case *tailed:
					x.fill()
				}
			}
			keep(v.Interface())
		}
	}
	for _, k := range []int{1, 20, 150, 4000, 60000} {
		begin("struct of arrays of %d made by reflect", k)
		t := reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.ArrayOf(k, reflect.TypeOf(uintptr(0)))},
			{Name: "B", Type: reflect.ArrayOf(k, reflect.TypeOf(tailed{}))},
			{Name: "C", Type: reflect.TypeOf(pair{})},
			{Name: "D", Type: reflect.ArrayOf(2*k, reflect.TypeOf(uintptr(0)))},
		})
		v := reflect.New(t)
		for _, i := range some(k) {
			v.Elem().Field(0).Index(i).SetUint(uint64(number()))
			v.Elem().Field(1).Index(i).Addr().Interface().(*tailed).fill()
			v.Elem().Field(3).Index(2 * i).SetUint(uint64(number()))
		}
		v.Elem().Field(2).Addr().Interface().(*pair).fill()
		keep(v.Interface())
	}
	begin("slice made by reflect")
	v := reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(129, reflect.TypeOf(tailed{}))), 300, 300)
	for _, i := range some(300) {
		v.Index(i).Index(i % 129).Addr().Interface().(*tailed).fill()
	}
	keep(v.Interface())
	begin("map made by reflect")
	m := reflect.MakeMap(reflect.MapOf(reflect.TypeOf(uintptr(0)), reflect.ArrayOf(9, reflect.TypeOf(pair{}))))
	for i := 0; i < 50; i++ {
		a := reflect.New(m.Type().Elem()).Elem()
		a.Index(i % 9).Addr().Interface().(*pair).fill()
		m.SetMapIndex(reflect.ValueOf(number()), a)
	}
	keep(m.Interface())
}

//go:noinline
func others() {
	begin("closure")
	for i := 0; i < 10; i++ {
		v, u := live(), number()
		keep(func() uintptr { return u + uintptr(v.id) })
	}
	begin("interface")
	for i := 0; i < 10; i++ {
		p := pair{}
		p.fill()
		keep(p)
		keep(interface{}(number()))
	}
	begin("goroutine")
	for i := 0; i < 10; i++ {
		p := new(pair)
		p.fill()
		keep(p)
		go wait(p.p, p.u)
	}
}

// Arguments that are never used again.
//
//go:noinline
func wait(v *victim, u uintptr) { select {} }

// What nobody takes out for two collections is dropped.
var pool sync.Pool

//go:noinline
func fillPool() {
	begin("pool")
	for i := 0; i < 20; i++ {
		p := new(seven)
		p.fill()
		pool.Put(p)
	}
}

//go:noinline
func stirPool() {
	var all []interface{}
	for x := pool.Get(); x != nil; x = pool.Get() {
		all = append(all, x)
	}
	for _, x := range all {
		pool.Put(x)
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

func collect() {
	wipe(16)
	runtime.GC()
	time.Sleep(20 * time.Millisecond) // finalizers run
}

func heap() map[string]interface{} {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s) // makes its tables
	collect()
	collect()
	metrics.Read(s)
	return map[string]interface{}{"heap_live": s[0].Value.Uint64()}
}

func main() {
	debug.SetGCPercent(-1)
	slices()
	values()
	buffers()
	maps()
	made()
	others()
	arenas()
	for i := 0; i < 4; i++ {
		collect()
	}
	fillPool()
	collect()
	list := make([]map[string]interface{}, n)
	for i := range list {
		list[i] = map[string]interface{}{"case": kinds[records[i].kind], "pointer": records[i].pointer,
			"address": fmt.Sprintf("%x", records[i].inverted)}
	}
	stirPool()
	collect()
	for i := range list {
		list[i]["live"] = atomic.LoadUint32(&records[i].dead) == 0
	}
	server := truth.Server{
		NoSettle: true,
		Ready:    map[string]interface{}{"victims": list},
		Commands: map[string]func() map[string]interface{}{"heap": heap},
	}
	server.Serve()
}
