# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Marking a heap from outside: bench.py --case heap. The program is tests/targets/bigheap.

Environment: BENCH_HEAP_MB (1000), BENCH_HEAP_BIG_MB (10000), BENCH_HEAP_CORE_MB (300).
"""
import json
import os
import pathlib
import shutil
import statistics
import sys

import harness

RUNS = int(os.environ.get('BENCH_RUNS', 5))
MB = int(os.environ.get('BENCH_HEAP_MB', 1000))
BIG_MB = int(os.environ.get('BENCH_HEAP_BIG_MB', 10000))
CORE_MB = int(os.environ.get('BENCH_HEAP_CORE_MB', 300))
# What goref and viewcore both read.
CORE_RELEASE = '1.24'
WORK = harness.CACHE.parent / 'bench'


def available_mb():
    with open('/proc/meminfo') as f:
        return next(int(l.split()[1]) for l in f if l.startswith('MemAvailable')) // 1024


def mark(driver, *args):
    return json.loads(harness.run_checked([driver, *args], timeout=900).splitlines()[-1])


def median(values):
    return statistics.median(values)


def check(f, ready):
    """A fast look at half of a heap would be no result."""
    if abs(f['bytes'] - ready['heap_alloc']) > ready['heap_alloc'] * 0.02 or f['unreadable_bytes']:
        raise SystemExit(f'marked {f["bytes"]} bytes, HeapAlloc was {ready["heap_alloc"]}: {f}')


def own_mb(f):
    return f['rss_kib'] / 1024 - f['mark_bits_bytes'] / 2**20


def live(driver, mb, Row, goal_seconds, shape='mixed'):
    # What the program says is live is a sixth more than what it was told to make, and it collects while it grows.
    want = int(mb * 0.87)
    if available_mb() < mb * 1.6 + 500:
        want = int((available_mb() - 500) / 1.6 * 0.87)
        print(f'bench: {available_mb()} MB available, so {want} MB instead of {int(mb * 0.87)}', file=sys.stderr)
    with harness.Target(harness.target_path('bigheap', 'newest'), '-mb', want, '-shape', shape, '-every', 100000,
                        timeout=900,
                        env={'GOGC': 'off', 'GOMEMLIMIT': f'{int(mb * 1.5)}MiB'}) as target:
        figures = [mark(driver, target.pid) for _ in range(RUNS if mb < 4000 else 2)]
        for f in figures:
            check(f, target.ready)
        live_mb = target.ready['heap_alloc'] / 1e6
    seconds = median([(f['heap_ms'] + f['roots_ms'] + f['mark_ms']) / 1e3 for f in figures])
    cpu = median([f['cpu_ms'] / 1e3 for f in figures])
    memory = median([own_mb(f) for f in figures])
    goal = goal_seconds * live_mb / 1000 if goal_seconds else None
    return [
        Row(f'{live_mb:,.0f} MB in {figures[0]["objects"] / 1e6:.0f} million objects ({shape}) marked, one core',
            f'{goal:.2f} s' if goal else '', f'{seconds:.2f} s', good=seconds <= goal if goal else None),
        Row('  CPU time', '', f'{cpu:.2f} s'),
        Row('  read from the process', '', f'{median([f["bytes_read"] for f in figures]) / 1e6:,.0f} MB'),
        Row('  own memory beside the mark bits', '200 MB for 10 GB', f'{memory:.0f} MB', good=memory <= 200),
        Row('  mark bits', '', f'{figures[0]["mark_bits_bytes"] / 1e6:.0f} MB'),
    ]


def make_core(where):
    exe = harness.target_path('bigheap', CORE_RELEASE)
    with harness.Target(exe, '-mb', CORE_MB, '-every', 100000, timeout=600) as target:
        harness.run_checked(['gcore', '-o', where / 'core', target.pid], timeout=600)
        return exe, next(where.glob('core.*')), target.ready


def peer_runs(peers, exe, core, where, measure):
    """Runs of those peers that are there and can read the core."""
    commands = {
        'goref': [peers / 'grf', 'core', exe, core, '-o', where / 'out'],
        'viewcore': [peers / 'viewcore', core, '--exe', exe, 'histogram', '--top', '20'],
    }
    runs = {}
    for name, argv in commands.items():
        if not argv[0].exists():
            print(f'bench: {name} is not there (bench/get_peers builds it)', file=sys.stderr)
            continue
        try:
            runs[name] = [measure(argv) for _ in range(min(RUNS, 3))]
        except SystemExit as e:
            if not isinstance(e.code, str):
                raise  # a signal, not the peer
            print(f'bench: {name} could not read the core: {e}', file=sys.stderr)
    return runs


def from_core(driver, peers, Row, measure):
    where = WORK / 'heap-core'
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    exe, core, ready = make_core(where)
    check(mark(driver, '--exe', exe, core), ready)  # and into the page cache
    ours = [measure([driver, '--exe', exe, core]) for _ in range(RUNS)]
    theirs = peer_runs(peers, exe, core, where, measure)
    shutil.rmtree(where)
    wall = median([r.wall for r in ours])
    best = min((median([r.wall for r in runs]) for runs in theirs.values()), default=None)
    cells = lambda f: tuple(f(theirs[n]) if n in theirs else '' for n in ('goref', 'viewcore'))
    return [
        Row(f'core with {ready["heap_alloc"] / 1e6:.0f} MB in {ready["heap_objects"] / 1e6:.1f} million objects, Go '
            f'{CORE_RELEASE}', '10x faster', f'{wall:.2f} s', cells(lambda x: f'{median([r.wall for r in x]):.2f} s'),
            wall * 10 <= best if best else None),
        Row('  CPU time', '', f'{median([r.cpu for r in ours]):.2f} s', cells(lambda x: f'{median([r.cpu for r in x]):.2f} s')),
        Row('  peak memory (of ours, the core file is a part)', '', f'{median([r.rss_mb for r in ours]):.0f} MB',
            cells(lambda x: f'{median([r.rss_mb for r in x]):.0f} MB')),
    ]


def run(gosonde, Row, measure):
    driver = pathlib.Path(gosonde).parent / 'tests' / 'live' / 'heap_dump'
    if not driver.exists():
        raise SystemExit(f'{driver} is not built')
    rows = live(driver, MB, Row, 1.5)
    if BIG_MB:
        # A random tree of that size would take half an hour to grow.
        rows += live(driver, BIG_MB, Row, None, 'slices')
    rows += from_core(driver, WORK / 'peers', Row, measure)
    return ('goref', 'viewcore'), rows
