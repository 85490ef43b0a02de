// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Sites is the truth for types that are known from the code that allocated: it allocates known numbers of objects of
// many types in many ways, samples every one of them (MemProfileRate 1), and keeps them by unsafe.Pointer, so that no
// pointer tells what they are. Its ready line says what there is:
//
//	types    {"main.Small":N}  objects that this and nothing else is made of
//	unknown  {"main.Shaped":N}  objects whose code does not say: of generic functions, whose types are in tables
package main

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	"targets/truth"
)

// Each type is allocated at one place only.
type (
	Small   struct{ A, B *int }
	Inlined struct{ A, B, C *int }
	Branch1 struct {
		A *int
		N [3]int
	}
	Branch2 struct {
		N [3]int
		A *int
	}
	Loop      struct{ A [5]*int }
	Plain     struct{ N [6]int }
	Header    struct{ A [100]*int }
	Large     struct{ A [5000]*int }
	LargeData struct{ N [5000]int }
	Made      struct {
		A *int
		N int
	}
	Copied struct {
		A *int
		N [2]int
	}
	Grown struct {
		N [3]int
		A *int
	}
	Filled struct {
		A, B *int
		N    [3]int
	}
	Key struct {
		A, B int64
		C    [4]byte
	}
	Elem struct {
		A *int
		N [9]int
	}
	Sent struct {
		A *int
		N [4]int
	}
	Counted struct{ N [4]int32 }
	Boxed   struct {
		A *int
		N [2]int
	}
	BoxedData struct{ N [4]int }
	Received  struct {
		A *int
		N [5]int
	}
	Held struct {
		A *int
		N [6]int
	}
	Deep struct {
		A *int
		N [7]int
	}
	Shaped struct {
		A *int
		N [8]int
	}
	Moved struct {
		A *int
		N [10]int
	}
	Spilled struct {
		A *int
		N [12]int
	}
)

var (
	keep   []unsafe.Pointer
	types  = map[string]int{}
	unsure = map[string]int{}
	zero   int
	loops  = flag.Int("n", 200, "objects of each type")
)

func hold(p unsafe.Pointer, name string) {
	keep = append(keep, p)
	types[name]++
}

//go:noinline
func small() *Small { return new(Small) }

func inlined() *Inlined { return &Inlined{A: &zero} }

//go:noinline
func branch(i int) unsafe.Pointer {
	if i%2 == 0 {
		return unsafe.Pointer(&Branch1{A: &zero})
	}
	return unsafe.Pointer(&Branch2{A: &zero})
}

//go:noinline
func made(n int) []Made { return make([]Made, n, n+1) }

//go:noinline
func copied(s []Copied) []Copied {
	r := make([]Copied, len(s))
	copy(r, s)
	return r
}

//go:noinline
func grown(s []Grown, n int) []Grown {
	for i := 0; i < n; i++ {
		s = append(s, Grown{A: &zero})
	}
	return s
}

//go:noinline
func filled(n int) []Filled { return append([]Filled(nil), make([]Filled, n)...) }

//go:noinline
func sent(n int) chan Sent { return make(chan Sent, n) }

//go:noinline
func counted(n int) chan Counted { return make(chan Counted, n) }

//go:noinline
func boxed(i int) interface{} { return Boxed{A: &zero, N: [2]int{i}} }

//go:noinline
func boxedData(i int) interface{} { return BoxedData{N: [4]int{i, i}} }

func (r *Received) method() int { return r.N[0] }

//go:noinline
func held(h *Held, n int) func() int { return func() int { n++; return n + h.N[0] } }

func word(v interface{}) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] }

func words(f func() int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&f)) }

// Deep in code that has to look for it between other calls.
//
//go:noinline
func deep(i int) *Deep {
	var d *Deep
	switch i % 5 {
	case 0:
		small()
		d = &Deep{A: &zero}
	case 1:
		d = &Deep{N: [7]int{i}}
	case 2:
		d = new(Deep)
		d.N[0] = len(strings.Repeat("x", i))
	default:
		for k := 0; k < 3; k++ {
			d = &Deep{}
		}
	}
	return d
}

//go:noinline
func shaped[T any]() *T { return new(T) }

// Many values live over the call, so that registers are short.
//
//go:noinline
func spilled(a, b, c, d, e, f, g, h, i, j int) (*Spilled, int) {
	x := a*b + c
	y := d*e + f
	s := &Spilled{A: &zero, N: [12]int{a, b, c, d, e, f, g, h, i, j}}
	return s, x + y + g + h*i + j
}

func values(n int) {
	for i := 0; i < n; i++ {
		hold(unsafe.Pointer(small()), "main.Small")
		hold(unsafe.Pointer(inlined()), "main.Inlined")
		hold(branch(i), [2]string{"main.Branch1", "main.Branch2"}[i%2])
		hold(unsafe.Pointer(&Loop{}), "main.Loop")
		hold(unsafe.Pointer(&Plain{N: [6]int{i}}), "main.Plain")
		hold(unsafe.Pointer(&Header{}), "main.Header")
		hold(unsafe.Pointer(deep(i)), "main.Deep")
		s, _ := spilled(i, i, i, i, i, i, i, i, i, i)
		hold(unsafe.Pointer(s), "main.Spilled")
		hold(word(boxed(i)), "main.Boxed")
		hold(word(boxedData(i)), "main.BoxedData")
		keep = append(keep, unsafe.Pointer(shaped[Shaped]()))
		unsure["main.Shaped"]++
	}
	for i := 0; i < n/50; i++ {
		hold(unsafe.Pointer(&Large{}), "main.Large")
		hold(unsafe.Pointer(&LargeData{}), "main.LargeData")
	}
}

func arrays(n int) {
	for i := 0; i < n; i++ {
		hold(unsafe.Pointer(&made(10 + i%3)[0]), "[]main.Made (backing array)")
		hold(unsafe.Pointer(&copied(make([]Copied, 3))[0]), "[]main.Copied (backing array)")
		hold(unsafe.Pointer(&grown(nil, 1+i%20)[0]), "[]main.Grown (backing array)")
		hold(unsafe.Pointer(&filled(2 + i%40)[0]), "[]main.Filled (backing array)")
	}
}

func closures(n int) {
	for i := 0; i < n; i++ {
		hold(words(held(&Held{}, i)), "func main.held.func1 (closure)")
		types["main.Held"]++
		r := &Received{A: &zero}
		hold(words(r.method), "func main.(*Received).method-fm (closure)")
		types["main.Received"]++
	}
}

func channels(n int) {
	for i := 0; i < n; i++ {
		c, d := sent(3), counted(3)
		hold(*(*unsafe.Pointer)(unsafe.Pointer(&c)), "chan main.Sent")
		types["chan main.Sent (buffer)"]++
		hold(*(*unsafe.Pointer)(unsafe.Pointer(&d)), "chan main.Counted")
	}
}

func maps(n int) {
	for i := 0; i < n; i++ {
		m := make(map[Key]*Elem, 100)
		for k := 0; k < 20+i; k++ {
			m[Key{A: int64(k)}] = nil
		}
		hold(*(*unsafe.Pointer)(unsafe.Pointer(&m)), "map[main.Key]*main.Elem")
	}
}

func text(n int) {
	for i := 0; i < n; i++ {
		s := strings.Join(os.Args, " ") + " and more to come"
		keep = append(keep, *(*unsafe.Pointer)(unsafe.Pointer(&s)))
	}
}

func main() {
	runtime.MemProfileRate = 1
	flag.Parse()
	keep = make([]unsafe.Pointer, 0, 100000)
	values(*loops)
	arrays(*loops)
	closures(*loops)
	channels(*loops)
	maps(*loops / 4)
	text(*loops)
	n, _ := runtime.MemProfile(nil, true) // so that the linker leaves it on
	keep = append(keep, unsafe.Pointer(&make([]byte, 1+n%2)[0]))
	runtime.GC()
	runtime.GC()
	debug.SetGCPercent(-1)
	server := truth.Server{NoSettle: true, Ready: map[string]interface{}{"types": types, "unknown": unsure}}
	server.Serve()
	runtime.KeepAlive(keep)
	os.Exit(0)
}
