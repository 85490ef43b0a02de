# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde trace against what Go's own runtime/trace says of the same time: the target `traced` does a bit of everything and
traces itself. Both files are read by golang.org/x/exp/trace and laid side by side, goroutine by goroutine.

    test_trace_truth.py joined [RELEASE [VARIANT]]   Go 1.22 and later: transitions, durations, reasons, Ps, names
    test_trace_truth.py old [RELEASE [VARIANT]]      older ones: the file is readable and plausible
    test_trace_truth.py formats                      requests as tasks, the other formats, recordings, terminals
"""
import collections
import json
import os
import pathlib
import pty
import subprocess
import sys
import time

from harness import CACHE, GOSONDE, INCOMPLETE, OK, ROOT, USAGE, Skip, Target, go_command, gosonde, start, tap, \
    target_path, tmp_dir, wait_for

sys.path.insert(0, str(ROOT / 'tests' / 'unit' / 'export'))
import perfetto_rules  # noqa: E402

# What the two sides may differ: a probe sits before or behind the place where the runtime notes the time, and between
# the two the thread may lose its CPU.
NS, SHARE = 50_000, 0.01
# Intervals that may be further off, because a thread was preempted in between: the machine's other work.
OUTLIERS = 0.02
MARGIN_NS = 50_000_000
STATES = {'Running': 'X', 'Syscall': 'X', 'Runnable': 'R', 'Waiting': 'W'}


def checker():
    """gotrace_check, built once per test."""
    out = CACHE / 'validators' / 'gotrace_check'
    out.parent.mkdir(parents=True, exist_ok=True)
    p = subprocess.run([go_command('newest'), 'build', '-o', out, './gotrace_check'], cwd=ROOT / 'tests' / 'validators',
                       capture_output=True, text=True, env={**os.environ, 'GOFLAGS': '-mod=mod', 'GOTOOLCHAIN': 'local'})
    if p.returncode:
        raise Skip(f'golang.org/x/exp/trace cannot be built here: {p.stderr.strip().splitlines()[-1:]}')
    return out


class File:
    """A Go execution trace as x/exp/trace reads it."""

    def __init__(self, check, path):
        p = subprocess.run([check, '-transitions', path], capture_output=True, text=True)
        self.error = p.stderr if p.returncode else ''
        self.changes = collections.defaultdict(list)
        self.goroutines, self.sum = {}, {}
        for line in p.stdout.splitlines():
            d = json.loads(line)
            if 't' in d:
                self.changes[d['goid']].append(d)
            elif 'goid' in d:
                self.goroutines[d['goid']] = d
            else:
                self.sum = d

    def intervals(self, goid, begin, end, back_ns):
        """The changes of state between two times. Running and being in a system call are one state: from outside only the
        calls that block are seen. Nor is it a change that a goroutine comes back from one with another P, on the same thread
        and within @back_ns."""
        out = []
        changes = self.changes[goid]
        for i, c in enumerate(changes):
            state = STATES.get(c['to'], '-')
            back = state == 'R' and c['from'] == 'Syscall' and i + 1 < len(changes) and changes[i + 1]['to'] == 'Running' \
                and changes[i + 1]['thread'] == c['thread'] and changes[i + 1]['t'] - c['t'] < back_ns
            if back or (out and out[-1][1] == state):
                continue
            out.append((c['t'], state, c))
        return [x for x in out if begin <= x[0] < end]


class Trace:
    """gosonde trace, running in the background."""

    def __init__(self, pid, path, *args, seconds=30):
        self.path = path
        self.process = start([GOSONDE, 'trace', str(pid), '-d', f'{seconds}s', '--max-overhead', '0', '-o', path, *args],
                             stderr=subprocess.PIPE, text=True)

    def attached(self):
        def ready():
            links = [_link(p) for p in pathlib.Path(f'/proc/{self.process.pid}/fd').iterdir()]
            return self.process.poll() is not None or sum('bpf_link' in x or 'perf_event' in x for x in links) >= 8
        wait_for(ready, 20, 'gosonde trace to attach')
        time.sleep(0.3)
        return self

    def end(self):
        self.process.send_signal(2)
        self.text = self.process.communicate(timeout=60)[1]
        self.code = self.process.returncode
        tap.ok(self.code in (OK, INCOMPLETE), f'trace ends with 0 or 4 (it was {self.code})', self.text)
        return self


def _link(path):
    try:
        return str(path.readlink())
    except OSError:
        return ''


# --- beside runtime/trace ----------------------------------------------------------------------------

def side_by_side(a, b, begin, end):
    """Pairs of intervals of all goroutines that both saw, and the goroutines whose sequences differ."""
    pairs, different = [], []
    for goid in sorted(set(a.changes) & set(b.changes)):
        # A thread may be preempted on its way back from a system call, for one of the clocks before and for the other
        # behind. Then such ways back are no change however long they took.
        for back_ns in 20_000, end - begin:
            mine, theirs = a.intervals(goid, begin, end, back_ns), b.intervals(goid, begin, end, back_ns)
            theirs = [x for x in theirs if x[2]['from'] != 'Undetermined']  # told late that it was there all the time
            m, t = align(mine, theirs)
            if m is not None:
                break
        if m is None:
            text = ''.join(x[1] for x in mine), ''.join(x[1] for x in theirs)
            at = next((i for i, (x, y) in enumerate(zip(*text)) if x != y), min(map(len, text)))
            different.append((goid, b.goroutines[goid]['start'], len(mine), len(theirs), at,
                              [(x[0], x[1]) for x in mine[max(at - 2, 0):at + 4]],
                              [(x[0], x[1]) for x in theirs[max(at - 2, 0):at + 4]]))
            continue
        for i in range(len(m) - 1):
            pairs.append((goid, m[i], m[i + 1][0] - m[i][0], t[i], t[i + 1][0] - t[i][0]))
    return pairs, different


def align(mine, theirs):
    """A change near an edge of the window may be inside on one side only. Of the ways in which the sequences agree, the one
    whose times do."""
    a, b = ''.join(x[1] for x in mine), ''.join(x[1] for x in theirs)
    found = []
    for skip_a, skip_b in ((0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (3, 0), (0, 3)):
        n = min(len(a) - skip_a, len(b) - skip_b)
        if n >= 0 and a[skip_a:skip_a + n] == b[skip_b:skip_b + n] and len(a) - skip_a - n <= 3 and len(b) - skip_b - n <= 3:
            m, t = mine[skip_a:skip_a + n], theirs[skip_b:skip_b + n]
            found.append((sum(abs(x[0] - y[0]) for x, y in zip(m[:5], t[:5])), skip_a + skip_b, m, t))
    return min(found, key=lambda x: x[:2])[2:] if found else (None, None)


def near(x, y):
    return abs(x - y) <= max(NS, SHARE * max(x, y))


def compare(a, b):
    begin = max(a.sum['begin'], b.sum['begin']) + MARGIN_NS
    end = min(a.sum['end'], b.sum['end']) - MARGIN_NS
    pairs, different = side_by_side(a, b, begin, end)
    seconds = (end - begin) / 1e9
    tap.ok(seconds > 1 and len(pairs) > 5000, f'{len(pairs)} intervals of {len(set(a.changes) & set(b.changes))} goroutines '
           f'within {seconds:.2f} s')
    born = {g for g, d in b.goroutines.items() if d['born'] and begin <= b.changes[g][0]['t'] < end}
    tap.ok(born and born <= set(a.changes), f'all {len(born)} goroutines that were born meanwhile', sorted(born - set(a.changes))[:10])
    tap.ok(not different, 'no transition was missed, none made up', *different)
    # The scavenger is made ready by sysmon, which has no P: through no queue of a P, where the probe is.
    judged = [p for p in pairs if b.goroutines[p[0]]['start'] != 'runtime.bgscavenge']
    off = [p for p in judged if not near(p[2], p[4])]
    tap.ok(len(off) <= OUTLIERS * len(judged), f'durations within 1 % or 50 us: all but {len(off)} of {len(judged)}',
           *[f'goroutine {g} {m[1]} {x} ns, truth {y} ns' for g, m, x, _, y in off])
    differences = sorted(abs(x - y) for _, _, x, _, y in judged)
    tap.note(f'differences: p50 {differences[len(differences) // 2]} ns, p99 {differences[len(differences) * 99 // 100]} ns, '
             f'greatest {differences[-1]} ns')
    return judged


def same_details(a, b, pairs):
    waits = [(m[2].get('reason', ''), t[2].get('reason', '')) for _, m, _, t, _ in pairs if m[1] == 'W' and m[2]['from'] == t[2]['from']]
    wrong = collections.Counter(w for w in waits if w[0] != w[1])
    # Coroutine switches have no reason in Go's traces.
    wrong = {w: n for w, n in wrong.items() if w[0] != 'coroutine'}
    tap.ok(waits and not wrong, f'{len(waits)} waits for the same reason in the same words', wrong)
    runs = [(m[2]['proc'], t[2]['proc']) for _, m, _, t, _ in pairs if m[1] == 'X']
    told = [r for r in runs if r[0] < 1000000]
    wrong = [r for r in told if r[0] != r[1]]
    tap.ok(len(told) > 0.9 * len(runs) and len(wrong) <= 0.01 * len(told),
           f'P known for {len(told)} of {len(runs)} runs, and another than in truth for {len(wrong)}')
    wakes = [(m[2].get('by', 0), t[2].get('by', 0)) for _, m, _, t, _ in pairs if m[1] == 'R' and m[2]['from'] == 'Waiting']
    mine = [w for w in wakes if w[0]]
    wrong = [w for w in mine if w[0] != w[1]]
    tap.ok(mine and len(wrong) <= 0.01 * len(mine), f'woken by the same goroutine: {len(mine)} of {len(wakes)} by one, '
           f'{len(wrong)} by another than in truth', wrong[:10])
    tap.note(f'{sum(1 for w in wakes if w[1] and not w[0])} woken by a goroutine that was not seen to')
    names = {(a.goroutines[g]['start'], b.goroutines[g]['start']) for g, *_ in pairs}
    wrong = [n for n in names if n[0] != n[1] and all(n)]
    tap.ok(not wrong, 'called the same', wrong)


def joined(release='newest', variant='default'):
    def beside_runtime_trace():
        check = checker()
        mine, theirs = tmp_dir() / 'mine.trace', tmp_dir() / 'theirs.trace'
        with Target(target_path('traced', release, variant), '-length', '2s') as t:
            if t.minor < 22:
                raise Skip('runtime/trace has another clock before Go 1.22')
            time.sleep(0.5)
            watch = Trace(t.pid, mine).attached()
            theirs.write_bytes(t.command('trace')['raw'])
            time.sleep(0.3)
            watch.end()
        tap.ok('lost' not in watch.text, 'nothing was lost', watch.text)
        a, b = File(check, mine), File(check, theirs)
        tap.equal((a.error, b.error), ('', ''), 'both files are readable')
        pairs = compare(a, b)
        same_details(a, b, pairs)
        go_tool_trace(mine)
    beside_runtime_trace.__name__ = f'beside runtime trace {release} {variant}'
    tap.run(beside_runtime_trace)


def go_tool_trace(path):
    for release in ('1.23', 'newest'):
        p = subprocess.run([go_command(release), 'tool', 'trace', '-pprof=sched', path], capture_output=True,
                           env={**os.environ, 'GOTOOLCHAIN': 'local', 'GOFLAGS': ''})
        tap.ok(p.returncode == 0 and p.stdout[:2] == b'\x1f\x8b', f'go tool trace of Go {release} takes it',
               p.stderr.decode()[-500:])


def old(release='1.19', variant='stripped'):
    def older_releases():
        check = checker()
        path = tmp_dir() / 'old.trace'
        with Target(target_path('traced', release, variant)) as t:
            time.sleep(0.3)
            watch = Trace(t.pid, path).attached()
            time.sleep(2)
            watch.end()
        f = File(check, path)
        tap.equal(f.error, '', 'the file is readable')
        go_tool_trace(path)
        starts = collections.Counter(g['start'] for g in f.goroutines.values())
        tap.ok({'main.ping', 'main.choose', 'main.burn.func1', 'main.disk'} <= set(starts), 'goroutines have names', starts)
        spawned = [g for g in f.goroutines.values() if g['start'] == 'main.spawn.func1']
        ended = [g for g in spawned if g['born'] and g['gone']]
        tap.ok(len(ended) > 200 and len(spawned) - len(ended) < 20, f'{len(spawned)} short-lived goroutines, {len(ended)} from '
               'birth to end')
        # Each does 30 us of work, and is preempted or not.
        ran = sorted(g['running'][1] for g in ended)
        tap.ok(30_000 <= ran[len(ran) // 2] <= 200_000, f'they ran {ran[len(ran) // 2]} ns')
        reader = [g for g in f.goroutines.values() if g['start'] == 'main.pipe.func1']
        blocked = sum(g['syscall'][1] for g in reader)
        span = f.sum['end'] - f.sum['begin']
        tap.ok(blocked > 0.7 * span, f'the reader of a pipe was in its system call {blocked / span:.0%} of the time', reader)
    older_releases.__name__ = f'older release {release} {variant}'
    tap.run(older_releases)


# --- formats -----------------------------------------------------------------------------------------

def requests_are_tasks():
    check = checker()
    path, raw, again = (tmp_dir() / n for n in ('web.trace', 'web.gsr', 'again.trace'))
    with Target(target_path('web'), '-n', '5') as t:
        t.command('load1')
        watch = Trace(t.pid, path, '--raw', raw).attached()
        before = t.command('pages')['pages']
        t.command('load1', timeout=120)
        t.command('load2', timeout=120)
        after = t.command('pages')['pages']
        time.sleep(0.3)
        watch.end()
        count = sum(after[p]['count'] - before[p]['count'] for p in after)
    f = File(check, path)
    tap.equal(f.error, '', 'the file is readable')
    # Pages that ask another server count there as well.
    tap.ok(count <= f.sum['tasks'] <= 2 * count, f'{f.sum["tasks"]} tasks of {count} requests')
    r = gosonde('trace', raw, '-o', again)
    tap.ok(r.code in (OK, INCOMPLETE) and again.read_bytes() == path.read_bytes(), 'the recording gives the same file, byte for byte', r)
    r = gosonde('trace', raw, '--format', 'jsonl')
    events = [json.loads(line) for line in r.text.splitlines()]
    begins = sum(1 for e in events if e['kind'] == 'call_begin')
    tap.equal(begins, f.sum['tasks'], 'as many calls begin in jsonl')
    perfetto = tmp_dir() / 'web.pftrace'
    gosonde('trace', raw, '--format', 'perfetto', '-o', perfetto)
    p = perfetto_rules.Trace(perfetto.read_bytes())
    calls = [s for s in p.slices if s[5]['category'] and p.interned['categories'][s[5]['category'][0]]['str'] == ['call']]
    tap.ok(not p.problems and len(calls) == begins and p.flows > 100, f'{len(calls)} slices of requests and {p.flows} arrows for '
           'Perfetto', p.problems)


def functions_are_tasks():
    check = checker()
    path = tmp_dir() / 'calls.trace'
    with Target(target_path('traced')) as t:
        watch = Trace(t.pid, path, '--function', 'main.work').attached()
        time.sleep(1)
        watch.end()
    f = File(check, path)
    tap.ok(not f.error and f.sum['tasks'] > 300, f'{f.sum.get("tasks")} calls of main.work are tasks', f.error)


def switches(pid):
    """How often each thread left its CPU."""
    return {int(p.name): sum(int(line.split()[1]) for line in (p / 'status').read_text().splitlines() if 'ctxt_switches' in line)
            for p in pathlib.Path(f'/proc/{pid}/task').iterdir()}


def threads_for_perfetto():
    path = tmp_dir() / 'threads.pftrace'
    with Target(target_path('traced')) as t:
        watch = Trace(t.pid, path, '--format', 'perfetto').attached()
        before = switches(t.pid)
        time.sleep(1)
        after = switches(t.pid)
        threads = {tid for tid, n in after.items() if n > before.get(tid, n) + 1}
        watch.end()
    p = perfetto_rules.Trace(path.read_bytes())
    tap.equal(p.problems, [], 'nothing that a reader would not like')
    seen = {x['thread'][0]['tid'][0] for x in p.tracks.values() if x['thread']}
    tap.ok(threads <= seen, f'all {len(threads)} threads that ran have a track', threads - seen)
    names = collections.Counter(s[3] for s in p.slices)
    for want in ('running', 'runnable', 'chan receive', 'read', 'futex', 'GC'):
        tap.ok(names[want], f'{names[want]} slices "{want}"', names.most_common(30))
    counters = {p.track_name(k) for k, x in p.tracks.items() if x['counter']}
    tap.ok({'goroutines', 'run queue, global', 'run queues of Ps'} <= counters, 'counters', counters)


def terminal():
    """A binary format is not printed on a terminal, and nothing is attached before that is said."""
    with Target(target_path('traced'), '-calm') as t:
        mine, theirs = pty.openpty()
        p = start([GOSONDE, 'trace', str(t.pid)], stdout=theirs, stderr=subprocess.PIPE, text=True)
        text = p.communicate(timeout=20)[1]
        os.close(theirs)
        os.close(mine)
        tap.ok(p.returncode == USAGE and 'terminal' in text and '-o FILE' in text, 'a terminal gets no binary', p.returncode, text)
        r = gosonde('trace', t.pid, '--dry-run')
        tap.ok(r.code == OK and 'runtime.gopark' in r.text, '--dry-run lists the probes', r)


what, args = sys.argv[1], sys.argv[2:]
if what == 'formats':
    tap.run(requests_are_tasks, functions_are_tasks, threads_for_perfetto, terminal)
else:
    {'joined': joined, 'old': old}[what](*args)
