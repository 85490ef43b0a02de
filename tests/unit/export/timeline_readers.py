#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Timelines of worlds of dice (timeline_make), judged by readers that are not ours.

  timeline_readers.py TIMELINE_MAKE            JSON lines with Python's reader, Perfetto with perfetto_rules.py
  timeline_readers.py TIMELINE_MAKE GO_FINDER  Go execution traces: golang.org/x/exp/trace, the validator and the summaries of
                                               Go's own tests, and `go tool trace` of several releases

Undisturbed worlds must come out as they were; disturbed ones (lost, doubled, disordered, absurd events) must be readable.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import perfetto_rules

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
VALIDATORS = ROOT / 'tests' / 'validators'
MAKE = sys.argv[1]
STATES = ('running', 'runnable', 'waiting', 'syscall')
# Each change of state may be told some nanoseconds late: times of all events of a file differ.
NS_PER_CHANGE, NS_PER_FILE = 100, 3000

DISTURBED = [
    {'drop': 100},
    {'drop': 10, 'twice': 20, 'swap': 30},
    {'garbage': 100, 'drop': 50, 'swap': 50, 'twice': 50},
    {'no_state': 1, 'drop': 20},
    {'no_ps': 1, 'drop': 30, 'swap': 100},
    {'step_ns': 20_000_000, 'n_events': 6000, 'drop': 50, 'swap': 20, 'garbage': 10},
    {'step_ns': 50_000_000, 'n_events': 5000, 'no_state': 1, 'garbage': 30},
    {'garbage': 500, 'n_events': 3000, 'threads': 3, 'ps': 2},
    {'thin': 3, 'goroutines': 100, 'drop': 20},
    {'thin': 2, 'step_ns': 5_000_000, 'detach': 127, 'drop': 5},
]
# What is told of fewer and fewer goroutines is right as long as something is told.
LESS = [{'thin': 1, 'goroutines': 100}, {'thin': 4, 'threads': 14, 'ps': 8}]
UNDISTURBED = [{'threads': 4}, {'threads': 14}, {'threads': 40, 'ps': 8, 'goroutines': 300},
               {'goroutines': 1, 'ps': 1, 'threads': 2}, {'step_ns': 100}]

n_points = failed = 0


def point(good, name, *details):
    global n_points, failed
    n_points += 1
    failed += not good
    print(f'{"" if good else "not "}ok {n_points} - {name}', flush=True)
    for d in [] if good else details[:8]:
        for line in str(d)[:1500].splitlines():
            print('#  ', line)


def done():
    print(f'1..{n_points}')
    sys.exit(failed > 0)


def make(form, path, **options):
    """Write a timeline; returns the truth, by goroutine."""
    p = subprocess.run([MAKE, form, path, *(f'{k}={v}' for k, v in options.items())], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return {g['goid']: g for g in map(json.loads, p.stdout.splitlines())}


def words(options):
    return ' '.join(f'{k}={v}' for k, v in options.items())


# --- Perfetto and JSON lines -------------------------------------------------------------------------

def sums_of(trace):
    """Times by goroutine and state, from the slices of the goroutines' tracks."""
    sums = collections.defaultdict(lambda: collections.Counter())
    for track, begin, end, name, _, e in trace.slices:
        kind = [trace.interned['categories'][c]['str'][0] for c in e['category']]
        label = trace.track_name(track)
        if kind == ['goroutine']:
            sums[int(label.split()[1])][name if name in ('running', 'runnable') else 'waiting'] += end - begin
        elif kind == ['thread'] and str(label).startswith('G '):
            sums[int(label.split()[1])]['syscall'] += end - begin
    return sums


def perfetto_agrees(d, seed, options):
    path = d / 'world.pftrace'
    truth = make('perfetto', path, seed=seed, **options)
    trace = perfetto_rules.Trace(path.read_bytes())
    problems = list(trace.problems)
    theirs = perfetto_rules.strict(path.read_bytes())
    problems += theirs or []
    for goid, sums in sums_of(trace).items():
        t = truth[goid]
        # System calls are inside of "running" here.
        want = {'running': t['running'][1] + t['syscall'][1], 'runnable': t['runnable'][1],
                'waiting': t['waiting'][1], 'syscall': t['syscall'][1]}
        # A thread is on its CPU again up to 1 us before its goroutine has to give way.
        slack = NS_PER_FILE + 1000 * t['syscall'][0]
        problems += [f'goroutine {goid}: {s} {sums[s]} ns, truth {want[s]}' for s in want
                     if abs(want[s] - sums[s]) > slack]
        name = next(trace.track_name(k) for k in trace.tracks if trace.track_name(k) == f'G {goid} {t["start"]}')
        problems += [] if name else [f'goroutine {goid} has no track']
    point(not problems and trace.flows, f'perfetto, seed {seed}, {words(options)}: as it was, {len(trace.slices)} slices, '
          f'{trace.flows} arrows' + ('' if theirs is None else ', and for perfetto\'s own classes'), *problems)


def perfetto_is_readable(d, seed, options):
    path = d / 'world.pftrace'
    make('perfetto', path, seed=seed, **options)
    trace = perfetto_rules.Trace(path.read_bytes())
    point(not trace.problems, f'perfetto, seed {seed}, {words(options)}: readable', *trace.problems)


def jsonl_agrees(d, seed, options):
    path = d / 'world.jsonl'
    truth = make('jsonl', path, seed=seed, **options)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    problems = []
    if lines[0].get('schema') != 'gosonde.trace/1' or lines[-1]['kind'] != 'stats':
        problems.append('header or last line')
    known = set()
    runs = collections.Counter()
    parks = collections.Counter()
    times = []
    for e in lines[1:-1]:
        if e['kind'] == 'stack':
            known.add(e['id'])
            continue
        times.append(e['time_seconds'])
        if 'stack' in e and e['stack'] not in known:
            problems.append(f'stack {e["stack"]} is used before it is told')
        runs[e.get('goroutine_id')] += e['kind'] == 'go_run'
        parks[e.get('goroutine_id')] += e['kind'] == 'go_park'
    events = sum(1 for e in lines[1:-1] if e['kind'] != 'stack')
    problems += [] if events == lines[-1]['events'] else [f'{events} events, it says {lines[-1]["events"]}']
    problems += [] if times == sorted(times) else ['not in the order of time']
    problems += [f'goroutine {g}: {parks[g]} parks, truth {t["waiting"]}' for g, t in truth.items()
                 if not 0 <= t['waiting'][0] - parks[g] <= 1 + options.get('thin', 0)]
    point(not problems, f'jsonl, seed {seed}, {words(options)}: {events} events', *problems)


def without_go():
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        for i, options in enumerate(UNDISTURBED + LESS):
            perfetto_agrees(d, i + 1, options)
            jsonl_agrees(d, i + 1, options)
        for seed in range(1, 4):
            for options in DISTURBED:
                perfetto_is_readable(d, seed, {'n_events': 3000, **options})
                jsonl = d / 'disturbed.jsonl'
                make('jsonl', jsonl, seed=seed, **{'n_events': 3000, **options})
                for line in jsonl.read_text().splitlines():
                    json.loads(line)
    done()


# --- Go execution traces -----------------------------------------------------------------------------

class Go:
    """The `go` command of one release."""

    def __init__(self, finder, release):
        self.release = release
        self.go = subprocess.run([finder, release], check=True, capture_output=True, text=True).stdout.strip()
        self.root = pathlib.Path(self.go).parent.parent
        self.env = {**os.environ, 'GOTOOLCHAIN': 'local', 'GOFLAGS': '', 'GO111MODULE': 'on'}

    def tool_trace(self, path):
        """What `go tool trace` says against the file, '' if nothing: it reads all of it to make a profile."""
        p = subprocess.run([self.go, 'tool', 'trace', '-pprof=sched', path], capture_output=True, env=self.env)
        return '' if p.returncode == 0 and p.stdout[:2] == b'\x1f\x8b' else p.stderr.decode() or f'exit {p.returncode}'

    def build_strict(self, d):
        """gotrace_strict, which imports packages internal to the distribution: built in a distribution of links that has one
        folder more. The module cache must not be changed, and an overlay must not reach into it."""
        root = d / f'go-{self.release}'
        for part in ('.', 'src', 'src/cmd'):
            (root / part).mkdir()
            for f in (self.root / part).iterdir():
                if f.name not in (('src',) if part == '.' else ('cmd',) if part == 'src' else ()):
                    (root / part / f.name).symlink_to(f)
        program = root / 'src' / 'cmd' / 'gotrace_strict'
        program.mkdir()
        (program / 'main.go').write_text((VALIDATORS / 'gotrace_strict' / 'main.go').read_text())
        out = d / f'strict-{self.release}'
        subprocess.run([self.go, 'build', '-o', out, 'cmd/gotrace_strict'], check=True, cwd=root / 'src' / 'cmd',
                       env={**self.env, 'GOROOT': str(root)}, capture_output=True, text=True)
        return out


def build_check(go, d):
    out = d / 'gotrace_check'
    p = subprocess.run([go.go, 'build', '-o', out, './gotrace_check'], cwd=VALIDATORS, capture_output=True, text=True,
                       env={**go.env, 'GOFLAGS': '-mod=mod -modcacherw', 'GOTOOLCHAIN': 'auto'})
    return (out, '') if p.returncode == 0 else (None, p.stderr)


def differences(truth, lines):
    got = {g['goid']: g for g in lines if 'goid' in g}
    for goid, t in truth.items():
        g = got.get(goid)
        if not g:
            if any(t[s][1] for s in STATES):
                yield f'goroutine {goid} is missing: {t}'
            continue
        for s in STATES:
            changes = sum(t[x][0] for x in STATES)
            if abs(t[s][1] - g[s][1]) > NS_PER_FILE + NS_PER_CHANGE * changes:
                yield f'goroutine {goid}: {s} {g[s][1]} ns, truth {t[s][1]}'
        if g['waiting'][0] != t['waiting'][0] or g['start'] != t['start']:
            yield f'goroutine {goid}: waits {g["waiting"][0]}, truth {t["waiting"][0]}; {g["start"]}, truth {t["start"]}'


class Readers:
    def __init__(self, finder, d):
        self.d = d
        self.old = Go(finder, '1.22')
        self.tools = [Go(finder, r) for r in ('1.23', '1.24', '1.25', '1.26', '1.27')]
        self.check, why = build_check(self.tools[-1], d)
        if not self.check:
            print('# golang.org/x/exp/trace is not judging: it could not be built:', why.strip().splitlines()[-1:])
        self.strict = []
        for go in (self.tools[0], self.tools[-1]):
            try:
                self.strict.append(go.build_strict(d))
            except subprocess.CalledProcessError as e:
                point(False, f'the validator of Go {go.release} builds', e.stderr)

    def complaints(self, path, tools):
        said = []
        for reader in ([self.check] if self.check else []) + self.strict:
            p = subprocess.run([reader, path], capture_output=True, text=True)
            said += [f'{reader.name}: {p.stderr}'] if p.returncode else []
        for go in tools:
            text = go.tool_trace(path)
            said += [f'go tool trace {go.release}: {text}'] if text else []
        return said

    def undisturbed(self, seed, options):
        path = self.d / 'world.trace'
        truth = make('gotrace', path, seed=seed, **options)
        said = self.complaints(path, self.tools)
        if self.check:
            p = subprocess.run([self.check, path], capture_output=True, text=True)
            said += differences(truth, list(map(json.loads, p.stdout.splitlines())))
        point(not said, f'gotrace, seed {seed}, {words(options)}: as it was', *said)
        make('gotrace-1.22', path, seed=seed, **options)
        said = self.complaints(path, [self.old, self.tools[-1]])
        point(not said, f'gotrace-1.22, seed {seed}, {words(options)}', *said)

    def disturbed(self, seed, options):
        path = self.d / 'world.trace'
        make('gotrace', path, seed=seed, **options)
        said = self.complaints(path, [self.tools[seed % len(self.tools)]])
        point(not said, f'gotrace, seed {seed}, {words(options)}: readable', *said)


def with_go(finder):
    with tempfile.TemporaryDirectory() as d:
        readers = Readers(finder, pathlib.Path(d))
        for i, options in enumerate(UNDISTURBED):
            readers.undisturbed(i + 1, options)
        # More than one generation; and nothing at all, of which `go tool trace` has no profile to make.
        readers.disturbed(8, {'step_ns': 5_000_000, 'n_events': 20000})
        nothing = pathlib.Path(d) / 'nothing.trace'
        make('gotrace', nothing, n_events=0, goroutines=0)
        said = readers.complaints(nothing, [])
        point(not said, 'gotrace of nothing', *said)
        for seed in range(1, 13):
            for options in DISTURBED:
                readers.disturbed(seed, options)
    done()


with_go(sys.argv[2]) if len(sys.argv) > 2 else without_go()
