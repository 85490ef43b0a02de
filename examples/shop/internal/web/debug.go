package web

import (
	"encoding/json"
	"net/http"
	_ "net/http/pprof" // registers with http.DefaultServeMux
	"os"
	"runtime"
	"time"

	"shop/internal/roles"
)

func (s *Server) addDebug(mux *http.ServeMux) {
	mux.HandleFunc("/debug/truth", s.debugTruth)
	mux.HandleFunc("/debug/trouble", s.debugTrouble)
	mux.HandleFunc("/debug/stacks", s.debugStacks)
	mux.HandleFunc("/debug/gc", s.debugGC)
	mux.Handle("/debug/pprof/", http.DefaultServeMux)
}

// debugTruth tells all that the shop knows of itself, for whoever found it out from outside.
func (s *Server) debugTruth(w http.ResponseWriter, r *http.Request) {
	truth := map[string]interface{}{
		"schema":          "shop.truth",
		"pid":             os.Getpid(),
		"go":              runtime.Version(),
		"time_ns":         time.Now().UnixNano(),
		"asked_by":        roles.ID(),
		"goroutine_count": runtime.NumGoroutine(),
		"goroutines":      roles.List(),
		"troubles":        s.Troubles.All(),
		"requests":        s.requests,
	}
	for k, v := range s.Facts {
		truth[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	text := json.NewEncoder(w)
	text.SetIndent("", " ")
	if err := text.Encode(truth); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// debugTrouble lists the switches, or sets some: POST ?name=ledger,leak&on=1.
func (s *Server) debugTrouble(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		on := r.FormValue("on")
		if on != "0" && on != "1" {
			http.Error(w, "on must be 0 or 1", http.StatusBadRequest)
			return
		}
		if err := s.Troubles.Switch(r.FormValue("name"), on == "1"); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	type row struct {
		Name string `json:"name"`
		On   bool   `json:"on"`
		What string `json:"what"`
	}
	var rows []row
	for _, name := range s.Troubles.Names() {
		t := s.Troubles.All()[name]
		rows = append(rows, row{name, t.On(), t.What})
	}
	_ = writeJSON(w, rows)
}

// debugStacks is the runtime's own traceback of all goroutines, however long.
func (s *Server) debugStacks(w http.ResponseWriter, r *http.Request) {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(buf[:n])
			return
		}
	}
}

// debugGC runs a garbage collection, after which parked goroutines know since when they wait.
func (s *Server) debugGC(w http.ResponseWriter, r *http.Request) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_ = writeJSON(w, map[string]interface{}{
		"num_gc": m.NumGC, "heap_alloc_bytes": m.HeapAlloc, "sys_bytes": m.Sys,
	})
}
