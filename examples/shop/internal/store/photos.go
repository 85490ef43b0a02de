package store

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"shop/internal/trouble"
)

// Photos is a file of product photos, mapped.
type Photos struct {
	faults *trouble.Trouble
	path   string
	size   int
	chunk  int

	mu   sync.Mutex
	file *os.File
	data []byte
	next int
}

// NewPhotos: with the trouble on, each look at a photo throws a part of the mapping out of memory and reads it
// again, page by page: half of it from the page cache (minor faults), half from disk (major faults).
func NewPhotos(path string, size, chunk int, faults *trouble.Trouble) *Photos {
	p := &Photos{faults: faults, path: path, size: size, chunk: chunk}
	faults.OnSwitch(func(on bool) {
		if on {
			if err := p.open(); err != nil {
				fmt.Fprintln(os.Stderr, "shop: photos:", err)
			}
		}
	})
	return p
}

// open makes the file and the mapping, at the first use: an idle shop needs neither.
func (p *Photos) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.data != nil {
		return nil
	}
	file, err := os.OpenFile(p.path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i)
	}
	for n := 0; n < p.size; n += len(block) {
		if _, err := file.Write(block); err != nil {
			file.Close()
			return err
		}
	}
	// Only clean pages can be dropped from the page cache.
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, p.size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		file.Close()
		return err
	}
	// No read-ahead: one fault per page.
	if err := syscall.Madvise(data, syscall.MADV_RANDOM); err != nil {
		file.Close()
		return err
	}
	p.file, p.data = file, data
	p.faults.Counter("mapped_bytes").Add(int64(p.size))
	return nil
}

// Look returns something that depends on the photo.
func (p *Photos) Look(product int) int {
	if !p.faults.On() {
		return product
	}
	p.mu.Lock()
	data, file, at := p.data, p.file, p.next
	if data == nil {
		p.mu.Unlock()
		return product
	}
	p.next = (p.next + p.chunk) % (p.size - p.chunk + 1)
	p.next -= p.next % os.Getpagesize()
	p.mu.Unlock()

	part := data[at : at+p.chunk]
	evict(file, part, at)
	return p.storm(part)
}

// evict unmaps the part's pages, and drops its second half from the page cache as well.
func evict(file *os.File, part []byte, at int) {
	const fadvDontneed = 4
	half := len(part) / 2
	_ = syscall.Madvise(part, syscall.MADV_DONTNEED)
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), uintptr(at+half), uintptr(len(part)-half),
		fadvDontneed, 0, 0)
}

// storm reads each page and counts the faults of just this. The thread is locked for the count.
//
//go:noinline
func (p *Photos) storm(part []byte) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadUsage()
	stop := p.faults.Meter("touching").Timer()
	sum := touch(part)
	stop()
	after := threadUsage()
	p.faults.Counter("minor_faults").Add(after.Minflt - before.Minflt)
	p.faults.Counter("major_faults").Add(after.Majflt - before.Majflt)
	p.faults.Counter("touched_pages").Add(int64(len(part) / os.Getpagesize()))
	return sum
}

//go:noinline
func touch(part []byte) (sum int) {
	for i := 0; i < len(part); i += os.Getpagesize() {
		sum += int(part[i])
	}
	return sum
}

func threadUsage() (usage syscall.Rusage) {
	const rusageThread = 1
	_, _, _ = syscall.RawSyscall(syscall.SYS_GETRUSAGE, rusageThread, uintptr(unsafe.Pointer(&usage)), 0)
	return usage
}
