// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Ending leaves ten goroutines waiting and ends as told: return, exit (status 7, by another goroutine), panic, fatal
// (the runtime's own), kill.
package main

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func wait(c chan bool) { <-c }

func main() {
	for i := 0; i < 10; i++ {
		go wait(make(chan bool))
	}
	settle()
	switch os.Args[1] {
	case "return":
		return
	case "exit":
		go os.Exit(7)
	case "panic":
		go panic("as told")
	case "fatal":
		var mu sync.Mutex
		mu.Unlock()
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	time.Sleep(time.Minute)
}

// settle returns when all of them wait.
func settle() {
	buf := make([]byte, 1<<20)
	for strings.Count(string(buf[:runtime.Stack(buf, true)]), "[chan receive]") < 10 {
		time.Sleep(time.Millisecond)
	}
}
