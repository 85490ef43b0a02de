#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Figures beside their goals and peers: make bench. The method is in bench/README.md.

  bench.py [--gosonde PATH] [--case NAME]... [--json FILE]

Cases: many, million, big, heap, memory; of watching live: ring, placement, overhead. Environment, for quick runs: BENCH_RUNS
(5), BENCH_DELVE_RUNS (3), BENCH_N (100000), BENCH_MILLION (1000000), BENCH_BIG_MB (100), BENCH_RING_SECONDS (3),
BENCH_PLACEMENT_CALLS (100000), BENCH_STREAM_ROUNDS (5), BENCH_STREAM_SECONDS (5).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'live'))
import big_binary  # noqa: E402
import harness  # noqa: E402
import heap_bench  # noqa: E402
import memory_bench  # noqa: E402
import programs  # noqa: E402
import stream_bench  # noqa: E402
import timeline_bench  # noqa: E402

# The harness reports as TAP; here only failures are of interest.
harness.tap.ok = lambda good, name, *details: good or sys.exit(f'bench: failed: {name} {details}')

RUNS = int(os.environ.get('BENCH_RUNS', 5))
DELVE_RUNS = int(os.environ.get('BENCH_DELVE_RUNS', 3))
N = int(os.environ.get('BENCH_N', 100_000))
MILLION = int(os.environ.get('BENCH_MILLION', 1_000_000))
BIG_MB = int(os.environ.get('BENCH_BIG_MB', 100))
WORK = harness.CACHE.parent / 'bench'


class Row:
    def __init__(self, what, goal, value, peers=(), good=None):
        self.what, self.goal, self.value, self.peers, self.good = what, goal, value, peers, good


class Run:
    """What one run of a command cost."""

    def __init__(self, line):
        wall, rss, user, system, status = line.split()
        self.wall, self.rss_mb = float(wall), int(rss) / 1024
        self.cpu, self.status = float(user) + float(system), int(status)


def measure(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, okay=(0,)):
    read_end, write_end = os.pipe()
    # measure.c reports on descriptor 3.
    p = subprocess.Popen(['/bin/sh', '-c', f'exec "$@" 3>&{write_end} {write_end}>&-', 'sh', str(WORK / 'measure'),
                          *map(str, argv)], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                         pass_fds=[write_end])
    os.close(write_end)
    _, err = p.communicate()
    with os.fdopen(read_end) as f:
        run = Run(f.read())
    if os.waitstatus_to_exitcode(run.status) not in okay:
        raise SystemExit(f'{" ".join(map(str, argv))}: status {run.status}\n{err.decode()[-2000:]}')
    return run


def median(values):
    return statistics.median(values)


def tools():
    WORK.mkdir(parents=True, exist_ok=True)
    harness.run_checked(['cc', '-O2', '-o', WORK / 'measure', ROOT / 'bench' / 'measure.c'])


# --- 100,000 blocked goroutines ----------------------------------------------------------------------

def with_pauses(target, run):
    """Run something; return (its Run, longest pause of the target in seconds)."""
    target.command('reset', timeout=600)
    result = run()
    pause = target.command('pause', timeout=600)
    return result, pause['max_unexplained_ns'] / 1e9


def repeat(target, times, run):
    return [with_pauses(target, run) for _ in range(times)]


def delve_runs(target):
    dlv = programs.go_build('github.com/go-delve/delve/cmd/dlv', 'github.com/go-delve/delve', 'latest', 'dlv')
    version = harness.run_checked([dlv, 'version']).split('Version: ')[1].split()[0]
    script = WORK / 'delve.init'
    # Depth 20 is enough for every stack of the target; Delve's default would cut them at 10.
    script.write_text('goroutines -t 20\nexit\n')

    def run():
        with tempfile.TemporaryFile() as no:
            no.write(b'n\n' * 4)  # "Would you like to kill the process?"
            no.seek(0)
            return measure([dlv, 'attach', target.pid, '--allow-non-terminal-interactive=true', '--init', script],
                           stdin=no)
    return version, repeat(target, DELVE_RUNS, run)


def many(gosonde):
    path = harness.target_path('many')
    with harness.Target(path, '-n', N, '-http', '127.0.0.1:0', timeout=600) as target:
        floor = target.ready['noise_floor']['max_unexplained_ns'] / 1e9
        to_null = repeat(target, RUNS, lambda: measure([gosonde, 'dump', target.pid, '--format', 'json']))
        with open('/dev/shm/gosonde-bench.json', 'wb') as f:
            to_file = repeat(target, RUNS, lambda: (f.truncate(0), f.seek(0), measure(
                [gosonde, 'dump', target.pid, '--format', 'json'], stdout=f))[-1])
            size = os.path.getsize(f.name)
        check_complete(f.name)
        text = repeat(target, RUNS, lambda: measure([gosonde, 'dump', target.pid]))
        group = repeat(target, RUNS, lambda: measure([gosonde, 'dump', target.pid, '--group']))
        url = target.ready['http'] + '/debug/pprof/goroutine?debug=2'
        curl = repeat(target, RUNS, lambda: measure(['curl', '-s', '-o', '/dev/null', url]))
        version, delve = delve_runs(target)
    peers = f'Delve {version}', 'curl debug=2'
    wall = lambda runs: median([r.wall for r, _ in runs])
    rss = lambda runs: median([r.rss_mb for r, _ in runs])
    pause = lambda runs: median([p for _, p in runs])
    return peers, [
        Row(f'{N:,} goroutines to JSON', '0.25 s', seconds(wall(to_null)), (seconds(wall(delve)), seconds(wall(curl))),
            wall(to_null) <= 0.25 * N / 100_000 or wall(to_null) <= 0.25),
        Row(f'  into a file of {size / 1e6:.0f} MB (tmpfs)', '', seconds(wall(to_file))),
        Row('  as text', '', seconds(wall(text))),
        Row('  --group', '', seconds(wall(group))),
        Row('  peak memory of the tool', '150 MB', f'{rss(to_null):.0f} MB', (f'{rss(delve):.0f} MB', 'in the target'),
            rss(to_null) <= 150),
        Row(f'  longest pause of the target (at rest {floor * 1e3:.1f} ms)', 'not stopped', millis(pause(to_null)),
            (millis(pause(delve)), millis(pause(curl))), None),
    ]


def check_complete(path):
    with open(path) as f:
        d = json.load(f)
    os.unlink(path)
    found = sum(1 for g in d['goroutines'] if g['frames'] and g['frames'][-1]['function'].startswith('main.'))
    named = all(f['file'] and f['line'] for g in d['goroutines'] for f in g['frames'])
    if found < N or not named:
        raise SystemExit(f'only {found} of {N} goroutines have their stack, all named: {named}')


# --- a million ---------------------------------------------------------------------------------------

def million(gosonde):
    n = MILLION
    with open('/proc/meminfo') as f:
        available = next(int(l.split()[1]) for l in f if l.startswith('MemAvailable')) / 1024
    # About 2.7 KB each in the target, with its stack of 2 KB.
    if available < n * 0.0035:
        n = int(available / 0.0035 / 100_000) * 100_000
        print(f'bench: {available:.0f} MB available, so {n:,} goroutines instead of {MILLION:,}', file=sys.stderr)
    rows = []
    for stacks in (4, 1024):
        with harness.Target(harness.target_path('many'), '-n', n, '-stacks', stacks, timeout=900) as target:
            runs = repeat(target, RUNS, lambda: measure([gosonde, 'dump', target.pid, '--group'], okay=(0, 4)))
            wall, rss = median([r.wall for r, _ in runs]), median([r.rss_mb for r, _ in runs])
            rows.append(Row(f'{n:,} goroutines, {stacks} distinct stacks, --group', '2.5 s', seconds(wall),
                            good=wall <= 2.5))
            rows.append(Row('  peak memory of the tool', 'grows with stacks', f'{rss:.0f} MB'))
            rows.append(Row('  longest pause of the target', 'not stopped', millis(median([p for _, p in runs]))))
    return (), rows


# --- a large stripped binary -------------------------------------------------------------------------

def big(gosonde):
    path = big_binary.build(WORK, BIG_MB)
    size = path.stat().st_size / 1e6
    process = harness.start([path], stdout=subprocess.PIPE)
    process.stdout.readline()
    measure([gosonde, 'inspect', path])  # into the page cache
    first = [measure([gosonde, 'dump', process.pid, '--limit', '1']) for _ in range(RUNS)]
    every = [measure([gosonde, 'dump', process.pid]) for _ in range(RUNS)]
    inspect = [measure([gosonde, 'inspect', path]) for _ in range(RUNS)]
    go = [measure([harness.go_command(), 'version', '-m', path]) for _ in range(RUNS)]
    process.kill()
    wall = lambda runs: median([r.wall for r in runs])
    return ('', 'go version -m'), [
        Row(f'stripped binary of {size:.0f} MB: first symbolised goroutine', '50 ms', millis(wall(first)),
            good=wall(first) <= 0.05),
        Row('  all goroutines', '', millis(wall(every))),
        Row('  inspect', '100 ms', millis(wall(inspect)), ('', millis(wall(go))), good=wall(inspect) <= 0.1),
        Row('  peak memory of dump', '', f'{median([r.rss_mb for r in every]):.0f} MB'),
    ]


# --- the table ---------------------------------------------------------------------------------------

def seconds(s):
    return f'{s:.2f} s' if s < 100 else f'{s:.0f} s'


def millis(s):
    return f'{s * 1e3:.1f} ms' if s < 10 else f'{s:.1f} s'


def print_table(peers, rows):
    peers = [p for p in peers if p] if not any(r.peers and r.peers[0] == '' for r in rows) else list(peers)
    table = [['figure', 'goal', 'gosonde', '', *peers]]
    for r in rows:
        mark = {True: 'reached', False: 'MISSED', None: ''}[r.good]
        table.append([r.what, r.goal, r.value, mark, *(list(r.peers) + [''] * len(peers))[:len(peers)]])
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for i, row in enumerate(table):
        print('  '.join(cell.ljust(w) if c == 0 else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths))).rstrip())
        if i == 0:
            print('  '.join('-' * w for w in widths))
    print()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--gosonde', default=str(ROOT / 'build' / 'gosonde'))
    cases = {'many': many, 'million': million, 'big': big}
    cases['heap'] = lambda gosonde: heap_bench.run(gosonde, Row, measure)
    cases['memory'] = lambda gosonde: memory_bench.run(gosonde, Row, measure)
    cases['timeline'] = lambda gosonde: timeline_bench.run(gosonde, Row)
    for name in stream_bench.CASES:
        cases[name] = lambda gosonde, name=name: stream_bench.run(name, gosonde, Row)
    p.add_argument('--case', action='append', choices=list(cases))
    p.add_argument('--json', help='also write the figures here')
    a = p.parse_args()
    tools()
    gosonde = str(pathlib.Path(a.gosonde).resolve())
    print(f'{os.cpu_count()} CPUs, Linux {os.uname().release}, '
          f'{harness.run_checked([harness.go_command(), "version"]).split()[2]}, medians of {RUNS} runs '
          f'(Delve: {DELVE_RUNS})\n')
    missed, figures = 0, []
    for case in a.case or cases:
        peers, rows = cases[case](gosonde)
        print_table(peers, rows)
        missed += sum(r.good is False for r in rows)
        figures += [{'case': case, 'figure': r.what.strip(), 'goal': r.goal, 'gosonde': r.value,
                     'peers': dict(zip(peers, r.peers)), 'reached': r.good} for r in rows]
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(figures, indent=1) + '\n')
    print(f'{missed} goals missed' if missed else 'all goals reached')


if __name__ == '__main__':
    main()
