package store

import (
	"fmt"
	"os"
	"sync"
	"time"

	"shop/internal/trouble"
)

// Ledger is the file of all orders.
type Ledger struct {
	mu   sync.Mutex
	file *os.File
	size int64

	slow *trouble.Trouble
	hold time.Duration
}

const (
	ledgerBlock = 16 << 10
	ledgerLimit = 16 << 20 // then it starts again at the front: a demo must not fill the disk
)

// OpenLedger creates the file. With the trouble on, an entry is written and flushed to disk again and again for
// the time of hold, and the mutex is held all the while: what a slow disk looks like on a fast one.
func OpenLedger(path string, slow *trouble.Trouble, hold time.Duration) (*Ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &Ledger{file: file, slow: slow, hold: hold}, nil
}

// Append writes one order.
func (l *Ledger) Append(order int64, cents int) error {
	entry := fmt.Sprintf("%d %d\n", order, cents)
	asked := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.slow.On() {
		return l.write([]byte(entry))
	}
	locked := time.Now()
	l.slow.Meter("waited").Add(locked.Sub(asked))
	defer l.slow.Meter("held").Since(locked)
	block := make([]byte, ledgerBlock)
	copy(block, entry)
	for {
		if err := l.write(block); err != nil {
			return err
		}
		if err := l.flush(); err != nil {
			return err
		}
		if time.Since(locked) >= l.hold {
			return nil
		}
	}
}

// write is called with the mutex held.
func (l *Ledger) write(b []byte) error {
	if l.size+int64(len(b)) > ledgerLimit {
		l.size = 0
	}
	n, err := l.file.WriteAt(b, l.size)
	l.size += int64(n)
	return err
}

// flush is called with the mutex held, which is the trouble.
func (l *Ledger) flush() error {
	defer l.slow.Meter("fsync").Timer()()
	return l.file.Sync()
}
