# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The case of bench.py about looks at memory. The method is in bench/README.md."""
import json
import os
import pathlib
import statistics
import subprocess
import time

import harness

RUNS = int(os.environ.get('BENCH_RUNS', 5))
GIGABYTES = float(os.environ.get('BENCH_MEMORY_GB', 10))


def timed(argv, runs=RUNS):
    """Median of the seconds, and the last output."""
    seconds = []
    for _ in range(runs):
        begin = time.monotonic()
        out = subprocess.run(list(map(str, argv)), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120).stdout
        seconds.append(time.monotonic() - begin)
    return statistics.median(seconds), out


def rollup(pid):
    """RSS by a walk of the page tables, as the kernel does it."""
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Rss:'):
            return int(line.split()[1]) * 1024
    raise SystemExit('smaps_rollup has no Rss')


def run(gosonde, row, measure):
    """(peers, rows), as bench.py prints them."""
    free = int(next(l for l in open('/proc/meminfo') if l.startswith('MemAvailable')).split()[1]) / 2**20
    gigabytes = min(GIGABYTES, free * 0.6)
    rows = []
    with harness.Target(harness.target_path('bigheap', 'newest', 'default'), '-shape', 'slices', '-mb',
                        str(int(gigabytes * 1024)), env={'GOGC': 'off', 'GOMEMLIMIT': f'{int(free * 0.85)}GiB'}, timeout=900) as t:
        argv = [gosonde, 'mem', t.pid, '--no-probes', '--format', 'json']
        look, out = timed(argv)
        result = json.loads(out)
        costs = [measure(list(map(str, argv)), okay=(0, 4)) for _ in range(3)]
        pmap, _ = timed(['pmap', '-X', t.pid])
        begin = time.monotonic()
        rss = rollup(t.pid)
        walk = time.monotonic() - begin
    classes = sum(c['resident_bytes'] for c in result['classes'])
    heap = next(c for c in result['classes'] if c['name'] == 'heap_live')['resident_bytes']
    rows.append(row(f'{rss / 2**30:.1f} GiB resident, {heap / 2**30:.1f} GiB of live objects: mem', '0.3 s at 10 GB', f'{look:.3f} s',
                    [f'{pmap:.3f} s'], good=look <= 0.3))
    rows.append(row('  the kernel\'s own walk (smaps_rollup)', '', f'{walk:.3f} s'))
    rows.append(row('  its memory', '', f'{statistics.median(c.rss_mb for c in costs):.0f} MB'))
    rows.append(row('  classes beside RSS', '1 %', f'{abs(classes - rss) / rss * 100:.3f} %', good=abs(classes - rss) < rss / 100))
    return ('pmap -X',), rows
