#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Marking a heap from outside, beside what the runtime's own collector found.

  test_heap_mark.py RELEASE VARIANT [MB]

The program bigheap builds a heap of a known shape, collects twice, says what runtime.MemStats counted then, and
drops objects that nothing reaches. All addresses that it says are reached have to be marked, and none of those that are
not. (What stands on a stack and looks like a pointer may bring some back when stacks are read word by word.)

The program lookalikes has objects of all sizes and kinds that hold pointers and numbers that look like some; its collector
says what became of those that they lead to.
"""
import json
import shutil
import subprocess
import sys

import cores
from harness import BUILD, Skip, Target, have, run_checked, tap, target_path

SHAPES = ('mixed', 'tree', 'map', 'lists', 'slices', 'chain')
release, variant = sys.argv[1:3]
MB = int(sys.argv[3]) if len(sys.argv) > 3 else 24
heap_dump = BUILD / 'tests' / 'live' / 'heap_dump'


def mark(what, *options, ask=()):
    """Run the driver; return its answers for the (inverted) addresses and its figures."""
    argv = [heap_dump, *options]
    if ask:
        path = cores.fresh_dir('ask') / 'addresses'
        path.write_text('\n'.join(ask) + '\n')
        argv += ['--ask', path]
    r = subprocess.run([str(a) for a in [*argv, what]], capture_output=True, text=True, timeout=120)
    if r.returncode:
        raise AssertionError(f'{argv}: exit {r.returncode}: {r.stderr}')
    *answers, figures = r.stdout.splitlines()
    return answers, json.loads(figures)


def check(name, ready, what, *options, kept=0):
    reachable, garbage = ready['reachable'], ready['garbage']
    answers, f = mark(what, *options, ask=reachable + garbage)
    if f['incomplete']:  # something moved; not twice
        tap.note(f'{name}: again, for {f["incomplete"]}')
        answers, f = mark(what, *options, ask=reachable + garbage)
    good, bad = answers[:len(reachable)], answers[len(reachable):]
    tap.ok(len(good) > 50 and set(good) == {'marked'}, f'{name}: all {len(good)} that are reached are marked',
           {a: good.count(a) for a in set(good)}, f)
    tap.ok(len(bad) == len(garbage) and 'none' not in bad and bad.count('marked') * 1000 <= kept * len(bad),
           f'{name}: {bad.count("marked")} of {len(bad)} that nothing reaches are marked', f)
    # What was allocated since, and the runtime's own, is little.
    slack = ready['garbage_bytes'] * kept // 1000 + (256 << 10)
    tap.ok(ready['bytes'] <= f['bytes'] and abs(f['bytes'] - ready['heap_alloc']) <= slack,
           f'{name}: bytes as the runtime counts', f'marked {f["bytes"]}, HeapAlloc {ready["heap_alloc"]}, '
           f'of known objects {ready["bytes"]}', f)
    tap.ok(f['objects'] >= ready['objects'] and
           abs(f['objects'] - ready['heap_objects']) <= ready['garbage_objects'] * kept // 1000 + 3000,
           f'{name}: objects as the runtime counts', f'marked {f["objects"]}, HeapObjects {ready["heap_objects"]}', f)
    tap.equal(f['without_bits'], 0, f'{name}: of all objects is known which words are pointers')
    tap.ok(f['unreadable_bytes'] == 0 and not f['incomplete'], f'{name}: nothing is missing', f['unreadable_bytes'],
           f['incomplete'])
    tap.ok(f['memory_bytes'] < 32 << 20, f'{name}: {f["memory_bytes"] >> 20} MB of memory', f)
    tap.note(f'{name}: {f["bytes"] >> 20} MB in {f["mark_ms"]} ms, {f["bytes_read"] >> 20} MB read')
    return f


def target(shape):
    return Target(target_path('bigheap', release, variant), '-mb', MB if shape != 'chain' else 2, '-shape', shape,
                  '-garbage', 50000, '-every', 1000 if shape != 'chain' else 100)


def test_shapes():
    for shape in SHAPES:
        with target(shape) as t:
            check(f'go {release} {variant}: {shape}', t.ready, t.pid)


def test_other_ways():
    with target('mixed') as t:
        name = f'go {release} {variant}'
        plain = check(f'{name}: drained', t.ready, t.pid)
        walked = check(f'{name}: walked', t.ready, t.pid, '--walk')
        tap.equal([walked['visited'], walked['visited_bytes']], [walked['objects'], walked['bytes']],
                  f'{name}: every marked object had its turn once')
        tap.ok(abs(plain['objects'] - walked['objects']) < 100, f'{name}: the walk finds what draining finds', plain, walked)
        check(f'{name}: conservative stacks', t.ready, t.pid, '--conservative', kept=20)
        t.command('grow')
        _, later = mark(t.pid)
        tap.ok(abs(later['objects'] - plain['objects']) < 5000, f'{name}: the same when asked again', plain, later)


def test_lookalikes():
    with Target(target_path('lookalikes', release, variant)) as t:
        name = f'go {release} {variant}: lookalikes'
        victims = t.ready['victims']
        living = {v['address'] for v in victims if v['live']}
        for options in ([], ['--walk']):
            answers, f = mark(t.pid, *options, ask=[v['address'] for v in victims])
            lost = [(v, a) for v, a in zip(victims, answers) if v['live'] and a != 'marked']
            kept = [v for v, a in zip(victims, answers) if a == 'marked' and v['address'] not in living]
            tap.equal([lost[:9], kept[:9]], [[], []], f'{name} {options}: marked is what the runtime keeps, and nothing else')
            tap.equal([f['without_bits'], f['incomplete']], [0, {}], f'{name} {options}: nothing is guessed')
        dead = sum(not v['pointer'] and not v['live'] for v in victims)
        tap.ok(len(living) > 1000 and dead > 1000, f'{name}: {len(living)} behind pointers, {dead} behind numbers')
        for attempt in range(3):  # whatever the runtime does on the side
            live = t.command('heap')['heap_live']
            _, f = mark(t.pid)
            off = f['bytes'] - live
            if abs(off) <= 8192:
                break
        tap.ok(abs(off) <= 8192, f'{name}: {f["bytes"]} bytes marked, {off:+} beside the runtime after two collections')


def test_core():
    if not have('gcore'):
        raise Skip('no gcore (package gdb)')
    where = cores.fresh_dir('bigheap')
    with target('mixed') as t:
        run_checked(['gcore', '-o', where / 'core', t.pid], timeout=120)
        core = cores.only_core(where, 'core*')
        from_core = check(f'go {release} {variant}: core', t.ready, core, '--exe', t.exe)
        _, live = mark(t.pid)
        tap.ok(abs(live['objects'] - from_core['objects']) < 100, f'go {release} {variant}: core and process agree',
               live, from_core)
        # A core that is cut off in the heap: what is missing is said, the rest is marked.
        size = core.stat().st_size
        with open(core, 'r+b') as f:
            f.truncate(size * 2 // 3)
        r = subprocess.run([str(heap_dump), '--exe', t.exe, str(core)], capture_output=True, text=True, timeout=120)
        tap.ok(r.returncode in (0, 1), f'go {release} {variant}: a core that is cut off', r.returncode, r.stderr)
    shutil.rmtree(where)


if not heap_dump.exists():
    tap.run(lambda: tap.ok(False, f'{heap_dump} is not built'))
tap.run(test_shapes, test_other_ways, test_lookalikes, test_core)
