package main

import (
	"context"
	"runtime/pprof"

	"targets/truth"
)

// startLabels gives goroutines pprof labels, one, several and inherited ones, and odd values.
func startLabels() {
	r := truth.Expect("labels-one", "chan receive").Labelled("handler", "checkout")
	go pprof.Do(context.Background(), pprof.Labels("handler", "checkout"), func(context.Context) {
		block(r)
	})

	kv := []string{"a", "1", "b", "two", "long", "a longer value with spaces, \"quotes\" and = signs", "empty", "", "ключ", "значение"}
	r1 := truth.Expect("labels-many", "chan receive").Labelled(kv...)
	r2 := truth.Expect("labels-inherited", "chan receive").Labelled(kv...)
	go pprof.Do(context.Background(), pprof.Labels(kv...), func(context.Context) {
		go block(r2.Mine())
		block(r1)
	})

	r3 := truth.Expect("labels-nested", "chan receive").Labelled("outer", "1", "inner", "2")
	go pprof.Do(context.Background(), pprof.Labels("outer", "1", "inner", "0"), func(ctx context.Context) {
		pprof.Do(ctx, pprof.Labels("inner", "2"), func(context.Context) { block(r3) })
	})

	r4 := truth.Expect("labels-removed", "chan receive")
	go func() {
		pprof.Do(context.Background(), pprof.Labels("gone", "1"), func(context.Context) {})
		block(r4)
	}()

	r5 := truth.Expect("labels-set", "select").Labelled("set", "yes")
	go func() {
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("set", "yes")))
		r5.Here()
		select {
		case <-quiet:
		case <-other:
		}
	}()
}
