// Package load is the load generator: so many requests per second, whether the shop keeps up or not.
package load

import (
	"context"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"runtime/pprof"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shop/internal/roles"
)

// Mix is what visitors do: a fixed sequence, so that two runs are alike.
var Mix = []string{
	"/", "/products?from=20", "/search?q=lamp", "/products", "/cart?add=3",
	"/", "/products?from=40", "/checkout?add=5", "/search?q=red", "/checkout?add=7",
}

// maxInFlight bounds what piles up when the shop does not keep up; more is counted as dropped.
const maxInFlight = 1000

// Generator sends requests.
type Generator struct {
	base   string
	paths  []string
	client *http.Client

	inFlight, dropped, failed, sent atomic.Int64

	mu        sync.Mutex
	durations map[string][]time.Duration
	keep      bool
}

// New returns a generator for the shop at the URL. Paths may be empty: then it is Mix. Only with keep the durations
// of all requests are kept, for Report.
func New(base string, paths []string, keep bool) *Generator {
	if len(paths) == 0 {
		paths = Mix
	}
	return &Generator{
		base: strings.TrimSuffix(base, "/"), paths: paths, keep: keep,
		durations: map[string][]time.Duration{},
		client: &http.Client{
			Timeout: 60 * time.Second,
			Transport: &http.Transport{
				MaxIdleConns:        maxInFlight,
				MaxIdleConnsPerHost: maxInFlight,
				IdleConnTimeout:     30 * time.Second,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			},
		},
	}
}

// Run sends rate requests per second until the context ends, and waits for the answers.
func (g *Generator) Run(ctx context.Context, rate float64) {
	defer roles.Enter("load-clock", "starts the requests of the built-in load generator")()
	var wg sync.WaitGroup
	defer wg.Wait()
	next := time.Now()
	gaps := rand.New(rand.NewSource(1))
	timer := time.NewTimer(0)
	defer timer.Stop()
	labels := pprof.Labels("load", "request")
	for n := 0; ; n++ {
		// Open loop: the time of request n does not depend on the answers before it. Visitors know
		// nothing of each other, so some come at the same time (Poisson), in each run the same way.
		next = next.Add(time.Duration(gaps.ExpFloat64() / rate * float64(time.Second)))
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if g.inFlight.Load() >= maxInFlight {
			g.dropped.Add(1)
			continue
		}
		g.inFlight.Add(1)
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			defer g.inFlight.Add(-1)
			pprof.Do(context.Background(), labels, func(context.Context) { g.request(n) })
		}(n)
	}
}

func (g *Generator) request(n int) {
	path := g.paths[n%len(g.paths)]
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	start := time.Now()
	err := g.get(fmt.Sprintf("%s%s%svisitor=%d", g.base, path, separator, n%1000))
	if err != nil {
		g.failed.Add(1)
	}
	g.sent.Add(1)
	if g.keep {
		route := strings.SplitN(path, "?", 2)[0]
		g.mu.Lock()
		g.durations[route] = append(g.durations[route], time.Since(start))
		g.mu.Unlock()
	}
}

func (g *Generator) get(url string) error {
	resp, err := g.client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// Counts returns the counters.
func (g *Generator) Counts() map[string]int64 {
	return map[string]int64{
		"sent": g.sent.Load(), "failed": g.failed.Load(), "dropped": g.dropped.Load(), "in_flight": g.inFlight.Load(),
	}
}

// Report returns the counters and, by route, quantiles of the durations.
func (g *Generator) Report() map[string]interface{} {
	report := map[string]interface{}{}
	for k, v := range g.Counts() {
		report[k] = v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	routes := map[string]interface{}{}
	for route, list := range g.durations {
		sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
		routes[route] = map[string]interface{}{
			"count": len(list), "p50_seconds": quantile(list, 0.5), "p90_seconds": quantile(list, 0.9),
			"p99_seconds": quantile(list, 0.99), "max_seconds": list[len(list)-1].Seconds(),
		}
	}
	report["routes"] = routes
	return report
}

func quantile(sorted []time.Duration, q float64) float64 {
	return sorted[int(q*float64(len(sorted)-1))].Seconds()
}
