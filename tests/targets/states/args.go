package main

import (
	"sync/atomic"

	"targets/truth"
)

type inner struct {
	a int8
	b string
}

type mixed struct {
	x  int64
	in inner
	f  float64
	ok bool
	p  *int
}

// Values that are easy to find again: the traceback prints the words in hexadecimal.

//go:noinline
func argsInts(r *truth.Goroutine, a int, b int8, c uint16, d int32, e uint64, f uintptr, g bool) {
	block(r)
	sink += uint64(a) + uint64(b) + uint64(c) + uint64(d) + e + uint64(f)
	if g {
		sink++
	}
}

//go:noinline
func argsStrings(r *truth.Goroutine, s string, t string, b []byte, is []int, e error, v interface{}) {
	block(r)
	sink += uint64(len(s) + len(t) + len(b) + len(is))
	keep = append(keep, e, v)
}

//go:noinline
func argsStruct(r *truth.Goroutine, m mixed, n inner) {
	block(r)
	keep = append(keep, m, n)
}

//go:noinline
func argsFloats(r *truth.Goroutine, f float32, g float64, c complex128) {
	block(r)
	keep = append(keep, f, g, c)
}

//go:noinline
func argsMany(r *truth.Goroutine, a, b, c, d, e, f, g, h, i, j, k, l, m, n int) int {
	block(r)
	return a + b + c + d + e + f + g + h + i + j + k + l + m + n
}

//go:noinline
func argsPointers(r *truth.Goroutine, p *int, m map[string]int, c chan int, f func(), a [3]int16, e struct{}) {
	block(r)
	keep = append(keep, p, m, c, f, a, e)
}

//go:noinline
func argsNested(r *truth.Goroutine, d struct {
	a struct {
		b struct {
			c struct{ d struct{ e struct{ f int } } }
		}
	}
}) {
	block(r)
	keep = append(keep, d)
}

//go:noinline
func argsUnused(_ int, _ string, r *truth.Goroutine, _ ...int) { block(r) }

//go:noinline
func argsDead(r *truth.Goroutine, first, second int) {
	atomic.AddUint64(&sink, uint64(first)) // dead from here on: the traceback marks its value with "?"
	block(r)
	sink += uint64(second)
}

func startArgs() {
	go argsInts(truth.Expect("args-ints", "chan receive"), 0x1111, -2, 0x3333, -4, 0x5555555555555555, 0x6666, true)
	go argsStrings(truth.Expect("args-strings", "chan receive"), "hello", "", []byte("bytes"), []int{1, 2}, nil, 7)
	go argsStruct(truth.Expect("args-struct", "chan receive"),
		mixed{1, inner{2, "in"}, 3.5, true, new(int)}, inner{4, "other"})
	go argsFloats(truth.Expect("args-floats", "chan receive"), 1.5, 2.5, complex(3, 4))
	go argsMany(truth.Expect("args-many", "chan receive"), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
	go argsPointers(truth.Expect("args-pointers", "chan receive"), new(int), map[string]int{"a": 1}, quiet,
		func() {}, [3]int16{1, 2, 3}, struct{}{})
	r := truth.Expect("args-nested", "chan receive")
	var nested struct {
		a struct {
			b struct {
				c struct{ d struct{ e struct{ f int } } }
			}
		}
	}
	nested.a.b.c.d.e.f = 6
	go argsNested(r, nested)
	go argsUnused(1, "unused", truth.Expect("args-unused", "chan receive"), 2, 3)
	go argsDead(truth.Expect("args-dead", "chan receive"), 0x7777, 0x8888)
}
