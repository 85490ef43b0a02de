# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Core files of the states program, from three writers: the kernel, gdb's gcore, and QEMU for arm64.

Before it dies the program says its own traceback; nothing in it runs between that and the core but the
goroutine that answered, so the dump of the core must equal it.
"""
import os
import pathlib
import shutil
import signal

import exact
from harness import (OK, CorePattern, Skip, Target, gosonde, have, parse_traceback, run_checked, tap, target_path,
                     tmp_dir, unlimited_cores)


def fresh_dir(name):
    where = tmp_dir() / name.replace(' ', '-').replace('/', '-')
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    return where


def only_core(where, pattern):
    found = [p for p in where.glob(pattern) if p.is_file()]
    if len(found) != 1:
        raise AssertionError(f'expected one core {pattern} in {where}, found {[p.name for p in where.iterdir()]}')
    return found[0]


def compare(name, core, target, want, exe=None):
    options = ('--exe', exe) if exe else ()
    r = gosonde('dump', core, *options, timeout=120)
    tap.ok(r.code in (OK, 4), f'{name}: exit code', r)
    got = parse_traceback(r.text)
    exact.compare_all(name, got, want, target.roles(), target.ready['self'])
    return r


def kernel_core(path, name, variant_env=None):
    """Let the kernel write a core; returns (core, target, truth)."""
    where = fresh_dir(name)
    with CorePattern():
        target = Target(path, cwd=where, env={'GOTRACEBACK': 'crash'}, preexec=unlimited_cores)
        want = target.stack()
        target.end_by(signal.SIGABRT)
    if target.process.returncode != -signal.SIGABRT:
        raise AssertionError(f'the program did not die of SIGABRT: {target.process.returncode}')
    return only_core(where, 'core*'), target, want


def check_kernel(release, variant):
    name = f'kernel core go {release} {variant}'
    core, target, want = kernel_core(target_path('states', release, variant), name)
    compare(name, core, target, want)
    # Elsewhere, without the program at its path: its text is not in the core, so it has to be named.
    moved = core.parent / 'states'
    shutil.copy(target.exe, moved)
    compare(f'{name}, --exe', core, target, want, exe=moved)
    r = gosonde('top', core, '--batch', timeout=120)
    tap.ok(r.code in (OK, 4) and r.text.count('Goroutines') == 1, f'{name}: top prints one picture', r)
    core.unlink()


def check_gcore(release, variant):
    if not have('gcore'):
        raise Skip('no gcore (package gdb)')
    name = f'gcore go {release} {variant}'
    where = fresh_dir(name)
    with Target(target_path('states', release, variant)) as target:
        want = target.stack()
        run_checked(['gcore', '-o', where / 'core', target.pid], timeout=120)
        compare(name, only_core(where, 'core*'), target, want)
    shutil.rmtree(where)


def check_arm64(release, variant):
    if not have('qemu-aarch64-static'):
        raise Skip('no qemu-aarch64-static (package qemu-user-static)')
    full = 'arm64' if variant == 'default' else f'arm64+{variant}'
    name = f'arm64 core go {release} {variant}'
    where = fresh_dir(name)
    path = target_path('states', release, full)
    # A file system root to find ld.so in; Go's own PIE programs name one and never use it.
    prefix = ['qemu-aarch64-static']
    if 'pie' in variant:
        prefix += ['-L', arm64_root()]
    with CorePattern():
        target = Target(path, cwd=where, env={'GOTRACEBACK': 'crash'}, prefix=prefix, preexec=unlimited_cores)
        want = target.stack()
        target.end_by(signal.SIGABRT)
    core = only_core(where, 'qemu_*.core')
    compare(name, core, target, want, exe=path)
    r = gosonde('dump', core, '--exe', path, '--format', 'json', timeout=120)
    tap.equal(r.json()['process']['goarch'], 'arm64', f'{name}: says that it is arm64')
    shutil.rmtree(where)


def arm64_root():
    """The arm64 loader, for PIE programs."""
    import programs
    loader = programs.debian('libc6-arm64-cross', 'usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1')
    return loader.parent.parent
