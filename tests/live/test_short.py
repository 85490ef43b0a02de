#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The target vanishes in the middle: it is killed, ends, or becomes another program by exec, at moments
nobody chose. gosonde says so (exit code 3) or was done before; it never crashes, hangs, or mixes two programs.
"""
import json
import os
import random
import signal
import subprocess
import time

from harness import GOSONDE, INCOMPLETE, OK, TARGET, Target, gosonde, start, tap, target_path

ROUNDS = 40


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


def dump_while(act, target, delay, *options):
    p = start([GOSONDE, 'dump', target.pid, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(delay)
    act()
    return verdict(p)


def killed():
    counts, bad = {}, []
    random.seed(1)
    with many() as probe:
        full = gosonde('dump', probe.pid).seconds
    for _ in range(ROUNDS):
        target = many(20000)
        code, out, err = dump_while(target.process.kill, target, random.uniform(0, full * 1.2))
        target.process.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, TARGET) or code == TARGET and not err.startswith(b'gosonde: '):
            bad.append(f'{code}: {err[-300:]}')
    tap.ok(not bad, f'killed in the middle of {ROUNDS} dumps: exit codes {counts}', *bad)


def execs():
    """The same PID is another program from one moment to the next."""
    counts, bad = {}, []
    random.seed(2)
    for i in range(ROUNDS):
        target = Target(target_path('short'), 'exec')
        p = start([GOSONDE, 'dump', target.pid, '--format', 'json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(random.uniform(0, 0.03))
        target.process.stdin.write(b'go\n')
        code, out, err = verdict(p)
        target.process.kill()
        target.process.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, TARGET):
            bad.append(f'{code}: {err[-300:]}')
    tap.ok(not bad, f'exec in the middle of {ROUNDS} dumps: exit codes {counts}', *bad)


def short_lives():
    """Processes that live for some milliseconds, one after the other, dumped as fast as they come."""
    counts, bad = {}, []
    path = target_path('short')
    for _ in range(3 * ROUNDS):
        p = start([path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        g = start([GOSONDE, 'dump', p.pid, '--format', 'json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        code, out, err = verdict(g)
        p.kill()
        p.wait()
        counts[code] = counts.get(code, 0) + 1
        if code not in (OK, TARGET, INCOMPLETE):
            bad.append(f'{code}: {err[-300:]}')
        elif code != TARGET:
            json.loads(out)
    tap.ok(not bad, f'{3 * ROUNDS} short lives: exit codes {counts}', *bad)


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


tap.run(killed, execs, short_lives, stop_survives_kill)
