#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Profiles of a program that knows where its time goes, and takes the runtime's own profiles meanwhile.

    test_record_profiles.py [RELEASE [VARIANT]]
"""
import collections
import json
import os
import pty
import re
import subprocess
import sys
import time

from harness import GOSONDE, INCOMPLETE, OK, Profile, Skip, Target, USAGE, gosonde, start, tap, target_path, tmp_dir

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
MS = 1000000
# Functions of the target that wait, each for one thing, with the class that it is.
WAITS = {'main.lockMutex': 'mutex', 'main.readLock': 'rwmutex', 'main.writeLock': 'rwmutex',
         'main.receive': 'chan', 'main.selectOne': 'select', 'main.waitGroup': 'waitgroup', 'main.waitCond': 'cond'}


class Recording:
    """gosonde record in the background, from when everything is attached."""

    def __init__(self, target, *args, seconds=30):
        self.path = tmp_dir() / f'profile-{time.monotonic_ns()}'
        # The target hardly uses the CPU, so that any probe costs a large share of that.
        self.args = [GOSONDE, 'record', target.pid, '-d', seconds, '--max-overhead', '0', '-o', self.path, *args]
        self.log = open(tmp_dir() / 'record.log', 'w+b')
        self.process = start(self.args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.wait_attached()

    def messages(self):
        self.log.seek(0)
        return self.log.read().decode('utf-8', 'replace')

    def wait_attached(self):
        """Probes are attached when the kernel knows of an open ring or perf event that stays for a while."""
        deadline, quiet = time.monotonic() + 30, 0
        while quiet < 4:
            if self.process.poll() is not None:
                text = self.messages()
                if self.process.returncode == 3:
                    raise Skip(text.strip()[:300])
                raise AssertionError(f'{self.args}: exit {self.process.returncode}: {text}')
            if time.monotonic() > deadline:
                raise AssertionError('gosonde did not attach within 30 s')
            fds = f'/proc/{self.process.pid}/fd'
            try:
                kinds = [os.readlink(f'{fds}/{f}') for f in os.listdir(fds)]
            except OSError:
                kinds = []
            quiet = quiet + 1 if sum('bpf' in k or 'perf' in k for k in kinds) > 3 else 0
            time.sleep(0.2)

    def finish(self):
        """End it as a user would, and return the file's bytes."""
        self.process.send_signal(2)
        self.process.wait(60)
        text = self.messages()
        if self.process.returncode not in (OK, INCOMPLETE):
            raise AssertionError(f'{self.args}: exit {self.process.returncode}: {text}')
        return self.path.read_bytes()


def target(*args):
    return Target(target_path('burn', RELEASE, VARIANT), *args)


def by_function(profile, index, functions, keep=lambda stack, labels: True):
    """Sum of a value by the innermost of @functions on each stack."""
    out = collections.Counter()
    for values, stack, labels in profile.samples:
        names = [f for f, _, _ in stack]
        found = next((n for n in names if n in functions), None)
        if found and keep(names, labels):
            out[found] += values[index]
    return out


def near(got, want, share, least):
    return abs(got - want) <= max(want * share, least)


def shares(counter):
    total = sum(counter.values())
    return {k: v / total for k, v in counter.items()} if total else {}


def test_shares_of_cpu():
    functions = {'main.burnA': .6, 'main.burnB': .3, 'main.burnC': .1}
    with target() as t:
        r = Recording(t, '--cpu', '--hz', '499')
        t.command('cpu-start')
        used = t.command('burn-long')
        truth = Profile(t.command('cpu')['raw'])
        p = Profile(r.finish())
    got, own = by_function(p, 1, functions), by_function(truth, 1, functions)
    tap.note(f'gosonde {shares(got)} runtime {shares(own)}; {used}')
    tap.equal(p.sample_types, [('samples', 'count'), ('cpu', 'nanoseconds')], 'the types of a CPU profile')
    for name, share in functions.items():
        tap.ok(abs(shares(got).get(name, 0) - share) < .05, f'{name} has its share of the CPU', shares(got))
        tap.ok(abs(shares(got).get(name, 0) - shares(own).get(name, 0)) < .08,
               f'{name}: as in the CPU profile of the runtime', shares(got), shares(own))
    tap.ok(near(sum(got.values()), used['cpu_ns'], .1, 50 * MS), 'the sum is the CPU time the kernel counted',
           sum(got.values()), used)
    unknown = sum(v[1] for v, stack, _ in p.samples if not stack)
    tap.ok(unknown <= .01 * sum(v[1] for v, _, _ in p.samples), 'hardly any sample is without a stack', unknown)


def test_kernel_frames():
    with target() as t:
        r = Recording(t, '--cpu', '--hz', '499', '--format', 'folded')
        t.command('kernel')
        lines = r.finish().decode().splitlines()
    below = [(line.rsplit(' ', 1)[0], int(line.rsplit(' ', 1)[1])) for line in lines if ';main.readZero;' in line]
    total = sum(n for _, n in below)
    kernel = sum(n for s, n in below if '_[k]' in s)
    tap.ok(total > 200 * MS and kernel > .7 * total, 'reading /dev/zero is the kernel below main.readZero',
           f'{kernel} of {total} ns', *lines[:10])
    mixed = [s for s, _ in below if '_[k]' in s]
    tap.ok(all(not re.search(r'_\[k\];(?!.*_\[k\])', s) for s in mixed), 'kernel functions are on top', *mixed[:5])


def test_waits_as_the_runtime_counts_them():
    with target() as t:
        raw = tmp_dir() / 'waits.recording'
        r = Recording(t, '--off-cpu', '--format', 'pprof', '--raw', raw)
        t.command('wait')
        block, mutex = Profile(t.command('block')['raw']), Profile(t.command('mutex')['raw'])
        data = r.finish()
        tap.note(r.messages())
    p = Profile(data)
    tap.equal(p.sample_types, [('contentions', 'count'), ('delay', 'nanoseconds')], 'the types of a block profile')
    own = by_function(block, 1, WAITS)
    got = by_function(p, 1, WAITS, lambda _, labels: not labels['wait_class'].startswith('runqueue'))
    tap.note({name: f'{got[name] / MS:.1f} ms, block profile {own[name] / MS:.1f} ms' for name in WAITS})
    for name, wait_class in WAITS.items():
        tap.ok(near(got[name], own[name], .02, 10 * MS), f'{name} blocked as long as in the block profile',
               f'{got[name] / MS:.1f} ms', f'{own[name] / MS:.1f} ms')
        classes = collections.Counter()
        for values, stack, labels in p.samples:
            if next((f for f, _, _ in stack if f in WAITS), None) == name:
                classes[labels['wait_class']] += values[1]
        blocked = {k: v for k, v in classes.items() if not k.startswith('runqueue')}
        tap.ok(blocked.get(wait_class, 0) > .99 * sum(blocked.values()), f'{name}: of class {wait_class}', classes)
    locks = sum(v for k, v in got.items() if WAITS[k] in ('mutex', 'rwmutex'))
    total = sum(v[1] for v, stack, _ in mutex.samples if any(f.startswith('main.') for f, _, _ in stack))
    tap.note(f'locks {locks / MS:.1f} ms, mutex profile {total / MS:.1f} ms')
    check_replay(raw, data)


def check_replay(raw, data):
    again = tmp_dir() / 'again.pb.gz'
    r = gosonde('record', raw, '--off-cpu', '--format', 'pprof', '-o', again)
    tap.ok(r.code in (OK, INCOMPLETE) and again.read_bytes() == data, 'the recording gives the same profile again', r)
    page = tmp_dir() / 'again.html'
    r = gosonde('record', raw, '--off-cpu', '-o', page)
    text = page.read_text()
    tap.ok(text.startswith('<!DOCTYPE html>') and '[mutex]' in text, 'and a flame graph', r)
    r = gosonde('record', raw, '--cpu', '-o', page)
    tap.ok(r.code == 3 and 'no on-CPU samples' in r.errors, 'what was not recorded is told', r)


def test_mutex_profile():
    with target() as t:
        r = Recording(t, '--off-cpu', '--format', 'folded')
        t.command('wait')
        mutex = Profile(t.command('mutex')['raw'])
        lines = r.finish().decode().splitlines()
    got = sum(int(line.rsplit(' ', 1)[1]) for line in lines if line.rsplit(' ', 1)[0].endswith(';[mutex]'))
    own = sum(v[1] for v, stack, _ in mutex.samples if any(f == 'main.useMutex' for f, _, _ in stack))
    tap.note(f'{got / MS:.1f} ms, mutex profile {own / MS:.1f} ms')
    tap.ok(near(got, own, .05, 20 * MS), 'waits for sync.Mutex: as much as in the mutex profile',
           f'{got / MS:.1f} ms', f'{own / MS:.1f} ms', *[line for line in lines if '[mutex]' in line])


def test_wall_adds_up():
    with target() as t:
        r = Recording(t, '--wall', '--hz', '499', '--by-goroutine', '--format', 'speedscope')
        t.command('burn')
        d = json.loads(r.finish())
    tap.equal([p['name'] for p in d['profiles']], ['wall', 'on CPU', 'off CPU'], 'three profiles')
    sums = [sum(p['weights']) for p in d['profiles']]
    tap.ok(sums[0] == sums[1] + sums[2] and sums[1] > 200 * MS, 'wall is on CPU and off CPU', sums)
    names = [f['name'] for f in d['shared']['frames']]
    roots = {names[s[0]] for p in d['profiles'] for s in p['samples']}
    tap.ok(sum(n.startswith('goroutine ') for n in roots) >= 2, 'goroutines are told apart', roots)


def test_labels():
    with target() as t:
        r = Recording(t, '--cpu', '--labels', '--hz', '499', '--format', 'pprof')
        t.command('labels')
        p = Profile(r.finish())
    parts = collections.Counter()
    for values, stack, labels in p.samples:
        if any(f == 'main.burn' for f, _, _ in stack):
            parts[labels.get('part')] += values[1]
    total = sum(parts.values())
    tap.ok(min(parts['left'], parts['right']) > .15 * total and total > 100 * MS, 'both labels are there', parts)
    tap.ok(parts[None] < .1 * total, 'hardly any without', parts)


def test_terminal():
    """A binary format does not go to a terminal, before anything is attached."""
    with target() as t:
        master, slave = pty.openpty()
        begin = time.monotonic()
        p = start([GOSONDE, 'record', t.pid, '-d', '5'], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE)
        _, err = p.communicate(timeout=30)
        os.close(master)
        os.close(slave)
        tap.ok(p.returncode == USAGE and b'binary' in err and time.monotonic() - begin < 3,
               'pprof is not printed on a terminal', err)


tap.run(test_shares_of_cpu, test_kernel_frames, test_waits_as_the_runtime_counts_them, test_mutex_profile,
        test_wall_adds_up, test_labels, test_terminal)
