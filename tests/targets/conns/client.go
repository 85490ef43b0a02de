// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"targets/truth"
)

var bodies []*http.Response

// A client that never reads the answer's body, nor closes it: both goroutines of its connection wait for that.
func setUpClients() {
	client("body", "CLOSE_WAIT")
	client("body-live", "")
}

func client(name, state string) {
	l := listen()
	answered := make(chan net.Conn)
	go func() {
		conn, err := l.Accept()
		check(err)
		conn.Read(make([]byte, 4096))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
		io.WriteString(conn, strings.Repeat("x", 20000))
		answered <- conn
	}()
	before := loops()
	r, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + l.Addr().String())
	check(err)
	bodies = append(bodies, r)
	server := <-answered
	if state == "" {
		keep(server)
	} else {
		check(server.Close())
	}
	time.Sleep(20 * time.Millisecond)
	for id := range loops() {
		if !before[id] {
			c := begin(name+"-"+strconv.Itoa(len(cases)), "HTTP client request", state)
			c.ID, c.Closed = id, time.Now().UnixNano()
			c.Local, c.Peer = server.RemoteAddr().String(), server.LocalAddr().String()
		}
	}
	runtime.KeepAlive(l)
}

// loops returns the goroutines of all client connections.
func loops() map[uint64]bool {
	ids := map[uint64]bool{}
	for _, text := range strings.Split(string(truth.Stack()), "\n\n") {
		if strings.Contains(text, "net/http.(*persistConn).readLoop(") ||
			strings.Contains(text, "net/http.(*persistConn).writeLoop(") {
			digits := strings.Fields(text)[1]
			id, err := strconv.ParseUint(digits, 10, 64)
			check(err)
			ids[id] = true
		}
	}
	return ids
}
