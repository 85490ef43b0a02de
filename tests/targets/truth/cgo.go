//go:build cgo

package truth

// With cgo, every target has its start-up code, also one that uses no package with C in it: Go 1.19 does
// not add it by itself when asked for external linking, and such programs die at start.
import _ "runtime/cgo"
