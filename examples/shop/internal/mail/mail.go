// Package mail pretends to send mails.
package mail

import (
	"context"
	"runtime/pprof"
	"strconv"
	"sync/atomic"

	"shop/internal/roles"
)

// Mailer has workers that wait for mails.
type Mailer struct {
	queue chan Mail
	sent  atomic.Int64
}

// Mail is one mail.
type Mail struct {
	Order int64
	Cents int
}

// Start returns a mailer with n workers.
func Start(n int) *Mailer {
	m := &Mailer{queue: make(chan Mail, 100)}
	for i := 0; i < n; i++ {
		labels := pprof.Labels("worker", "mail", "number", strconv.Itoa(i))
		go pprof.Do(context.Background(), labels, m.work)
	}
	return m
}

func (m *Mailer) work(context.Context) {
	defer roles.Enter("mail-worker", "waits for mails to send (labels worker=mail, number=0…)")()
	for mail := range m.queue {
		m.send(mail)
	}
}

func (m *Mailer) send(Mail) { m.sent.Add(1) }

// Send queues a mail; where the queue is full, the mail is lost.
func (m *Mailer) Send(mail Mail) {
	select {
	case m.queue <- mail:
	default:
	}
}
