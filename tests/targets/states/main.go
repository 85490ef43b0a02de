// States is the truth for goroutine states and stack shapes: at least one goroutine for every state and
// wait reason that a program can reach on purpose, and for every shape of stack that an unwinder can
// meet (inlining, wrappers, generics, panics, signal frames, reflection, deep recursion, …).
//
// Flags add goroutines that are never parked, for which a traceback from outside is only a guess:
//
//	-spin N   N goroutines that run for ever; more than GOMAXPROCS gives "runnable" ones
//	-procs P  GOMAXPROCS
//	-trace    runtime/trace is on (into nothing), which adds its reader goroutine
//
// The commands are those of package truth. Not reachable on purpose, and so not here: dead, copystack,
// preempted, the waits of a running garbage collection, and waits of the trace and debug machinery.
package main

import (
	"flag"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"sync/atomic"

	"targets/truth"
)

// starters start goroutines; files with build constraints append to it.
var starters = []func(){
	startChannels, startLocks, startTimers, startSystem, startShapes, startPanics, startGenerics, startArgs,
	startLabels, startFinalizer,
}

func main() {
	spin := flag.Int("spin", 0, "number of goroutines that never stop running")
	procs := flag.Int("procs", 0, "GOMAXPROCS (default: leave)")
	tracing := flag.Bool("trace", false, "switch runtime/trace on")
	nogc := flag.Bool("nogc", false, "no automatic garbage collection, so waitsince stays 0 until command gc")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if *nogc {
		debug.SetGCPercent(-1)
	}
	for _, start := range starters {
		start()
	}
	if *tracing {
		startTracing()
	}
	for i := 0; i < *spin; i++ {
		startSpinner()
	}
	server := truth.Server{Ready: map[string]interface{}{"spinners": *spin}}
	server.Serve()
}

func startTracing() {
	if err := trace.Start(io.Discard); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	truth.ExpectFound("trace-reader", "eadTrace(",
		"trace reader (blocked)", "IO wait", "chan receive", "runnable", "running", "sleep", "syscall")
}

var sink uint64

func startSpinner() {
	r := truth.Expect("spinner", "running", "runnable", "preempted")
	go func() {
		r.Here()
		spinOuter(1)
	}()
}

//go:noinline
func spinOuter(x uint64) { spinMiddle(x + 1) }

//go:noinline
func spinMiddle(x uint64) {
	for {
		x = spinInner(x)
		atomic.StoreUint64(&sink, x)
	}
}

//go:noinline
func spinInner(x uint64) uint64 {
	for i := 0; i < 1000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}
