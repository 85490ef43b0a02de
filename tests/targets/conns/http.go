// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"targets/truth"
)

// Handlers of these paths never return.
var handlers = map[string]*Case{}

func handle(w http.ResponseWriter, r *http.Request) {
	c := handlers[r.URL.Path]
	if c == nil {
		fmt.Fprintln(w, "at once")
		return
	}
	c.enter(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), r.RemoteAddr)
	<-never
}

func setUpHTTP() {
	plain, secure, second := listen(), listen(), listen()
	plainAddress = plain.Addr().String()
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	one := &http.Server{Handler: http.HandlerFunc(handle), TLSConfig: config,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	two := &http.Server{Handler: http.HandlerFunc(handle), TLSConfig: config.Clone()}
	go one.Serve(plain)
	go one.ServeTLS(secure, "", "")
	go two.ServeTLS(second, "", "")

	one1 := http1("http1", "CLOSE_WAIT", plain, false)
	one1.closed(lastConn.Close)
	c := http1("http1-tls", "CLOSE_WAIT", secure, true)
	c.closed(lastConn.Close)
	c = http1("http1-reset", "CLOSE", plain, false)
	c.closed(reset)
	http1("http1-live", "", plain, false)
	http1("http1-tls-live", "", secure, true)
	idle(plain)

	conn := http2("http2", "closed", second)
	handlers["/http2"].closed(conn.Close)
	http2("http2-live", "", second)
}

// The connection that http1 made last.
var lastConn, lastTCP net.Conn

func http1(name, state string, l net.Listener, secure bool) *Case {
	c := begin(name, "HTTP server request", state)
	handlers["/"+name] = c
	conn, err := net.Dial("tcp", l.Addr().String())
	check(err)
	lastConn, lastTCP = conn, conn
	if secure {
		lastConn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	_, err = fmt.Fprintf(lastConn, "GET /%s HTTP/1.1\r\nHost: test\r\n\r\n", name)
	check(err)
	<-c.here
	if state == "" {
		keep(lastConn)
	}
	return c
}

func reset() error {
	if err := lastTCP.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return lastTCP.Close()
}

// A request whose body nobody reads: the server closes its half, and waits a moment (net/http's closeWriteAndWait).
// Returns in that moment; it is no finding.
func closeEarly() {
	conn, err := net.Dial("tcp", plainAddress)
	check(err)
	_, err = fmt.Fprintf(conn, "POST /idle HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n")
	check(err)
	_, err = io.WriteString(conn, strings.Repeat("x", 1000000))
	check(err)
	for !strings.Contains(string(truth.Stack()), ".closeWriteAndWait(") {
		time.Sleep(time.Millisecond)
	}
	conn.Close()
	time.Sleep(20 * time.Millisecond)
}

var plainAddress string

// A client that keeps its connection for later.
func idle(l net.Listener) {
	client := &http.Client{Transport: &http.Transport{}}
	r, err := client.Get("http://" + l.Addr().String() + "/idle")
	check(err)
	_, err = io.Copy(io.Discard, r.Body)
	check(err)
	r.Body.Close()
}

func http2(name, state string, l net.Listener) net.Conn {
	var made net.Conn
	c := begin(name, "HTTP/2 server request", state)
	handlers["/"+name] = c
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		Dial: func(network, address string) (conn net.Conn, err error) {
			made, err = net.Dial(network, address)
			return made, err
		}}}
	go client.Get("https://" + l.Addr().String() + "/" + name)
	<-c.here
	return made
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return l
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
