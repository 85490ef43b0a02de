// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

// gotrace_strict FILE... reads Go execution traces with the Go distribution's own reader and checks each event with
// the validator of its tests, and runs the summaries that `go tool trace` shows. Both are internal to the
// distribution, so this is built as a part of it: go build -overlay (tests/unit/export/gotrace_readers.py).
package main

import (
	"bufio"
	"fmt"
	"internal/trace"
	"internal/trace/testtrace"
	"io"
	"os"
	"reflect"
)

// Since Go 1.25 the validator must be told of which release a trace is; what it takes without is the newest.
func newValidator() *testtrace.Validator {
	v := testtrace.NewValidator()
	if f := reflect.ValueOf(v).Elem().FieldByName("GoVersion"); f.IsValid() {
		f.SetUint(23)
	}
	return v
}

func check(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := trace.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	v := newValidator()
	s := trace.NewSummarizer()
	n := 0
	var problems int
	for ; ; n++ {
		ev, err := r.ReadEvent()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d events: %w", n, err)
		}
		if err := v.Event(ev); err != nil && problems < 5 {
			problems++
			fmt.Fprintf(os.Stderr, "%s: event %d: %v: %v\n", name, n, err, ev)
		}
		s.Event(&ev)
	}
	s.Finalize()
	if problems > 0 {
		return fmt.Errorf("not valid")
	}
	fmt.Printf("%s: %d events\n", name, n)
	return nil
}

func main() {
	for _, name := range os.Args[1:] {
		if err := check(name); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	}
}
