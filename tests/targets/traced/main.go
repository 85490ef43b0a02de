// Traced does a bit of everything that goroutines do, all the time, and traces itself with runtime/trace when asked:
// the truth for timelines made from outside.
//
//	trace    {"trace_bytes":N}  runtime/trace of -length, taken now
//
// From Go 1.22 on the times in it are those of CLOCK_MONOTONIC, so two traces of the same time can be laid side
// by side. The work pauses much, so that two cores are enough for it and for those who look at it.
package main

import (
	"bytes"
	"flag"
	"net"
	"os"
	"runtime"
	"runtime/trace"
	"sync"
	"syscall"
	"time"

	"targets/truth"
)

var (
	length = flag.Duration("length", 2*time.Second, "of a trace")
	calm   = flag.Bool("calm", false, "no garbage collections and no use of CPU for long")
	sink   []byte
)

// workers are what is started, by role. Files with build constraints add to it.
var workers = map[string]func(){
	"ping": ping, "lock": lock, "socket": socket, "disk": disk, "pipe": pipe, "choose": choose, "signal": signal,
	"spawn": spawn, "yield": yield, "burn": burn, "locked": locked,
}

func main() {
	flag.Parse()
	for role, work := range workers {
		if !*calm || role != "burn" {
			go work()
		}
	}
	server := truth.Server{
		NoSettle: true,
		Commands: map[string]func() map[string]interface{}{"trace": record},
	}
	server.Serve()
}

func record() map[string]interface{} {
	var buf bytes.Buffer
	if err := trace.Start(&buf); err != nil {
		return map[string]interface{}{"error": err.Error()}
	}
	time.Sleep(*length)
	trace.Stop()
	return map[string]interface{}{"trace": buf.Bytes()}
}

func work(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// ping: two goroutines hand a number to and fro.
func ping() {
	there, back := make(chan int), make(chan int)
	go func() {
		for n := range there {
			back <- n + 1
		}
	}()
	for n := 0; ; n++ {
		there <- n
		<-back
		if n%20 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// lock: four goroutines want the same mutexes.
func lock() {
	var (
		mu sync.Mutex
		rw sync.RWMutex
	)
	for i := 0; i < 4; i++ {
		go func(i int) {
			for {
				mu.Lock()
				time.Sleep(500 * time.Microsecond)
				mu.Unlock()
				if i == 0 {
					rw.Lock()
					time.Sleep(time.Millisecond)
					rw.Unlock()
				} else {
					rw.RLock()
					work(50 * time.Microsecond)
					rw.RUnlock()
				}
				time.Sleep(3 * time.Millisecond)
			}
		}(i)
	}
}

// socket: questions and answers over TCP.
func socket() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				panic(err)
			}
			work(100 * time.Microsecond)
			c.Write(buf[:n])
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	buf := make([]byte, 64)
	for {
		c.Write(buf[:8])
		c.Read(buf)
		time.Sleep(3 * time.Millisecond)
	}
}

// disk: system calls that block for as long as the disk takes.
func disk() {
	f, err := os.CreateTemp("/var/tmp", "gosonde-traced-")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	for {
		f.WriteAt(make([]byte, 4096), 0)
		f.Sync()
		time.Sleep(15 * time.Millisecond)
	}
}

// pipe: one goroutine blocks in read(2) with its thread, so that its P is taken from it.
func pipe() {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	go func() {
		for buf := make([]byte, 1); ; {
			syscall.Read(fds[0], buf)
			work(200 * time.Microsecond)
		}
	}()
	for buf := make([]byte, 1); ; {
		syscall.Write(fds[1], buf)
		time.Sleep(7 * time.Millisecond)
	}
}

// choose: select over channels and timers.
func choose() {
	c := make(chan int, 1)
	go func() {
		for {
			time.Sleep(4 * time.Millisecond)
			c <- 1
		}
	}()
	for {
		select {
		case <-c:
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// signal: sync.Cond and sync.WaitGroup.
func signal() {
	var (
		mu    sync.Mutex
		turn  int
		ready = sync.NewCond(&mu)
	)
	for i := 0; i < 3; i++ {
		go func() {
			for seen := 0; ; {
				mu.Lock()
				for turn == seen {
					ready.Wait()
				}
				seen = turn
				mu.Unlock()
			}
		}()
	}
	for {
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		turn++
		mu.Unlock()
		ready.Broadcast()
	}
}

// spawn: goroutines that live shortly.
func spawn() {
	for {
		var wg sync.WaitGroup
		for i := 0; i < 5; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				work(30 * time.Microsecond)
			}()
		}
		wg.Wait()
		time.Sleep(5 * time.Millisecond)
	}
}

// yield: runtime.Gosched.
func yield() {
	for {
		for i := 0; i < 10; i++ {
			runtime.Gosched()
		}
		time.Sleep(4 * time.Millisecond)
	}
}

// burn: CPU for longer than a time slice, and garbage.
func burn() {
	for i := 0; i < 2; i++ {
		go func() {
			for {
				work(15 * time.Millisecond)
				for n := 0; n < 200; n++ {
					sink = make([]byte, 16<<10)
				}
				time.Sleep(40 * time.Millisecond)
			}
		}()
	}
}

// locked: a goroutine with a thread of its own.
func locked() {
	c := make(chan int)
	go func() {
		runtime.LockOSThread()
		for range c {
			work(20 * time.Microsecond)
		}
	}()
	for {
		c <- 1
		time.Sleep(6 * time.Millisecond)
	}
}
