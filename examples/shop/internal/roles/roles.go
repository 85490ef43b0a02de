// Package roles keeps a list of the goroutines that were started with a known job, for /debug/truth.
package roles

import (
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Role is one goroutine and its job.
type Role struct {
	ID    uint64    `json:"id"`
	Role  string    `json:"role"`
	What  string    `json:"what"`
	Since time.Time `json:"since"`
}

var (
	mu  sync.Mutex
	all = map[uint64]Role{}
)

// Enter is called by a goroutine at its start; the result is to be called at its end.
//
//	defer roles.Enter("mail-worker", "sends mails")()
func Enter(role, what string) (leave func()) {
	id := ID()
	mu.Lock()
	all[id] = Role{id, role, what, time.Now()}
	mu.Unlock()
	return func() {
		mu.Lock()
		delete(all, id)
		mu.Unlock()
	}
}

// List returns the goroutines that have entered and not left, by id.
func List() []Role {
	mu.Lock()
	defer mu.Unlock()
	list := make([]Role, 0, len(all))
	for _, r := range all {
		list = append(list, r)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list
}

// ID returns the id of the calling goroutine, from the header of its traceback.
func ID() uint64 {
	var buf [64]byte
	fields := strings.Fields(string(buf[:runtime.Stack(buf[:], false)]))
	id, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		panic("no goroutine id in " + string(buf[:]))
	}
	return id
}
