#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""One process, every view of it: JSON, text, folded, pprof, groups and filters say the same.

The target stands still between commands, so all views must agree; what they agree on is checked against
the runtime by test_states.py, and here again by counts of the goroutine profile.
"""
import collections
import os
import re
import shutil

from harness import (OK, TARGET, USAGE, Profile, Target, go_command, gosonde, parse_traceback, run_checked, tap,
                     target_path, tmp_dir)
from exact import pprof_raw

target = Target(target_path('states'))
document = gosonde('dump', target.pid, '--format', 'json').json()
goroutines = {g['id']: g for g in document['goroutines']}


def functions(g):
    return tuple(f['function'] for f in g['frames'])


def text_and_json_agree():
    traces = parse_traceback(gosonde('dump', target.pid).text)
    tap.equal(sorted(traces), sorted(goroutines), 'text and JSON have the same goroutines')
    bad = []
    for id, t in traces.items():
        g = goroutines.get(id)
        if g is None or id == target.ready['self']:
            continue
        # Go's text calls runtime.gopanic panic, and is silent about creators in the runtime.
        mine = [(f.function if f.function != 'panic' else 'runtime.gopanic', f.file, f.line) for f in t.frames]
        theirs = [(f['function'], f['file'], f['line']) for f in g['frames']]
        created = (g['created_by'] or {}).get('function')
        if t.created is None and created and created.startswith('runtime.'):
            created = None
        # In a synctest bubble, Go's text marks some reasons that have no mark of their own.
        reason = t.reason.removesuffix(' (durable)')
        if (mine != theirs or reason != (g['wait_reason'] or g['state']).removesuffix(' (durable)') or
                (t.created.function if t.created else None) != created):
            bad.append(f'{id}: {t.reason} {mine} {t.created} instead of {g["wait_reason"]} {theirs} {created}')
    tap.ok(not bad, 'text and JSON have the same frames, reasons and creators', *bad)
    tap.equal(document['goroutines_total'], len(goroutines), 'goroutines_total')
    tap.equal(document['schema'].split('/')[0], 'gosonde.dump', 'schema')
    tap.equal(next(iter(document)), 'schema', 'schema comes first')
    tap.equal(document['paused_seconds'], 0, 'the target was not stopped')
    # NumGoroutine never counts those that run finalizers and cleanups; tracebacks do while they run our code.
    runs_for_us = ('runtime.runfinq', 'runtime.runFinalizers', 'runtime.runCleanups')
    counted = [g for g in goroutines.values() if functions(g)[-1] not in runs_for_us]
    tap.equal(len(counted), target.command('stats')['goroutines'], 'as many goroutines as runtime.NumGoroutine says')


def json_is_the_same_pretty():
    pretty = gosonde('dump', target.pid, '--format', 'json', '--pretty')
    tap.ok(pretty.out.count(b'\n') > 100, '--pretty indents')
    same = {g['id']: functions(g) for g in pretty.json()['goroutines']}
    tap.equal(same, {i: functions(g) for i, g in goroutines.items()}, '--pretty says the same')


def threads_exist():
    """thread_id names a kernel thread of the process that sits in a system call."""
    tids = {int(t) for t in os.listdir(f'/proc/{target.pid}/task')}
    used = {g['thread_id'] for g in goroutines.values() if g['thread_id']}
    tap.ok(used and used <= tids, 'every thread_id is a thread of the process', used - tids)
    in_syscall = [g for g in goroutines.values() if g['state'] == 'syscall' and 'signal_recv' not in str(functions(g))]
    tap.ok(in_syscall and all(g['thread_id'] for g in in_syscall if 'os/signal.loop' not in functions(g)),
           'goroutines in system calls have a thread', [g for g in in_syscall if not g['thread_id']])
    truth = {g['role']: i for i, g in target.roles().items()}
    wchan = {}
    for role, number in (('syscall-nanosleep', ('35', '101')), ('syscall-futex', ('202', '98'))):
        tid = goroutines[truth[role]]['thread_id']
        with open(f'/proc/{target.pid}/task/{tid}/syscall') as f:
            wchan[role] = f.read().split()[0]
        tap.ok(wchan[role] in number, f'{role}: the kernel agrees on which thread it is', wchan[role])


def folded_agrees():
    r = gosonde('dump', target.pid, '--format', 'folded')
    got = collections.Counter()
    total = 0
    for line in r.text.splitlines():
        stack, count = line.rsplit(' ', 1)
        total += int(count)
        got[stack] += int(count)
    want = collections.Counter()
    for g in goroutines.values():
        parts = [re.sub(' ', r'\\x20', f) for f in reversed(functions(g))]
        parts.append('[' + (g['wait_reason'] or g['state']).replace(' ', '_') + ']')
        want[';'.join(parts)] += 1
    tap.equal(total, len(goroutines), 'folded counts every goroutine')
    differing = [f'{got[s]} instead of {want[s]}: {s[-200:]}' for s in got.keys() | want.keys() if got[s] != want[s]]
    tap.ok(not differing, 'folded has the same stacks', *differing)


def pprof_agrees():
    path = tmp_dir() / 'g.pb.gz'
    r = gosonde('dump', target.pid, '--format', 'pprof', '-o', path)
    tap.equal(r.code, OK, 'pprof into a file')
    ours = Profile(path.read_bytes())
    theirs = Profile(target.command('profile')['raw'])
    tap.equal(ours.sample_types, theirs.sample_types, 'sample types are those of the runtime')
    tap.equal(sum(v[0] for v, _, _ in ours.samples), len(goroutines), 'one sample per goroutine')
    bad = []
    for _, stack, labels in ours.samples:
        g = goroutines.get(labels.get('goid'))
        if g is None:
            bad.append(f'goid {labels.get("goid")} is not in the JSON')
        elif (labels.get('wait_reason') or labels.get('state')) not in (g['wait_reason'], g['state']):
            bad.append(f'{g["id"]}: {labels} instead of {g["wait_reason"]}')
        elif any(v and labels.get(k) != v and labels.get(f'label:{k}') != v for k, v in g.get('labels', {}).items()):
            bad.append(f'{g["id"]}: labels {labels} lack {g["labels"]}')
    tap.ok(not bad, 'samples carry id, state and labels', *bad)
    compare_with_runtime(ours, theirs)
    raw = pprof_raw(path, go_command())
    tap.ok('goroutine/count' in raw and 'main.receiveFrom' in raw, 'go tool pprof -raw reads it', raw[:1000])
    top = pprof_top(path)
    tap.ok(f'of {len(goroutines)} total' in top, 'go tool pprof -top counts the same', top[:500])


def pprof_top(path):
    return run_checked([go_command(), 'tool', 'pprof', '-top', '-nodecount=1', path], cwd=tmp_dir())


def compare_with_runtime(ours, theirs):
    """The same stacks as many times, but for the goroutine that makes the profile."""
    def count(profile):
        c = collections.Counter()
        for values, stack, _ in profile.samples:
            names = [f[0] for f in stack]
            if not any(n.startswith('targets/truth.(*Server)') for n in names):
                c[tuple((f[0], f[2]) for f in stack)[:depth]] += values[0]
        return c
    depth = 32 if target.minor < 23 else 128
    got, want = count(ours), count(theirs)
    differing = [f'{got[s]} instead of {want[s]}: {s[:10]}' for s in got.keys() | want.keys() if got[s] != want[s]]
    tap.ok(not differing and want, f'pprof equals the runtime\'s own profile: {len(want)} stacks', *differing)


def groups_agree():
    r = gosonde('dump', target.pid, '--group', '--format', 'json').json()
    tap.equal(sum(g['count'] for g in r['groups']), len(goroutines), 'groups add up')
    counts = [g['count'] for g in r['groups']]
    tap.ok(counts == sorted(counts, reverse=True), 'the largest group comes first', counts[:10])
    def identity(g):
        frames = tuple((f['function'], f['file'], f['line'], f['pc']) for f in g['frames'])
        return g['state'], g['wait_reason'], (g['created_by'] or {}).get('pc'), frames
    want = collections.Counter(identity(g) for g in goroutines.values() if g['id'] != target.ready['self'])
    got = collections.Counter()
    members = {}
    for g in r['groups']:
        if target.ready['self'] in g['goroutine_ids']:
            continue
        got[identity(g)] += g['count']
        for id in g['goroutine_ids']:
            members[id] = identity(g)
    differing = [f'{got[k]} instead of {want[k]}: {k}' for k in got.keys() | want.keys() if got[k] != want[k]]
    tap.ok(not differing, f'groups are the {len(want)} distinct stacks', *differing)
    wrong = [i for i, k in members.items() if identity(goroutines[i]) != k]
    tap.ok(not wrong, 'ids named in a group belong to it', wrong)
    same = [g for g in r['groups'] if any(f['function'] == 'main.receiveFrom' for f in g['frames'])]
    roles = collections.Counter(f['role'] for f in target.ready['goroutines'])
    tap.ok(max(g['count'] for g in same) == roles['same-stack'], 'the ten equal ones are one group', same)
    text = gosonde('dump', target.pid, '--group').text
    heads = [int(m) for m in re.findall(r'^(\d+) goroutines? \[', text, re.M)]
    tap.equal(sorted(heads), sorted(counts), 'text groups have the same counts')


def filters():
    def ids(*options):
        r = gosonde('dump', target.pid, '--format', 'json', *options)
        return {g['id'] for g in r.json()['goroutines']} - {target.ready['self']}
    def want(f):
        return {i for i, g in goroutines.items() if f(g)} - {target.ready['self']}
    def check(f, *options):
        expected = want(f)
        tap.ok(expected and ids(*options) == expected, f'filter {" ".join(options)}: {len(expected)} goroutines',
               ids(*options) ^ expected)
    check(lambda g: g['state'] == 'syscall', '--state', 'syscall')
    check(lambda g: g['state'] in ('waiting', 'syscall'), '--state', 'waiting,syscall')
    check(lambda g: 'chan receive' in (g['wait_reason'] or ''), '--wait-reason', 'Chan Receive')
    check(lambda g: any(re.search(r'main\.\(\*byPointer\)', f) for f in functions(g)), '--function', r'main\.\(\*byPointer\)')
    check(lambda g: (g['created_by'] or {}).get('function', '').startswith('main.startLocks'), '--created-by', r'^main\.startLocks')
    check(lambda g: g.get('labels', {}).get('handler') == 'checkout', '--label', 'handler=checkout')
    check(lambda g: 'long' in g.get('labels', {}), '--label', 'long')
    check(lambda g: 'a' in g.get('labels', {}) and g['labels'].get('b') == 'two', '--label', 'a', '--label', 'b=two')
    check(lambda g: 'IO wait' == g['wait_reason'] and any('net.' in f for f in functions(g)),
          '--wait-reason', 'io wait', '--function', r'^net\.')
    tap.equal(ids('--function', 'no such function'), set(), 'a filter that fits nothing')
    some = gosonde('dump', target.pid, '--format', 'json', '--limit', '3').json()
    tap.equal(len(some['goroutines']), 3, '--limit')
    tap.equal(some['goroutines_total'], None, 'how many there are is not known then')
    r = gosonde('dump', target.pid, '--limit', '3')
    tap.ok(r.code == OK and 'may be more' in r.errors, '--limit says that there may be more', r)
    r = gosonde('dump', target.pid, '--group', '--limit', '2')
    tap.ok(r.code == OK and re.search(r'the 2 largest of \d+ groups', r.errors), 'and of how many groups', r)
    r = gosonde('dump', target.pid, '--function', 'no such function')
    tap.ok(r.code == OK and not r.out and re.search(r'none of \d+ goroutines', r.errors),
           'nothing to show is not the same as no goroutines', r)
    one = next(iter(want(lambda g: g['wait_reason'] == 'sleep')))
    tap.equal(ids('--goroutine', str(one)), {one}, '--goroutine')
    r = gosonde('dump', target.pid, '--function', '(unclosed')
    tap.ok(r.code == USAGE and "--function '(unclosed'" in r.errors, 'a bad expression is named', r)
    r = gosonde('dump', target.pid, '--state', 'sleepy')
    tap.ok(r.code == USAGE and 'sleepy' in r.errors, 'an unknown state is named', r)


def by_name():
    # A name that nothing else on this machine has.
    path = tmp_dir() / f'states{os.getpid()}'
    shutil.copy(target_path('states'), path)
    with Target(path) as named:
        r = gosonde('dump', f'={path.name}', '--format', 'json')
        tap.ok(r.code == OK and r.json()['process']['pid'] == named.pid, '=NAME finds the process', r)
        with Target(path) as second:
            r = gosonde('dump', f'={path.name}')
            tap.ok(r.code == USAGE and str(named.pid) in r.errors and str(second.pid) in r.errors,
                   'two of one name are listed, not guessed', r)
    r = gosonde('dump', '=no-such-process-name')
    tap.ok(r.code == TARGET and 'no-such-process-name' in r.errors, 'an unknown name', r)


def dead_goroutines():
    import urllib.request
    with Target(target_path('many'), '-n', '10', '-no-meter', '-http', '127.0.0.1:0') as ended:
        urllib.request.urlopen(ended.ready['http'] + '/debug/pprof/cmdline').read()
        alive = {g['id'] for g in gosonde('dump', ended.pid, '--format', 'json').json()['goroutines']}
        r = gosonde('dump', ended.pid, '--dead', '--system', '--format', 'json').json()
        dead = [g for g in r['goroutines'] if g['state'] == 'dead']
        system = [g for g in r['goroutines'] if g.get('system')]
        tap.ok(dead and system, '--dead and --system show more', len(dead), len(system))
        rest = {g['id'] for g in r['goroutines'] if g not in dead and g not in system}
        tap.equal(rest, alive, '--dead and --system leave the others')


def stop_is_exact():
    with Target(target_path('states'), '-spin', '3', '-procs', '2') as spinning:
        # Without stopping: spinners on a CPU have no stack, and that is said, not guessed.
        r = gosonde('dump', spinning.pid, '--format', 'json')
        spinners = {i for i, g in spinning.roles().items() if g['role'] == 'spinner'}
        seen = {g['id']: g for g in r.json()['goroutines']}
        tap.ok(spinners <= set(seen), 'spinners are listed', spinners - set(seen))
        for i in spinners:
            g = seen[i]
            known = {'main.spinInner', 'main.spinMiddle', 'main.spinOuter', 'main.startSpinner.func1'}
            if g['state'] == 'running':
                tap.ok(g.get('stack_end') == 'none' and not g['frames'], 'a running goroutine has no stack', g)
            else:
                user = {f['function'] for f in g['frames'] if not f['function'].startswith('runtime.')}
                tap.ok(user <= known, 'a runnable spinner is inside its functions', g)
        for _ in range(5):
            r = gosonde('dump', spinning.pid, '--stop', '--format', 'json')
            d = r.json()
            stacks = [[f['function'] for f in g['frames']] for g in d['goroutines'] if g['id'] in spinners]
            good = [s for s in stacks if s[-1:] == ['main.startSpinner.func1'] and 'main.spinOuter' in s]
            tap.ok(r.code == OK and len(good) == 3, '--stop: every spinner has its whole stack', stacks, r.errors)
            tap.ok(0 < d['paused_seconds'] < 1, '--stop says for how long', d['paused_seconds'])
        tap.ok('stopped for' in r.errors, '--stop prints the pause', r.errors)
        status = open(f'/proc/{spinning.pid}/status').read()
        tap.ok('TracerPid:\t0' in status and 'State:\tT' not in status, 'nothing stays attached')


def target_is_well():
    tap.equal(target.stop(), 0, 'the target ends well by itself')


tap.run(text_and_json_agree, json_is_the_same_pretty, threads_exist, folded_agrees, pprof_agrees, groups_agree,
        filters, by_name, dead_goroutines, stop_is_exact, target_is_well)
