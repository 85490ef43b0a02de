# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde mem and leaks on the shop: what it leaks on purpose has to be found, by function and by amount; a healthy
shop under load is accused of nothing.

    test_memory_shop.py [RELEASE [VARIANT]]
"""
import json
import sys
import time

from harness import INCOMPLETE, OK, gosonde, tap
from shop import Shop

LEAKS = 10
RELEASE, VARIANT = (sys.argv[1:] + ['host', 'default'])[:2]


def run(command, pid, *args, codes):
    """The JSON of a command, and its exit code, which has to be one of @codes."""
    done = gosonde(command, pid, '--format', 'json', *args, timeout=120)
    tap.ok(done.code in codes, f'{command}: ends with one of {codes} (it was {done.code})', done.errors[-1500:])
    return json.loads(done.out)


def functions(frames):
    return ' '.join(f['function'] for f in frames or [])


def check_sum(result):
    total = sum(c['resident_bytes'] for c in result['classes'])
    tap.ok(total == result['rss_bytes'], 'classes add up to the RSS', f'{total} of {result["rss_bytes"]}')


def mmap():
    with Shop('mmap', load=100, release=RELEASE, variant=VARIANT) as shop:
        time.sleep(2)
        before = shop.truth()['troubles']['mmap']['mapped_bytes']
        result = run('mem', shop.pid, '--watch', '6s', codes=(OK, INCOMPLETE))
        planted = shop.truth()['troubles']['mmap']['mapped_bytes'] - before
    check_sum(result)
    grown = {g['class']: g for g in result['growth']}
    found = grown.get('anonymous', {'bytes': 0, 'by': []})
    # The shop goes on mapping while gosonde begins and ends.
    tap.ok(0.6 * planted < found['bytes'] <= planted, 'mmap: what was mapped is what anonymous memory grew by',
           f'planted {planted}, found {found["bytes"]}')
    first = result['verdict'][0]
    tap.ok(first['class'] == 'anonymous' and 'store.(*Cache).load' in functions(first['frames']),
           'mmap: the first verdict names who mapped it', json.dumps(result['verdict'])[:1500])


def leak():
    with Shop('leak', load=50, release=RELEASE, variant=VARIANT) as shop:
        time.sleep(3)
        before = shop.truth()['troubles']['leak']['leaked_goroutines']
        result = run('leaks', shop.pid, codes=(LEAKS,))
        after = shop.truth()['troubles']['leak']['leaked_goroutines']
    found = [f for f in result['findings'] if f['kind'] == 'unreachable']
    tap.ok(len(found) == 1 and 'web.(*auditor).report' in functions(found[0]['frames']),
           'leak: one finding, the function that sends', json.dumps(result['findings'])[:1500])
    count = sum(f['count'] for f in found)
    tap.ok(before <= count <= after, 'leak: as many goroutines as the shop counts', f'{count} of {before} to {after}')
    tap.ok(all(f['wait_reason'] == 'chan send' for f in found), 'leak: they wait to send')


def leaktimer():
    with Shop('leaktimer', load=50, release=RELEASE, variant=VARIANT) as shop:
        time.sleep(2)
        result = run('leaks', shop.pid, '--watch', '8s', codes=(LEAKS,))
    kinds = {f['kind'] for f in result['findings']}
    tap.ok('unreachable' not in kinds, 'leaktimer: a timer will wake them, so they are not unreachable',
           json.dumps(result['findings'])[:1500])
    grown = [f for f in result['findings'] if f['kind'] == 'growth']
    tap.ok(grown and 'reportLater' in functions(grown[0]['frames']), 'leaktimer: growth names where they are stuck',
           json.dumps(grown)[:1500])


def healthy():
    with Shop(load=100, release=RELEASE, variant=VARIANT) as shop:
        time.sleep(2)
        check_sum(run('mem', shop.pid, codes=(OK, INCOMPLETE)))
        result = run('leaks', shop.pid, '--watch', '6s', codes=(OK, INCOMPLETE))
    tap.ok(result['findings'] == [], 'healthy: accused of nothing', json.dumps(result['findings'])[:1500])


tap.run(mmap, leak, leaktimer, healthy)
