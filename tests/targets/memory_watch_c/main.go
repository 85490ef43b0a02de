// Memory_watch_c is the truth for what C and the dynamic linker do to memory on behalf of Go. Each command does one thing in a
// function of its own and answers how many bytes that was ("bytes").
//
//	large       malloc of large blocks, touched: loadImages
//	small       malloc of small blocks, touched: loadNames (the main heap grows by brk, arenas of threads by mprotect)
//	trim        all of that is freed, and given back: dropNames
//	threads     -n threads that use 64 KB of their stack in C: callWorkers
//	dlopen      a library (-library), opened by openCodec
//	plugin      a Go plugin (-plugin), opened by loadPlugin
//	plugins     the files of -again, which are refused, opened by reloadPlugins
package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *fill(size_t n) { return memset(malloc(n), 1, n); }
static void *named[1 << 18];
static void fill_many(int n, int size) {
	for (int i = 0; i < n && i < 1 << 18; i++)
		named[i] = fill(size);
}
static void free_many(int n) {
	for (int i = 0; i < n && i < 1 << 18; i++)
		free(named[i]);
	malloc_trim(0);
}
static int use_stack(void) {
	char frame[64 << 10];
	memset(frame, 1, sizeof(frame));
	__asm__ volatile("" : : "r"(frame) : "memory");
	return frame[1];
}
static void *open_library(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
*/
import "C"

import (
	"flag"
	"fmt"
	"os"
	"plugin"
	"runtime"
	"strings"
	"unsafe"

	"targets/truth"
)

const mib = 1 << 20

var (
	mb      = flag.Int("mb", 32, "MB of each kind")
	library = flag.String("library", "libm.so.6", "what openCodec opens")
	path    = flag.String("plugin", "", "what loadPlugin opens")
	again   = flag.String("again", "", "what reloadPlugins opens, separated by commas")

	n       = flag.Int("n", 60, "threads")

	kept  []unsafe.Pointer
	quiet = make(chan int)
)

//go:noinline
func loadImages() int {
	for i := 0; i < *mb; i++ {
		kept = append(kept, C.fill(mib))
	}
	return *mb * mib
}

//go:noinline
func loadNames() int {
	C.fill_many(C.int(*mb*mib/1024), 1000)
	return *mb * mib
}

//go:noinline
func dropNames() int {
	C.free_many(C.int(*mb * mib / 1024))
	return *mb * mib
}

//go:noinline
func callWorkers() int {
	ready := make(chan int)
	for i := 0; i < *n; i++ {
		go func() {
			runtime.LockOSThread()
			C.use_stack()
			ready <- 1
			<-quiet
		}()
		<-ready
	}
	return *n * 64 << 10
}

//go:noinline
func openCodec() int {
	name := C.CString(*library)
	defer C.free(unsafe.Pointer(name))
	if C.open_library(name) == nil {
		fmt.Fprintln(os.Stderr, *library, "cannot be opened")
		os.Exit(1)
	}
	return 0
}

//go:noinline
func loadPlugin() int {
	if _, err := plugin.Open(*path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return 0
}

//go:noinline
func reloadPlugins() int {
	for _, p := range strings.Split(*again, ",") {
		if _, err := plugin.Open(p); err == nil {
			fmt.Fprintln(os.Stderr, p, "was not refused")
			os.Exit(1)
		}
	}
	return 0
}

func command(f func() int) func() map[string]interface{} {
	return func() map[string]interface{} { return map[string]interface{}{"bytes": f()} }
}

func main() {
	flag.Parse()
	server := truth.Server{
		Commands: map[string]func() map[string]interface{}{
			"large": command(loadImages), "small": command(loadNames), "trim": command(dropNames),
			"threads": command(callWorkers),
			"dlopen": command(openCodec), "plugin": command(loadPlugin), "plugins": command(reloadPlugins),
		},
	}
	server.NoSettle = true
	server.Serve()
}
