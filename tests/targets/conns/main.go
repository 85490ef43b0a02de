// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// Conns is the truth for goroutines whose connection is closed: servers and clients of HTTP/1, TLS, HTTP/2, and plain
// protocols, whose peer closed, half closed or reset the connection, or that closed it themselves, while a goroutine
// waits for something else; and beside each of them the same in good order.
//
// The key "cases" of the ready line has {"name","id","role","state","local","peer","closed_ns"}: what the goroutine
// does, how the connection stands ("" : no finding), and when that began at the latest. The command cases tells again.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"targets/truth"
)

var (
	more  = flag.Int("n", 0, "so many more goroutines that hold live connections")
	pools = flag.Bool("idle", false, "instead of all that: connections that wait for their next use")
	end   = flag.Bool("end", false, "return from main instead of waiting for commands, while a server's connection is being closed")
)

// Case is one goroutine with a connection.
type Case struct {
	Name   string `json:"name"`
	ID     uint64 `json:"id"`
	Role   string `json:"role"`
	State  string `json:"state"`
	Local  string `json:"local"`
	Peer   string `json:"peer"`
	Closed int64  `json:"closed_ns"` // unix time shortly after it was closed

	here chan bool
}

var (
	mu    sync.Mutex
	cases []*Case

	never  = make(chan bool)
	locked sync.Mutex
)

func begin(name, role, state string) *Case {
	c := &Case{Name: name, Role: role, State: state, here: make(chan bool)}
	mu.Lock()
	cases = append(cases, c)
	mu.Unlock()
	return c
}

// enter is called by the goroutine itself, before it waits.
func (c *Case) enter(local, peer string) {
	c.ID, c.Local, c.Peer = truth.ID(), local, peer
	close(c.here)
}

// closed waits for the goroutine and closes its connection.
func (c *Case) closed(shut func() error) {
	<-c.here
	time.Sleep(20 * time.Millisecond) // until it waits
	check(shut())
	time.Sleep(20 * time.Millisecond) // until the other side knows
	c.Closed = time.Now().UnixNano()
}

func main() {
	flag.Parse()
	locked.Lock()
	if *pools {
		setUpIdle()
	} else {
		setUpHTTP()
		setUpRaw()
		setUpClients()
	}
	for i := 0; i < *more; i++ {
		a, b := pipe()
		go holdLive(a, b)
	}
	time.Sleep(50 * time.Millisecond)
	if *end {
		line, err := json.Marshal(map[string]interface{}{"ready": true, "cases": cases, "self": truth.ID()})
		check(err)
		fmt.Println(string(line))
		closeEarly()
		return
	}
	server := truth.Server{
		Ready: map[string]interface{}{"cases": cases},
		Commands: map[string]func() map[string]interface{}{
			"cases": func() map[string]interface{} { return map[string]interface{}{"cases": cases} },
		},
	}
	server.Serve()
}

// pipe returns both ends of a TCP connection.
func pipe() (server, client *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	s, err := l.Accept()
	check(err)
	l.Close()
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func holdLive(a, b net.Conn) {
	<-never
	a.Close()
	b.Close()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "conns:", err)
		os.Exit(1)
	}
}
