// Package store keeps what the shop knows: products, carts, visitors, photos, a cache, and the ledger.
package store

import (
	"fmt"
	"runtime/metrics"
	"strings"
	"sync/atomic"

	"shop/internal/trouble"
)

// Product is something to buy.
type Product struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
	Words []string
}

// Catalog holds the products, which never change.
type Catalog struct {
	products []Product
	allocs   *trouble.Trouble
	ballast  atomic.Value // *node: a large live heap, so that a collection is long enough to be felt
	bytes    int
}

// NewCatalog returns a catalog of n products. The trouble makes each search allocate so many bytes.
func NewCatalog(n int, allocs *trouble.Trouble, bytes int) *Catalog {
	c := &Catalog{allocs: allocs, bytes: bytes}
	adjectives := []string{"small", "large", "red", "green", "blue", "old", "new", "quiet", "warm", "round"}
	nouns := []string{"lamp", "chair", "table", "kettle", "clock", "shelf", "mirror", "carpet", "vase", "radio"}
	for i := 0; i < n; i++ {
		words := []string{adjectives[i%10], adjectives[i/7%10], nouns[i/10%10]}
		c.products = append(c.products, Product{
			ID: i, Name: fmt.Sprintf("%s no. %d", strings.Join(words, " "), i), Cents: 100 + i*7%9900, Words: words,
		})
	}
	c.ballast.Store((*node)(nil))
	allocs.OnSwitch(func(on bool) {
		if on {
			c.ballast.Store(chain(ballastBytes, nil))
		} else {
			c.ballast.Store((*node)(nil))
		}
	})
	allocs.Tell("runtime", func() interface{} { return assistMetrics() })
	return c
}

// Get returns the product.
func (c *Catalog) Get(id int) (Product, bool) {
	if id < 0 || id >= len(c.products) {
		return Product{}, false
	}
	return c.products[id], true
}

// Page returns some products.
func (c *Catalog) Page(from, n int) []Product {
	if from < 0 || from >= len(c.products) {
		return nil
	}
	if n > len(c.products)-from {
		n = len(c.products) - from
	}
	return c.products[from : from+n]
}

// Search returns the first n products that have the word.
func (c *Catalog) Search(word string, n int) []Product {
	if c.allocs.On() {
		c.scoreAll(word)
	}
	var found []Product
	for _, p := range c.products {
		if len(found) == n {
			break
		}
		if hasWord(p.Words, word) {
			found = append(found, p)
		}
	}
	return found
}

func hasWord(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

const ballastBytes = 48 << 20

type node struct {
	next  *node
	word  string
	score [4]uint64
}

const nodeBytes = 64 // size class of node (56 bytes)

// scoreAll is the trouble: a score object for every product and every rule, thrown away at once.
func (c *Catalog) scoreAll(word string) {
	meter := c.allocs.Meter("allocating")
	objects := c.allocs.Counter("objects")
	allocated := c.allocs.Counter("bytes")
	var kept *node
	defer meter.Timer()()
	chain(c.bytes, func(n *node) {
		n.word = word
		kept = n
	})
	_ = kept
	objects.Add(int64(c.bytes / nodeBytes))
	allocated.Add(int64(c.bytes / nodeBytes * nodeBytes))
}

// chain makes a list of so many bytes.
//
//go:noinline
func chain(bytes int, each func(*node)) *node {
	var head *node
	for i := 0; i < bytes/nodeBytes; i++ {
		head = &node{next: head}
		if each != nil {
			each(head)
		}
	}
	return head
}

// assistMetrics tells what the runtime knows of collections; the CPU classes exist since Go 1.20.
func assistMetrics() map[string]interface{} {
	samples := []metrics.Sample{
		{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	values := map[string]interface{}{}
	for _, s := range samples {
		switch s.Value.Kind() {
		case metrics.KindFloat64:
			values[s.Name] = s.Value.Float64()
		case metrics.KindUint64:
			values[s.Name] = s.Value.Uint64()
		}
	}
	return values
}
