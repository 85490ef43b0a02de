// Memory_c is the truth for memory of C in a Go program: malloc without free, in the main heap (-heap MB), in arenas
// of threads (-threads N, each with -arena MB), in large blocks (-large MB), and stacks of those threads (-stack KB used of
// each). The ready line has what was planted as "planted", by the name of gosonde's class.
package main

/*
void plant_heap(int mb);
void plant_large(int mb);
void plant_threads(int n, int arena_mb, int stack_kb);
*/
import "C"

import (
	"flag"
	"runtime"
	"runtime/metrics"
	"strings"

	"targets/truth"
)

const mib = 1 << 20

func init() {
	runtime.LockOSThread() // the first thread has the main heap
}

func readMetrics() map[string]interface{} {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/classes/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	m := map[string]interface{}{}
	for _, s := range samples {
		m[s.Name] = s.Value.Uint64()
	}
	return map[string]interface{}{"metrics": m}
}

func main() {
	heap := flag.Int("heap", 0, "MB in the main heap")
	large := flag.Int("large", 0, "MB in blocks of 1 MB")
	threads := flag.Int("threads", 0, "threads made by C")
	arena := flag.Int("arena", 0, "MB in the arena of each thread")
	stack := flag.Int("stack", 0, "KB used of each thread's stack")
	flag.Parse()
	C.plant_threads(C.int(*threads), C.int(*arena), C.int(*stack))
	C.plant_heap(C.int(*heap))
	C.plant_large(C.int(*large))
	server := truth.Server{
		Ready: map[string]interface{}{"threads": *threads, "planted": map[string]int{
			"c_heap": *heap * mib, "c_large": *large * mib, "c_arenas": *threads * *arena * mib,
			"thread_stacks": *threads * *stack << 10}},
		Commands: map[string]func() map[string]interface{}{"metrics": readMetrics},
	}
	server.Serve()
}
