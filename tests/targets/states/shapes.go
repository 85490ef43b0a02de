package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"targets/truth"
)

// startShapes starts goroutines that all wait for a channel, each below a different shape of stack.
func startShapes() {
	startDeep()
	startInlined()
	startCalls()
	startReflect()
}

// deepFrames is the number of recursive frames. runtime.Stack prints 50 at each end only.
const deepFrames = 2000

func startDeep() {
	r := truth.Expect("deep", "chan receive")
	r.Depth = deepFrames + 2 // + deep at 0 and the closure
	go func() {
		deep(r, deepFrames, 0)
	}()

	// Two functions in turn, and a frame large enough to have been copied several times.
	r1 := truth.Expect("deep-mutual", "chan receive")
	r1.Depth = 100 + 2
	go func() {
		deepA(r1, 100, [32]uint64{})
	}()
}

//go:noinline
func deep(r *truth.Goroutine, n int, sum uint64) uint64 {
	if n == 0 {
		r.Here()
		<-quiet
		return sum
	}
	return deep(r, n-1, sum+uint64(n)) + 1
}

//go:noinline
func deepA(r *truth.Goroutine, n int, big [32]uint64) uint64 {
	if n == 0 {
		r.Here()
		<-quiet
	}
	big[n%32]++
	return deepB(r, n-1, big) + big[0]
}

//go:noinline
func deepB(r *truth.Goroutine, n int, big [32]uint64) uint64 {
	big[n%32]++
	return deepA(r, n-1, big) + big[1]
}

// The compiler inlines inline1 to inline3 into their callers (checked with -gcflags=-m).

func inline3(c chan int) int { return <-c }

func inline2(c chan int) int {
	return inline3(c) + 1
}

func inline1(c chan int) int {
	return inline2(c) + 1
}

//go:noinline
func notInlined(c chan int) int {
	return inline1(c) + 1
}

func inlineAround(c chan int) int { return notInlined(c) + 1 }

func inlinedGo(r *truth.Goroutine) {
	go func() {
		r.Here()
		<-quiet
	}()
}

func inlinedGoTwice(r *truth.Goroutine) { inlinedGo(r) }

func startInlined() {
	r := truth.Expect("inlined", "chan receive")
	go func() {
		r.Here()
		inline1(quiet)
	}()

	// Inlined below, a real frame, inlined above.
	r1 := truth.Expect("inlined-around", "chan receive")
	go func() {
		r1.Here()
		inlineAround(quiet)
	}()

	// A function with a go statement is never inlined itself, but the one that calls it is.
	inlinedGoTwice(truth.Expect("started-by-inlined", "chan receive"))

	// The goroutine's function itself is an inlinable one, called with arguments: the compiler makes a
	// wrapper (gowrap since 1.22).
	truth.ExpectFound("inlinable-start", "main.startedInline(", "chan receive")
	go startedInline(quiet, 1)
}

func startedInline(c chan int, add int) int { return <-c + add }

type waiter interface{ Wait(c chan int) int }

type byValue struct{ a, b, c, d int }

//go:noinline
func (v byValue) Wait(c chan int) int { return <-c + v.a }

type byPointer struct{ a int }

//go:noinline
func (p *byPointer) Wait(c chan int) int { return <-c + p.a }

type embedding struct {
	name string
	byValue
}

type embeddingInterface struct{ waiter }

type funcType func(chan int) int

func (f funcType) Wait(c chan int) int { return f(c) }

//go:noinline
func callWaiter(r *truth.Goroutine, w waiter) int {
	r.Here()
	return w.Wait(quiet)
}

//go:noinline
func callFunc(r *truth.Goroutine, f func(chan int) int) int {
	r.Here()
	return f(quiet)
}

func startCalls() {
	go callWaiter(truth.Expect("interface-pointer", "chan receive"), &byPointer{1})
	// Value in an interface, promoted through embedding, pointer to value: wrappers that the compiler makes.
	go callWaiter(truth.Expect("interface-value", "chan receive"), byValue{1, 2, 3, 4})
	go callWaiter(truth.Expect("interface-value-pointer", "chan receive"), &byValue{1, 2, 3, 4})
	go callWaiter(truth.Expect("promoted", "chan receive"), &embedding{"x", byValue{1, 2, 3, 4}})
	go callWaiter(truth.Expect("promoted-interface", "chan receive"), embeddingInterface{&byPointer{2}})
	go callWaiter(truth.Expect("func-type", "chan receive"), funcType(func(c chan int) int { return <-c }))

	// Method values (-fm) and method expressions.
	go callFunc(truth.Expect("method-value", "chan receive"), (&byPointer{3}).Wait)
	go callFunc(truth.Expect("method-value-interface", "chan receive"), waiter(byValue{4, 5, 6, 7}).Wait)
	r := truth.Expect("method-expression", "chan receive")
	go func() {
		r.Here()
		f := (*byPointer).Wait
		f(&byPointer{4}, quiet)
	}()

	// Nested closures: main.startCalls.func2.1.1 and the like.
	r1 := truth.Expect("closure-nested", "chan receive")
	n := 0
	go func() {
		n++
		func() {
			n++
			f := func(add int) int {
				n += add
				r1.Here()
				return <-quiet
			}
			n = callInt(f, n)
		}()
	}()

	// Called back by the standard library.
	r2 := truth.Expect("callback-sort", "chan receive")
	go func() {
		s := []int{3, 1, 2}
		sort.Slice(s, func(i, j int) bool {
			r2.Here()
			return <-quiet < s[i]
		})
	}()
	r3 := truth.Expect("callback-stringer", "chan receive")
	go func() { _ = fmt.Sprint(stringer{r3}) }()
	r4 := truth.Expect("callback-strings-map", "chan receive")
	go func() {
		strings.Map(func(c rune) rune {
			r4.Here()
			return c + rune(<-quiet)
		}, "name")
	}()

	go noinlineStart(truth.Expect("noinline", "chan receive"))
	go 名前(truth.Expect("unicode-name", "chan receive"))
}

//go:noinline
func callInt(f func(int) int, n int) int { return f(n) }

//go:noinline
func noinlineStart(r *truth.Goroutine) {
	r.Here()
	<-quiet
}

//go:noinline
func 名前(r *truth.Goroutine) {
	r.Here()
	<-quiet
}

type stringer struct{ r *truth.Goroutine }

func (s stringer) String() string {
	s.r.Here()
	<-quiet
	return ""
}

func startReflect() {
	r := truth.Expect("reflect-call", "chan receive")
	go func() {
		reflect.ValueOf(receiveFrom).Call([]reflect.Value{reflect.ValueOf(r), reflect.ValueOf(quiet)})
	}()

	r1 := truth.Expect("reflect-method", "chan receive")
	go func() {
		r1.Here()
		reflect.ValueOf(&byPointer{5}).MethodByName("Wait").Call([]reflect.Value{reflect.ValueOf(quiet)})
	}()

	// makeFuncStub and methodValueCall are assembly frames that call back into Go.
	r2 := truth.Expect("reflect-makefunc", "chan receive")
	made := reflect.MakeFunc(reflect.TypeOf(func(int) int { return 0 }), func(args []reflect.Value) []reflect.Value {
		r2.Here()
		<-quiet
		return args
	}).Interface().(func(int) int)
	go func() { made(1) }()

	r3 := truth.Expect("reflect-method-value", "chan receive")
	f := reflect.ValueOf(&byPointer{6}).Method(0).Interface().(func(chan int) int)
	go callFunc(r3, f)

	r4 := truth.Expect("reflect-chan-receive", "chan receive")
	go func() {
		r4.Here()
		reflect.ValueOf(quiet).Recv()
	}()

	r5 := truth.Expect("reflect-select", "select")
	go func() {
		r5.Here()
		reflect.Select([]reflect.SelectCase{
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(quiet)},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(other)},
		})
	}()
}
