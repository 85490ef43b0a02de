package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

//go:noinline
func goexit() { runtime.Goexit() }

var everything []interface{}

// fill makes live objects of many kinds, and lets as many more die.
func fill(mib int) {
	debug.SetGCPercent(100)
	for size := 0; size < mib<<20; size += 4096 {
		m := map[int]*object{}
		for i := 0; i < 8; i++ {
			m[i] = &object{next: &object{}}
		}
		dead := make([]*object, 100)
		for i := range dead {
			dead[i] = &object{next: dead[0]}
		}
		everything = append(everything, m, make([]byte, 700), make([]*object, 100), "text"+string(rune(size)))
		sink += uintptr(len(dead))
	}
}

func heapLive() map[string]interface{} {
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/objects:objects"}}
	metrics.Read(s)
	return map[string]interface{}{"live": s[0].Value.Uint64(), "objects": s[1].Value.Uint64()}
}
