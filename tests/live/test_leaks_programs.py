#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde leaks -- PROGRAM as people use it, and targets that end while they are looked at.

  test_leaks_programs.py programs    test binaries, alone and by go test -exec; exit codes; stdin, terminal, children
  test_leaks_programs.py kills [N]   N targets that are killed or run another program at any moment of a look
"""
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time

from harness import OK, Target, go_command, gosonde, run_checked, tap, target_path, tmp_dir

LEAKS, TARGET = 10, 3
GOSONDE = os.environ.get('GOSONDE', 'gosonde')

TESTS = '''package gt

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	os.Exit(code)
}

func leak() {
	ch := make(chan int)
	go func() { ch <- 1 }()
	for stacks := make([]byte, 1<<16); !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "[chan send"); {
		time.Sleep(time.Millisecond)
	}
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	leak()
}

func TestClean(t *testing.T) {
	t.Parallel()
	done := make(chan bool)
	go func() { close(done) }()
	<-done
}

func TestSub(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) { t.Parallel() })
	}
}

func TestFails(t *testing.T) {
	t.Error("as asked")
}
'''

# What a program may do with its surroundings.
PROGRAM = '''package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "stdin":
		line, _ := bufio.NewReader(os.Stdin).ReadString('\\n')
		fmt.Print("read ", line)
	case "terminal":
		var size [4]uint16
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, ptr(&size))
		fmt.Println("terminal", e == 0)
		line, _ := bufio.NewReader(os.Stdin).ReadString('\\n')
		fmt.Print("read ", line)
	case "children":
		// One that ends before, and one that goes on.
		fmt.Println(exec.Command(os.Args[0], "leaks").Run())
		c := exec.Command("sleep", "60")
		fmt.Println("child", c.Start() == nil, c.Process.Pid)
	case "leaks":
		ch := make(chan int)
		go func() { <-ch }()
		time.Sleep(50 * time.Millisecond)
		os.Exit(5)
	case "signal":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "exit":
		os.Exit(7)
	}
}
'''
POINTER = '''package main

import "unsafe"

func ptr(p *[4]uint16) uintptr { return uintptr(unsafe.Pointer(p)) }
'''


def build(name, files):
    where = tmp_dir() / name
    where.mkdir(exist_ok=True)
    (where / 'go.mod').write_text('module gt\n\ngo 1.21\n')
    for file, text in files.items():
        (where / file).write_text(text)
    return where


GO_ENV = dict(os.environ, GOFLAGS='', GOWORK='off', GOTOOLCHAIN='local')


def test_binary():
    where = build('gt', {'gt_test.go': TESTS})
    binary = where / 'gt.test'
    run_checked([go_command(), 'test', '-c', '-o', binary, '.'], cwd=where, env=GO_ENV)
    for run, code, status in (('Leaks|Clean|Sub', LEAKS, 0), ('Clean|Sub', OK, 0), ('Fails', 1, 1), ('Fails|Leaks', LEAKS, 1)):
        out = tmp_dir() / 'test.json'
        r = gosonde('leaks', '--format', 'json', '-o', out, '--', binary, '-test.run', f'Test({run})$', '-test.v', cwd=where)
        d = json.loads(out.read_text())
        names = [(f['created_by']['function'], f['count']) for f in d['findings']]
        # Certain, unless another goroutine was still running when the program ended.
        sure = all(f['confidence'] in ('certain', 'high') for f in d['findings'])
        tap.equal((r.code, d['exit_status'], names, sure), (code, status, [('gt.leak', 1)] if code == LEAKS else [], True),
                  f'a test binary, {run}', r)
        tap.ok(f'--- {"FAIL" if status else "PASS"}' in r.text, f'{run}: its output is its own', r)
    for run, word in (('Clean|Sub', 'ok'), ('Leaks', 'FAIL'), ('Fails', 'FAIL')):
        r = subprocess.run([go_command(), 'test', '-count=1', '-exec', f'{GOSONDE} leaks --', '-run', f'Test({run})$', '.'],
                           cwd=where, env=GO_ENV, capture_output=True, text=True, timeout=300)
        tap.ok(r.stdout.splitlines()[-1].startswith(word) and (r.returncode == 0) == (word == 'ok') and
               ('created by gt.leak' in r.stdout) == (run == 'Leaks'), f'go test -exec, {run}: {word}', r)


def surroundings():
    where = build('program', {'main.go': PROGRAM, 'pointer.go': POINTER})
    program = where / 'program'
    run_checked([go_command(), 'build', '-o', program, '.'], cwd=where, env=GO_ENV)
    r = subprocess.run([GOSONDE, 'leaks', '--', program, 'stdin'], input=b'a line\n', capture_output=True, timeout=60)
    tap.ok(r.returncode == OK and b'read a line' in r.stdout, 'reads standard input', r)
    for how, status in (('exit', 7), ('signal', 128 + signal.SIGKILL)):
        r = gosonde('leaks', '--', program, how)
        tap.ok(r.code == status and f'ended with exit status {status}' in r.errors, f'{how}: its exit status', r)
    r = gosonde('leaks', '--', program, 'leaks')
    tap.ok(r.code == LEAKS and 'ended with exit status 5' in r.errors, 'a leak tells more than its exit status', r)
    r = gosonde('leaks', '--', program, 'children')
    pid = re.search(r'child true (\d+)', r.text)
    tap.ok(r.code == OK and 'exit status 5' in r.text and pid, 'children: the program is looked at, not what it starts', r)
    if pid:
        tap.ok(b'sleep' in open(f'/proc/{pid[1]}/cmdline', 'rb').read(), 'and what it left running is left alone')
        os.kill(int(pid[1]), signal.SIGKILL)
    r = gosonde('leaks', '--', '/bin/sh', '-c', f'{program} leaks; true')
    tap.ok(r.code == TARGET and 'is not a Go program' in r.errors, 'a shell is no Go program, whatever it starts', r)
    terminal(program)


def terminal(program):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(GOSONDE, [GOSONDE, 'leaks', '--', str(program), 'terminal'])
    os.write(master, b'typed\n')
    text = b''
    try:
        while True:
            text += os.read(master, 4096)
    except OSError:
        pass  # nobody has the other end any more
    _, status = os.waitpid(pid, 0)
    os.close(master)
    tap.ok(os.waitstatus_to_exitcode(status) == OK and b'terminal true' in text and b'read typed' in text and
           b'no leaks found' in text, 'a program that needs a terminal has it', text)


# --- targets that end ---------------------------------------------------------------------------------

def one_kill(rng, targets, how, args):
    """Whatever happens: an answer in time, and a word about it."""
    target = Target(targets, '-what', 'all', '-ballast', '20', '-load', '1')
    delay = rng.random() * (0.9 if '--growth' not in args else 2.5)

    def end():
        time.sleep(delay)
        try:
            if how == 'exit':
                target.process.stdin.write(b'exit\n')
                target.process.stdin.flush()
            else:
                target.process.send_signal(getattr(signal, how))
        except OSError:
            pass

    t = threading.Thread(target=end)
    t.start()
    begin = time.monotonic()
    r = gosonde('leaks', target.pid, *args, timeout=60)
    took = time.monotonic() - begin
    t.join()
    target.process.kill()
    target.process.wait(30)
    gone = r.code == TARGET and re.search(r'has exited|has ended|no such process|ended|exit', r.errors)
    if r.code in (LEAKS, OK, 4) or gone:
        return r.code, None
    return r.code, f'{how} after {delay:.3f} s, {args}: {took:.1f} s: {r}'


def kills():
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    rng = random.Random(n)
    path = target_path('leaks', 'newest', 'stripped')
    codes, wrong = {}, []
    for i in range(n):
        how = ('SIGKILL', 'SIGTERM', 'exit', 'SIGQUIT')[i % 4]
        args = (['--between', '300ms'], ['--stop'], ['--between', '300ms', '--unreachable'],
                ['--growth', '--watch', '2s'])[i // 4 % 4]
        code, what = one_kill(rng, path, how, args)
        codes[code] = codes.get(code, 0) + 1
        wrong += [what] if what else []
    tap.ok(not wrong, f'{n} targets ended while they were looked at: {codes}', *wrong[:5])
    tap.ok(codes.get(TARGET, 0) >= n // 10, 'some of them before the end of the look', codes)


def exec_meanwhile():
    """The process stays, and runs another program."""
    codes, wrong = {}, []
    for i in range(4):
        with Target(target_path('exec', 'newest', 'default'), '-after', '0') as target:
            t = threading.Timer(0.05 + 0.1 * i, lambda: target.process.stdin and target.command('exec'))
            t.start()
            r = gosonde('leaks', target.pid, '--between', '300ms', timeout=60)
            t.join()
            codes[r.code] = codes.get(r.code, 0) + 1
            if r.code not in (OK, TARGET, LEAKS, 4):
                wrong.append(r)
    tap.ok(not wrong, f'exec while it is looked at: {codes}', *wrong)


if sys.argv[1] == 'programs':
    tap.run(test_binary, surroundings)
else:
    tap.run(kills, exec_meanwhile)
