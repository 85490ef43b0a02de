// Shop is a small web shop with mistakes that can be switched on: something to look at with gosonde, for demos,
// tests and the documentation. It tells the truth about itself at /debug/truth. See README.md.
//
//	shop [-addr 127.0.0.1:8080] [-trouble ledger,leak] [-load 50]
//	shop -drive http://127.0.0.1:8080 -rate 50 -duration 10s
//	shop -list
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"shop/internal/checkout"
	"shop/internal/load"
	"shop/internal/mail"
	"shop/internal/payment"
	"shop/internal/roles"
	"shop/internal/store"
	"shop/internal/trouble"
	"shop/internal/web"
)

type options struct {
	addr, troubles, data string
	load                 float64
	ledgerHold, delay    time.Duration
	allocs               int
	photos, chunk        int
	mmap                 int
	mmapLimit            int64
	untilEOF, profiles   bool

	drive, paths string
	rate         float64
	duration     time.Duration
	list         bool
}

func parseFlags() *options {
	o := &options{}
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen here; port 0 takes a free one")
	flag.StringVar(&o.troubles, "trouble", "", "switch on these troubles, comma-separated")
	flag.BoolVar(&o.list, "list", false, "list the troubles and exit")
	flag.StringVar(&o.data, "data", "", "folder for the ledger and the photos (default: a new one in /var/tmp)")
	flag.Float64Var(&o.load, "load", 0, "send so many requests per second to itself")
	flag.BoolVar(&o.untilEOF, "until-eof", false, "end when stdin does")
	flag.BoolVar(&o.profiles, "profiles", false, "record every blocking event and every contended mutex for /debug/pprof")
	flag.DurationVar(&o.ledgerHold, "ledger-hold", 40*time.Millisecond, "trouble ledger: flush to disk for so long under the lock")
	flag.DurationVar(&o.delay, "upstream-delay", 150*time.Millisecond, "trouble upstream: the payment service waits for so long")
	flag.IntVar(&o.allocs, "alloc-bytes", 8<<20, "trouble allocs: bytes per search")
	flag.IntVar(&o.photos, "photo-bytes", 32<<20, "trouble faults: size of the mapped file")
	flag.IntVar(&o.chunk, "fault-bytes", 2<<20, "trouble faults: bytes to fault in per request")
	flag.IntVar(&o.mmap, "mmap-bytes", 256<<10, "trouble mmap: bytes per request")
	flag.Int64Var(&o.mmapLimit, "mmap-limit", 1<<30, "trouble mmap: stop here")
	flag.StringVar(&o.drive, "drive", "", "do not be a shop: send requests to the one at this URL and report")
	flag.StringVar(&o.paths, "paths", "", "with -drive or -load: ask for these paths in turn, comma-separated")
	flag.Float64Var(&o.rate, "rate", 50, "with -drive: requests per second")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "with -drive: for so long")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func main() {
	o := parseFlags()
	if o.drive != "" {
		drive(o)
		return
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func drive(o *options) {
	ctx, cancel := context.WithTimeout(context.Background(), o.duration)
	defer cancel()
	generator := load.New(o.drive, splitPaths(o.paths), true)
	generator.Run(ctx, o.rate)
	text, err := json.Marshal(generator.Report())
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", text)
}

func splitPaths(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func run(o *options) error {
	defer roles.Enter("main", "waits for a signal to end")()
	if o.profiles {
		runtime.SetBlockProfileRate(1)
		runtime.SetMutexProfileFraction(1)
	}
	troubles := trouble.NewSet()
	shop := &parts{
		ledger:    troubles.New("ledger", "/checkout: a mutex is held over fsync"),
		upstream:  troubles.New("upstream", "/checkout: the payment service at the other end of a TCP connection is slow"),
		leak:      troubles.New("leak", "every page: leaves a goroutine behind that sends to a channel nobody reads"),
		leakTimer: troubles.New("leaktimer", "every page: leaves a goroutine behind in a select with a timer of an hour"),
		allocs:    troubles.New("allocs", "/search: allocates so much that it has to help the garbage collector"),
		faults:    troubles.New("faults", "/products: page faults, minor and major, on a mapped file"),
		mmap:      troubles.New("mmap", "/: maps memory outside of the Go heap and never unmaps it"),
		hotmap:    troubles.New("hotmap", "every page: a map behind an RWMutex is searched from end to end under the lock"),
	}
	if o.list {
		for _, name := range troubles.Names() {
			fmt.Printf("%-10s %s\n", name, troubles.All()[name].What)
		}
		return nil
	}
	dir, remove, err := dataFolder(o.data)
	if err != nil {
		return err
	}
	defer remove()

	server, err := shop.build(o, dir)
	if err != nil {
		return err
	}
	server.Troubles = troubles
	handler := server.Handler(shop.leak, shop.leakTimer)
	if err := troubles.Switch(o.troubles, true); err != nil {
		return err
	}
	return serve(o, server, handler)
}

// parts holds the troubles until each is with the part it belongs to.
type parts struct {
	ledger, upstream, leak, leakTimer, allocs, faults, mmap, hotmap *trouble.Trouble
}

func (p *parts) build(o *options, dir string) (*web.Server, error) {
	payments, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	payment.Serve(payments, p.upstream, o.delay)
	ledger, err := store.OpenLedger(filepath.Join(dir, "ledger"), p.ledger, o.ledgerHold)
	if err != nil {
		return nil, err
	}
	catalog := store.NewCatalog(1000, p.allocs, o.allocs)
	visitors := store.NewVisitors(p.hotmap)
	return &web.Server{
		Catalog:  catalog,
		Visitors: visitors,
		Photos:   store.NewPhotos(filepath.Join(dir, "photos"), o.photos, o.chunk, p.faults),
		Cache:    store.NewCache(o.mmap, o.mmapLimit, p.mmap),
		Checkout: &checkout.Service{
			Catalog: catalog, Visitors: visitors, Ledger: ledger,
			Payments: payment.NewClient(payments.Addr().String(), p.upstream),
			Mailer:   mail.Start(3),
		},
		Facts: map[string]interface{}{"data_dir": dir, "payment_addr": payments.Addr().String()},
	}, nil
}

func serve(o *options, server *web.Server, handler http.Handler) error {
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	server.Facts["url"] = url
	failed := make(chan error, 1)
	go func() {
		defer roles.Enter("http-accept", "waits for connections to the shop")()
		httpServer := &http.Server{
			Handler: handler, ReadHeaderTimeout: web.HeaderTimeout, IdleTimeout: web.IdleTimeout,
		}
		failed <- httpServer.Serve(listener)
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if o.load > 0 {
		generator := load.New(url, splitPaths(o.paths), false)
		server.Facts["load"] = loadFacts(generator.Counts)
		go generator.Run(ctx, o.load)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	if o.untilEOF {
		go func() {
			defer roles.Enter("stdin", "waits for the end of stdin")()
			_, _ = io.Copy(io.Discard, os.Stdin)
			end <- os.Interrupt
		}()
	}
	fmt.Printf("shop: listening on %s pid=%d\n", url, os.Getpid())
	select {
	case err := <-failed:
		return err
	case <-end:
		return nil
	}
}

type loadFacts func() map[string]int64

func (f loadFacts) MarshalJSON() ([]byte, error) { return json.Marshal(f()) }
