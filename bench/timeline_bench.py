# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The case of bench.py about writing timelines. The method is in bench/README.md."""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

RUNS = int(os.environ.get('BENCH_RUNS', 5))
EVENTS = int(os.environ.get('BENCH_TIMELINE_EVENTS', 1_000_000))


def once(build, form, path):
    # One CPU for all of it: gosonde's own thread that writes the file counts too.
    argv = ['taskset', '-c', '0', build / 'tests/unit/export/bench_timeline_write', form, path, str(EVENTS)]
    return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=300).stdout)


def run(gosonde, row):
    """(peers, rows), as bench.py prints them."""
    build = pathlib.Path(gosonde).resolve().parent
    rows = []
    with tempfile.TemporaryDirectory() as d:
        for form in ('gotrace', 'perfetto', 'jsonl'):
            runs = [once(build, form, pathlib.Path(d) / form) for _ in range(RUNS)]
            m = lambda key, runs=runs: statistics.median(r[key] for r in runs)
            goal = 2 * EVENTS / 1e6 if form == 'gotrace' else None
            rows.append(row(f'{runs[0]["events"]:,} events into {form}, one core', f'{goal:g} s' if goal else '',
                            f'{m("seconds"):.2f} s', good=m('seconds') <= goal if goal else None))
            rows.append(row('  size', '', f'{m("bytes") / 2**20:.1f} MiB'))
            if form == 'gotrace':
                rows.append(row('  allocated per event', '0', f'{m("allocations") / (runs[0]["events"] / 2):.6f}',
                                good=m('allocations') < 100))
    return (), rows
