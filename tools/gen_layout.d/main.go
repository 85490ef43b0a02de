// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Command layout is the program whose DWARF tools/gen_layout reads. The linker describes only types
// that the program uses; the scheduler and the collector bring in most of the runtime's, the lines
// below the rest.
package main

import (
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

func main() {
	// runtime.hmap (up to 1.23) or internal/runtime/maps.Map.
	seen := map[string]int{}
	for _, arg := range os.Args {
		seen[arg]++
	}
	delete(seen, "")

	// runtime.hchan, runtime.sudog, timers, semaphores.
	var mu sync.Mutex
	var wg sync.WaitGroup
	done := make(chan int)
	wg.Add(1)
	go func() {
		defer wg.Done()
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-done:
		case <-time.After(time.Duration(len(seen))):
		}
	}()
	wg.Wait()

	// runtime.mstats, profile buckets, runtime.moduledata through symbolisation.
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
	_ = pprof.Lookup("heap").WriteTo(os.Stdout, 1)

	// The HTTP server and client with both protocols; pollDesc.
	if len(os.Args) > 2 {
		if answer, err := http.Get(os.Args[2]); err == nil {
			_ = answer.Body.Close()
		}
		_ = http.ListenAndServeTLS(os.Args[1], "cert.pem", "key.pem", nil)
	}
}
