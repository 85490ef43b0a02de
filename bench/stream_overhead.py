#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What watching costs the program that is watched, beside its peers: part of make bench (--case overhead).

The shop runs alone on the first CPU, the load generator and the tool on the second. The rate is the one that
uses half of the CPU with nobody watching. Every tool gets the same requests, in turns, each with a fresh shop:
first at that rate (CPU time per request, p99), then more than the shop can answer (throughput).
"""
import collections
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests' / 'live'))
import harness  # noqa: E402

ROUNDS = int(os.environ.get('BENCH_STREAM_ROUNDS', 5))
SECONDS = int(os.environ.get('BENCH_STREAM_SECONDS', 5))
RELEASE = os.environ.get('BENCH_STREAM_GO', '1.24')  # one that all peers know
SHARE = 0.5

# at_rate: requests answered per second at the rate; most: when asked for more than the shop can answer
Figures = collections.namedtuple('Figures', 'cpu_us p99_ms at_rate most tool_us')


def process_cpu_ns(pid):
    """CPU time of all threads of a process, those that are gone too (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def before_others():
    """In a new process: a group of its own, which runs before whatever else the machine does."""
    os.setsid()
    try:
        os.nice(-15)
        with open('/proc/self/autogroup', 'w') as f:  # where it is on, niceness counts within a session only
            f.write('-15')
    except OSError:
        pass  # on a quiet machine it makes no difference


def on_cpu(n, argv, **kw):
    return subprocess.Popen(['taskset', '-c', str(n), *map(str, argv)], preexec_fn=before_others, **kw)


class Shop:
    def __init__(self, path):
        self.path = path
        self.process = on_cpu(0, [path, '-addr', '127.0.0.1:0', '-until-eof'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        if 'listening on' not in line:
            raise SystemExit(f'bench: the shop did not start: {line}')
        self.url = line.split('listening on ')[1].split()[0]
        self.pid = int(line.split('pid=')[1].split()[0])

    def drive(self, rate, seconds):
        p = on_cpu(1, [self.path, '-drive', self.url, '-rate', rate, '-duration', f'{seconds}s'],
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = p.communicate(timeout=seconds + 60)
        if p.returncode:
            raise SystemExit(f'bench: the load generator: {err}')
        return json.loads(out)

    def measured(self, rate, seconds):
        """(requests answered, CPU time of the shop, wall time, p99 as the mean over routes)"""
        cpu, begin = process_cpu_ns(self.pid), time.monotonic()
        report = self.drive(rate, seconds)
        wall = time.monotonic() - begin
        cpu = process_cpu_ns(self.pid) - cpu
        routes = report['routes'].values()
        n = sum(r['count'] for r in routes)
        return n, cpu / 1e9, wall, sum(r['p99_seconds'] * r['count'] for r in routes) / n

    def stop(self):
        self.process.kill()
        self.process.wait()


# --- tools -------------------------------------------------------------------------------------------

class Tool:
    """A tracer at work on a process. Subclasses say how to start it and what it has seen at the end."""
    name = 'nobody'

    def argv(self, shop):
        return None

    def environment(self):
        return {}

    def start(self, shop):
        argv = self.argv(shop)
        self.out = open(harness.CACHE.parent / 'bench' / f'{self.name}.out', 'w+b')
        self.process = argv and on_cpu(1, argv, stdout=self.out, stderr=subprocess.STDOUT,
                                       env=dict(os.environ, **self.environment()))
        if self.process:
            self.wait_attached()

    def wait_attached(self):
        """Until the number of its links and perf events no longer grows."""
        end, last, since = time.monotonic() + 60, 0, time.monotonic()
        while time.monotonic() < end:
            n = sum(count_links(p) for p in family(self.process.pid))
            if n != last:
                last, since = n, time.monotonic()
            if n and time.monotonic() - since > 1.5:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f'bench: {self.name} attached nothing: {self.output()[-1500:]}')

    def cpu_s(self):
        return sum(process_cpu_ns(p) for p in family(self.process.pid)) / 1e9 if self.process else 0

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def output(self):
        self.out.seek(0)
        return self.out.read().decode(errors='replace')

    def seen(self):
        """Number of requests that it has seen; None if it cannot tell."""
        return None


def family(pid):
    """@pid and its children."""
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f'/proc/{p}/task'):
                with open(f'/proc/{p}/task/{task}/children') as f:
                    found += map(int, f.read().split())
        except (OSError, ValueError):
            pass
    return [p for p in found if os.path.exists(f'/proc/{p}')]


def count_links(pid):
    n = 0
    try:
        for fd in os.listdir(f'/proc/{pid}/fd'):
            what = os.readlink(f'/proc/{pid}/fd/{fd}')
            n += 'perf_event' in what or 'bpf_link' in what or 'bpf-link' in what
    except OSError:
        pass
    return n


class Gosonde(Tool):
    name = 'gosonde why'

    def __init__(self, gosonde):
        self.gosonde = gosonde

    def argv(self, shop):
        return [self.gosonde, 'why', shop.pid, '-d', '10m', '--max-overhead', '0', '--format', 'json']

    def seen(self):
        text = self.output()
        document, _ = json.JSONDecoder().raw_decode(text, text.index('{'))  # stderr is in there too
        return document['requests']['count']


class Bpftrace(Tool):
    """The probes of gosonde's own plan where one puts them by hand: on the first instruction, each of them
    writing what happened; stacks of parked goroutines are counted."""
    name = 'bpftrace'

    def __init__(self, gosonde):
        self.gosonde = gosonde

    def argv(self, shop):
        plan = json.loads(harness.run_checked([self.gosonde, 'why', shop.pid, '--dry-run', '--format', 'json']))
        functions = sorted({p['function'] for p in plan['probes'] if p['placement'] not in ('tracepoint', 'perf')})
        script = pathlib.Path(self.out.name).with_suffix('.bt')
        script.write_text(bpftrace_script(shop, functions))
        # Tracepoints need tracefs, which not every machine has mounted.
        return ['unshare', '-m', 'sh', '-c',
                'mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null; exec bpftrace "$@"', 'sh',
                '-p', shop.pid, script]

    def start(self, shop):
        self.out = open(harness.CACHE.parent / 'bench' / f'{self.name}.out', 'w+b')
        super().start(shop)

    def environment(self):
        return {'BPFTRACE_PERF_RB_PAGES': '1024', 'BPFTRACE_MAX_MAP_KEYS': '65536'}

    def seen(self):
        return sum(line.startswith('request ') for line in self.output().splitlines())


def bpftrace_script(shop, functions):
    lines = []
    for f in functions:
        action = f'printf("{"request" if "ServeHTTP" in f else "go"} %d %lu %lx\\n", tid, nsecs, reg("r14"));'
        if f in ('runtime.gopark', 'runtime.runqput'):
            action += ' @stacks[ustack(16)] = count();'
        lines.append(f'uprobe:{shop.path}:"{f}" {{ {action} }}')
    mine = f'/pid == {shop.pid}/'
    lines += [
        f'tracepoint:raw_syscalls:sys_enter {mine} {{ @enter[tid] = nsecs; }}',
        f'tracepoint:raw_syscalls:sys_exit {mine} {{ @kernel[tid] = sum(nsecs - @enter[tid]); }}',
        'tracepoint:sched:sched_switch { if (@off[args->next_pid]) { '
        'printf("off %d %lu\\n", args->next_pid, nsecs - @off[args->next_pid]); delete(@off[args->next_pid]); } '
        f'if (pid == {shop.pid}) {{ @off[args->prev_pid] = nsecs; }} }}',
        f'tracepoint:sched:sched_waking {mine} {{ @waker[args->pid] = tid; }}',
        'END { clear(@enter); clear(@kernel); clear(@off); clear(@waker); clear(@stacks); }',
    ]
    return '\n'.join(lines) + '\n'


class GoAuto(Tool):
    name = 'go-auto'

    def __init__(self, path):
        self.path = path

    def argv(self, shop):
        return [self.path, '-target-pid', shop.pid]

    def environment(self):
        return {'OTEL_TRACES_EXPORTER': 'none', 'OTEL_SERVICE_NAME': 'shop', 'OTEL_LOG_LEVEL': 'error',
                'OTEL_METRICS_EXPORTER': 'none', 'OTEL_TRACES_SAMPLER': 'always_on'}


class Obi(Tool):
    name = 'OBI'

    def __init__(self, path):
        self.path = path

    def argv(self, shop):
        return [self.path]

    def environment(self):
        port = self.port
        return {'OTEL_EBPF_TRACE_PRINTER': 'counter', 'OTEL_EBPF_OPEN_PORT': port, 'OTEL_EBPF_LOG_LEVEL': 'error',
                'OTEL_EBPF_BPF_PID_FILTER_OFF': 'true'}

    def start(self, shop):
        self.port = shop.url.rsplit(':', 1)[1]
        super().start(shop)


def tools(gosonde):
    """Those that are here, and why the others are not."""
    peers = harness.CACHE.parent / 'bench' / 'peers'
    found = [Tool(), Gosonde(gosonde)]
    if shutil.which('bpftrace'):
        found.append(Bpftrace(gosonde))
    else:
        print('bench: no bpftrace: apt-get install bpftrace', file=sys.stderr)
    for kind, file in ((GoAuto, 'go-auto'), (Obi, 'obi')):
        if (peers / file).exists():
            found.append(kind(peers / file))
        else:
            print(f'bench: no {kind.name} to compare with: bench/get_peers builds it', file=sys.stderr)
    return found


# --- measuring ---------------------------------------------------------------------------------------

def find_rate(path):
    """Requests per second that use half of a CPU."""
    shop = Shop(path)
    rate = 300
    try:
        shop.drive(rate, 2)
        for _ in range(3):
            n, cpu, _, _ = shop.measured(rate, 3)
            rate = max(50, int(SHARE / (cpu / n)))  # a request costs less when there are more of them
    finally:
        shop.stop()
    return rate


def one_run(tool, path, rate):
    shop = Shop(path)
    try:
        shop.drive(rate, 1)
        tool.start(shop)
        before = tool.cpu_s()
        n, cpu, wall, p99 = shop.measured(rate, SECONDS)
        tool_cpu = tool.cpu_s() - before
        many, _, wall_many, _ = shop.measured(rate * 6, max(2, SECONDS // 2))
        tool.stop()
        seen = tool.seen()
        if seen is not None and seen < 0.99 * (n + many):
            print(f'bench: {tool.name} saw {seen} of {n + many} requests', file=sys.stderr)
        return Figures(cpu / n * 1e6, p99 * 1e3, n / wall, many / wall_many, tool_cpu / n * 1e6)
    finally:
        tool.stop() if getattr(tool, 'process', None) else None
        shop.stop()


def measure(gosonde, path=None, rounds=ROUNDS):
    """{name of the tool: medians}, and the rate."""
    (harness.CACHE.parent / 'bench').mkdir(parents=True, exist_ok=True)
    path = path or harness.target_path('shop', RELEASE)
    rate = find_rate(path)
    runs = collections.defaultdict(list)
    order = tools(gosonde)
    for i in range(rounds):
        for tool in order[i % len(order):] + order[:i % len(order)]:
            runs[tool.name].append(one_run(tool, path, rate))
    return {name: Figures(*map(statistics.median, zip(*fs))) for name, fs in runs.items()}, rate


def main():
    figures, rate = measure(sys.argv[1], *sys.argv[2:3])
    base = figures['nobody']
    print(f'{rate} requests/s')
    for name, f in figures.items():
        print(f'{name:12} {f.cpu_us:7.1f} us CPU/request (+{f.cpu_us - base.cpu_us:6.1f})  p99 {f.p99_ms:6.2f} ms  '
              f'{f.at_rate:7.0f}/s ({(f.at_rate / base.at_rate - 1) * 100:+5.1f} %)  '
              f'most {f.most:7.0f}/s ({(f.most / base.most - 1) * 100:+5.1f} %)  '
              f'tool {f.tool_us:6.1f} us/request')


if __name__ == '__main__':
    main()
