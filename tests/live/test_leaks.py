#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde leaks: goroutines that will never run again, and creation sites that grow.

  test_leaks.py planted RELEASE VARIANT   goroutines with known fates: a process, stopped, a core file, a program
                                          at its end; since Go 1.27 also beside the runtime's own leak detection
  test_leaks.py truth RELEASE             the Go tree's own programs of goroutine leaks (1.27; 1.26 by experiment),
                                          which the toolchain brings: what the runtime says, no more and no less
  test_leaks.py right                     right programs under load, looked at twenty times: nothing
  test_leaks.py large                     a gigabyte of heap, at rest and in motion
  test_leaks.py growth                    go statements that leave goroutines behind
"""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from cores import fresh_dir, only_core
from harness import (CACHE, INCOMPLETE, OK, CorePattern, Profile, Skip, Target, go_command, gosonde, run_checked, start, tap,
                     target_path, tmp_dir, unlimited_cores)
from shop import Shop

LEAKS = 10
LOOK = ['--unreachable', '--between', '300ms', '--format', 'json']


def found(result):
    """The findings' goroutines, by number."""
    return {i: f for f in result.json()['findings'] for i in f['goroutine_ids']}


def compare(name, result, roles, confidence):
    """Exactly the goroutines whose role begins with "leak"."""
    if not tap.ok(result.code == LEAKS, f'{name}: exit code', result):
        return {}
    got, want = found(result), {i for i, g in roles.items() if g['role'].startswith('leak')}
    details = [f'missed: {roles[i]["role"]}' for i in want - set(got)]
    details += [f'wrong: {roles.get(i)} {got[i]["evidence"]}' for i in set(got) - want]
    tap.ok(set(got) == want, f'{name}: the {len(want)} planted leaks and nothing else', *details)
    levels = {f['confidence'] for f in got.values()}
    tap.equal(levels, {confidence}, f'{name}: confidence')
    return got


# --- planted ------------------------------------------------------------------------------------------

WORDS = {
    'leak receive': 'unbuffered, 1 goroutine receives; nothing that can run refers to it',
    'leak send buffered': '2 of 2 buffered, 1 goroutine sends',
    'leak range': '3 goroutines receive',
    'leak select': '2 channels: ',
    'leak select nil': 'a select without a case',
    'leak select none': 'a select without a case',
    'leak nil receive': 'a nil channel',
    'leak mutex': 'sync.Mutex 0x',
    'leak rwmutex read': 'sync.RWMutex (semaphore 0x',
    'leak waitgroup': 'sync.WaitGroup (semaphore 0x',
    'leak cond': 'sync.Cond (notifyList 0x',
}


def evidence(got, roles):
    wrong = []
    for i, f in got.items():
        role = roles[i]['role']
        if WORDS.get(role, '') not in f['evidence']['blocked_on']:
            wrong.append(f'{role}: {f["evidence"]["blocked_on"]}')
        function = 'main.leak' + {'nil': 'Nil'}.get(role.split()[1], '')
        if not f['created_by']['function'].startswith(function) or \
                not any(x['function'].startswith('main.leak') for x in f['frames']):
            wrong.append(f'{role}: {f["created_by"]} {f["frames"][:3]}')
    tap.ok(not wrong, 'each says what it waits for, where, and who created it', *wrong)
    held = [f['evidence']['held_bytes'] for i, f in got.items() if roles[i]['role'] == 'leak holder']
    tap.ok(held and 2048 * 512 <= held[0] < 2048 * 512 + 65536, 'how much of the heap one keeps', held)


def ask_the_runtime(target, roles):
    """Since Go 1.27 the runtime says itself which goroutines leak, and marks them."""
    if target.minor < 27:
        return
    said = target.command('profile-leaks')['leaks']
    r = gosonde('leaks', target.pid, *LOOK)
    got = compare('beside the runtime', r, roles, 'certain')
    tap.equal(said, len(got), 'the runtime counts as many')
    differ = [f for f in got.values() if not (f['evidence']['by_runtime'] and f['evidence']['by_marking'])]
    tap.ok(not differ, 'the runtime says the same of each', *differ[:3])


def process():
    with Target(target_path('leaks', RELEASE, VARIANT), '-what', 'all') as target:
        look_at(target)


def look_at(target):
    roles = target.roles()
    evidence(compare('process', gosonde('leaks', target.pid, *LOOK), roles, 'high'), roles)
    r = gosonde('leaks', target.pid, '--stop', *LOOK)
    compare('stopped', r, roles, 'certain')
    d = r.json()
    tap.ok('the target was stopped for' in r.errors and d['paused_seconds'] > 0 and d['target_still'] and d['looks'] == 1,
           'stopped: one look, and for how long', r.errors, d)
    text = gosonde('leaks', target.pid, '--unreachable', '--between', '300ms')
    tap.ok('will never run again' in text.text and 'created by main.leakReceive' in text.text, 'as text', text)
    p = Profile(gosonde('leaks', target.pid, '--unreachable', '--between', '300ms', '--format', 'pprof').out)
    tap.equal(p.sample_types, [('goroutineleak', 'count')], 'pprof: type')
    tap.equal(sum(v[0] for v, _, _ in p.samples), sum(g['role'].startswith('leak') for g in roles.values()),
              'pprof: as many goroutines')
    ask_the_runtime(target, roles)
    # What was not reported was right not to be: these wake up and end.
    tap.ok(target.command('wake')['woken'] > 10, 'the others can be woken')
    compare('after the others have ended', gosonde('leaks', target.pid, *LOOK), roles,
            'certain' if target.minor >= 27 else 'high')


def right_ones():
    with Target(target_path('leaks', RELEASE, VARIANT), '-what', 'live') as target:
        r = gosonde('leaks', target.pid, *LOOK)
        tap.ok(r.code == OK and not r.json()['findings'], 'only right ones: nothing', r)
        r = gosonde('leaks', target.pid, '--stop')
        tap.ok(r.code == OK and 'no leaks found' in r.text, 'stopped: nothing', r)


def at_its_end():
    path = target_path('leaks', RELEASE, VARIANT)
    for how, status in (('-end', 0), ('-exit', 3), ('-panic', 2)):
        run_to_end(path, how, status)
    r = gosonde('leaks', '--', path, '-what', 'live', '-end')
    tap.ok(r.code == OK and 'no leaks found' in r.text, 'at its end, only right ones: nothing', r)
    tap.ok('incomplete' not in r.errors, 'at its end: nothing could not be seen', r.errors)


def run_to_end(path, how, status):
    out = tmp_dir() / f'end{how}.json'
    r = gosonde('leaks', '--unreachable', '--format', 'json', '-o', out, '--', path, '-what', 'all', how)
    ready = [line for line in r.text.splitlines() if line.startswith('{"')]
    if not tap.ok(len(ready) == 1 and out.exists(), f'{how}: runs, and its output is its own', r):
        return
    roles = {g['id']: g for g in json.loads(ready[0])['goroutines']}
    r.out = out.read_bytes()
    compare(f'at its end, {how}', r, roles, 'certain')
    tap.equal(r.json()['exit_status'], status, f'{how}: exit status')


def registers():
    """A goroutine that runs has the only pointer to what another one waits for in a register, and is never preempted."""
    where = fresh_dir('spin')
    with CorePattern():
        target = Target(target_path('leaks', RELEASE, VARIANT), '-what', 'none', cwd=where, preexec=unlimited_cores,
                        env={'GODEBUG': 'asyncpreemptoff=1', 'GOTRACEBACK': 'crash'})
        target.command('spin')
        for _ in range(4):
            r = gosonde('leaks', target.pid, '--stop', *LOOK)
            if not tap.ok(r.code == OK and not r.json()['findings'], 'in a register: stopped, seen', r):
                break
        r = gosonde('leaks', target.pid, *LOOK)
        d = r.json()
        sure = [f for f in d['findings'] if f['confidence'] != 'likely']
        tap.ok(not sure and (not d['findings'] or 'running_all_the_time' in [i['what'] for i in d['incomplete']]),
               'in a register: not stopped, not sure', r)
        target.process.send_signal(signal.SIGABRT)
        target.process.wait(120)
    r = gosonde('leaks', only_core(where, 'core*'), *LOOK)
    tap.ok(r.code in (OK, INCOMPLETE) and not r.json()['findings'], 'in a register: core file, seen', r)
    shutil.rmtree(where)


def core():
    where = tmp_dir() / 'core'
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    with CorePattern():
        target = Target(target_path('leaks', RELEASE, VARIANT), '-what', 'all', cwd=where,
                        env={'GOTRACEBACK': 'crash'}, preexec=unlimited_cores)
        roles = target.roles()
        target.process.send_signal(signal.SIGABRT)
        target.process.wait(120)
    cores = list(where.glob('core*'))
    if not tap.ok(len(cores) == 1, 'a core file was written', list(where.iterdir())):
        return
    compare('core file', gosonde('leaks', cores[0], *LOOK), roles, 'certain')


# --- the Go tree's own programs -----------------------------------------------------------------------

# Runs one of the programs, and asks the runtime at the very end, when nothing of it runs any more.
DRIVER = '''package main

import (
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
)

const yieldCount = 10

var cmds = map[string]func(){}

func register(name string, f func()) { cmds[name] = f }

func registerInit(name string, f func()) {
	if len(os.Args) >= 2 && os.Args[1] == name {
		f()
	}
}

func main() {
	done := make(chan bool)
	go func() {
		defer close(done)
		cmds[os.Args[1]]()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
	}
	// Until none is on its way to where it will hang.
	p := pprof.Lookup("goroutineleak")
	for before, i := -1, 0; i < 50; i++ {
		time.Sleep(60 * time.Millisecond)
		p.WriteTo(io.Discard, 0)
		if p.Count() == before {
			break
		}
		before = p.Count()
	}
	fmt.Println("done")
}
'''
# Goes on collecting, and each collection takes the runtime's verdict away.
NOT_COMPARED = {'SpawnGC'}


def build_truth(sources, go, release, name):
    where = tmp_dir() / name
    where.mkdir()
    for f in sources.glob('*.go'):
        if f.name != 'main.go':
            shutil.copy(f, where)
    (where / 'main.go').write_text(DRIVER)
    (where / 'go.mod').write_text('module truth\n\ngo 1.26\n')
    env = dict(os.environ, GOFLAGS='-mod=mod', GOWORK='off', GOTOOLCHAIN='local')
    if release == '1.26':
        env['GOEXPERIMENT'] = 'goroutineleakprofile'
    run_checked([go, 'build', '-o', where / 'program', '.'], cwd=where, env=env)
    text = ''.join(f.read_text() for f in where.glob('*.go'))
    return where / 'program', sorted(set(re.findall(r'register\("(\w+)"', text)) - NOT_COMPARED)


def truth_of(program, name):
    out = tmp_dir() / 'truth.json'
    out.unlink(missing_ok=True)
    r = gosonde('leaks', '--unreachable', '--format', 'json', '-o', out, '--', program, name, timeout=120,
                env=dict(os.environ, GOMAXPROCS='1', GODEBUG='asyncpreemptoff=1'))
    if r.code not in (OK, LEAKS, INCOMPLETE) or not out.exists():
        return collections.Counter(), [f'{name}: {r}']
    r.out = out.read_bytes()
    by, wrong = collections.Counter(), []
    for f in r.json()['findings']:
        e = f['evidence']
        kind = ('both' if e['by_runtime'] and e['by_marking'] else 'runtime only' if e['by_runtime'] else 'we only')
        by[kind] += f['count']
        if kind != 'both':
            wrong.append(f'{name}: {kind}: {f["wait_reason"]} {f["frames"][0]} {f["created_by"]} {e["blocked_on"]}')
    return by, wrong


def truth():
    go = go_command(RELEASE)
    root = pathlib.Path(run_checked([go, 'env', 'GOROOT'], env=dict(os.environ, GOTOOLCHAIN='local')).strip())
    sources = root / 'src' / 'runtime' / 'testdata' / 'testgoroutineleakprofile'
    if not sources.is_dir():
        raise Skip(f'{root} brings no {sources.name}')
    for part, where in (('simple', sources), ('goker', sources / 'goker')):
        program, names = build_truth(where, go, RELEASE, part)
        total, wrong = collections.Counter(), []
        for name in names:
            by, w = truth_of(program, name)
            if w:  # these programs race: a goroutine may get stuck after the runtime has looked
                tap.note(f'once more: {w[0]}')
                by, w = truth_of(program, name)
            total += by
            wrong += w
        tap.ok(not wrong, f'{part}: {len(names)} programs, {total["both"]} goroutines leak as the runtime says', *wrong)
        tap.ok(total['both'] > 100, f'{part}: there is something to compare', total)


# --- right programs -----------------------------------------------------------------------------------

def twenty_looks(name, pid, looks=20):
    bad, dismissed = [], 0
    for _ in range(looks):
        r = gosonde('leaks', pid, '--unreachable', '--between', '200ms', '--format', 'json', timeout=120)
        if r.code not in (OK, INCOMPLETE) or r.json()['findings']:
            bad.append(r)
        else:
            dismissed += r.json()['candidates_dismissed']
    tap.ok(not bad, f'{name}: {looks} looks find nothing ({dismissed} suspects dismissed)', *bad[:2])


def shop_under_load():
    for release in ('1.19', 'newest'):
        with Shop(load=80, release=release, variant='stripped') as shop:
            time.sleep(1)
            twenty_looks(f'shop {release}', shop.pid, 10)


def pointers_on_the_move():
    for release in ('1.19', 'newest'):
        with Target(target_path('leaks', release, 'stripped'), '-what', 'churn', '-ballast', '20') as target:
            twenty_looks(f'churn {release}', target.pid, 10)
            tap.ok(target.command('moves')['moves'] > 10000, 'pointers were moved meanwhile')


def large_heap():
    """The planted ones and nothing else, and right ones that move."""
    for release, load in (('newest', 0), ('1.19', 2)):
        with Target(target_path('leaks', release, 'stripped'), '-what', 'all', '-ballast', '1000', '-load', load) as target:
            roles = target.roles()
            for extra, level in (([], 'high'), (['--stop'], 'certain')):
                begin = time.monotonic()
                r = gosonde('leaks', target.pid, *LOOK, *extra, timeout=300)
                name = f'1 GB, {release}, {load} work on it{", stopped" if extra else ""}'
                compare(name, r, roles, level)
                tap.note(f'{name}: {time.monotonic() - begin:.1f} s, marking {r.json().get("mark_seconds")} s')
    for release in ('newest', '1.19'):
        with Target(target_path('leaks', release, 'stripped'), '-what', 'churn', '-ballast', '1000') as target:
            twenty_looks(f'churn in 1 GB {release}', target.pid, 3)


def shop_that_leaks():
    with Shop('leak', load=60) as shop:
        time.sleep(2)
        before = set(shop.truth()['troubles']['leak']['leaked_ids'] or [])
        r = gosonde('leaks', shop.pid, *LOOK)
        after = set(shop.truth()['troubles']['leak']['leaked_ids'] or [])
        d = r.json()
        if not tap.equal(len(d['findings']), 1, 'a shop that leaks: one finding', r):
            return
        (f,) = d['findings']
        tap.ok(f['frames'][0]['function'].endswith('web.(*auditor).report'), 'it is named', f['frames'][0])
        tap.ok(len(before) * 0.9 <= f['count'] <= len(after), f'{f["count"]} of {len(before)} to {len(after)}')
        tap.ok(set(f['goroutine_ids']) <= after, 'these are the ones', set(f['goroutine_ids']) - after)


# --- growth -------------------------------------------------------------------------------------------

def growth():
    with Target(target_path('leaks', 'newest', 'stripped'), '-what', 'growth') as target:
        p = start([os.environ.get('GOSONDE', 'gosonde'), 'leaks', str(target.pid), '--growth', '--watch', '6s',
                   '--format', 'json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        begin, grown = time.monotonic(), 0
        while p.poll() is None:
            grown += target.command('grow')['grown']
            time.sleep(0.25)
        rate = grown / (time.monotonic() - begin)
        d = json.loads(p.stdout.read())
        tap.equal(p.returncode, LEAKS, 'growth: exit code')
        names = [f['created_by']['function'] for f in d['findings']]
        if tap.equal(names, ['main.grow'], 'growth: one go statement, and not the one whose goroutines end'):
            (f,) = d['findings']
            tap.ok(rate / 2 < f['evidence']['per_second'] < rate * 2, f'growth: {rate:.0f} a second', f['evidence'])
            tap.ok(f['wait_reason'] == 'chan receive', 'growth: where they are stuck', f)
            tap.equal(sum(f['ages'].values()), f['count'], 'growth: ages of all')
            tap.ok(f['ages']['<10s'] > 0, 'growth: they are young', f['ages'])
        r = gosonde('leaks', target.pid, '--growth', '--watch', '3s')
        tap.ok(r.code == OK and 'no leaks found' in r.text, 'no growth any more', r)


def service():
    """What swings with the load is no growth; two a second are, among a thousand that end."""
    with Target(target_path('leaks', 'newest', 'stripped'), '-what', 'service') as target:
        time.sleep(1)
        before = target.command('service')
        r = gosonde('leaks', target.pid, '--growth', '--watch', '9s', '--format', 'json')
        after = target.command('service')
        names = [f['created_by']['function'] for f in r.json()['findings']]
        if not tap.equal(names, ['main.handle'], 'service: the one go statement that leaves goroutines behind', r):
            return
        (f,) = r.json()['findings']
        rate = (after['stayed'] - before['stayed']) / (after['seconds'] - before['seconds'])
        told = f['evidence']['per_second']
        tap.ok(rate * 0.75 <= told <= rate * 1.25, f'service: {told:.2f} a second, the program counts {rate:.2f}')
        # Those that end soon are among them for a moment.
        tap.ok(before['stayed'] <= f['count'] <= after['stayed'] + 40, f'service: {f["count"]} are there', before, after)
        old = sum(n for age, n in f['ages'].items() if age not in ('<1s', '<10s', 'unknown'))
        # Of those that were there before, the runtime says since when, to the collection before.
        tap.ok(sum(f['ages'].values()) == f['count'] and f['ages']['<10s'] >= 12 and
               old + f['ages']['unknown'] <= before['stayed'], 'service: how old they are', f['ages'], before, after)


if __name__ == '__main__':
    what = sys.argv[1]
    RELEASE = sys.argv[2] if len(sys.argv) > 2 else 'newest'
    VARIANT = sys.argv[3] if len(sys.argv) > 3 else 'default'
    if what == 'planted':
        tap.run(process, right_ones, at_its_end, core, registers)
    elif what == 'truth':
        tap.run(truth)
    elif what == 'large':
        tap.run(large_heap)
    elif what == 'right':
        tap.run(shop_under_load, pointers_on_the_move, shop_that_leaks)
    else:
        tap.run(growth, service)
