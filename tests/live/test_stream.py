#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Live events and recordings: every goroutine of the start is told of as the runtime knows it, nothing is out of
order, states follow each other as they can, a recording prints what was printed live, and ends of gosonde, of the
target and of its program are clean.

    test_stream.py [RELEASE [VARIANT]]
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from harness import BUILD, Skip, Target, gosonde, start, tap, target_path, tmp_dir

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
PRINT = BUILD / 'tests' / 'unit' / 'stream' / 'stream_print'
GOROUTINES, STACKS, THREADS = 1, 2, 32
MIB = 1 << 20


class Stream:
    """What stream_print said."""

    def __init__(self, code, out, err):
        self.code, self.err = code, err
        self.lines = out.decode('utf-8', 'surrogateescape').splitlines()
        report = [x for x in err.decode().splitlines() if x.startswith('{')]
        self.report = json.loads(report[-1]) if report else None

    @property
    def missing(self):
        return {i['what']: i['count'] for i in self.report['incomplete']}


def stream_process(*args, **kw):
    return start([PRINT, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def ended(p, timeout=120):
    out, err = p.communicate(timeout=timeout)
    return Stream(p.returncode, out, err)


def stream(*args, timeout=120):
    s = ended(stream_process(*args), timeout)
    if s.code != 0 or s.report is None:
        raise AssertionError(f'stream_print {args}: exit {s.code}: {s.err[-500:]}')
    return s


def need_root():
    if os.geteuid() != 0:
        raise Skip('needs root to attach probes')


def fields(line):
    """A line as (time, kind, {key: first value})."""
    t, kind, rest = line.split(' ', 2)
    found = {}
    for m in re.finditer(r'(\w+)=(?:"([^"]*)"|(\S*))', rest):
        found.setdefault(m.group(1), m.group(2) if m.group(2) is not None else m.group(3))
    return int(t), kind, found


def goroutines_of_the_start():
    """Against what the program says of its goroutines."""
    need_root()
    with Target(target_path('states', RELEASE, VARIANT)) as target:
        s = stream('--seconds', 0.5, '--want', GOROUTINES | STACKS, '--print', target.pid)
        states = {}
        for line in s.lines:
            _, kind, f = fields(line)
            if kind == 'go_state':
                states[int(f['g'])] = f
        want = target.stack()
        wrong = []
        names = {4: 'waiting', 3: 'syscall', 2: 'running', 1: 'runnable'}
        for i, t in want.items():
            role = target.roles().get(i)
            if not role or not t.frames or t.reason in ('running', 'runnable', 'syscall'):
                continue
            got = states.get(i)
            if not got:
                wrong.append(f'goroutine {i} {role["role"]}: not told of')
            elif got.get('reason', '').replace(' (durable)', '') != t.reason.replace(' (durable)', ''):
                wrong.append(f'goroutine {i} {role["role"]}: {names.get(int(got["state"]))} {got.get("reason")!r}, '
                             f'the runtime says {t.reason!r}')
            elif t.parent and int(got['parent']) not in (0, t.parent):
                wrong.append(f'goroutine {i}: parent {got["parent"]}, not {t.parent}')
        tap.ok(not wrong and len(states) >= len(want) > 20, f'{len(want)} goroutines are told of as they are', *wrong)


# What may come before an event of a goroutine, by its own kind; "?" is not known: an event was not seen.
BEFORE = {
    'go_ready': {'waiting'},
    'go_run': {'runnable', 'running'},  # a goroutine that goes on after a system call is not seen to leave
    'go_park': {'running'},
    'go_yield': {'running', 'waiting'},
    'go_exit': {'running'},
}
AFTER = {'go_ready': 'runnable', 'go_run': 'running', 'go_park': 'waiting', 'go_yield': 'runnable', 'go_create': 'runnable'}
STATES = {'1': 'runnable', '2': 'running', '3': 'running', '4': 'waiting'}


def order_and_transitions():
    """A goroutine goes through states as the scheduler allows, with nothing in between, when no loss is said."""
    need_root()
    with Target(target_path('churn', RELEASE, VARIANT), '-pace', '5ms', '-n', '100', '-procs', '2') as target:
        s = stream('--seconds', 1, '--want', GOROUTINES, '--print', target.pid)
        r = s.report
        tap.ok(sum(r['events'].values()) > 10000, f'{sum(r["events"].values())} events')
        tap.ok(r['disorder'] == 0 and r['lost'] == 0 and r['events']['lost'] == 0, 'none lost, none out of order', s.missing)
        state, wrong, unknown, last, collector = {}, [], [], {}, set()
        for line in s.lines:
            t, kind, f = fields(line)
            g = f['g']
            if kind == 'go_state':
                state[g] = STATES.get(f['state'])
                collector.update([g] if f['system'] == '1' else [])
            elif kind in BEFORE or kind == 'go_create':
                # The collector hands goroutines to the scheduler in lists, not one by one.
                by_gc = kind == 'go_run' and state.get(g) == 'waiting' and (g in collector or 'reason="GC ' in last.get(g, ''))
                if kind in BEFORE and state.get(g) not in BEFORE[kind] and not by_gc and f['flags'] != '1':
                    (wrong if g in state else unknown).append(f'{last.get(g)} then {line[:120]}')
                state[g] = AFTER.get(kind)
                last[g] = line[:120]
                if not int(f.get('parent', 1)):
                    collector.add(g)
        tap.ok(not wrong, f'{len(s.lines)} events follow each other as they can', *wrong)
        # The snapshot may miss one that moves while it is read; its first event tells of it then.
        tap.ok(len(unknown) <= 2, 'goroutines were told of before their events', *unknown)


def replay():
    """What a recording prints is what was printed."""
    need_root()
    with Target(target_path('churn', RELEASE, VARIANT), '-pace', '5ms', '-n', '100') as target:
        path = tmp_dir() / 'churn.recording'
        live = stream('--seconds', 2, '--gauge', 200, '--raw', path, '--print', target.pid)
        again = stream('--print', path)
        tap.ok(live.lines == again.lines and len(live.lines) > 10000, f'{len(live.lines)} lines are the same',
               *[f'{a[:150]} != {b[:150]}' for a, b in zip(live.lines, again.lines) if a != b][:5])
        tap.equal(again.report, live.report, 'and the numbers')
        copy = tmp_dir() / 'copy.recording'
        stream('--raw', copy, path)
        third = stream('--print', copy)
        tap.ok(third.lines == live.lines, 'also of a recording of the recording')
        tap.ok(any('object_name="main.contended"' in x for x in live.lines) or VARIANT == 'stripped',
               'the global mutex has its name')
        tap.ok(path.stat().st_mode & 0o077 == 0, 'nobody else may read it')


def killed():
    """kill -9 in the middle: the recording gives what it has, and says so."""
    need_root()
    with Target(target_path('churn', RELEASE, VARIANT), '-pace', '5ms', '-n', '100') as target:
        path = tmp_dir() / 'killed.recording'
        p = stream_process('--seconds', 60, '--raw', path, target.pid)
        time.sleep(5)
        p.kill()
        p.wait()
        s = stream(path)
        tap.ok('recording_truncated' in s.missing, 'the recording says that it is not whole', s.missing)
        tap.ok(sum(s.report['events'].values()) > 10000, 'what was written is replayed', s.report['events'])
        with open(path, 'r+b') as f:
            f.truncate(path.stat().st_size - 7)
        s = stream(path)
        tap.ok('recording_damaged' in s.missing, 'a block that is cut is noticed', s.missing)
        again = stream('--seconds', 0.5, target.pid)
        tap.ok(sum(again.report['events'].values()) > 100, 'the target can be watched again')


def target_ends():
    need_root()
    for number in (signal.SIGKILL, signal.SIGTERM):
        target = Target(target_path('churn', RELEASE, VARIANT), '-pace', '5ms', '-n', '100')
        p = stream_process('--seconds', 60, '--print', target.pid)
        time.sleep(2)
        target.process.send_signal(number)
        begin = time.monotonic()
        s = ended(p, 30)
        tap.ok(s.code == 0 and s.report['target_exit'] == 1, f'{number.name} of the target: results', s.code, s.err[-300:])
        tap.ok(time.monotonic() - begin < 5, f'{number.name}: at once, {time.monotonic() - begin:.2f} s')
        tap.ok(len(s.lines) > 5000 and any('frame="main.' in x for x in s.lines), f'{number.name}: with stacks')
        target.process.wait()


def target_execs():
    need_root()
    target = Target(target_path('exec', RELEASE, VARIANT), '-after', '2s')
    p = stream_process('--seconds', 60, target.pid)
    s = ended(p, 30)
    tap.ok(s.code == 0 and s.report['target_exit'] == 2, 'exec of the target ends it well', s.code, s.err[-300:])
    target.process.kill()
    target.process.wait()


def memory():
    """Beside 10,000 goroutines and 20,000 events a second gosonde takes 40 MB."""
    need_root()
    with Target(target_path('churn', RELEASE, VARIANT), '-parked', '10000', '-n', '200', '-pace', '40ms') as target:
        path = tmp_dir() / 'memory.recording'
        for extra in ([], ['--raw', path]):
            s = stream('--seconds', 5, '--want', GOROUTINES | STACKS | THREADS, *extra, target.pid)
            r = s.report
            rate = sum(r['events'].values()) / (r['watched_ns'] / 1e9)
            tap.ok(r['self_rss_bytes'] <= 40 * 1000 * 1000,
                   f'{r["self_rss_bytes"] / 1e6:.1f} MB at {rate:.0f} events/s{" with a recording" if extra else ""}')
            tap.ok(rate > 15000 and r['lost'] == 0, 'none lost', s.missing)
            tap.note(f'gosonde used {r["self_cpu_ns"] / r["watched_ns"]:.3f} of a CPU')


def budget():
    """Below what the probes cost: less is watched, and that is said."""
    need_root()
    with Target(target_path('churn', RELEASE, VARIANT), '-pace', '5ms', '-n', '200') as target:
        s = stream('--seconds', 8, '--max-overhead', 0.01, target.pid)
        tap.ok({'thinned', 'probes_detached', 'ended_early'} & set(s.missing), 'the budget is kept by watching less', s.missing)
        r = s.report
        tap.note(f'cost {r["target_cost_ns"] / max(1, r["target_cpu_ns"]):.4f} of the CPU, {s.missing}')
        s = stream('--seconds', 1, target.pid)
        tap.ok(not {'thinned', 'probes_detached', 'ended_early'} & set(s.missing), 'without a limit all is watched', s.missing)


def dry_run():
    """The plan as text and as JSON: nothing is attached, each place is in the file."""
    with Target(target_path('states', RELEASE, VARIANT)) as target:
        r = gosonde('why', target.pid, '--dry-run', '--format', 'json')
        if r.code != 0:
            tap.ok(False, 'why --dry-run', str(r))
            return
        plan = r.json()
        tap.equal(plan['schema'], 'gosonde.plan/1', 'schema')
        sites = {p['function']: p for p in plan['probes']}
        tap.ok({'runtime.gopark', 'runtime.runqput', 'runtime.execute'} <= set(sites), 'the scheduler is watched', sorted(sites))
        code = pathlib.Path(target.exe).read_bytes()
        push = [p for p in plan['probes'] if p['placement'] == 'push' and code[int(p['file_offset'], 16)] != 0x55]
        if os.uname().machine == 'x86_64':
            tap.ok(not push, 'where it says push is a push', *push)
        text = gosonde('why', target.pid, '--dry-run')
        tap.ok(text.code == 0 and 'runtime.gopark' in text.text and 'NS/HIT' in text.text, 'as a table', str(text))


tap.run(goroutines_of_the_start, order_and_transitions, replay, killed, target_ends, target_execs, memory, budget, dry_run)
