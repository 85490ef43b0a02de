// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
	"unsafe"
)

const plainRole = "connection"

// session is what servers make of a connection.
type session struct {
	number int
	name   string
	conn   net.Conn
}

// counting is a connection around a connection.
type counting struct {
	read int64
	net.Conn
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += int64(n)
	return n, err
}

//go:noinline
func (s *session) serve(c *Case) {
	c.enter(s.conn.LocalAddr().String(), s.conn.RemoteAddr().String())
	time.Sleep(time.Hour)
	io.WriteString(s.conn, s.name)
}

//go:noinline
func serveChannel(c *Case, conn net.Conn) {
	c.enter(conn.LocalAddr().String(), conn.RemoteAddr().String())
	<-never
	io.WriteString(conn, "late")
}

//go:noinline
func serveMutex(c *Case, conn net.Conn) {
	defer conn.Close()
	c.enter(conn.LocalAddr().String(), conn.RemoteAddr().String())
	locked.Lock()
	io.WriteString(conn, "late")
}

//go:noinline
func serveRead(c *Case, conn net.Conn) {
	var b [1]byte

	c.enter(conn.LocalAddr().String(), conn.RemoteAddr().String())
	conn.Read(b[:])
	io.WriteString(conn, "late")
}

// One half of a proxy.
//
//go:noinline
func copyTo(c *Case, to, from net.Conn) {
	c.enter(to.LocalAddr().String(), to.RemoteAddr().String())
	io.Copy(to, onlyReader{from})
	to.Close()
}

type onlyReader struct{ io.Reader }

func setUpRaw() {
	s, client := pipe()
	c := begin("raw", plainRole, "CLOSE_WAIT")
	go serveChannel(c, s)
	c.closed(client.Close)

	s, client = pipe()
	c = begin("raw-mutex", plainRole, "CLOSE_WAIT")
	go serveMutex(c, s)
	c.closed(client.Close)

	s, client = pipe()
	c = begin("session", plainRole, "CLOSE_WAIT")
	go (&session{conn: s}).serve(c)
	c.closed(client.Close)

	s, client = pipe()
	c = begin("wrapped", plainRole, "CLOSE_WAIT")
	go serveChannel(c, &counting{Conn: s})
	c.closed(client.Close)

	s, client = pipe()
	c = begin("tls", plainRole, "CLOSE_WAIT")
	go serveChannel(c, tls.Server(s, &tls.Config{Certificates: []tls.Certificate{certificate()}}))
	c.closed(client.Close)

	s, client = pipe()
	c = begin("reset", plainRole, "CLOSE")
	client.SetLinger(0)
	go serveMutex(c, s)
	c.closed(client.Close)

	s, client = pipe()
	keep(client)
	c = begin("self", plainRole, "closed")
	go serveChannel(c, s)
	c.closed(s.Close)

	setUpOdd()
	setUpUnix()
	setUpProxy()

	for name, serve := range map[string]func(*Case, net.Conn){
		"raw-live": serveChannel, "raw-reading": serveRead, "raw-mutex-live": serveMutex} {
		s, client = pipe()
		keep(client)
		c = begin(name, plainRole, "")
		go serve(c, s)
		<-c.here
	}
	s, client = pipe()
	keep(client)
	c = begin("session-live", plainRole, "")
	go (&session{conn: s}).serve(c)
	<-c.here
}

// Wrappers of wrappers, up to those that never end; and a connection whose addresses lead nowhere.
func setUpOdd() {
	s, client := pipe()
	c := begin("wrapped-twice", plainRole, "CLOSE_WAIT")
	go serveChannel(c, &counting{Conn: &counting{Conn: tls.Server(s, &tls.Config{})}})
	c.closed(client.Close)

	s, client = pipe()
	keep(client)
	c = begin("cycle", plainRole, "")
	circle := &counting{Conn: &counting{Conn: s}}
	go serveChannel(c, circle)
	<-c.here
	circle.Conn.(*counting).Conn = circle
	check(s.Close())

	s, client = pipe()
	keep(client)
	c = begin("addresses", plainRole, "closed")
	go serveChannel(c, s)
	c.closed(s.Close)
	fd := *(*unsafe.Pointer)(unsafe.Pointer(s))
	for _, at := range []uintptr{104, 120} { // data of netFD.laddr and raddr
		*(*uintptr)(unsafe.Pointer(uintptr(fd) + at)) = 1<<46 | 8
	}
	c.Local, c.Peer = "", ""
}

func setUpUnix() {
	folder, err := os.MkdirTemp("", "conns")
	check(err)
	path := filepath.Join(folder, "socket")
	l, err := net.Listen("unix", path)
	check(err)
	for _, state := range []string{"CLOSE", ""} {
		client, err := net.Dial("unix", path)
		check(err)
		s, err := l.Accept()
		check(err)
		if state == "" {
			keep(client)
			c := begin("unix-live", plainRole, state)
			go serveChannel(c, s)
			<-c.here
			continue
		}
		c := begin("unix", plainRole, state)
		go serveChannel(c, s)
		c.closed(client.Close)
	}
	os.RemoveAll(folder)
}

// Bytes flow from upstream, which is silent, to a client that has ended sending, and to one that is gone.
func setUpProxy() {
	to, client := pipe()
	from, upstream := pipe()
	keep(upstream)
	keep(client)
	c := begin("proxy-half", plainRole, "")
	go copyTo(c, to, from)
	c.closed(client.CloseWrite)

	to, client = pipe()
	from, upstream = pipe()
	keep(upstream)
	client.SetLinger(0)
	c = begin("proxy-reset", plainRole, "CLOSE")
	go copyTo(c, to, from)
	c.closed(client.Close)
}

var kept []net.Conn

func keep(c net.Conn) { kept = append(kept, c) }
