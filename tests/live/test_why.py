# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde why against programs that measure themselves: each page of the target `web` plants one kind of
wait; each trouble of the shop has to be named as first cause, with its function and its duration.

    test_why.py web [RELEASE [VARIANT]] | grpc | shop
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from harness import CACHE, GOSONDE, INCOMPLETE, OK, ROOT, Skip, Target, go_command, start, tap, target_path, wait_for
from shop import Shop

# What a page may cost beside what it plants: the runtime's own work, the other core's noise.
SLACK_NS = 400_000


class Why:
    """gosonde why, running in the background until told to end."""

    def __init__(self, pid, *args, seconds=60):
        self.out = tempfile.NamedTemporaryFile()
        self.errors = tempfile.NamedTemporaryFile()
        self.process = start([GOSONDE, 'why', str(pid), '--format', 'json', '-d', f'{seconds}s', '--max-overhead', '0', *args],
                             stdout=self.out, stderr=self.errors)

    def attached(self):
        """Wait until probes are in place: breakpoints are counted by nobody, so by what gosonde says."""
        def ready():
            if self.process.poll() is not None:
                return True
            maps = pathlib.Path(f'/proc/{self.process.pid}/fd')
            return sum('bpf_link' in _link(p) or 'perf_event' in _link(p) for p in maps.iterdir()) >= 10
        wait_for(ready, 20, 'gosonde why to attach')
        time.sleep(0.3)
        return self

    def end(self, ask=True):
        if ask:
            self.process.send_signal(2)
        code = self.process.wait(60)
        self.errors.seek(0)
        self.text = self.errors.read().decode(errors='replace')
        self.out.seek(0)
        data = self.out.read()
        tap.ok(code in (OK, INCOMPLETE), f'why ends with 0 or 4 (it was {code})', self.text[-1500:], data[:500])
        return json.loads(data)


def _link(path):
    try:
        return str(path.readlink())
    except OSError:
        return ''


def routes(result):
    return {r['route']: r for r in result['routes']}


def check_sums(result, name):
    """Each nanosecond in one class: to the nanosecond, in decimal."""
    bad = []
    for r in result['slowest']:
        ns = sum(round(v * 1e9) for v in r['classes'].values())
        if abs(ns - round(r['duration_seconds'] * 1e9)) > 1:
            bad.append((r['route'], ns, r['duration_seconds']))
    tap.ok(not bad and result['slowest'], f'{name}: classes add up to the duration of each request', bad)


def no_loss(result, name):
    lost = [i for i in result['incomplete'] if 'lost' in i['what']]
    tap.ok(not lost, f'{name}: nothing was lost', lost)


# --- pages that plant one wait each ----------------------------------------------------------------

def web(release, variant):
    def planted_waits():
        with Target(target_path('web', release, variant), '-n', '10') as t:
            t.command('load1')  # warm: connections are open, pages are in memory
            t.command('load2')
            before = t.command('pages')['pages']
            watch = Why(t.pid, '-n', '20').attached()
            t.command('load1', timeout=120)
            middle = t.command('pages')['pages']
            t.command('load2', timeout=120)
            after = t.command('pages')['pages']
            time.sleep(0.2)
            result = watch.end()
            check_sums(result, 'web')
            no_loss(result, 'web')
            compare_pages(t, result, before, after)
    planted_waits.__name__ = f'planted waits {release} {variant}'
    tap.run(planted_waits)


def compare_pages(t, result, before, after):
    found = routes(result)
    for page, truth in after.items():
        count = truth['count'] - before[page]['count']
        planted = truth['planted_ns'] - before[page]['planted_ns']
        mine = [r for name, r in found.items() if name.endswith('/' + page)]
        if not tap.equal(sum(r['count'] for r in mine), count, f'{page}: every request was seen'):
            continue
        if not truth['class']:
            continue
        got = sum(r['classes'].get(truth['class'], 0) for r in mine) * 1e9
        every = {}
        for r in mine:
            for name, seconds in r['classes'].items():
                every[name] = every.get(name, 0) + seconds
        # Pages that loop do other things besides, a write to a socket is copying as well.
        share = {'file': 0.5, 'fault': 0.5, 'kernel': 0.7, 'net-write': 0.5, 'cpu': 0.8, 'dns': 0.85}.get(page, 0.9)
        # On a busy machine a page that wants a CPU waits for one, and why says so.
        waited = every.get('runqueue_kernel', 0) * 1e9 if page in ('cpu', 'kernel', 'fault', 'file') else 0
        tap.ok(share * (planted - waited) - count * SLACK_NS <= got <= planted * 1.02 + count * SLACK_NS,
               f'{page}: {truth["class"]} is what was planted',
               f'planted {planted / 1e6:.2f} ms in {count} requests, found {got / 1e6:.2f} ms', every)
        if page not in ('cpu', 'kernel', 'fault', 'file'):
            tap.ok(max(every, key=every.get) == truth['class'], f'{page}: {truth["class"]} is the largest class', every)


# --- gRPC -------------------------------------------------------------------------------------------

def grpc():
    def calls():
        source = ROOT / 'tests' / 'targets' / 'grpc'
        program = CACHE / 'grpc-target'
        r = subprocess.run([go_command(), 'build', '-o', program, '.'], cwd=source, capture_output=True, text=True)
        if r.returncode:
            raise Skip(f'cannot build the gRPC target: {r.stderr.strip()[-300:]}')
        t = start([program, '-n', '10'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        ready = json.loads(t.stdout.readline())
        watch = Why(ready['pid']).attached()
        t.stdin.write('load\n')
        truth = json.loads(t.stdout.readline())
        time.sleep(0.2)
        result = watch.end()
        t.stdin.write('exit\n')
        t.wait(10)
        found = routes(result)
        n = truth['calls_of_each_kind']
        check = next((r for name, r in found.items() if 'grpc.health.v1.Health/Check' in name), None)
        stream = next((r for name, r in found.items() if 'grpc.health.v1.Health/Watch' in name), None)
        if tap.ok(check and stream, 'methods are named', list(found)):
            tap.equal(check['count'], 2 * n, 'every unary call was seen')
            tap.equal(stream['count'], n, 'every streaming call was seen')
            tap.equal(check.get('failed'), n, 'calls that returned an error are counted as failed')
            slept = (check['classes']['sleep'] + stream['classes']['sleep']) * 1e9
            tap.ok(0.97 * truth['planted_ns'] <= slept <= 1.02 * truth['planted_ns'], 'the planted sleep is found',
                   f'planted {truth["planted_ns"]}, found {slept}')
        check_sums(result, 'grpc')
    tap.run(calls)


# --- the shop's troubles ----------------------------------------------------------------------------

# Trouble: classes that are its own, the function that has to be named, and what the shop counts as planted.
# A page fault that reads a file, and allocation under a collector that asks for help, are on CPU in part.
TROUBLES = {
    'ledger': ({'mutex', 'file_io'}, 'Ledger', ('waited', 'fsync')),
    'upstream': ({'net_read'}, 'payment.', ('waited',)),
    'hotmap': ({'rwmutex', 'cpu_user', 'runqueue_go', 'mutex'}, 'Visitors', ('read_waited', 'write_waited')),
    'faults': ({'fault_major', 'fault_minor', 'cpu_user', 'cpu_kernel', 'runqueue_kernel'}, 'store.', ('touching',)),
    'allocs': ({'gc_assist', 'cpu_user', 'runqueue_go', 'fault_minor', 'cpu_kernel', 'runqueue_kernel'}, 'scoreAll', ('allocating',)),
}
# The planted duration of these is one class of the requests and nothing else, so it can be compared.
# (hotmap's meters also count goroutines that serve no request.)
MEASURED = {'ledger': 'mutex', 'upstream': 'net_read'}
MEASURED_METER = {'ledger': ('waited',), 'upstream': ('waited',)}


def functions_of(cause):
    """All functions a cause names: where it is, where from, and through what it reached requests."""
    found = []

    def walk(v):
        if isinstance(v, dict):
            if isinstance(v.get('function'), str):
                found.append(v['function'])
            for x in v.values():
                walk(x)
        elif isinstance(v, list):
            for x in v:
                walk(x)
    walk(cause)
    return found


def meter(truth, trouble, names):
    return sum(truth['troubles'][trouble].get(n, {}).get('total_ns', 0) for n in names)


def watch_shop(*troubles, seconds=8, load=60):
    """Watch the shop; the result of why and what the shop says it planted meanwhile."""
    with Shop(*troubles, load=load) as shop:
        time.sleep(2)
        watch = Why(shop.pid, '-n', '10', seconds=seconds).attached()
        before = shop.truth()
        time.sleep(seconds - 2)
        after = shop.truth()
        result = watch.end()
    planted = {t: meter(after, t, MEASURED_METER.get(t, ())) - meter(before, t, MEASURED_METER.get(t, ()))
               for t in troubles}
    return result, planted


def names_trouble(cause, trouble):
    classes, function, _ = TROUBLES[trouble]
    return cause['class'] in classes and any(function in f for f in functions_of(cause))


def check_planted(name, result, trouble, planted):
    if trouble not in MEASURED:
        return
    got = sum(r['classes'].get(MEASURED[trouble], 0) for r in result['routes']) * 1e9
    tap.ok(got >= 0.9 * planted > 0, f'{name}: at least 90 % of what {trouble} planted is found',
           f'planted {planted / 1e9:.3f} s, found {got / 1e9:.3f} s of {MEASURED[trouble]}')


def one_trouble(trouble):
    def alone():
        result, planted = watch_shop(trouble)
        check_sums(result, trouble)
        tap.ok(result['slow']['stands_out'], f'{trouble}: something stands out')
        causes = result['causes']
        tap.ok(causes and names_trouble(causes[0], trouble), f'{trouble}: it is the first cause', *map(json.dumps, causes[:3]))
        check_planted(trouble, result, trouble, planted[trouble])
    alone.__name__ = f'{trouble} alone'
    return alone


def two_troubles(a, b):
    def pair():
        result, planted = watch_shop(a, b)
        name = f'{a} and {b}'
        stands = [c for c in result['causes'] if c['stands_out']]
        tap.ok(stands and (names_trouble(stands[0], a) or names_trouble(stands[0], b)), f'{name}: one of them is the first cause',
               *map(json.dumps, result['causes'][:3]))
        for t in (a, b):
            # A trouble that takes a twentieth of the other's time does not stand out, but comes right after it.
            named = result['causes'][:2] + stands[:6]
            tap.ok(any(names_trouble(c, t) for c in named), f'{name}: {t} is named', *map(json.dumps, result['causes'][:6]))
            check_planted(name, result, t, planted[t])
    pair.__name__ = f'{a} and {b}'
    return pair


def healthy():
    result, _ = watch_shop(seconds=6)
    tap.ok(result['requests']['count'] > 150, 'healthy: requests were seen', result['requests'])
    tap.ok(not result['slow']['stands_out'] and not any(c['stands_out'] for c in result['causes']), 'healthy: accused of nothing',
           *map(json.dumps, result['causes'][:3]))
    check_sums(result, 'healthy')


def shops(which):
    pairs = [('ledger', 'upstream'), ('ledger', 'hotmap'), ('upstream', 'hotmap'), ('upstream', 'faults'), ('upstream', 'allocs')]
    if which == 'one':
        tap.run(healthy, one_trouble('ledger'), two_troubles(*pairs[0]))
    tap.run(healthy, *(one_trouble(t) for t in TROUBLES), *(two_troubles(*p) for p in pairs))


if __name__ == '__main__':
    if sys.argv[1] == 'web':
        web(*(sys.argv[2:] + ['host', 'default'])[:2])
    elif sys.argv[1] == 'grpc':
        grpc()
    else:
        shops(sys.argv[2] if len(sys.argv) > 2 else 'all')
