//go:build !goexperiment.arenas

package main

// User arenas are there with GOEXPERIMENT=arenas only (1.20 and later).
func arenas() {}
