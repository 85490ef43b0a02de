# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The cases of bench.py about watching live: ring, placement, overhead. The method is in bench/README.md."""
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'live'))
import harness  # noqa: E402
import stream_overhead  # noqa: E402

RUNS = int(os.environ.get('BENCH_RUNS', 5))
RING_SECONDS = int(os.environ.get('BENCH_RING_SECONDS', 3))
CALLS = int(os.environ.get('BENCH_PLACEMENT_CALLS', 100_000))
WORK = harness.CACHE.parent / 'bench'


def ready():
    """Why these cases cannot run here; None if they can."""
    if os.geteuid() != 0:
        return 'attaching probes needs root'
    if os.cpu_count() < 2:
        return 'one CPU for the watched and one for the watcher are needed'
    return None


# --- from the ring to a callback ------------------------------------------------------------------------

def ring_run(build, mode, seconds, realtime=False):
    argv = ['chrt', '-f', '50'] if realtime else []
    time.sleep(1 if realtime else 0)  # the run before has used up the allowance
    argv += [build / 'tests/unit/probe/bench_stream_ring', '--mode', mode, '--seconds', str(seconds)]
    return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, preexec_fn=stream_overhead.before_others,
                                     timeout=60 + seconds).stdout)


def ring(build, row):
    rows = []
    for mode, goal_us in (('poll', 23), ('adaptive', 1000)):
        runs = [ring_run(build, mode, RING_SECONDS) for _ in range(RUNS)]
        # A record that waits because the reader lost its CPU to something else says nothing about the reader. The
        # kernel lets a realtime thread run for 0.95 s without a break.
        alone = [ring_run(build, mode, 0.8, True) for _ in range(RUNS)]
        m = lambda key, runs=runs: statistics.median(r[key] for r in runs)
        allocations = max(r['allocations'] for r in runs + alone)
        lost = sum(r['lost'] for r in runs + alone)
        name = {'poll': 'busy-polling', 'adaptive': 'default mode'}[mode]
        rows += [
            row(f'records to a callback, {name}', '1,000,000/s', f'{m("rate"):,.0f}/s', good=m('rate') >= 999_000),
            row('  latency p99', f'{goal_us} us', f'{m("p99_us", alone):.1f} us', good=m('p99_us', alone) <= goal_us),
            row('  latency p50', '', f'{m("p50_us", alone):.1f} us'),
            row('  p99 beside what else this machine does', '', f'{m("p99_us"):.1f} us'),
            row(f'  lost in all {len(runs + alone)} runs', '0', f'{lost}', good=lost == 0),
            row('  allocated per record', '0', f'{allocations / m("records"):g}', good=allocations == 0),
            row('  CPU of the reader', 'one core', f'{m("reader_cpu") * 100:.0f} %'),
        ]
    return (), rows


# --- cost of a hit by placement ---------------------------------------------------------------------------

def file_offset(path, addr):
    """Of a runtime address in a program that is not position-independent."""
    with open(path, 'rb') as f:
        head = f.read(64)
        phoff, = struct.unpack_from('<Q', head, 32)
        size, n = struct.unpack_from('<HH', head, 54)
        f.seek(phoff)
        for _ in range(n):
            kind, _, offset, vaddr, _, file_size = struct.unpack_from('<IIQQQQ', f.read(size))
            if kind == 1 and vaddr <= addr < vaddr + file_size:
                return addr - vaddr + offset
    raise SystemExit(f'{path}: nothing at {addr:#x}')


def places(path):
    """{placement: file offset} in main.hot, by Go's own disassembler."""
    found = {}
    marks = (('entry', ''), ('branch', 'JBE'), ('push', 'PUSHQ BP'), ('call', 'CALL main.leaf'), ('ret', 'RET'),
             ('branch', 'BLS'), ('call', 'CALL main.leaf'))
    for line in harness.run_checked([harness.go_command(), 'tool', 'objdump', '-s', r'^main\.hot$', path]).splitlines():
        cells = line.split()
        if len(cells) < 4 or not cells[1].startswith('0x'):
            continue
        text = ' '.join(cells[3:])
        for name, mark in marks:
            if name not in found and text.startswith(mark):
                found[name] = file_offset(path, int(cells[1], 16))
                break
    return found


class HotLoop:
    def __init__(self, path):
        self.process = stream_overhead.on_cpu(0, [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.pid = self.process.pid  # taskset becomes the program

    def ns_per_call(self, calls):
        """Of CPU time: what else runs on the machine is not the probe's fault."""
        before = stream_overhead.process_cpu_ns(self.pid)
        self.process.stdin.write(f'{calls}\n')
        self.process.stdin.flush()
        self.process.stdout.readline()
        return (stream_overhead.process_cpu_ns(self.pid) - before) / calls


def with_probe(build, loop, offset):
    p = stream_overhead.on_cpu(1, [build / 'tests/live/bench_stream_probe_cost', loop.pid, 'main.hot', hex(offset)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != 'ready\n':
        raise SystemExit('bench: bench_stream_probe_cost attached nothing')
    loop.ns_per_call(CALLS // 10)
    ns = loop.ns_per_call(CALLS)
    out, _ = p.communicate('')
    hits, calls = int(out.split()[-1]), CALLS + CALLS // 10
    # In front of the stack check a hit is counted twice when the goroutine is asked to give way meanwhile.
    if not calls <= hits <= calls * 1.02:
        raise SystemExit(f'bench: {hits} records of {calls} calls')
    return ns


def placement(build, row):
    path = WORK / 'hotloop'
    harness.run_checked([harness.go_command(), 'build', '-o', path, '.'], cwd=ROOT / 'bench' / 'hotloop')
    found = places(path)
    loop = HotLoop(path)
    try:
        base = statistics.median(loop.ns_per_call(CALLS * 10) for _ in range(RUNS))
        ns = {name: [] for name in found}
        for _ in range(RUNS):
            for name, offset in found.items():
                ns[name].append(with_probe(build, loop, offset) - base)
    finally:
        loop.process.kill()
        loop.process.wait()
    cost = {name: statistics.median(values) for name, values in ns.items()}
    what = {'push': 'a hit where gosonde puts it (first push)', 'branch': '  on the stack check (Go 1.19, 1.20; arm64)',
            'call': '  on a call', 'ret': '  on a return'}
    rows = []
    for name in ('push', 'branch', 'call', 'ret'):
        if name in cost:
            # A return is no alternative to the entry: it is what a watched function's end costs.
            part, goal = cost[name] / cost['entry'], name in ('push', 'branch')
            rows.append(row(what[name], '0.6x' if goal else '', f'{cost[name]:.0f} ns, {part:.2f}x',
                            (f'{cost["entry"]:.0f} ns',), part <= 0.6 if goal else None))
    return ('first instruction',), rows


# --- what watching costs the shop ---------------------------------------------------------------------------

def overhead(build, row):
    figures, rate = stream_overhead.measure(build / 'gosonde')
    base, own = figures.pop('nobody'), figures.pop('gosonde why')
    peers = list(figures)
    loss = lambda f: 1 - f.at_rate / base.at_rate
    loss_most = lambda f: 1 - f.most / base.most
    cpu = lambda f: f.cpu_us - base.cpu_us
    p99 = lambda f: f.p99_ms - base.p99_ms
    best = lambda key: min((key(f) for f in figures.values()), default=None)
    # Where no peer loses anything either, there is nothing to halve.
    half = lambda key: key(own) <= best(key) / 2 if figures and best(key) > 0 else None
    each = lambda text: tuple(text(f) for f in figures.values())
    return tuple(peers), [
        row(f'shop, {rate} requests/s (half of a core), CPU per request without: {base.cpu_us:.0f} us', 'half of the best',
            f'+{cpu(own):.1f} us', each(lambda f: f'+{cpu(f):.1f} us'), half(cpu)),
        row('  in percent', '', f'+{cpu(own) / base.cpu_us * 100:.0f} %',
            each(lambda f: f'+{cpu(f) / base.cpu_us * 100:.0f} %')),
        row(f'  added p99 (without: {base.p99_ms:.2f} ms)', 'half of the best', f'{p99(own):+.2f} ms',
            each(lambda f: f'{p99(f):+.2f} ms'), half(p99)),
        row(f'  loss of throughput at that rate (without: {base.at_rate:.0f}/s)', 'half of the best',
            f'{loss(own) * 100:.1f} %', each(lambda f: f'{loss(f) * 100:.1f} %'), half(loss)),
        row(f'  loss of the most it can answer (without: {base.most:.0f}/s)', '', f'{loss_most(own) * 100:.1f} %',
            each(lambda f: f'{loss_most(f) * 100:.1f} %')),
        row('  CPU of the tool, per request', '', f'{own.tool_us:.1f} us', each(lambda f: f'{f.tool_us:.1f} us')),
    ]


CASES = {'ring': ring, 'placement': placement, 'overhead': overhead}


def run(name, gosonde, row):
    """(peers, rows) of a case, as bench.py prints them."""
    why_not = ready()
    if why_not:
        return (), [row(f'{name}: not measured, {why_not}', '', '')]
    WORK.mkdir(parents=True, exist_ok=True)
    return CASES[name](pathlib.Path(gosonde).resolve().parent, row)
