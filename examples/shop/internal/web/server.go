// Package web is the shop's HTTP side.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"shop/internal/checkout"
	"shop/internal/store"
	"shop/internal/trouble"
)

// Server has one method per page.
type Server struct {
	Catalog  *store.Catalog
	Visitors *store.Visitors
	Photos   *store.Photos
	Cache    *store.Cache
	Checkout *checkout.Service
	Troubles *trouble.Set
	Facts    map[string]interface{} // further keys of /debug/truth

	audit    *auditor
	requests map[string]*trouble.Meter // by page; filled before the first request
}

// Handler returns the shop with its pages.
func (s *Server) Handler(leak, leakTimer *trouble.Trouble) http.Handler {
	s.audit = newAuditor(leak, leakTimer)
	s.requests = map[string]*trouble.Meter{}
	mux := http.NewServeMux()
	mux.Handle("/", s.page("index", s.handleIndex))
	mux.Handle("/products", s.page("products", s.handleProducts))
	mux.Handle("/search", s.page("search", s.handleSearch))
	mux.Handle("/cart", s.page("cart", s.handleCart))
	mux.Handle("/checkout", s.page("checkout", s.handleCheckout))
	mux.HandleFunc("/healthz", s.handleHealthz)
	s.addDebug(mux)
	return mux
}

type handler func(w http.ResponseWriter, r *http.Request, visitor uint64) error

// page wraps a handler in what all pages have: labels for profiles, a visit, an audit record, a meter.
func (s *Server) page(name string, h handler) http.Handler {
	meter := &trouble.Meter{}
	s.requests[name] = meter
	labels := pprof.Labels("handler", name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer meter.Timer()()
		pprof.Do(r.Context(), labels, func(ctx context.Context) {
			s.audit.Record(name)
			if err := h(w, r.WithContext(ctx), visitorOf(r)); err != nil {
				s.fail(w, err)
			}
		})
	})
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var bad badRequest
	switch {
	case errors.Is(err, checkout.ErrEmpty):
		status = http.StatusConflict
	case errors.As(err, &bad):
		status = int(bad)
	}
	http.Error(w, err.Error(), status)
}

type badRequest int

func (b badRequest) Error() string { return http.StatusText(int(b)) }

// visitorOf returns who is asking: ?visitor=N, or one and the same for all who do not say.
func visitorOf(r *http.Request) uint64 {
	visitor, _ := strconv.ParseUint(r.FormValue("visitor"), 10, 32)
	return visitor
}

func number(r *http.Request, key string, otherwise int) int {
	if n, err := strconv.Atoi(r.FormValue(key)); err == nil {
		return n
	}
	return otherwise
}

func (s *Server) handleIndex(w http.ResponseWriter, r *http.Request, visitor uint64) error {
	if r.URL.Path != "/" {
		return badRequest(http.StatusNotFound)
	}
	visits := s.Visitors.Visit(visitor, -1)
	page := s.Cache.Load(visits)
	_, err := fmt.Fprintf(w, "Welcome to the shop. Visit %d, page %d.\n", visits, page)
	return err
}

func (s *Server) handleProducts(w http.ResponseWriter, r *http.Request, visitor uint64) error {
	s.Visitors.Visit(visitor, -1)
	from := number(r, "from", 0)
	s.Photos.Look(from)
	return writeJSON(w, s.Catalog.Page(from, 20))
}

func (s *Server) handleSearch(w http.ResponseWriter, r *http.Request, visitor uint64) error {
	s.Visitors.Visit(visitor, -1)
	return writeJSON(w, s.Catalog.Search(r.FormValue("q"), 20))
}

func (s *Server) handleCart(w http.ResponseWriter, r *http.Request, visitor uint64) error {
	if product := number(r, "add", -1); product >= 0 {
		if _, ok := s.Catalog.Get(product); !ok {
			return badRequest(http.StatusNotFound)
		}
		s.Visitors.Visit(visitor, product)
	}
	return writeJSON(w, s.Visitors.Cart(visitor))
}

// handleCheckout buys the cart; ?add=N puts something into it first.
func (s *Server) handleCheckout(w http.ResponseWriter, r *http.Request, visitor uint64) error {
	if product := number(r, "add", -1); product >= 0 {
		s.Visitors.Visit(visitor, product)
	}
	order, err := s.Checkout.Place(visitor)
	if err != nil {
		return err
	}
	return writeJSON(w, order)
}

func (s *Server) handleHealthz(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "ok")
}

func writeJSON(w http.ResponseWriter, v interface{}) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Limits of an HTTP server that faces the world.
const (
	HeaderTimeout = 10 * time.Second
	IdleTimeout   = 2 * time.Minute
)
