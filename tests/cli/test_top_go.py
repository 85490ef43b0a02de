#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""top: batch output against what the program says of itself, and the screen in tmux, 80x24 and others."""
import collections
import json
import os
import re
import signal
import subprocess
import time

from harness import (FAILED, GOSONDE, INCOMPLETE, OK, TARGET, USAGE, Skip, Target, gosonde, have, start, tap,
                     target_path, tmp_dir)

ROLES = {'orders': 'main.orders', 'mails': 'main.mails', 'index': 'main.index', 'cache': 'main.cache'}


def objects(r):
    return [json.loads(l) for l in r.out.splitlines()]


def batch():
    with Target(target_path('many'), '-n', 2000) as t:
        truth = t.stack()
        r = gosonde('top', t.pid, '--format', 'json', '-n', 1, '-g', 'none')
        o = objects(r)[0]
        tap.ok(r.code == OK and o['schema'] == 'gosonde.top/1', 'one by one', r)
        process = gosonde('dump', t.pid, '--limit', 1, '--format', 'json').json()['process']
        tap.ok(o['process'] == process and o['taken_at'] > process['start_time'], 'the same process as in dump', o)
        tap.equal({g['id'] for g in o['rows']}, set(truth), 'every goroutine is there, no other')
        tap.equal(sum(o['states'].values()), len(truth), 'states add up')
        reasons = {i: x.reason for i, x in truth.items()}
        got = {g['id']: g['wait_reason'] for g in o['rows'] if g['wait_reason']}
        wrong = {i: (got[i], reasons[i]) for i in got if got[i] != reasons[i]}
        tap.equal(wrong, {}, 'wait reasons')
        o = objects(gosonde('top', t.pid, '--format', 'json', '-n', 1, '-g', 'creator'))[0]
        creators = collections.Counter(x.created.function if x.created else None for x in truth.values())
        rows = collections.Counter()
        for row in o['rows']:
            rows[row['created_by'] and row['created_by']['function']] += row['count']
        tap.equal(rows, creators, 'counts by creator')
        o = objects(gosonde('top', t.pid, '--format', 'json', '-n', 1, '-g', 'stack'))[0]
        counts = [row['count'] for row in o['rows']]
        tap.ok(counts == sorted(counts, reverse=True) and sum(counts) == len(truth), 'counts by stack')
        r = gosonde('top', t.pid, '-b', '-n', 3, '-s', '200ms', '--limit', 2)
        tap.ok(r.text.count('Goroutines ') == 3 and 'CPU ' in r.text and 'more\n' in r.text and r.seconds >= 0.4,
               'three pictures as text', r)
        r = gosonde('top', t.pid, '-b', '-d', '1s', '-s', '300ms', '--filter', 'main.ORDERS', '-g', 'stack')
        lines = [l for l in r.text.splitlines() if 'chan' in l or 'main.' in l]
        tap.ok(r.code == OK and 2 <= r.text.count('Goroutines ') <= 4, '-d ends it', r)
        r = gosonde('top', t.pid, '-b', '-n', 1, '--filter', 'no such thing')
        tap.ok(r.code == OK and r.text.count('no goroutine fits the filter\n') == 1, 'a filter that fits nothing', r)


def mistakes():
    with Target(target_path('many'), '-n', 10) as t:
        tap.equal(gosonde('top', t.pid).code, USAGE, 'no terminal')
        tap.equal(gosonde('top', t.pid, '-n', 1).code, USAGE, '-n without --batch')
        tap.equal(gosonde('top', t.pid, '-b', '-s', '1ms').code, USAGE, 'a delay too short')
        tap.equal(gosonde('top', t.pid, '-b', '-g', 'stacks').code, USAGE, 'an unknown group')
        p = start([GOSONDE, 'top', t.pid, '-b', '-s', '100ms'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=20)
        tap.ok(p.returncode == OK and out.endswith(b'\n\n') and out.count(b'Goroutines') > 1, 'Ctrl-C ends it well')
        p = start([GOSONDE, 'top', t.pid, '-b', '-s', '100ms'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.readline()
        p.stdout.close()
        tap.ok(p.wait(20) == FAILED and b'Broken pipe' in p.stderr.read(), 'a closed pipe ends it')
        p = start([GOSONDE, 'top', t.pid, '-b', '-s', '100ms'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.readline()
        t.stop()
        _, err = p.communicate(timeout=20)
        tap.ok(p.returncode == TARGET and str(t.pid).encode() in err, 'the target ends', p.returncode, err)


# --- the screen --------------------------------------------------------------------------------------

class Screen:
    """gosonde in a terminal of tmux."""

    count = 0

    def __init__(self, *args, size=(80, 24), term='screen-256color'):
        Screen.count += 1
        self.socket = tmp_dir() / f'tmux-{Screen.count}'
        self.exit = tmp_dir() / f'exit-{Screen.count}'
        command = ' '.join([f'TERM={term}', 'LC_ALL=C.UTF-8', GOSONDE, 'top', *map(str, args)])
        self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', size[0], '-y', size[1],
                  f'{command} 2> {self.exit}.err; echo $? > {self.exit}; sleep 60')

    def tmux(self, *args):
        r = subprocess.run(['tmux', '-S', str(self.socket), *map(str, args)], capture_output=True, text=True,
                           timeout=20)
        if r.returncode:
            raise AssertionError(f'tmux {args}: {r.stderr}')
        return r.stdout

    def text(self):
        return self.tmux('capture-pane', '-p')

    def keys(self, *keys):
        self.tmux('send-keys', *keys)

    def type(self, text):
        self.tmux('send-keys', '-l', text)

    def resize(self, x, y):
        self.tmux('resize-window', '-x', x, '-y', y)

    def wait(self, test, name, timeout=15):
        """A test point: the screen becomes such that test(text) holds."""
        end = time.monotonic() + timeout
        while True:
            text = self.text()
            if test(text):
                return tap.ok(True, name)
            if time.monotonic() > end:
                return tap.ok(False, name, text)
            time.sleep(0.05)

    def wait_exit(self, timeout=15):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.exit.exists() and self.exit.read_text().strip():
                return int(self.exit.read_text())
            time.sleep(0.05)
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['tmux', '-S', str(self.socket), 'kill-server'], capture_output=True)


def need_tmux():
    if not have('tmux'):
        raise Skip('tmux is not installed')


def columns_fit(text, width, height):
    lines = text.rstrip('\n').split('\n')
    return len(lines) <= height and all(len(l) <= width for l in lines)


def screen():
    need_tmux()
    with Target(target_path('many'), '-n', 400) as t, Screen(t.pid, '-s', '300ms') as s:
        s.wait(lambda x: f'many (PID {t.pid})' in x and 'COUNT' in x and 'F10' in x, 'the first picture in 80x24')
        tap.ok(columns_fit(s.text(), 80, 24), 'fits', s.text())
        s.keys('g')
        s.wait(lambda x: 'by creator' in x and 'CREATED BY' in x, 'g groups by creator')
        s.keys('F5')
        s.wait(lambda x: 'by state' in x, 'F5 groups by state')
        s.keys('Enter')
        s.wait(lambda x: 'goroutines of one state' in x and 'GOID' in x, 'Enter shows the goroutines of a state')
        s.keys('Enter')
        s.wait(lambda x: 'state      ' in x and 'Esc: back' in x, 'Enter shows a goroutine')
        s.keys('End')
        s.wait(lambda x: 'created by goroutine 1' in x and 'main.park' in x, 'and its creator, further down')
        s.keys('Escape')
        s.wait(lambda x: 'GOID' in x, 'Esc goes back')
        s.keys('Escape')
        s.wait(lambda x: 'by state' in x, 'Esc goes back to the groups')
        s.keys('g')
        s.wait(lambda x: 'GOID' in x and 'goroutines: 4' in x, 'g: not grouped')
        s.keys('N')
        s.wait(lambda x: x.split('\n')[5].split()[-1].startswith('bufio.') and 'main.' in x, 'N sorts by name')
        s.keys('\\')
        s.type('main.orders')
        s.wait(lambda x: 'filter main.orders: 100' in x, '\\ filters while typing')
        s.keys('Enter', 'Escape')
        s.wait(lambda x: 'filter' not in x, 'Esc takes the filter away')
        s.keys('/')
        s.type('main.mails')
        s.keys('Enter', 'Enter')
        s.wait(lambda x: 'Esc: back' in x, 'a goroutine that was searched')
        s.keys('End')
        s.wait(lambda x: 'main.mails' in x, '/ found the right one')
        s.keys('Escape', 'F6', 'Down', 'Enter')
        s.wait(lambda x: 'Sort by' not in x and 'GOID' in x, 'F6 is a menu')
        s.keys('F1')
        s.wait(lambda x: 'search, next match' in x, 'F1 helps')
        s.keys('q')
        s.wait(lambda x: 'COUNT' in x or 'GOID' in x, 'q leaves the help')
        s.keys('q')
        tap.equal(s.wait_exit(), OK, 'q quits')


def freezing_and_ending():
    need_tmux()
    with Target(target_path('many'), '-n', 50) as t, Screen(t.pid, '-s', '200ms') as s:
        s.wait(lambda x: 'COUNT' in x, 'a picture')
        s.keys('Space')
        s.wait(lambda x: re.search(r'FROZEN at \d\d:\d\d:\d\d', x), 'Space freezes')
        since = re.search(r'FROZEN at (\S+)', s.text()).group(1)
        tap.ok(since in [time.strftime('%H:%M:%S', time.localtime(time.time() - i)) for i in range(10)],
               'since the last picture', since)
        before = s.text()
        time.sleep(1.2)
        tap.equal(s.text(), before, 'nothing moves while frozen')
        s.keys('\\')
        s.type('no such thing')
        s.wait(lambda x: 'no goroutine fits the filter' in x and since in x, 'filtering reads nothing anew')
        s.keys('Escape')
        s.keys('g')
        s.wait(lambda x: 'by creator' in x and 'Read anew at' in x, 'regrouping says that it read anew')
        again = re.search(r'FROZEN at (\S+)', s.text()).group(1)
        tap.ok(again != since and s.text().count(again) == 2, 'and when', since, s.text())
        s.keys('z')
        s.wait(lambda x: 'FROZEN' not in x, 'z goes on')
        s.wait(lambda x: x != before, 'and it moves')
        t.stop()
        s.wait(lambda x: 'ENDED' in x and str(t.pid) in x, 'the end of the target is told, the picture stays')
        s.keys('Enter')
        s.wait(lambda x: 'cannot be regrouped' in x and 'by creator: ' in x, 'and cannot be regrouped')
        s.keys('F10')
        tap.equal(s.wait_exit(), TARGET, 'the exit code tells of it')
    with Target(target_path('many'), '-n', 50) as t, Screen(t.pid, '-s', '200ms') as s:
        s.wait(lambda x: 'COUNT' in x, 'a picture by stack')
        t.stop()
        s.wait(lambda x: 'ENDED' in x, 'it ends')
        s.keys('Enter')
        s.wait(lambda x: 'Its last stack' in x or 'goroutine ' in x, 'what was seen can still be opened')
        s.keys('Escape', 'q')
        tap.equal(s.wait_exit(), TARGET, 'the exit code tells of this too')


def sizes():
    need_tmux()
    with Target(target_path('many'), '-n', 100) as t, Screen(t.pid, '-s', '200ms') as s:
        s.wait(lambda x: 'COUNT' in x, 'a picture')
        for x, y in ((132, 50), (40, 10), (20, 5), (10, 3), (2, 2), (200, 6), (80, 24)):
            s.resize(x, y)
            time.sleep(0.4)
            s.keys('g', 'Down', 'End', 'Enter')
            time.sleep(0.2)
            s.keys('Escape', 'F6')
            time.sleep(0.1)
            s.keys('Escape')
            tap.ok(s.wait_exit(0.05) is None and columns_fit(s.text(), x, y), f'{x}x{y}', s.text())
        s.wait(lambda x: f'(PID {t.pid})' in x, 'all back in 80x24')
        s.keys('C-c')
        tap.equal(s.wait_exit(), OK, 'Ctrl-C quits')


def poor_terminal():
    need_tmux()
    with Target(target_path('many'), '-n', 10) as t:
        with Screen(t.pid, term='no-such-terminal') as s:
            tap.equal(s.wait_exit(), FAILED, 'an unknown terminal')
            tap.ok('TERM' in (s.exit.parent / f'{s.exit.name}.err').read_text(), 'is told, with what to do')
        with Screen(t.pid, term='dumb') as s:
            tap.equal(s.wait_exit(), FAILED, 'a terminal that cannot move its cursor')
            tap.ok('--batch' in (s.exit.parent / f'{s.exit.name}.err').read_text(), 'is told, with what to do')
        with Screen(t.pid, term='vt100') as s:
            s.wait(lambda x: 'COUNT' in x, 'vt100: no colours, and it works')
            s.keys('q')
            tap.equal(s.wait_exit(), OK, 'vt100: quits')


tap.run(batch, mistakes, screen, freezing_and_ending, sizes, poor_terminal)
