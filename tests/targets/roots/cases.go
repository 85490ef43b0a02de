package main

import (
	"reflect"
	"sync"
	"time"
	"unsafe"
)

func address(o *object) uintptr { return uintptr(unsafe.Pointer(o)) }

// A pointer in a global variable, and a number that looks like one: into the middle of a word, where no pointer of others
// points that are given the object's place.
var (
	global = newObject("global")
	unused = address(newObject("only a number")) + 3
)

func locals() {
	run("local used later", func(name string) {
		o := newObject(name)
		block()
		use(o)
	})
	run("local not used later", func(name string) {
		o := newObject(name)
		use(o)
		block()
	})
	run("local used in a branch", func(name string) {
		o := newObject(name)
		p := newObject(name + ", other branch")
		block()
		if sink == 77 {
			use(o)
		} else {
			use(p)
		}
	})
	run("local overwritten", func(name string) {
		o := newObject(name)
		use(o)
		block2(&o) // the old value dies there
		use(o)
	})
	run("interior pointer", func(name string) {
		p := &newObject(name).pad[3]
		block()
		*p++
	})
	run("interface", func(name string) {
		var i interface{} = newObject(name)
		block()
		use(i.(*object))
	})
	run("slice of an array in the heap", func(name string) {
		s := newObject(name).pad[1:4]
		block()
		s[0]++
	})
	run("map", func(name string) {
		m := map[int]*object{1: newObject(name)}
		block()
		use(m[1])
	})
	run("number that looks like a pointer", func(name string) {
		a := address(newObject(name))
		block()
		sink += a
	})
	run("many locals", manyLocals)
	run("large frame", func(name string) {
		var all [4000]*object
		for i := 0; i < len(all); i += 1000 {
			all[i] = newObject(name)
		}
		block()
		for i := 0; i < len(all); i += 1000 {
			use(all[i])
		}
	})
	run("large frame not used later", func(name string) {
		var all [4000]*object
		for i := 0; i < len(all); i += 1000 {
			all[i] = newObject(name)
		}
		for i := 0; i < len(all); i += 1000 {
			use(all[i])
		}
		block()
	})
}

//go:noinline
func block2(o **object) {
	*o = &object{}
	block()
}

func manyLocals(name string) {
	a, b, c, d := newObject(name), newObject(name), newObject(name), newObject(name)
	e, f, g, h := newObject(name), newObject(name), newObject(name), newObject(name)
	use(b)
	use(d)
	use(f)
	use(h)
	block()
	use(a)
	use(c)
	use(e)
	use(g)
}

func arguments() {
	run("argument used later", func(name string) { argUsed(newObject(name)) })
	run("argument not used later", func(name string) { argUnused(newObject(name)) })
	run("arguments on the stack", func(name string) {
		argsOnStack(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, newObject(name), newObject(name+", unused"))
	})
	run("struct argument", func(name string) {
		structArg(pair{a: newObject(name), n: [20]int{1}, b: newObject(name + ", unused")})
	})
	run("result", func(name string) { use(result(name)) })
	run("result of a function that recovers", func(name string) { use(resultRecovered(name)) })
	run("variadic", func(name string) { variadic(newObject(name), newObject(name)) })
}

//go:noinline
func argUsed(o *object) {
	block()
	use(o)
}

//go:noinline
func argUnused(o *object) {
	use(o)
	block()
}

//go:noinline
func argsOnStack(a, b, c, d, e, f, g, h, i, j, k int, o, p *object) {
	use(p)
	block()
	use(o)
	sink += uintptr(a + b + c + d + e + f + g + h + i + j + k)
}

type pair struct {
	a *object
	n [20]int
	b *object
}

//go:noinline
func structArg(p pair) {
	use(p.b)
	block()
	use(p.a)
	sink += uintptr(p.n[3])
}

//go:noinline
func result(name string) (o *object) {
	o = newObject(name)
	block()
	return o
}

//go:noinline
func resultRecovered(name string) (o *object) {
	defer func() { recover() }()
	o = newObject(name)
	block()
	return o
}

//go:noinline
func variadic(all ...*object) {
	block()
	for _, o := range all {
		use(o)
	}
}

// --- variables whose address is taken, which stay on the stack ---

type box struct {
	n    int
	o    *object
	next *box
	m    [3]int
	p    *object
}

//go:noinline
func fillBox(b *box, name string) {
	b.o = newObject(name)
	b.p = newObject(name)
}

//go:noinline
func useBox(b *box) {
	for ; b != nil; b = b.next {
		use(b.o)
		use(b.p)
	}
}

func stackObjects() {
	run("stack object used later", func(name string) {
		var b box
		fillBox(&b, name)
		block()
		useBox(&b)
	})
	run("stack object not used later", func(name string) {
		var b box
		fillBox(&b, name)
		useBox(&b)
		block()
	})
	run("stack object behind a stack object", func(name string) {
		var a, b, c box
		fillBox(&a, name)
		fillBox(&b, name)
		fillBox(&c, name)
		c.next = &b
		b.next = &a
		block()
		useBox(&c)
	})
	run("stack object in another frame", func(name string) {
		var b box
		fillBox(&b, name)
		blockWith(&b)
	})
	run("stack object in another frame, not used later", func(name string) {
		var b box
		fillBox(&b, name)
		blockWithout(&b)
	})
	run("array on the stack", func(name string) {
		var all [50]box
		fillBox(&all[7], name)
		fillBox(&all[49], name)
		all[7].next = &all[49]
		block()
		useBox(&all[7])
	})
	run("closure on the stack", func(name string) {
		o := newObject(name)
		blockAndCall(func() { use(o) })
	})
	run("captured by reference", func(name string) {
		o := newObject(name)
		blockAndCall(func() { use(o); o = nil })
		use(global)
		_ = o
	})
}

//go:noinline
func blockWith(b *box) {
	block()
	useBox(b)
}

//go:noinline
func blockWithout(b *box) {
	useBox(b)
	block()
}

//go:noinline
func blockAndCall(f func()) {
	block()
	f()
}

// --- deferred calls and panics ---

func deferred() {
	run("deferred closure", func(name string) {
		o := newObject(name)
		defer func() { use(o) }()
		block()
	})
	run("deferred call with argument", func(name string) {
		defer use(newObject(name))
		block()
	})
	run("deferred in a loop", func(name string) {
		for i := 0; i < 3; i++ {
			defer use(newObject(name))
		}
		block()
	})
	run("deferred in a branch", func(name string) {
		o := newObject(name)
		if o.id >= 0 {
			defer use(o)
		}
		block()
	})
	run("in a deferred call", func(name string) {
		o, p := newObject(name), newObject(name+", not used later")
		defer func() {
			block()
			use(o)
		}()
		use(p)
	})
	run("panic", func(name string) { panics(name) })
	run("nil pointer", func(name string) { nilPointer(name, nil) })
	run("nil pointer below a frame that recovers", func(name string) {
		o := newObject(name + ", outer frame")
		nilPointer(name, nil)
		use(o)
	})
	run("panic value", func(name string) {
		defer func() { block() }()
		panic(newObject(name))
	})
	run("Goexit", func(name string) {
		o := newObject(name)
		defer func() {
			block()
			use(o)
		}()
		goexit()
	})
}

//go:noinline
func panics(name string) {
	o, p := newObject(name+", used by the deferred call"), newObject(name+", used behind the panic")
	defer func() {
		block()
		use(o)
		recover()
	}()
	if sink != 77 {
		panic("here")
	}
	use(p)
}

//go:noinline
func nilPointer(name string, nothing *object) {
	defer func() {
		block()
		recover()
	}()
	o := newObject(name + ", used behind the fault")
	use(nothing)
	use(o)
}

// --- ways of calling ---

func (o *object) method(n int) {
	block()
	use(o)
}

type blocker interface{ method(n int) }

func calls() {
	run("method value", func(name string) {
		f := newObject(name).method
		call1(f)
	})
	run("interface method", func(name string) {
		var b blocker = newObject(name)
		b.method(1)
	})
	run("go statement with argument", func(name string) {
		go argUsed(newObject(name + ", own"))
		block()
	})
	run("reflect.Call", func(name string) {
		reflect.ValueOf(argUsed).Call([]reflect.Value{reflect.ValueOf(newObject(name))})
	})
	run("reflect method value", func(name string) {
		f := reflect.ValueOf(newObject(name)).Method(0).Interface().(func(*object, *object, [3]*object))
		f(newObject(name+", argument"), newObject(name+", argument"), [3]*object{2: newObject(name + ", on the stack")})
	})
	run("reflect.MakeFunc", func(name string) {
		var f func(a, b *object, c [3]*object, d string) *object
		v := reflect.MakeFunc(reflect.TypeOf(f), func(args []reflect.Value) []reflect.Value {
			block()
			use(args[0].Interface().(*object))
			return args[1:2]
		})
		f = v.Interface().(func(a, b *object, c [3]*object, d string) *object)
		use(f(newObject(name), newObject(name), [3]*object{1: newObject(name)}, "x"))
	})
	run("deep", func(name string) { deep(name, 300) })
	run("very deep", func(name string) { deep(name, 3000) })
}

//go:noinline
func call1(f func(int)) { f(1) }

// Exported, so that reflect sees it.
func (o *object) Blocks(a, b *object, c [3]*object) {
	block()
	use(o)
	use(a)
	use(b)
	use(c[2])
}

//go:noinline
func deep(name string, depth int) {
	var pad [20]int
	pad[depth%20] = depth
	if depth == 0 {
		block()
	} else if depth%100 == 1 {
		o, p := newObject(name+", used later"), newObject(name+", not used later")
		use(p)
		deep(name, depth-1)
		use(o)
	} else {
		deep(name, depth-1)
	}
	sink += uintptr(pad[depth%20])
}

// --- what is waited for ---

func waits() {
	run("only the waiter knows the channel", func(name string) {
		c := make(chan *object)
		o := newObject(name)
		<-c
		use(o)
	})
	run("sending", func(name string) {
		c := make(chan *object)
		c <- newObject(name)
	})
	run("select", func(name string) {
		o := newObject(name)
		select {
		case <-wait:
			use(o)
		case <-make(chan int):
		}
	})
	run("mutex", func(name string) {
		var m sync.Mutex
		o := newObject(name)
		m.Lock()
		m.Lock()
		use(o)
	})
	run("sleep", func(name string) {
		o := newObject(name)
		time.Sleep(time.Hour)
		use(o)
	})
	run("cond", func(name string) {
		o := newObject(name)
		c := sync.NewCond(&sync.Mutex{})
		c.L.Lock()
		c.Wait()
		use(o)
	})
	run("select {}", func(name string) {
		o := newObject(name)
		use(o)
		select {}
	})
}
