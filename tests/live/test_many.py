#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Many goroutines: all there, none torn, and the target does not notice. test_many.py [N]"""
import collections
import sys

from harness import OK, Target, gosonde, tap, target_path

N = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
START = {'orders': 'main.orders', 'mails': 'main.mails', 'index': 'main.index', 'cache': 'main.cache'}


def all_are_there():
    with Target(target_path('many'), '-n', N) as target:
        target.command('reset')
        r = gosonde('dump', target.pid, '--format', 'json')
        pause = target.command('pause')
        tap.equal(r.code, OK, 'exit code', r.errors)
        d = r.json()
        tap.equal([i for i in d['incomplete'] if i['what'] not in ('running_without_stack', 'wait_times_estimated')],
                  [], 'nothing is missing')
        ids = [g['id'] for g in d['goroutines']]
        tap.ok(len(ids) == len(set(ids)), 'none stands twice')
        starts = collections.Counter(g['frames'][-1]['function'] for g in d['goroutines'] if g['frames'])
        got = {role: starts[f] for role, f in START.items()}
        tap.equal(got, target.ready['roles'], 'as many of each role as the program started')
        depths = {(g['frames'][-1]['function'], len(g['frames'])) for g in d['goroutines']
                  if g['frames'] and g['frames'][-1]['function'] in START.values()}
        tap.equal(depths, {('main.orders', 8), ('main.mails', 9), ('main.index', 10), ('main.cache', 11)},
                  'every one has all its frames')
        tap.equal(d['paused_seconds'], 0, 'it says that it did not stop the target')
        floor = pause['noise_floor']
        # The meter reads the clock all the time. What it calls unexplained are gaps in which its thread was not
        # waiting for a CPU: that is what a stop is. A stop of the whole dump would be there in full.
        limit = max(3 * floor['max_unexplained_ns'], 5_000_000)
        tap.ok(pause['max_unexplained_ns'] <= limit, 'the target was not stopped',
               f'longest gap {pause["max_unexplained_ns"] / 1e6:.2f} ms, floor '
               f'{floor["max_unexplained_ns"] / 1e6:.2f} ms, dump took {r.seconds * 1e3:.0f} ms')
        tap.note(f'dump of {N}: {r.seconds:.2f} s; longest gap {pause["max_unexplained_ns"] / 1e6:.2f} ms, '
                 f'at rest {floor["max_unexplained_ns"] / 1e6:.2f} ms')
        groups_are_right(target)


def groups_are_right(target):
    d = gosonde('dump', target.pid, '--group', '--format', 'json').json()
    counts = collections.Counter()
    for g in d['groups']:
        if g['frames']:
            counts[g['frames'][-1]['function']] += g['count']
    tap.equal({role: counts[f] for role, f in START.items()}, target.ready['roles'], '--group counts the same')


def meter_sees_stops():
    """The meter must be able to fail the test above: a debugger's stop has to show."""
    import os
    import signal
    import time
    with Target(target_path('many'), '-n', 100) as target:
        target.command('reset')
        os.kill(target.pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(target.pid, signal.SIGCONT)
        pause = target.command('pause')
        tap.ok(pause['max_unexplained_ns'] > 80_000_000, 'the meter sees a stop of 100 ms', pause)


def distinct_stacks():
    with Target(target_path('many'), '-n', 4096, '-stacks', 512, '-no-meter') as target:
        d = gosonde('dump', target.pid, '--group', '--format', 'json').json()
        groups = [g for g in d['groups'] if g['frames'] and g['frames'][-1]['function'] == 'main.paths']
        tap.equal((len(groups), sum(g['count'] for g in groups)), (512, 4096), '512 distinct stacks')


tap.run(meter_sees_stops, all_are_there, distinct_stacks)
