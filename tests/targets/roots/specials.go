package main

import (
	"runtime"
	"time"
)

// Kept here so that they live on.
var (
	keeper *object
	others []interface{}
)

// known is an object that only tells its address.
func known(list *[]uint64) *object {
	o := &object{}
	*list = append(*list, uint64(address(o)))
	return o
}

var pending, queued []uint64

// special sets a finalizer, a cleanup and a weak pointer on objects that live: what those keep is pending.
func special() {
	keeper = &object{} // of the heap, which a global's initial value need not be
	keeper.next = known(&pending)
	runtime.SetFinalizer(keeper, func(*object) {})
	specialGo124()
}

// stick lets the goroutine that runs finalizers block, and those that run cleanups. What dies after that is queued.
func stick() map[string]interface{} {
	runtime.SetFinalizer(&object{}, func(*object) { block() })
	collect()
	for i := 0; i < 250; i++ {
		runtime.SetFinalizer(known(&queued), func(*object) {})
	}
	stickGo125()
	collect()
	return map[string]interface{}{"queued": queued}
}

func collect() {
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
}
