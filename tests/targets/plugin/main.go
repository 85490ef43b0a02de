// Plugin is the truth for goroutines whose code is in a plugin: functions, line tables and types are in a module
// that was not there at start. The plugin is the file beside this program with .so at the end of its name,
// from folder part (tools/build_targets makes both). Files of -again, separated by commas, are opened after it
// and have to be refused: copies of the plugin, say.
package main

import (
	"flag"
	"fmt"
	"os"
	"plugin"
	"strings"

	"targets/truth"
)

func main() {
	path := flag.String("plugin", "", "the plugin (default: this program's path and .so)")
	again := flag.String("again", "", "files to open that will be refused")
	flag.Parse()
	if *path == "" {
		self, err := os.Executable()
		if err != nil {
			fail(err)
		}
		*path = self + ".so"
	}
	opened, err := plugin.Open(*path)
	if err != nil {
		fail(err)
	}
	start, err := opened.Lookup("Start")
	if err != nil {
		fail(err)
	}
	start.(func(func(func())))(callBack)

	for _, p := range strings.Split(*again, ",") {
		if p == "" {
			continue
		}
		if _, err := plugin.Open(p); err == nil {
			fail(fmt.Errorf("%s was not refused", p))
		}
	}

	r := truth.Expect("host", "chan receive")
	go func() {
		r.Here()
		<-make(chan int)
	}()
	server := truth.Server{Ready: map[string]interface{}{"plugin": *path}}
	server.Serve()
}

// callBack is called by the plugin: host, plugin, host, plugin on one stack.
//
//go:noinline
func callBack(f func()) { f() }

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
