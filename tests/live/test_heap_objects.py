#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The census of a heap against a program that knows what it allocated (tests/targets/objects).

test_heap_objects.py [RELEASE [VARIANT]]"""
import json
import os
import pathlib
import re
import subprocess
import sys

from harness import Skip, Target, go_command, have, start, tap, target_path, tmp_dir

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
STRIPPED = 'stripped' in VARIANT
PRINT = pathlib.Path(os.environ['GOSONDE_BUILD']) / 'tests' / 'live' / 'objects_print'
# What interface values lead to, with or without symbols. The rest is reached from variables.
BY_INTERFACE = {'main.Circle', 'main.Square', 'main.Needle', 'main.Needle2'}
# Reached from values of these, or from arrays with the allocator's type header (1.22 and later).
BY_HEADER = BY_INTERFACE | {'main.Order', 'main.Big', 'main.Huge', 'main.Job', 'main.Common', 'main.Dropped'}


def census(what, path_to='main.Needle', exe=None):
    environment = dict(os.environ, OBJECTS_EXE=str(exe)) if exe else None
    argv = [str(PRINT), str(what)] + ([path_to] if path_to else [])
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, env=environment)
    if r.returncode != 0:
        raise AssertionError(f'{argv}: {r.returncode}: {r.stderr.decode()[-2000:]}')
    return json.loads(r.stdout)


def known_types(target):
    types = target.ready['types']
    if not STRIPPED:
        return types
    return {k: v for k, v in types.items() if k in (BY_HEADER if target.minor >= 22 else BY_INTERFACE)}


def types_are_exact(target, d):
    got = {t['name']: [t['objects'], t['bytes']] for t in d['types']}
    for name, want in sorted(known_types(target).items()):
        have = got.get(name, [0, 0])
        # A word that only looks like a pointer, or a stale one, keeps an object or two.
        slack = 2 if name == 'main.Dropped' else 0
        tap.ok(0 <= have[0] - want[0] <= slack and have[1] * want[0] == want[1] * have[0],
               f'{name}: {want[0]} objects, {want[1]} bytes', f'got {have}')
    share = d['typed_bytes'] / d['bytes']
    if STRIPPED and target.minor < 22:
        tap.note(f'{share:.1%} of bytes have a type: without symbols and headers only interfaces tell')
    else:
        tap.ok(share >= 0.5, 'most bytes have a type', f'{share:.1%}')


def locals_are_exact(target, d):
    """What only variables on stacks and in closures tell: all of them, and nothing else."""
    if STRIPPED:
        return
    got = {t['name']: [t['objects'], t['bytes']] for t in d['types']}
    for name, want in sorted(target.ready['locals'].items()):
        tap.equal(got.get(name, [0, 0]), want, f'{name}: {want[0]} objects that variables of functions lead to')


def totals_agree(target, d):
    for key, what in (('objects', 'heap_objects'), ('bytes', 'heap_alloc')):
        total, said = d[key] + d[f'unreached_{key}'], target.ready[what]
        tap.ok(abs(total - said) <= said * 0.02 + 20000, f'{key} as the runtime counts',
               f'live {d[key]} and garbage {d["unreached_" + key]}, runtime says {said}')
    tap.ok(d['unreached_bytes'] < d['bytes'] * 0.02, 'hardly any garbage after a collection', d['unreached_bytes'])
    # All rows are listed.
    tap.equal(sum(t['bytes'] for t in d['types']), d['bytes'], 'types add up')
    tap.equal(sum(r['bytes'] for r in d['roots']) + d['shared_bytes'], d['bytes'], 'roots add up')


def roots_are_right(target, d):
    roots = {r['name']: r for r in d['roots']}
    if STRIPPED:
        tap.ok(any(r['name'].startswith('bss+0x') for r in d['roots']), 'variables without names are places',
               [r['name'] for r in d['roots'][:5]])
    else:
        short = []
        for name, want in sorted(target.ready['owned'].items()):
            got = roots.get(name, {'bytes': 0})['bytes']
            tap.ok(got <= want * 1.05 + target.ready['slack'].get(name, 0), f'{name} alone keeps no more than {want}',
                   f'got {got}')
            if got < want * 0.98:
                short.append([name, want, got])
        # A stale word on the stack of a running goroutine may share one of them.
        tap.ok(len(short) <= 1, 'variables alone keep what was made for them', short)
        tap.equal(roots['main.tree']['type'], '*main.Node', 'type of a variable')
    workers = [r for r in d['roots'] if r['name'].startswith('goroutines of main.worker ')]
    hold = target.ready['workers'] * target.ready['hold']
    tap.ok(len(workers) == 1 and hold <= workers[0]['bytes'] <= hold * 1.1, 'workers are one root and keep what they hold',
           workers)
    tap.ok(workers and workers[0]['frame']['function'] == 'main.worker', 'its frame is their function', workers)
    tap.ok(target.ready['shared'] <= d['shared_bytes'] <= target.ready['shared'] + 0.1 * d['bytes'],
           'what two variables share is neither\'s', d['shared_bytes'])


def path_is_right(target, d):
    steps = [(s['what'], s['type']) for s in d['path']]
    if STRIPPED:
        tap.ok(len(steps) == 5 and steps[0][0].startswith('bss+0x') and steps[-1] == ('.To', 'main.Needle'),
               'a shortest path', steps)
        return
    tap.equal(steps, [('main.orders', '[]*main.Order'), ('*', '[]*main.Order (backing array)'), ('[0]', 'main.Order'),
                      ('.Extra', 'main.Needle2'), ('.To', 'main.Needle')], 'a shortest path with the names of fields')
    tap.equal(len({s['address'] for s in d['path']}), 5, 'each step is elsewhere')


def live():
    with Target(target_path('objects', RELEASE, VARIANT)) as target:
        d = census(target.pid)
        types_are_exact(target, d)
        locals_are_exact(target, d)
        totals_agree(target, d)
        roots_are_right(target, d)
        path_is_right(target, d)
        tap.equal(d['incomplete'], [], 'nothing is missing')
        tap.note(f'{target.ready["go"]} {VARIANT}: {d["objects"]} objects in {d["walk_seconds"] * 1e3:.0f} ms, '
                 f'{d["typed_bytes"] / d["bytes"]:.1%} with type')
        paths_through_functions(target)
        garbage(target, d)


def paths_through_functions(target):
    if STRIPPED:
        return
    steps = [(s['what'], s['type']) for s in census(target.pid, 'main.Inside')['path']]
    tap.ok(len(steps) == 2 and re.fullmatch(r'o\.(in|more\[1\]) \(main\.locals, goroutine \d+\)', steps[1][0]),
           'a path names the local variable and its function', steps)
    if target.minor < 23:
        return
    # Many of them capture one, and each path is as short.
    steps = [re.sub(r'\d+', 'n', s['what']) for s in census(target.pid, 'main.ByReference')['path']]
    tap.equal(steps, ['main.captured', '*', '[n]', '.r', '*'], 'a path names what closures captured')
    steps = [s['what'] for s in census(target.pid, 'main.Deferred')['path']]
    tap.ok(len(steps) == 2 and re.fullmatch(r'd \(main\.locals\.func1, goroutine \d+\)', steps[1]),
           '… and a closure that is on the stack', steps)


def garbage(target, before):
    dropped = target.command('drop')['drop']
    d = census(target.pid, None)
    more = d['unreached_bytes'] - before['unreached_bytes']
    tap.ok(dropped * 0.98 <= more <= dropped * 1.2 + 200000, 'what was let go of is garbage', f'{more} of {dropped}')
    tap.equal(d['path'], [], 'no path unless asked for')


def by_allocation_site():
    """Every object is sampled, and no pointer tells its type: what the code says has to be what was allocated."""
    with Target(target_path('sites', RELEASE, VARIANT)) as target:
        d = census(target.pid, None)
        got = {t['name']: t for t in d['types']}
        wrong = {name: [n, got.get(name, {}).get('objects')] for name, n in target.ready['types'].items()
                 if got.get(name, {}).get('objects') != n}
        tap.ok(not wrong, f'{sum(target.ready["types"].values())} objects of {len(target.ready["types"])} kinds by the code '
               'that allocated them', wrong)
        # Which type it is stands in a table that the code is handed.
        tap.ok(not set(target.ready['unknown']) & set(got), 'generic code does not say', target.ready['unknown'])
        tap.ok(d['typed_bytes'] >= d['bytes'] * 0.95, 'hardly anything is unknown', d['typed_bytes'] / d['bytes'])
        tap.ok(d['sampled_objects'] > 4000 and d['confirmed_objects'] > 3000 and d['contradicted_objects'] == 0,
               'headers and pointer bits of the allocator agree',
               [d[k] for k in ('sampled_objects', 'confirmed_objects', 'contradicted_objects')])


def no_such_type():
    with Target(target_path('objects', RELEASE, VARIANT), '-n', 10) as target:
        d = census(target.pid, 'main.Nothing')
        tap.equal([d['path'], [i['what'] for i in d['incomplete']]], [[], ['path_not_found']], 'no object of the type')


def long_chain():
    """The last of a list of thousands of orders: beginning and end are told."""
    if STRIPPED:
        return
    with Target(target_path('objects', RELEASE, VARIANT), '-n', 3000, '-chain') as target:
        d = census(target.pid, 'main.Needle')
        what = [s['what'] for s in d['path']]
        tap.ok(900 < len(what) < 1100 and what[0] == 'main.first' and what[-3:] == ['.Next', '.Extra', '.To'],
               'a long path is cut in the middle', [len(what), what[:3], what[-3:]])
        tap.equal(sum('left out' in w for w in what), 1, 'and says so')


def on_a_core():
    if not have('gcore'):
        raise Skip('no gcore')
    with Target(target_path('objects', RELEASE, VARIANT)) as target:
        live_result = census(target.pid)
        core = pathlib.Path(tmp_dir()) / 'objects'
        r = start(['gcore', '-o', str(core), str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = r.communicate(timeout=100)[0]
        core = pathlib.Path(f'{core}.{target.pid}')
        if not core.exists():
            raise AssertionError(said.decode()[-500:])
        d = census(core, exe=target.exe)
        tap.equal({t['name']: t['objects'] for t in d['types'] if t['name'].startswith('main.')},
                  {t['name']: t['objects'] for t in live_result['types'] if t['name'].startswith('main.')},
                  'the same types on a core')
        tap.ok(abs(d['bytes'] - live_result['bytes']) < live_result['bytes'] * 0.01, 'the same bytes on a core',
               [d['bytes'], live_result['bytes']])
        tap.equal([s['what'] for s in d['path']], [s['what'] for s in live_result['path']], 'the same path')
        core.unlink()


def while_it_changes():
    """Goroutines come and go, stacks move: an answer every time."""
    with Target(target_path('churn', RELEASE, VARIANT)) as target:
        for _ in range(3):
            d = census(target.pid, None)
            tap.ok(d['objects'] > 100 and d['bytes'] > 10000, 'an answer while everything changes', d['objects'])


if __name__ == '__main__':
    go_command(RELEASE)
    tap.run(live, by_allocation_site, no_such_type, long_chain, on_a_core, while_it_changes)
