// Grpc is a gRPC server that waits in a known way, and its own client: unary and streaming calls of the health
// service, which comes with the library. Lines on stdin: "load" makes -n calls of each kind and answers with what was
// planted; "hang" starts two calls that never return, and closes the connection of the first; "exit" or end of file ends
// the program.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

var (
	number = flag.Int("n", 20, "calls of each kind per load command")
	length = flag.Duration("length", 10*time.Millisecond, "time that a call sleeps")

	planted int64
)

type server struct {
	health.UnimplementedHealthServer
}

func (*server) Check(ctx context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	if r.Service == "hang" {
		hang(ctx)
	}
	defer meter(time.Now())
	time.Sleep(*length)
	if r.Service == "missing" {
		return nil, status.Error(codes.NotFound, "no such service")
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func (*server) Watch(r *health.HealthCheckRequest, s health.Health_WatchServer) error {
	defer meter(time.Now())
	time.Sleep(*length)
	return s.Send(&health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING})
}

func meter(begin time.Time) { atomic.AddInt64(&planted, int64(time.Since(begin))) }

func main() {
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	s := grpc.NewServer()
	health.RegisterHealthServer(s, &server{})
	go s.Serve(l)
	c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	say(map[string]interface{}{"ready": true, "pid": os.Getpid(), "grpc": grpc.Version})
	for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "exit"; {
		if in.Text() == "hang" {
			closed, conn := callHanging(l.Addr().String())
			live, _ := callHanging(l.Addr().String())
			check(conn.Close())
			say(map[string]interface{}{"closed": closed, "live": live, "local": l.Addr().String()})
			continue
		}
		load(health.NewHealthClient(c))
		say(map[string]interface{}{"calls_of_each_kind": *number, "planted_ns": atomic.LoadInt64(&planted)})
	}
}

func load(c health.HealthClient) {
	for i := 0; i < *number; i++ {
		_, err := c.Check(context.Background(), &health.HealthCheckRequest{})
		check(err)
		_, err = c.Check(context.Background(), &health.HealthCheckRequest{Service: "missing"})
		if status.Code(err) != codes.NotFound {
			check(fmt.Errorf("wanted NotFound, got %v", err))
		}
		w, err := c.Watch(context.Background(), &health.HealthCheckRequest{})
		check(err)
		_, err = w.Recv()
		check(err)
		w.Recv() // its end
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

func say(v interface{}) {
	line, _ := json.Marshal(v)
	fmt.Println(string(line))
}
