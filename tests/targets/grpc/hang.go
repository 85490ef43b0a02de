// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

package main

import (
	"context"
	"net"
	"runtime"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// A call that never returns, whatever becomes of its client.
type hanging struct {
	ID   uint64 `json:"id"`
	Peer string `json:"peer"`
}

var (
	hangs = make(chan hanging)
	never = make(chan bool)
)

func hang(ctx context.Context) {
	h := hanging{ID: goid()}
	if p, ok := peer.FromContext(ctx); ok {
		h.Peer = p.Addr.String()
	}
	hangs <- h
	<-never
}

func goid() uint64 {
	var buf [64]byte
	id, err := strconv.ParseUint(strings.Fields(string(buf[:runtime.Stack(buf[:], false)]))[1], 10, 64)
	check(err)
	return id
}

// callHanging starts such a call over a connection of its own, and returns once it hangs.
func callHanging(address string) (hanging, net.Conn) {
	var conn net.Conn
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (made net.Conn, err error) {
			made, err = new(net.Dialer).DialContext(ctx, "tcp", address)
			if conn == nil {
				conn = made
			}
			return made, err
		}))
	check(err)
	go health.NewHealthClient(c).Check(context.Background(), &health.HealthCheckRequest{Service: "hang"})
	return <-hangs, conn
}
