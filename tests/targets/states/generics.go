package main

import "targets/truth"

type box[T any] struct{ v T }

//go:noinline
func (b *box[T]) Wait(c chan int) int {
	<-c
	_ = b.v
	return 0
}

type pair[K comparable, V any] struct {
	k K
	v V
}

//go:noinline
func (p pair[K, V]) Wait(c chan int) int {
	<-c
	_, _ = p.k, p.v
	return 0
}

//go:noinline
func genericWait[T any](r *truth.Goroutine, c chan T) (v T) {
	r.Here()
	return <-c
}

//go:noinline
func genericOuter[K comparable, V any](r *truth.Goroutine, m map[K]V, c chan V) V {
	f := func() V { return genericWait[V](r, c) }
	return f()
}

var (
	quietString    = make(chan string)
	quietInterface = make(chan interface{})
)

// startGenerics: names end in "[...]", and closures inside are called main.genericOuter[...].func1.
func startGenerics() {
	go genericWait(truth.Expect("generic-int", "chan receive"), quiet)
	go genericWait(truth.Expect("generic-string", "chan receive"), quietString)
	go genericOuter(truth.Expect("generic-nested", "chan receive"), map[string]interface{}{}, quietInterface)
	go callWaiter(truth.Expect("generic-method", "chan receive"), &box[string]{"x"})
	go callWaiter(truth.Expect("generic-method-value", "chan receive"), pair[string, []int]{"x", nil})
	go callFunc(truth.Expect("generic-method-fm", "chan receive"), (&box[*int]{}).Wait)
	r := truth.Expect("generic-started", "chan receive")
	startGeneric(r, 3)
}

//go:noinline
func startGeneric[T any](r *truth.Goroutine, v T) {
	go func() {
		r.Here()
		<-quiet
		keep = append(keep, v)
	}()
}
