package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// dataFolder returns the folder for files and what removes it again. It is in /var/tmp because /tmp is often not
// on a disk, and flushing would cost nothing there. Folders of shops that were killed are removed, too.
func dataFolder(given string) (dir string, remove func(), err error) {
	if given != "" {
		return given, func() {}, os.MkdirAll(given, 0o700)
	}
	parent := "/var/tmp"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = os.TempDir()
	}
	removeOrphans(parent)
	dir, err = os.MkdirTemp(parent, "shop-")
	if err != nil {
		return "", nil, err
	}
	lock, _ := lockFolder(dir)
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// lockFolder locks the folder for as long as the result is open.
func lockFolder(dir string) (lock *os.File, ok bool) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, false
	}
	return lock, true
}

// removeOrphans removes the folders that no running shop has locked.
func removeOrphans(parent string) {
	old, _ := filepath.Glob(filepath.Join(parent, "shop-*"))
	for _, dir := range old {
		if lock, ok := lockFolder(dir); ok {
			os.RemoveAll(dir)
			lock.Close()
		}
	}
}
