// Exec is the truth for targets that become another program under the same PID: -after the ready line it
// executes the program given as arguments (default: itself, once more, with -after 0, which means never). The
// command exec does it at once; the next line of output is that of the new program.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"targets/truth"
)

func main() {
	after := flag.Duration("after", 100*time.Millisecond, "execute so long after the ready line; 0: never")
	n := flag.Int("n", 1000, "parked goroutines")
	flag.Parse()
	quiet := make(chan int)
	for i := 0; i < *n; i++ {
		go func() { <-quiet }()
	}
	args := flag.Args()
	if len(args) == 0 {
		args = []string{"/proc/self/exe", "-after", "0", "-n", "10"}
	}
	execute := func() {
		err := syscall.Exec(args[0], args, os.Environ())
		fmt.Fprintln(os.Stderr, args[0], err)
		os.Exit(1)
	}
	if *after > 0 {
		time.AfterFunc(*after, execute)
	}
	server := truth.Server{
		Ready: map[string]interface{}{"n": *n},
		Commands: map[string]func() map[string]interface{}{
			"exec": func() map[string]interface{} {
				execute()
				return nil
			},
		},
	}
	server.Serve()
}
