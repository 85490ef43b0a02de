//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

func specialGo124() {
	runtime.AddCleanup(keeper, func(*object) {}, known(&pending))
	o := known(&pending) // kept by others; the weak pointer's handle, which is kept, leads here
	others = append(others, o, weak.Make(o))
}
