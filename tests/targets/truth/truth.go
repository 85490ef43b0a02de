// Package truth lets a test program tell what is true about its own goroutines, and answers a test's
// questions while it runs.
//
// A program describes each goroutine it starts:
//
//	r := truth.Expect("mutex", "sync.Mutex.Lock", "semacquire")
//	go func() {
//		r.Here()
//		mu.Lock()
//	}()
//
// and then calls truth.Serve, which waits until the runtime itself says that each of them has reached
// (one of) its expected states, prints one JSON line
//
//	{"ready":true,"pid":1,"go":"go1.27.3","goroutines":[{"id":18,"role":"mutex",...}]}
//
// and then reads commands from stdin, one per line. Each answer is one JSON line. Where that line has a
// key ending in _bytes named like the command, that many raw bytes follow it:
//
//	stack    {"stack_bytes":N}    runtime.Stack of all goroutines
//	profile  {"profile_bytes":N}  the goroutine profile, gzip'd protobuf
//	ids      {"ids_bytes":N}      the list of goroutines of the ready line, states read anew
//	stats    {"goroutines":…}     counters of the runtime
//	gc       {"gc":N}             runtime.GC(), which also sets the waitsince of parked goroutines
//	exit     {"exit":true}
//
// (runtime.Stack shows goroutines of the runtime itself never, whatever GOTRACEBACK says; the program crash prints
// them when it dies.)
//
// An unknown command is answered {"error":"…"}; end of file ends the program with status 0.
//
// Commands are served by the goroutine that called Serve (role "command-loop"). It reads stdin with a
// blocking read(2), so between commands no goroutine of the program runs.
package truth

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Goroutine is what is known of one goroutine.
type Goroutine struct {
	ID     uint64            `json:"id"`
	Role   string            `json:"role"`
	State  string            `json:"state"`            // as in a traceback's header, without minutes
	Locked bool              `json:"locked,omitempty"` // "locked to thread"
	Parent uint64            `json:"parent,omitempty"` // 0: none, or not known
	Labels map[string]string `json:"labels,omitempty"`
	Depth  int               `json:"depth,omitempty"`    // number of logical frames, where a traceback cannot tell
	Since  int64             `json:"since_ns,omitempty"` // unix time shortly before it blocked

	states []string
	find   string
	here   bool
}

var (
	mu   sync.Mutex
	list []*Goroutine
)

// Expect announces a goroutine that will end in one of the states. Called by its parent.
func Expect(role string, states ...string) *Goroutine {
	g := &Goroutine{Role: role, states: states, Parent: ID()}
	mu.Lock()
	list = append(list, g)
	mu.Unlock()
	return g
}

// ExpectFound announces a goroutine that runs none of our code before it blocks: it is recognised by a
// text in its traceback.
func ExpectFound(role, text string, states ...string) *Goroutine {
	g := Expect(role, states...)
	g.find = text
	g.Parent = 0
	return g
}

// Orphan says that no goroutine of the program is the parent (timers, finalizers).
func (g *Goroutine) Orphan() *Goroutine {
	g.Parent = 0
	return g
}

// Either adds states that are as good.
func (g *Goroutine) Either(states ...string) *Goroutine {
	mu.Lock()
	g.states = append(g.states, states...)
	mu.Unlock()
	return g
}

// Started tells whether the goroutine has called Here.
func (g *Goroutine) Started() bool {
	mu.Lock()
	defer mu.Unlock()
	return g.here
}

// Mine says that the calling goroutine is the parent, where that is not the one that called Expect.
func (g *Goroutine) Mine() *Goroutine {
	id := ID()
	mu.Lock()
	g.Parent = id
	mu.Unlock()
	return g
}

// Labelled says which pprof labels the goroutine has.
func (g *Goroutine) Labelled(kv ...string) *Goroutine {
	g.Labels = map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		g.Labels[kv[i]] = kv[i+1]
	}
	return g
}

// Here is called by the goroutine itself, last before it blocks.
func (g *Goroutine) Here() {
	id := ID()
	mu.Lock()
	g.ID, g.here = id, true
	if now := time.Now(); now.Year() > 2000 { // testing/synctest has a time of its own
		g.Since = now.UnixNano()
	}
	mu.Unlock()
}

// ID returns the id of the calling goroutine.
func ID() uint64 {
	var buf [64]byte
	header := buf[:runtime.Stack(buf[:], false)]
	id, _, _ := parseHeader(string(header))
	return id
}

// parseHeader reads `goroutine 7 [chan receive, 2 minutes, locked to thread]:`, also with what newer
// releases add (gp=… m=…, labels, "(scan)", "(durable)", "synctest bubble 1").
func parseHeader(line string) (id uint64, state string, locked bool) {
	rest := strings.TrimPrefix(line, "goroutine ")
	digits := rest
	if i := strings.IndexByte(rest, ' '); i >= 0 {
		digits = rest[:i]
	}
	id, _ = strconv.ParseUint(digits, 10, 64)
	open := strings.IndexByte(rest, '[')
	if open < 0 {
		return id, "", false
	}
	rest = rest[open+1:]
	if end := strings.IndexByte(rest, ']'); end >= 0 {
		rest = rest[:end]
	}
	for i, part := range strings.Split(rest, ", ") {
		switch {
		case i == 0:
			state = strings.TrimSuffix(part, " (scan)")
		case part == "locked to thread":
			locked = true
		}
	}
	return id, state, locked
}

// Stack returns the traceback of all goroutines, however long it is.
func Stack() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return buf[:n]
		}
	}
}

// observe enters the states that the runtime tells and returns what is not yet as expected.
func observe() (missing []string) {
	type seen struct {
		state  string
		locked bool
		text   string
	}
	all := map[uint64]seen{}
	for _, text := range strings.Split(string(Stack()), "\n\n") {
		id, state, locked := parseHeader(text)
		all[id] = seen{state, locked, text}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, g := range list {
		if g.find != "" && g.ID == 0 {
			for id, s := range all {
				if strings.Contains(s.text, g.find) {
					g.ID, g.here = id, true
				}
			}
		}
		s, found := all[g.ID]
		if !g.here || !found {
			missing = append(missing, g.Role+": not started")
			continue
		}
		g.State, g.Locked = s.state, s.locked
		if !contains(g.states, s.state) {
			missing = append(missing, g.Role+": "+s.state)
		}
	}
	return missing
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// List returns what is known of the announced goroutines now, with states read anew.
func List() []*Goroutine {
	observe()
	mu.Lock()
	defer mu.Unlock()
	return append([]*Goroutine{}, list...)
}

// Settle waits until two looks in a row find everything as expected.
func Settle() {
	deadline := time.Now().Add(60 * time.Second)
	for good := 0; good < 2; {
		missing := observe()
		if len(missing) == 0 {
			good++
		} else {
			good = 0
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "no steady state after 60 s: %s\n", strings.Join(missing, "; "))
			os.Exit(3)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Server answers commands. Commands of a program's own go into Commands.
type Server struct {
	// Ready holds further keys of the ready line.
	Ready map[string]interface{}
	// Commands answer with the keys of the JSON line; a []byte value follows the line raw, its key
	// gets "_bytes" appended and holds the length. At most one []byte per answer.
	Commands map[string]func() map[string]interface{}
	// Exit is called before the program ends; it returns further keys for the answer to the command exit, and
	// the exit status.
	Exit func() (map[string]interface{}, int)
	// NoSettle leaves out the wait for expected states.
	NoSettle bool

	self *Goroutine
}

// Serve prints the ready line, answers commands and exits the process at their end.
func (s *Server) Serve() {
	s.self = &Goroutine{Role: "command-loop", ID: ID(), Parent: 0, State: "syscall"}
	if !s.NoSettle {
		Settle()
	}
	ready := map[string]interface{}{
		"ready": true, "pid": os.Getpid(), "go": runtime.Version(), "goroutines": s.goroutines(),
		"self": s.self.ID,
	}
	for k, v := range s.Ready {
		ready[k] = v
	}
	out := bufio.NewWriter(os.Stdout)
	answer(out, ready)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command := strings.TrimSpace(in.Text())
		if command == "" {
			continue
		}
		if command == "exit" {
			keys, status := s.exit()
			keys["exit"] = true
			answer(out, keys)
			os.Exit(status)
		}
		answer(out, s.run(command))
	}
	_, status := s.exit()
	os.Exit(status)
}

func (s *Server) exit() (map[string]interface{}, int) {
	if s.Exit != nil {
		return s.Exit()
	}
	return map[string]interface{}{}, 0
}

func (s *Server) goroutines() []*Goroutine {
	mu.Lock()
	defer mu.Unlock()
	return append([]*Goroutine{s.self}, list...)
}

func (s *Server) run(command string) map[string]interface{} {
	if f := s.Commands[command]; f != nil {
		return f()
	}
	switch command {
	case "stack":
		return map[string]interface{}{"stack": Stack()}
	case "profile":
		var buf bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&buf, 0); err != nil {
			return map[string]interface{}{"error": err.Error()}
		}
		return map[string]interface{}{"profile": buf.Bytes()}
	case "ids":
		observe()
		text, err := json.Marshal(s.goroutines())
		if err != nil {
			return map[string]interface{}{"error": err.Error()}
		}
		return map[string]interface{}{"ids": text}
	case "gc":
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return map[string]interface{}{"gc": m.NumGC}
	case "stats":
		return stats()
	}
	return map[string]interface{}{"error": "unknown command: " + command}
}

func stats() map[string]interface{} {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return map[string]interface{}{
		"goroutines": runtime.NumGoroutine(), "gomaxprocs": runtime.GOMAXPROCS(0),
		"num_gc": m.NumGC, "last_gc_ns": m.LastGC, "pause_total_ns": m.PauseTotalNs,
		"heap_alloc_bytes": m.HeapAlloc, "heap_sys_bytes": m.HeapSys, "heap_inuse_bytes": m.HeapInuse,
		"heap_idle_bytes": m.HeapIdle, "heap_released_bytes": m.HeapReleased,
		"stack_inuse_bytes": m.StackInuse, "sys_bytes": m.Sys, "next_gc_bytes": m.NextGC,
		"now_ns": time.Now().UnixNano(),
	}
}

// answer writes the JSON line, "ready" first for readers that look no further, and what follows it raw.
func answer(out *bufio.Writer, keys map[string]interface{}) {
	var raw []byte
	line := map[string]interface{}{}
	first := ""
	for k, v := range keys {
		if k == "ready" {
			first = `"ready":true,`
		} else if b, ok := v.([]byte); ok {
			raw = b
			line[k+"_bytes"] = len(b)
		} else {
			line[k] = v
		}
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	out.WriteString("{" + first)
	out.Write(text[1:])
	out.WriteByte('\n')
	out.Write(raw)
	out.Flush()
}
