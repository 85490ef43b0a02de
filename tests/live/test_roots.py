#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Roots of the heap: what goroutines wait for, and which slots of their stacks hold live pointers.

The truth is the collector's: the program roots keeps pointers to objects in every kind of slot, live and dead, and its
finalizers tell which objects the runtime found unreachable. test_roots.py [RELEASE [VARIANT]]
"""
import collections
import json
import os
import shutil
import signal
import struct
import sys

from cores import fresh_dir, only_core
from harness import BUILD, CorePattern, Skip, Target, have, run_checked, tap, target_path, unlimited_cores

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
PRINT = BUILD / 'tests' / 'live' / 'roots_print'

# What a wait is, by the state of a traceback; "semacquire" by role.
BLOCKS = {
    'chan receive': 'chan receive', 'chan send': 'chan send', 'select': 'select',
    'chan receive (nil chan)': 'nil channel', 'chan send (nil chan)': 'nil channel',
    'select (no cases)': 'select (no cases)', 'sync.Mutex.Lock': 'sync.Mutex', 'sync.RWMutex.Lock': 'sync.RWMutex',
    'sync.RWMutex.RLock': 'sync.RWMutex', 'sync.WaitGroup.Wait': 'sync.WaitGroup', 'sync.Cond.Wait': 'sync.Cond',
}
SEMAPHORES = {
    'mutex': 'sync.Mutex', 'mutex-holder-waits': 'sync.Mutex', 'mutex-behind-holder': 'sync.Mutex',
    'rwmutex-writer': 'sync.RWMutex', 'rwmutex-reader': 'sync.RWMutex', 'rwmutex-second-writer': 'sync.Mutex',
    'waitgroup': 'sync.WaitGroup', 'once-waiter': 'sync.Mutex', 'pipe-read-second': 'none',
}
# Roles that wait for one and the same thing.
SHARED = [('mutex', 'mutex-holder-waits'), ('cond',), ('same-stack', 'chan-receive', 'chan-range')]


class Roots:
    """What roots_print said."""

    def __init__(self, target, *what):
        self.gs, self.stacks, self.precise, self.incomplete, self.ms = {}, collections.defaultdict(set), {}, {}, {}
        self.globals, self.specials, self.count = set(), set(), {}
        for line in run_checked([PRINT, *target, *what]).splitlines():
            d = json.loads(line)
            if 'stack' in d:
                self.stacks[d['goid']].add(d['stack'])
            elif 'goid' in d:
                self.gs[d['goid']] = d
            elif 'globals' in d:
                self.globals.add(d['globals'])
            elif 'specials' in d:
                self.specials.add(d['specials'])
            elif 'marked' in d:
                self.marked, self.bytes = d['marked'], d['bytes']
            elif 'incomplete' in d:
                self.incomplete[d['incomplete']] = d['count']
            elif 'done' in d:
                self.ms[d['done']], self.count[d['done']] = d['ms'], d['pointers']


def expected_block(role, state):
    return SEMAPHORES[role] if state == 'semacquire' else BLOCKS.get(state, 'none')


def waits():
    with Target(target_path('states', RELEASE, VARIANT)) as target:
        roots = Roots([target.pid], 'gs')
        objects = collections.defaultdict(list)
        wrong, without = [], []
        for id, r in target.roles().items():
            g = roots.gs.get(id)
            if r['role'] == 'command-loop' or r['state'] == 'running':
                continue
            want = expected_block(r['role'], r['state'])
            if not g or g['block'] != want or g['torn'] or g['system']:
                wrong.append((r['role'], r['state'], want, g))
            elif want not in ('none', 'nil channel', 'select (no cases)'):
                if not g['objects'] or g['unknown'] or not all(all(o) for o in g['objects']):
                    without.append((r['role'], g))
                objects[r['role']].append([o[0] for o in g['objects']])
        tap.equal(wrong, [], f'{RELEASE} {VARIANT}: what goroutines are blocked on')
        tap.equal(without, [], 'and the objects that they wait for')
        for roles in SHARED:
            all_of_them = [o for role in roles for o in objects[role]]
            tap.ok(len(all_of_them) > 1 and all(o == all_of_them[0] for o in all_of_them),
                   f'{", ".join(roles)}: all wait for the same', all_of_them)
        tap.equal([g['goid'] for g in roots.gs.values() if g['main']], [1], 'who runs main.main')
        tap.equal(len(objects['select'][0]), 3, 'a select waits for all its channels')
        selected = {o for role in ('mutex', 'cond', 'chan-receive') for g in objects[role] for o in g}
        tap.equal(len(selected), 3, 'a mutex, a condition variable and a channel are three')
        tap.equal(roots.incomplete, {}, 'nothing is missing')


class Memory:
    """Words of a live process behind pointers."""

    def __init__(self, pid):
        self.file = open(f'/proc/{pid}/mem', 'rb', buffering=0)

    def words(self, address, n=32):
        try:
            return struct.unpack(f'<{n}Q', os.pread(self.file.fileno(), n * 8, address))
        except (OSError, OverflowError, struct.error):
            return ()


SIZE = 64  # of an object


def holds(pointers, address):
    return any(address <= p < address + SIZE for p in pointers)


def reaches(memory, pointers, address):
    """Directly, or through a closure, a map or the like."""
    seen = set(pointers)
    for _ in range(3):
        if holds(seen, address):
            return True
        seen = {w for p in seen for w in memory.words(p) if w > 4096}
    return False


def stack_slots():
    with Target(target_path('roots', RELEASE, VARIANT)) as target:
        objects = target.command('verdict')['objects']
        precise, conservative = Roots([target.pid], 'gs', 'precise', 'globals'), Roots([target.pid], 'conservative')
        memory = Memory(target.pid)
        lost, kept, fooled, live, dead = [], [], 0, 0, 0
        everywhere = set().union(*precise.stacks.values())
        living = {o['address'] for o in objects if o['live']}
        for o in objects:
            own = precise.stacks[o['goid']]
            if o['case'] in ('global', 'only a number'):
                continue
            if o['live']:
                live += 1
                if not reaches(memory, own, o['address']) and not holds(everywhere, o['address']):
                    lost.append((o, roots_of(own)))
            elif o['address'] not in living:  # which the place of a dead one may have been given to
                dead += 1
                if holds(own, o['address']):
                    kept.append(o)
                fooled += holds(conservative.stacks[o['goid']], o['address'])
        tap.ok(live >= 60 and dead >= 20, f'{RELEASE} {VARIANT}: the runtime keeps {live} objects and drops {dead}')
        tap.equal(lost, [], 'every object that the runtime keeps is held by a live slot')
        tap.equal(kept, [], 'no object that the runtime drops is')
        tap.ok(fooled >= dead // 3, f'reading every word would have kept {fooled} of {dead}')
        tap.ok(target.ready['global'] in precise.globals, 'a global variable is a root')
        tap.ok(target.ready['unused'] not in precise.globals, 'a number in a global variable is none')
        tap.ok(sum(map(len, precise.stacks.values())) * 2 < sum(map(len, conservative.stacks.values())),
               'live slots are less than half of all words')
        tap.equal(precise.incomplete, {}, 'nothing is missing')


def roots_of(pointers):
    return sorted(map(hex, pointers))


def interrupted():
    """Goroutines interrupted between calls: what they use must be found, on the stack where registers went."""
    with Target(target_path('roots', RELEASE, VARIANT), '-procs', 1, '-spin', 4) as target:
        found = looked = 0
        objects = {o['goid']: o['address'] for o in target.command('objects')['objects'] if o['case'] == 'spinning'}
        for _ in range(8):
            roots = Roots([target.pid], 'gs', 'precise')
            for id, address in objects.items():
                if roots.gs[id]['state'] == 'runnable' and not roots.gs[id]['torn']:
                    looked += 1
                    found += holds(roots.stacks[id], address)
        # One that began to run between the two readings has its object in a register.
        tap.ok(looked >= 8 and found >= looked * 3 // 4, 'objects of interrupted goroutines', f'{found} of {looked}')


def many():
    with Target(target_path('roots', RELEASE, VARIANT), '-n', 8000) as target:
        roots = Roots([target.pid], 'quiet', 'gs', 'precise', 'conservative')
        tap.ok(roots.count['precise'] > 8000 * 11, 'each frame of 8,000 goroutines has a live slot', roots.count)
        tap.ok(roots.count['precise'] < roots.count['conservative'] / 2, 'and not all words are')
        tap.ok(roots.ms['precise'] < 5000, f'in time: goroutines {roots.ms["gs"]:.0f} ms, '
               f'live slots {roots.ms["precise"]:.0f} ms, all words {roots.ms["conservative"]:.0f} ms')


def heap():
    """All roots together: what they reach is what the runtime keeps."""
    with Target(target_path('roots', RELEASE, VARIANT), '-heap', 40) as target:
        target.command('verdict')
        said = target.command('heap')
        roots = Roots([target.pid], 'mark')
        off = roots.bytes / said['live'] - 1
        tap.ok(said['live'] > 20 << 20 and abs(off) < 0.01,
               f'{RELEASE} {VARIANT}: roots reach {roots.bytes} bytes, the runtime keeps {said["live"]}: {off:+.3%}',
               f'objects: {roots.marked}, the runtime counts {said["objects"]}')
        tap.equal(roots.incomplete, {}, 'nothing is missing')


def finalizers():
    """What finalizers, cleanups and weak pointers keep, and those that wait to be run."""
    with Target(target_path('roots', RELEASE, VARIANT)) as target:
        memory = Memory(target.pid)
        roots = Roots([target.pid], 'specials')
        pending = target.ready['pending']
        tap.equal([a for a in pending if not reaches(memory, roots.specials, a)], [],
                  f'{RELEASE} {VARIANT}: {len(pending)} objects kept by finalizers, cleanups and weak pointers')
        queued = target.command('stick')['queued']
        tap.ok(not any(holds(roots.specials, a) for a in queued), 'no finalizers wait at first')
        roots = Roots([target.pid], 'specials')
        tap.equal([a for a in queued if not reaches(memory, roots.specials, a)], [],
                  f'{len(queued)} objects of finalizers and cleanups that wait to be run')
        tap.equal(roots.incomplete, {}, 'nothing is missing')


def arm64():
    """The same of a core file of another CPU, made by qemu. What only the heap leads to is left out."""
    if not have('qemu-aarch64-static'):
        raise Skip('no qemu-aarch64-static (package qemu-user-static)')
    where = fresh_dir(f'roots arm64 {RELEASE}')
    path = target_path('roots', RELEASE, VARIANT)
    with CorePattern():
        target = Target(path, cwd=where, env={'GOTRACEBACK': 'crash'}, prefix=['qemu-aarch64-static'],
                        preexec=unlimited_cores)
        objects = target.command('verdict', timeout=120)['objects']
        target.process.send_signal(signal.SIGABRT)
        target.process.wait(120)
    roots = Roots([only_core(where, 'qemu_*.core'), path], 'gs', 'precise')
    everywhere = set().union(*roots.stacks.values())
    living = {o['address'] for o in objects if o['live']}
    dead = [o for o in objects if not o['live'] and o['address'] not in living]
    tap.ok(len(living) >= 60 and len(dead) >= 20, f'{RELEASE} {VARIANT}: {len(living)} live and {len(dead)} dead objects')
    tap.equal([o for o in objects if o['live'] and o['case'] not in ('global', 'deferred in a loop') and
               not holds(everywhere, o['address'])], [], 'every object that the runtime keeps is held by a live slot')
    tap.equal([o for o in dead if holds(roots.stacks[o['goid']], o['address'])], [], 'no object that the runtime drops is')
    shutil.rmtree(where)


if 'arm64' in VARIANT:
    tap.run(arm64)
tap.run(waits, stack_slots, interrupted, many, heap, finalizers)
