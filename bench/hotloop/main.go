// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Hotloop calls one small function as often as a line on stdin says and prints what a call took: a meter for
// the cost of a probe in it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

//go:noinline
func leaf(n int) int { return n + 1 }

// Hot has what most functions have: a stack check, a frame, a call, one return.
//
//go:noinline
func hot(n int) int { return leaf(n) + n }

func main() {
	runtime.LockOSThread()
	fmt.Printf("ready %s\n", runtime.Version())
	in := bufio.NewScanner(os.Stdin)
	sum := 0
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil || n < 1 {
			fmt.Println("a positive number, please")
			continue
		}
		begin := time.Now()
		for i := 0; i < n; i++ {
			sum += hot(i)
		}
		fmt.Printf("%.2f\n", float64(time.Since(begin).Nanoseconds())/float64(n))
	}
	if sum == 42 {
		fmt.Println("never")
	}
}
