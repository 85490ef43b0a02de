#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Core files: of the kernel, of gcore, of arm64; and damaged ones."""
import re
import struct

import cores
from harness import (FAILED, OK, TARGET, CorePattern, Target, gosonde, parse_traceback, tap, target_path, tmp_dir,
                     unlimited_cores)


def kernel_default():
    cores.check_kernel('host', 'default')


def kernel_stripped_pie():
    cores.check_kernel('newest', 'stripped+pie')


def kernel_oldest():
    cores.check_kernel('1.19', 'stripped')


def gcore():
    cores.check_gcore('host', 'stripped')


def arm64_default():
    cores.check_arm64('newest', 'default')


def arm64_stripped():
    cores.check_arm64('host', 'stripped')


def crashes():
    """A program that dies by itself tells its own traceback, the goroutine that crashed included."""
    for release, variant in (('host', 'default'), ('1.19', 'stripped'), ('newest', 'stripped')):
        for how in ('segv', 'crash'):
            check_crash(f'{how}, go {release} {variant}', target_path('crash', release, variant), how)


def check_crash(name, path, how):
    where = cores.fresh_dir(name.replace(',', ''))
    with CorePattern():
        target = Target(path, cwd=where, preexec=unlimited_cores)
        target.process.stdin.write(how.encode() + b'\n')
        target.process.wait(60)
    core = cores.only_core(where, 'core*')
    want = parse_traceback(target.errors(), repeated=True)
    r = gosonde('dump', core, '--system', '--all-frames')
    got = parse_traceback(r.text)
    tap.ok(r.code == OK and set(want) <= set(got), f'{name}: every goroutine of the crash is there', r)
    crashed = next(iter(want))
    bad = [f'goroutine {i}: {got[i].same_frames(w)}' for i, w in want.items()
           if i != crashed and i in got and w.frames and w.reason != 'running' and got[i].same_frames(w)]
    tap.ok(not bad and len(want) >= 12, f'{name}: {len(want) - 1} other goroutines are equal', *bad)
    # The runtime's traceback begins at the panic; in the core the goroutine has gone on to abort.
    mine, theirs = ([f.key()[0:4:2] + (f.line,) for f in t[crashed].frames] for t in (got, want))
    tap.ok(want[crashed].reason == 'running' and len(theirs) >= 4 and mine[-len(theirs) + 1:] == theirs[1:],
           f'{name}: the goroutine that crashed', mine, theirs)
    core.unlink()


def killed_from_outside():
    """SIGABRT by default action: no code of the runtime runs, the killer is seen at or after its system call."""
    where = cores.fresh_dir('abort')
    truth = where / 'truth'
    with CorePattern():
        target = Target(target_path('crash'), '-truth', truth, cwd=where, preexec=unlimited_cores)
        target.process.stdin.write(b'abort\n')
        target.process.wait(60)
    want = parse_traceback(truth.read_text())
    r = gosonde('dump', cores.only_core(where, 'core*'))
    got = parse_traceback(r.text)
    cores.exact.compare_all('abort', got, want, target.roles(), target.ready['self'])
    functions = [f.function for f in got[target.ready['self']].frames]
    # The signal may find another thread first; then the killer has gone on to its select {}.
    tap.ok('main.main.func3' in functions and ('syscall.Kill' in functions or functions[0] == 'main.main.func3'),
           'abort: who did it', functions)


def damaged():
    """Cut short and spoiled cores: what is there is shown or a clear error is given; never a crash."""
    core, target, want = cores.kernel_core(target_path('states'), 'damaged core')
    data = core.read_bytes()
    bad, partial = [], 0
    places = [len(data) * i // 16 for i in range(1, 16)] + [0, 3, 16, 63, 64, 100, 4095, 4096, len(data) - 1]
    cut = tmp_dir() / 'cut.core'
    for size in places:
        cut.write_bytes(data[:size])
        r = gosonde('dump', cut, timeout=60)
        if r.code not in (OK, FAILED, TARGET, 4) or r.code != OK and not r.errors.startswith('gosonde '):
            bad.append(f'the first {size} of {len(data)} bytes: {r}')
        partial += r.code == 4 and len(parse_traceback(r.text)) > 0
        if 4096 <= size < len(data) and 'cut off' not in r.errors:
            bad.append(f'the first {size} of {len(data)} bytes: no word about the missing ones: {r}')
    tap.ok(not bad, f'{len(places)} truncated cores', *bad)
    tap.note(f'{partial} of them still gave goroutines, marked incomplete')
    bad = []
    spoiled = bytearray(data)
    for offset in (16, 18, 20, 32, 40, 52, 54, 56, 58):
        for value in (0, 0xff):
            spoiled[:64] = data[:64]
            spoiled[offset] = value
            spoiled[offset + 1] = value
            cut.write_bytes(spoiled)
            r = gosonde('dump', cut, timeout=60)
            if r.code not in (OK, FAILED, TARGET, 4):
                bad.append(f'header byte {offset} = {value}: {r}')
    tap.ok(not bad, 'spoiled headers', *bad)
    core.unlink()


def wrong_executable():
    core, target, want = cores.kernel_core(target_path('states', 'host', 'stripped'), 'wrong exe')
    r = gosonde('dump', core, '--exe', '/bin/true')
    tap.ok(r.code in (FAILED, TARGET) and '/bin/true' in r.errors, 'a wrong --exe is refused', r)
    r = gosonde('dump', core, '--exe', target_path('states', '1.19', 'stripped'))
    tap.ok(r.code in (FAILED, TARGET) and not r.out.strip(), 'the same program built otherwise is refused', r)
    core.unlink()


def not_a_core():
    text = tmp_dir() / 'text'
    text.write_text('hello\n')
    r = gosonde('dump', text)
    tap.ok(r.code in (FAILED, TARGET) and re.search('core|ELF', r.errors), 'a text file is no core', r)
    r = gosonde('dump', target_path('states'))
    tap.ok(r.code in (FAILED, TARGET) and 'core' in r.errors, 'a program is no core', r)
    r = gosonde('dump', tmp_dir())
    tap.ok(r.code in (FAILED, TARGET) and 'not a regular file' in r.errors, 'a folder is no core', r)


tap.run(kernel_default, kernel_stripped_pie, kernel_oldest, gcore, arm64_default, arm64_stripped, crashes,
        killed_from_outside, damaged, wrong_executable, not_a_core)
