#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The target vanishes in the middle: it is killed, ends, or becomes another program by exec, at moments
nobody chose. gosonde says so (exit code 3) or was done before; it never crashes, hangs, or mixes two programs.
"""
import json
import os
import random
import subprocess
import tempfile
import time

from harness import GOSONDE, INCOMPLETE, OK, TARGET, Target, gosonde, start, tap, target_path

ROUNDS = 25


def many(n=20000):
    return Target(target_path('many'), '-n', n, '-no-meter')


def verdict(p, timeout=30):
    """What one run of gosonde came to."""
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        return 'hangs', b'', b''
    if p.returncode < 0:
        return f'dies of signal {-p.returncode}', out, err
    return p.returncode, out, err


def begin_dump(target, *options):
    """Into a file: a pipe that nobody empties would stop gosonde at its first 64 KB."""
    out = tempfile.TemporaryFile()
    return start([GOSONDE, 'dump', target.pid, *options], stdout=out, stderr=subprocess.PIPE), out


def time_of_dump(name, *options):
    with Target(target_path(name), *options) as probe:
        return min(gosonde('dump', probe.pid).seconds for _ in range(3))


def killed():
    counts, bad = {}, []
    random.seed(1)
    span = 1.5 * time_of_dump('many', '-n', 20000, '-no-meter')
    for _ in range(ROUNDS):
        target = many()
        p, _out = begin_dump(target)
        time.sleep(random.uniform(0, span))
        target.process.kill()
        code, out, err = verdict(p)
        target.process.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, TARGET) or code == TARGET and not err.startswith(b'gosonde '):
            bad.append(f'{code}: {err[-300:]}')
    tap.ok(not bad, f'killed in the middle of {ROUNDS} dumps: exit codes {counts}', *bad)


def execs():
    """The same PID is another program from one moment to the next: never a mixture of the two."""
    counts, bad = {}, []
    random.seed(2)
    span = 3 * time_of_dump('exec', '-after', '0', '-n', '5000')
    for _ in range(ROUNDS):
        target = Target(target_path('exec'), '-after', '0', '-n', '5000')
        p, out = begin_dump(target, '--format', 'json')
        time.sleep(random.uniform(0, span))
        target.process.stdin.write(b'exec\n')
        code, _, err = verdict(p)
        target.process.kill()
        target.process.wait()
        if code in (OK, INCOMPLETE):
            out.seek(0)
            seen = len([g for g in json.load(out)['goroutines'] if 'main.main.func1' in str(g['frames'])])
            # The first program has 5,000 parked ones, the second 10 when it has started them all.
            code = 'first' if seen == 5000 else 'second' if seen <= 10 else f'a mixture: {seen}'
        counts[code] = counts.get(code, 0) + 1
        if code not in (TARGET, 'first', 'second'):
            bad.append(f'{code}: {err[-300:]}')
    tap.ok(not bad, f'exec in the middle of {ROUNDS} dumps: {counts}', *bad)


def execs_something_else():
    """It becomes a program that is not Go."""
    counts, bad = {}, []
    for i in range(ROUNDS):
        target = Target(target_path('exec'), '-after', '0', '-n', '5000', '/bin/sleep', '60')
        p, _out = begin_dump(target)
        time.sleep(0.0015 * i)
        target.process.stdin.write(b'exec\n')
        code, out, err = verdict(p)
        target.process.kill()
        target.process.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, INCOMPLETE, TARGET):
            bad.append(f'{code}: {err[-300:]}')
    tap.ok(not bad, f'exec of sleep in the middle of {ROUNDS} dumps: exit codes {counts}', *bad)


def short_lives():
    """Processes that live for some milliseconds, dumped from before they are ready until they are gone."""
    counts, bad = {}, []
    path = target_path('short')
    random.seed(3)
    for _ in range(2 * ROUNDS):
        p = start([path, '-after', '15ms', '-n', '3000'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.03))
        g = start([GOSONDE, 'dump', p.pid, '--format', 'json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        code, out, err = verdict(g)
        p.kill()
        p.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, TARGET, INCOMPLETE):
            bad.append(f'{code}: {err[-300:]}')
        elif code != TARGET:
            json.loads(out)
    tap.ok(not bad, f'{2 * ROUNDS} short lives: exit codes {counts}', *bad)


def stop_survives_kill():
    """gosonde killed in the middle of --stop: the target must run on."""
    with many(50000) as target:
        for i in range(10):
            p = start([GOSONDE, 'dump', target.pid, '--stop'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.005 * i)
            p.kill()
            p.wait()
        tap.ok(target.command('stats', timeout=10)['goroutines'] > 50000, 'the target runs on after kill -9 of gosonde')
        status = open(f'/proc/{target.pid}/status').read()
        tap.ok('TracerPid:\t0' in status, 'nothing stays attached')


tap.run(killed, execs, execs_something_else, short_lives, stop_survives_kill)
