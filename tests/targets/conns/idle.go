// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
)

// Connections that nobody uses at the moment, and whose server closed them.

// dbConn is what drivers of databases keep in a pool: its watcher waits for the next use to be cancelled, and for the
// connection's end, which is only noticed when it is used.
type dbConn struct {
	net      net.Conn
	finished chan bool
	closed   chan bool
	next     *dbConn
}

// pool is known to all, its connections only to it.
type pool struct {
	free *dbConn
	name map[string]*dbConn
}

var theDatabase = &pool{name: map[string]*dbConn{}}

//go:noinline
func (d *dbConn) watch(c *Case) {
	c.enter(d.net.LocalAddr().String(), d.net.RemoteAddr().String())
	select {
	case <-d.finished:
	case <-d.closed:
	}
	d.net.Close()
}

func newWatched(name, state string) (*dbConn, *Case, *net.TCPConn) {
	s, client := pipe()
	d := &dbConn{net: client, finished: make(chan bool), closed: make(chan bool)}
	c := begin(name, plainRole, state)
	go d.watch(c)
	return d, c, s
}

//go:noinline
func setUpPool() {
	d, c, s := newWatched("pool", "")
	theDatabase.free = d
	c.closed(s.Close)

	d, c, s = newWatched("pool of a map", "")
	theDatabase.name["x"] = d
	c.closed(s.Close)

	d, c, s = newWatched("pool-live", "")
	theDatabase.free.next = d
	keep(s)
	<-c.here

	// The pool has lost it.
	_, c, s = newWatched("pool-lost", "CLOSE_WAIT")
	c.closed(s.Close)
}

// socket is one of a chat: one goroutine reads, one writes what the others say.
type socket struct {
	conn net.Conn
	send chan string
}

var chat = map[*socket]bool{}

//go:noinline
func (s *socket) write(c *Case) {
	c.enter(s.conn.LocalAddr().String(), s.conn.RemoteAddr().String())
	for text := range s.send {
		io.WriteString(s.conn, text)
	}
	s.conn.Close()
}

// The handler ends when it has hijacked the connection.
func setUpHijacked() {
	all := make(chan *socket)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		check(err)
		all <- &socket{conn, make(chan string)}
	}))
	for name, state := range map[string]string{"hijacked": "", "hijacked, both gone": "",
		"hijacked, the writer stays": "CLOSE_WAIT"} {
		name := name
		client, err := net.Dial("tcp", server.Listener.Addr().String())
		check(err)
		_, err = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		check(err)
		s := <-all
		c := begin(name, plainRole, state)
		go s.write(c)
		reader := begin(name+", reader", plainRole, "")
		go func() {
			reader.enter(s.conn.LocalAddr().String(), s.conn.RemoteAddr().String())
			bufio.NewReader(s.conn).ReadString('\n')
			if name == "hijacked, both gone" {
				close(s.send)
			}
		}()
		<-reader.here
		if name == "hijacked" {
			chat[s] = true
			keep(client)
			<-c.here
			continue
		}
		c.closed(client.Close)
	}
}

// Connections of clients that are kept for the next request, when the server ends.
func setUpIdleClients() {
	for _, two := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
		}))
		server.EnableHTTP2 = two
		server.StartTLS()
		client := server.Client()
		for i := 0; i < 3; i++ {
			r, err := client.Get(server.URL)
			check(err)
			_, err = io.Copy(io.Discard, r.Body)
			check(err)
			check(r.Body.Close())
		}
		idleClients = append(idleClients, client)
		server.CloseClientConnections()
		go server.Close()
	}
	time.Sleep(50 * time.Millisecond)
}

var idleClients []*http.Client

func setUpIdle() {
	setUpPool()
	setUpHijacked()
	setUpIdleClients()
}
