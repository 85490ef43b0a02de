package store

import (
	"os"
	"sync"
	"syscall"

	"shop/internal/trouble"
)

// Cache keeps rendered pages outside of the Go heap.
type Cache struct {
	grow  *trouble.Trouble
	bytes int
	limit int64

	mu    sync.Mutex
	pages [][]byte
}

// NewCache: with the trouble on, each load maps so many bytes of anonymous memory, fills them and never gives
// them back, up to the limit.
func NewCache(bytes int, limit int64, grow *trouble.Trouble) *Cache {
	return &Cache{grow: grow, bytes: bytes, limit: limit}
}

// Load returns something that depends on the cache.
func (c *Cache) Load(key int) int {
	if !c.grow.On() {
		return key
	}
	return c.load(key)
}

//go:noinline
func (c *Cache) load(key int) int {
	mapped := c.grow.Counter("mapped_bytes")
	if mapped.Value()+int64(c.bytes) > c.limit {
		c.grow.Counter("refused_at_limit").Add(1)
		return key
	}
	page, err := syscall.Mmap(-1, 0, c.bytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		c.grow.Counter("failed").Add(1)
		return key
	}
	for i := 0; i < len(page); i += os.Getpagesize() {
		page[i] = byte(key)
	}
	mapped.Add(int64(c.bytes))
	c.grow.Counter("mappings").Add(1)
	c.mu.Lock()
	c.pages = append(c.pages, page)
	c.mu.Unlock()
	return int(page[0])
}
