// Short is the truth for targets that vanish: it is gone -after the ready line, whoever looks. With -zombie it
// leaves a child behind that has ended and is not waited for (key "zombie": its pid).
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
	after := flag.Duration("after", 100*time.Millisecond, "exit so long after the ready line")
	n := flag.Int("n", 1000, "parked goroutines")
	zombie := flag.Bool("zombie", false, "have a zombie child, and stay until end of file or exit")
	flag.Parse()
	server := truth.Server{Ready: map[string]interface{}{}}
	if *zombie {
		server.Ready["zombie"] = makeZombie()
		server.Serve()
	}
	quiet := make(chan int)
	for i := 0; i < *n; i++ {
		go func() { <-quiet }()
	}
	time.AfterFunc(*after, func() { os.Exit(0) })
	server.Serve()
}

func makeZombie() int {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"short", "-after", "0", "-n", "0"}, &syscall.ProcAttr{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; i < 1000; i++ {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if len(stat) > 0 && zombieState(stat) {
			return pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "the child did not end")
	os.Exit(1)
	return 0
}

// zombieState looks at the letter behind the name in parentheses.
func zombieState(stat []byte) bool {
	for i := len(stat) - 3; i > 0; i-- {
		if stat[i] == ')' {
			return stat[i+2] == 'Z'
		}
	}
	return false
}
