# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The comparison that counts: what gosonde says of the goroutines of tests/targets/states, against what
the Go runtime in that process says at the same time, goroutine by goroutine, frame by frame.

Nothing runs in the target between two commands, so the two must be equal. The one exception is the
goroutine that answers the commands: the runtime sees it inside runtime.Stack, gosonde inside read(2).
"""
import collections
import re
import signal
import traceback

from harness import OK, Target, gosonde, parse_traceback, Profile, run_checked, tap, tmp_dir


def describe(roles, id):
    return f'goroutine {id} ({roles[id]["role"] if id in roles else "?"})'


def compare_all(name, got, want, roles, self_id, args=False, header=True):
    """One test point per aspect: the same goroutines, the same headers, the same stacks."""
    missing, extra = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
    tap.ok(not missing and not extra, f'{name}: the same {len(want)} goroutines',
           *[f'missing: {describe(roles, i)} [{want[i].reason}]' for i in missing],
           *[f'not in the truth: {describe(roles, i)} [{got[i].reason}]' for i in extra])
    common = sorted((got.keys() & want.keys()) - {self_id})
    if header:
        compare_headers(name, got, want, roles, common)
    bad = []
    for i in common:
        difference = got[i].same_frames(want[i], args)
        if difference:
            bad.append(f'{describe(roles, i)}: {difference}')
    n = sum(len(want[i].frames) for i in common)
    tap.ok(not bad and common, f'{name}: {len(common)} stacks with {n} frames are equal', *bad)
    if self_id in got and self_id in want:
        compare_outer(name, got[self_id], want[self_id])


def compare_headers(name, got, want, roles, common):
    bad = []
    for i in common:
        g, w = got[i], want[i]
        if (g.reason, g.locked, g.others) != (w.reason, w.locked, w.others) or abs(g.minutes - w.minutes) > 1:
            bad.append(f'{describe(roles, i)}: [{g.reason}, {g.minutes} minutes, locked {g.locked}, {g.others}] '
                       f'instead of [{w.reason}, {w.minutes} minutes, locked {w.locked}, {w.others}]')
        elif re.sub(r'\s', '', g.tail) != re.sub(r'\s', '', w.tail):
            bad.append(f'{describe(roles, i)}: after the brackets {g.tail!r} instead of {w.tail!r}')
    tap.ok(not bad and common, f'{name}: headers are equal', *bad)


def compare_outer(name, got, want):
    """The command loop: its frames outside of the loop are the same, only their innermost differ."""
    outer = [f.key() for f in want.frames if f.function == 'main.main']
    mine = [f.key() for f in got.frames if f.function == 'main.main']
    tap.ok(outer and mine == outer and any('Serve' in f.function for f in got.frames),
           f'{name}: the command loop is seen in its read', f'{mine} instead of {outer}', *got.frames)


def dump(target, *options, code=OK):
    r = gosonde('dump', target.pid, *options)
    tap.ok(r.code == code, f'dump {" ".join(map(str, options))}: exit code {code}', r)
    return r


def test_text(name, target):
    want = target.stack()
    got = parse_traceback(dump(target).text)
    compare_all(f'{name}: text', got, want, target.roles(), target.ready['self'])


def test_args(name, target):
    want = target.stack()
    got = parse_traceback(dump(target, '--args').text)
    # Words marked with "?" are not live. The kernel wakes this one at times, which leaves others there.
    for i, g in target.roles().items():
        if g['role'] == 'tcp-write' and i in got and not got[i].same_frames(want[i]):
            got[i] = want[i]
    if target.minor < 21:
        for t in (*got.values(), *want.values()):
            forget_liveness(t)
    compare_all(f'{name}: --args', got, want, target.roles(), target.ready['self'], args=True)


def forget_liveness(trace):
    """Up to Go 1.20 the runtime looks liveness up in the wrong place if something was inlined into the frame
    (traceback.go: tracepc is that of the outermost inlined call by then). gosonde does as later releases."""
    for above, frame in zip(trace.frames, trace.frames[1:]):
        if above.offset is None:
            frame.args = frame.args.replace('?', '')


def test_system(name, path):
    """With GOTRACEBACK=system, the traceback of SIGQUIT has every goroutine and every frame. Only that of
    a dying process has: runtime.Stack leaves the runtime's own goroutines out at any level."""
    with Target(path, env={'GOTRACEBACK': 'system'}) as target:
        r = gosonde('dump', target.pid, '--system', '--all-frames')
        got = parse_traceback(r.text)
        want = target.end_by(signal.SIGQUIT)
        tap.ok(r.code == OK and target.process.returncode == 2, f'{name}: --system: exit codes', r, target.errors()[:500])
        # A moment lies between the two: what the runtime's timers and the network woke in it does not count.
        for i, w in want.items():
            if i in got and (w.reason == 'runnable' or w.reason != got[i].reason and 'bgscavenge' in str(w.frames)):
                got[i] = w
        compare_all(f'{name}: --system', got, want, target.roles(), target.ready['self'])
        system = [w for w in want.values() if w.frames and w.frames[-2:][0].function.startswith('runtime.')]
        tap.ok(len(system) >= 4, f'{name}: --system: the truth has goroutines of the runtime', want.keys())


def test_profile(name, target):
    """The goroutine profile has the frames that tracebacks hide (runtime.gopark …)."""
    profile = Profile(target.command('profile')['raw'])
    ours = Profile(dump(target, '--format', 'pprof').out)
    depth = 32 if target.minor < 23 else 128
    self_id = target.ready['self']
    got = collections.Counter()
    for values, stack, labels in ours.samples:
        if labels['goid'] != self_id:
            got[tuple(stack)[:depth]] += values[0]
    want = collections.Counter()
    for values, stack, _ in profile.samples:
        if not any(f[0].endswith('pprof.writeGoroutine') or f[0].endswith('pprof.(*Profile).WriteTo') for f in stack):
            want[tuple(stack)[:depth]] += values[0]
    compare_profiles(f'{name}: profile', got, want, depth)


def compare_profiles(name, got, want, depth):
    # Where wrappers were counted in before the cut, both sides are cut to the shorter one.
    shortest = min((len(s) for s in want if len(s) >= depth - 4), default=depth)
    got, want = (collections.Counter() if not c else cut(c, shortest) for c in (got, want))
    differing = [f'{got[s]} instead of {want[s]}: {" < ".join(f"{f[0]}:{f[2]}" for f in s[:12])}'
                 for s in got.keys() | want.keys() if got[s] != want[s]]
    tap.ok(not differing and want, f'{name}: {sum(want.values())} goroutines on {len(want)} stacks are equal',
           *differing)


def cut(counter, depth):
    result = collections.Counter()
    for stack, n in counter.items():
        result[stack[:depth]] += n
    return result


def test_facts(name, target):
    """What the program itself knows: parents, labels, locks, depth."""
    document = dump(target, '--format', 'json').json()
    by_id = {g['id']: g for g in document['goroutines']}
    bad = []
    for id, fact in target.roles().items():
        g = by_id.get(id)
        if g is None:
            bad.append(f'{describe(target.roles(), id)}: not in the dump')
            continue
        if g.get('labels', {}) != fact.get('labels', {}):
            bad.append(f'{describe(target.roles(), id)}: labels {g.get("labels")} instead of {fact.get("labels")}')
        parent = fact.get('parent', 0)
        if target.minor >= 21 and parent and g.get('parent_id') != parent:
            bad.append(f'{describe(target.roles(), id)}: parent {g.get("parent_id")} instead of {parent}')
        if fact.get('depth') and len(g['frames']) != fact['depth']:
            bad.append(f'{describe(target.roles(), id)}: {len(g["frames"])} frames instead of {fact["depth"]}')
        if id != target.ready['self'] and bool(g.get('locked', False)) != fact.get('locked', False):
            bad.append(f'{describe(target.roles(), id)}: locked {g.get("locked")} instead of {fact.get("locked")}')
    tap.ok(not bad, f'{name}: facts of {len(target.roles())} goroutines hold', *bad)
    p = document['process']
    tap.ok(p['pid'] == target.pid and p['go_version'] == target.ready['go'], f'{name}: process', p)
    tap.equal(document['incomplete'], [], f'{name}: nothing is missing')


def run(name, path, *args, env=None):
    """All comparisons on one build of the states program."""
    with Target(path, *args, env=env) as target:
        for test in (test_text, test_args, test_profile, test_facts):
            try:
                test(name, target)
            except Exception as e:
                tap.ok(False, f'{name}: {test.__name__}', traceback.format_exc())
    test_system(name, path)


def pprof_raw(path, go):
    """Let Go's own tool read a profile; returns its text."""
    return run_checked([go, 'tool', 'pprof', '-raw', path], cwd=tmp_dir())
