// Package payment is the payment service and the shop's connection to it, over TCP, one line per question.
package payment

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	"shop/internal/roles"
	"shop/internal/trouble"
)

// Server is the payment service.
type Server struct {
	slow  *trouble.Trouble
	delay time.Duration
}

// Serve answers on the listener; with the trouble on, it thinks for the time of delay first.
func Serve(listener net.Listener, slow *trouble.Trouble, delay time.Duration) {
	s := &Server{slow, delay}
	go s.accept(listener)
}

func (s *Server) accept(listener net.Listener) {
	defer roles.Enter("payment-accept", "waits for connections to the payment service")()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go s.answer(conn)
	}
}

func (s *Server) answer(conn net.Conn) {
	defer roles.Enter("payment-conn", "answers one connection to the payment service")()
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		s.think()
		verdict := "ok"
		if !strings.HasPrefix(lines.Text(), "authorize ") {
			verdict = "what?"
		}
		if _, err := fmt.Fprintf(conn, "%s\n", verdict); err != nil {
			return
		}
	}
}

func (s *Server) think() {
	if !s.slow.On() {
		return
	}
	defer s.slow.Meter("peer_slept").Timer()()
	time.Sleep(s.delay)
}
