package payment

import (
	"bufio"
	"fmt"
	"net"
	"strings"

	"shop/internal/trouble"
)

// Client asks the payment service. Connections are kept for the next question.
type Client struct {
	addr string
	slow *trouble.Trouble
	idle chan *connection
}

type connection struct {
	net.Conn
	lines *bufio.Reader
}

// NewClient returns a client that has no connection yet.
func NewClient(addr string, slow *trouble.Trouble) *Client {
	return &Client{addr: addr, slow: slow, idle: make(chan *connection, 16)}
}

// Addr returns where the service is.
func (c *Client) Addr() string { return c.addr }

// Authorize asks whether the order can be paid.
func (c *Client) Authorize(order int64, cents int) error {
	conn, err := c.connect()
	if err != nil {
		return err
	}
	answer, err := conn.ask(fmt.Sprintf("authorize %d %d\n", order, cents), c.slow)
	if err != nil {
		conn.Close()
		return fmt.Errorf("payment service %s: %w", c.addr, err)
	}
	select {
	case c.idle <- conn:
	default:
		conn.Close()
	}
	if answer != "ok" {
		return fmt.Errorf("payment of order %d refused: %s", order, answer)
	}
	return nil
}

func (c *Client) connect() (*connection, error) {
	select {
	case conn := <-c.idle:
		return conn, nil
	default:
	}
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (c *connection) ask(question string, slow *trouble.Trouble) (string, error) {
	if slow.On() {
		defer slow.Meter("waited").Timer()()
	}
	if _, err := c.Write([]byte(question)); err != nil {
		return "", err
	}
	line, err := c.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}
