#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Wait times: unknown before the first garbage collection that found a goroutine waiting, then as the
runtime counts them, to the minute in the header that the runtime itself prints. Takes 65 seconds, nearly
all of it asleep.
"""
import socket
import time

from harness import Target, gosonde, parse_traceback, tap, target_path


def goroutines(target, *options):
    return {g['id']: g for g in gosonde('dump', target.pid, '--format', 'json', *options).json()['goroutines']}


def blocked(target):
    return [i for i, g in target.roles().items() if g['role'] in ('chan-send', 'mutex', 'sleep', 'select', 'tcp-read')]


def waits():
    with Target(target_path('states'), '-nogc') as target:
        ids = blocked(target)
        target.command('gc')
        collected = time.monotonic()
        time.sleep(3)
        seen = goroutines(target)
        age = time.monotonic() - collected
        waits = [seen[i]['wait_seconds'] for i in ids]
        tap.ok(all(w is not None and age - 1.0 <= w <= age + 0.5 for w in waits),
               'wait_seconds counts from the collection that found them', f'{waits}, {age:.2f} s ago')
        tap.ok(set(goroutines(target, '--waiting-longer', '2')) >= set(ids), '--waiting-longer 2 has them')
        tap.ok(not set(goroutines(target, '--waiting-longer', '1m')) & set(ids), '--waiting-longer 1m has not')
        groups = gosonde('dump', target.pid, '--group', '--format', 'json').json()['groups']
        group = next(g for g in groups if ids[0] in g['goroutine_ids'])
        w = group['wait_seconds']
        tap.ok(w and w['min'] <= w['median'] <= w['max'] and w['min'] >= age - 1, 'groups have min, median and max', w)
        # The runtime prints whole minutes, and only after a minute.
        time.sleep(max(0, 61 - (time.monotonic() - collected)))
        theirs = target.stack()
        ours = parse_traceback(gosonde('dump', target.pid).text)
        tap.ok(all(theirs[i].minutes == 1 for i in ids), 'the runtime says 1 minutes', [theirs[i].minutes for i in ids])
        tap.ok(all(ours[i].minutes == theirs[i].minutes for i in theirs if i != target.ready['self']),
               'so does gosonde', [(i, ours[i].minutes, theirs[i].minutes) for i in theirs])
        late = set(goroutines(target, '--waiting-longer', '1m'))
        tap.ok(late >= set(ids), '--waiting-longer 1m has them now', set(ids) - late)


def unknown():
    """A goroutine that blocked after the last collection: its connection is open and says nothing."""
    with Target(target_path('many'), '-n', '10', '-no-meter', '-http', '127.0.0.1:0', env={'GOGC': 'off'}) as target:
        host, port = target.ready['http'].removeprefix('http://').split(':')
        with socket.create_connection((host, int(port))):
            time.sleep(0.2)
            seen = goroutines(target, '--function', r'^net/http\.\(\*conn\)\.serve')
            tap.ok(len(seen) == 1 and all(g['wait_seconds'] is None and g['wait_reason'] == 'IO wait'
                                          for g in seen.values()), 'before a collection its wait is unknown', seen)
            tap.ok(not set(goroutines(target, '--waiting-longer', '1ns')) & set(seen),
                   'unknown waits are not selected by --waiting-longer')


tap.run(unknown, waits)
