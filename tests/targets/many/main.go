// Many is the truth for large numbers of goroutines, and for what reading them costs the process.
//
// It parks -n goroutines on one channel, 8 to 11 frames deep, with 4 distinct stacks (-stacks for more), and
// has a pause meter: a goroutine on a thread of its own that does nothing but read the clock and notes the
// longest time between two readings. Whoever stops the process, from inside (a traceback of all goroutines)
// or from outside (a debugger), shows up there. Commands beside those of package truth:
//
//	pause  {"max_pause_ns":…,"max_unexplained_ns":…,"over_1ms":…,…}  since the last reset
//	reset  forget what was measured
//
// The meter's thread also loses its CPU to other programs; the kernel counts for how long
// (/proc/PID/task/TID/schedstat). max_unexplained_ns is the longest gap after that wait was taken off, and
// noise_floor (measured for -floor before the ready line) is what this machine does when nobody looks.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"encoding/json"

	"targets/truth"
)

func main() {
	n := flag.Int("n", 100000, "number of parked goroutines")
	stacks := flag.Int("stacks", 4, "number of distinct stacks")
	noMeter := flag.Bool("no-meter", false, "no pause meter, so that the process is idle")
	floor := flag.Duration("floor", time.Second, "how long to measure the meter's noise floor")
	nice := flag.Int("meter-nice", 0, "nice value of the meter's thread")
	addr := flag.String("http", "", "serve net/http/pprof here")
	flag.Parse()

	// The meter must not be the only one that can run.
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	server := truth.Server{Ready: map[string]interface{}{"n": *n}, NoSettle: true}
	server.Commands = map[string]func() map[string]interface{}{
		"ids": func() map[string]interface{} { return map[string]interface{}{"ids": ids()} },
	}
	if *addr != "" {
		listener, err := net.Listen("tcp", *addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go http.Serve(listener, nil)
		server.Ready["http"] = "http://" + listener.Addr().String()
	}
	server.Ready["roles"] = park(*n, *stacks)
	if !*noMeter {
		m := newMeter(*nice)
		time.Sleep(*floor / 10)
		m.reset()
		time.Sleep(*floor)
		server.Ready["noise_floor"] = m.read()
		m.reset()
		server.Ready["meter_goroutine"] = m.goid
		server.Ready["meter_thread"] = m.tid
		server.Commands["pause"] = func() map[string]interface{} {
			answer := m.read()
			answer["noise_floor"] = server.Ready["noise_floor"]
			return answer
		}
		server.Commands["reset"] = func() map[string]interface{} {
			m.reset()
			return map[string]interface{}{"reset": true}
		}
	}
	server.Serve()
}

// park starts n goroutines and returns how many have which role.
func park(n, stacks int) map[string]int {
	var started int64
	roles := map[string]int{}
	names := [4]string{"orders", "mails", "index", "cache"}
	starts := [4]func(*int64){orders, mails, index, cache}
	for i := 0; i < n; i++ {
		if stacks <= len(starts) {
			k := i % stacks
			roles[names[k]]++
			go starts[k](&started)
		} else {
			roles["paths"]++
			go paths(&started, i%stacks, stacks)
		}
	}
	for atomic.LoadInt64(&started) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	// All have counted themselves; the last few may not have reached the channel yet. With one P, each
	// Gosched lets every goroutine run that was ready before.
	procs := runtime.GOMAXPROCS(1)
	for i := 0; i < 1000; i++ {
		runtime.Gosched()
	}
	runtime.GOMAXPROCS(procs)
	runtime.GC()
	return roles
}

// ids returns the list of goroutines as in the ready line of other programs. Goroutines do not note their own
// id: that would grow their stacks.
func ids() []byte {
	type goroutine struct {
		ID    string `json:"id"`
		Role  string `json:"role"`
		State string `json:"state"`
	}
	var list []goroutine
	for _, text := range strings.Split(string(truth.Stack()), "\n\n") {
		var g goroutine
		header := strings.SplitN(text, "\n", 2)[0]
		fmt.Sscanf(header, "goroutine %s", &g.ID)
		if open := strings.IndexByte(header, '['); open >= 0 {
			g.State = strings.SplitN(strings.TrimRight(header[open+1:], "]:"), ",", 2)[0]
		}
		for _, role := range []string{"orders", "mails", "index", "cache", "paths"} {
			if strings.Contains(text, "\nmain."+role+"(") {
				g.Role = role
			}
		}
		if g.Role != "" {
			list = append(list, g)
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}
