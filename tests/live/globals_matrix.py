#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Addresses of runtime globals found in code, in programs stripped by strip, by the linker, and of their section
headers, against the symbols of the same program with symbols; on this machine's CPU also proved on the memory of the running program.

    globals_matrix.py GLOBALS_PRINT [--release R]... [--variant V]...

Without options: every release in every link mode, for both CPUs. That takes long with cold caches.
"""
import argparse
import os
import platform
import shutil
import subprocess

from harness import ROOT, Target, tap, target_path, run_checked, tmp_dir

VARIANTS = ['default', 'pie', 'static-pie', 'cgo', 'noopt', 'race', 'arm64', 'arm64+pie', 'arm64+noopt']
HOST = {'x86_64': 'amd64', 'aarch64': 'arm64'}[platform.machine()]


def symbols(path):
    """{global: (address, size)} from the symbol table, as readelf shows it."""
    found = {}
    for line in run_checked(['readelf', '-sW', path], errors='replace').splitlines():
        w = line.split()
        if len(w) == 8 and w[7].startswith('runtime.'):
            found.setdefault(w[7][len('runtime.'):], (int(w[1], 16), int(w[2], 0)))
    return found


def found_in(globals_print, path, *pid):
    done = subprocess.run([globals_print, path, *map(str, pid)], text=True, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    lines, more = {}, {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words[0] == 'more':
            more[words[1]] = words[2:]
        else:
            lines[words[0]] = words[1:]
    lines['more'] = more
    return lines, done.stderr.strip()


def more_troubles(more, want, proved, by_symbol):
    """What is wrong with the globals of the second search."""
    wrong = []
    if len(more) != 13:
        wrong.append(f'{len(more)} globals in the second search: {" ".join(more)}')
    if want and 'gcCleanups' not in want or int(more['gcCleanups.all'][0], 16) == 0 and not want:
        more = {k: v for k, v in more.items() if k != 'gcCleanups.all'}  # came with Go 1.25
    for name, (address, how, check, anchor) in more.items():
        at, symbol = int(address, 16), want and want[name.split('.')[0]]
        field = '.' in name  # of a structure that has the symbol
        if at == 0 or symbol and not (symbol[0] <= at < symbol[0] + (symbol[1] if field else 1)):
            wrong.append(f'{name}: {address} by {how} ({anchor}), the symbol is at {symbol and hex(symbol[0])}')
        if how != ('symbol' if by_symbol and not field else 'code'):
            wrong.append(f'{name}: found by {how}')
        if proved and check != 'proved':
            wrong.append(f'{name}: not proved')
    return wrong


def compare(title, got, want, proved=False):
    """All globals found in code; @want: at the addresses of these symbols."""
    globals_ = {k: v for k, v in got.items() if k != 'more' and len(v) == 4}
    wrong = more_troubles(got['more'], want, proved, False)
    for name, (address, how, check, anchor) in globals_.items():
        if int(address, 16) == 0 or (want and int(address, 16) != want[name][0]):
            wrong.append(f'{name}: {address} by {how} ({anchor}), the symbol is at {want and hex(want[name][0])}')
        if how == 'symbol':
            wrong.append(f'{name}: found by symbol, so the file is not stripped')
        if proved and check != 'proved':
            wrong.append(f'{name}: not proved')
    reasons = want and want['waitReasonStrings'][1] // 16
    if reasons and int(got['n_wait_reasons'][0]) != reasons:
        wrong.append(f'{got["n_wait_reasons"][0]} wait reasons, the array has {reasons}')
    tap.ok(not wrong and len(globals_) == 12, title, *wrong)


def without_sections(path):
    """A copy without section headers: what an upx-like packer or sstrip leaves."""
    copy = tmp_dir() / 'no-sections'
    shutil.copyfile(path, copy)
    with open(copy, 'r+b') as f:
        f.seek(0x28)
        f.write(bytes(8))  # e_shoff
        f.seek(0x3a)
        f.write(bytes(6))  # e_shentsize, e_shnum, e_shstrndx
    os.chmod(copy, 0o755)
    return copy


def check(globals_print, release, variant):
    whole = target_path('states', release, variant)
    stripped = target_path('states', release, variant + '+stripped')
    want = symbols(whole)
    title = f'{release} {variant}'
    by_symbol, time = found_in(globals_print, whole)
    tap.ok(all(int(v[0], 16) == want[k][0] and v[1] == 'symbol' for k, v in by_symbol.items()
               if k != 'more' and len(v) == 4),
           f'{title}: by symbols')
    wrong = more_troubles(by_symbol['more'], want, False, True)
    tap.ok(not wrong, f'{title}: the others by symbols', *wrong)
    got, time = found_in(globals_print, without_sections(whole))
    compare(f'{title}: by code, without sections ({time})', got, want)
    # Another build, whose addresses differ: its build info tells of -ldflags="-s -w".
    got, time = found_in(globals_print, stripped)
    compare(f'{title}: linked with -s -w, by code ({time})', got, None)
    if 'arm64' in variant and HOST != 'arm64':
        return
    copy = tmp_dir() / 'stripped'
    run_checked(['strip', '-o', copy, whole])
    for kind, path, truth in (('strip', copy, want), ('-s -w', stripped, None)):
        with Target(path) as t:
            got, time = found_in(globals_print, path, t.pid)
            compare(f'{title}: {kind}, by code, proved in the process ({time})', got, truth, proved=True)
    with Target(whole) as t:
        got, time = found_in(globals_print, whole, t.pid)
        tap.ok(all(v[2] == 'proved' for v in got.values() if len(v) == 4), f'{title}: symbols proved ({time})',
               *[f'{k}: {v}' for k, v in got.items()])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('globals_print')
    p.add_argument('--release', action='append')
    p.add_argument('--variant', action='append')
    a = p.parse_args()
    tests = []
    for release in a.release or run_checked([ROOT / 'tools' / 'go_toolchain', '--list']).split():
        for variant in a.variant or VARIANTS:
            def test(release=release, variant=variant):
                check(a.globals_print, release, variant)
            test.__name__ = f'{release}_{variant}'
            tests.append(test)
    tap.run(*tests)


if __name__ == '__main__':
    main()
