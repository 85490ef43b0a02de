#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Goroutines whose connection is closed: what the program planted, no more and no less; states, addresses and times as
ss(8) shows them; at the end of a program that was started for it; and nothing in healthy programs.

    test_leaks_connections.py cases [RELEASE [VARIANT]] | healthy [RELEASE [VARIANT]] | grpc
"""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from harness import (BUILD, CACHE, ROOT, CorePattern, Skip, Target, go_command, gosonde, start, tap, target_path, tmp_dir,
                     unlimited_cores, wait_for)

MODE = sys.argv[1] if len(sys.argv) > 1 else 'cases'
RELEASE = sys.argv[2] if len(sys.argv) > 2 else 'newest'
VARIANT = sys.argv[3] if len(sys.argv) > 3 else 'default'
DUMP = BUILD / 'tests' / 'live' / 'closed_dump'


class Look:
    """One run of closed_dump: findings by goroutine."""

    def __init__(self, argv):
        begin = time.time()
        r = subprocess.run([DUMP, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.begin, self.end = begin, time.time()
        self.errors = r.stderr
        if r.returncode:
            raise AssertionError(f'closed_dump {argv}: exit {r.returncode}\n{r.stderr}{r.stdout[-1000:]}')
        self.rows = [json.loads(line) for line in r.stdout.splitlines()]
        self.found = {}
        for row in self.rows:
            if 'conn' in row:
                if row['id'] in self.found:
                    raise AssertionError(f'goroutine {row["id"]} stands twice in the list')
                self.found[row['id']] = row
        self.incomplete = [row for row in self.rows if 'incomplete' in row]

    def row(self, key):
        return next(row for row in self.rows if key in row)


def sockets(pid):
    """{fd: (state, local, peer, ms since the last acknowledgement)} of TCP, as ss tells."""
    if not shutil.which('ss'):
        raise Skip('needs ss (apt-get install iproute2)')
    text = subprocess.run(['ss', '-tnpiaHO'], capture_output=True, text=True, check=True).stdout
    result = {}
    for line in text.splitlines():
        fields = line.split()
        for fd in re.findall(rf'pid={pid},fd=(\d+)', line):
            ack = re.search(r'lastack:(\d+)', line)
            result[int(fd)] = (fields[0], fields[3], fields[4], int(ack.group(1)) if ack else None)
    return result


def check_found(cases, look, name):
    """The planted ones, as they were planted, and no others."""
    want = {c['id']: c for c in cases if c['state']}
    fine = {c['id']: c for c in cases if not c['state']}
    for id, c in want.items():
        got = look.found.get(id)
        tap.ok(got and [got[k] for k in ('role', 'state', 'local', 'peer')]
               == [c[k] for k in ('role', 'state', 'local', 'peer')], f'{name}: {c["name"]}: {c["state"]}',
               f'planted {c}', f'found {got}')
    extra = {id: x for id, x in look.found.items() if id not in want}
    tap.ok(not extra, f'{name}: nothing else',
           *(f'{fine[id]["name"] if id in fine else "?"}: {x}' for id, x in extra.items()))
    tap.ok(len(want) >= 15 and len(fine) >= 10, f'{name}: enough was planted', f'{len(want)}, {len(fine)}')


def check_kernel(cases, look, pid):
    before = sockets(pid)
    for c in cases:
        x = look.found.get(c['id'])
        if not x or not c['local'].startswith('127.'):
            continue
        if x['state'] == 'closed':
            tap.ok(x['fd'] == -1 and x['closed_ns'] == -1, f'{c["name"]}: has no descriptor any more', x)
        elif x['state'] == 'CLOSE':
            tap.ok(x['fd'] not in before and os.readlink(f'/proc/{pid}/fd/{x["fd"]}').startswith('socket:'),
                   f'{c["name"]}: ss does not know it either', x, before.get(x['fd']))
        else:
            state, local, peer, ack = before.get(x['fd'], (None,) * 4)
            tap.equal((state, local, peer), ('CLOSE-WAIT', x['local'], x['peer']), f'{c["name"]}: ss says the same')
            # ss looked later, and the kernel counts in ticks.
            least, ms = (look.begin * 1e9 - c['closed_ns']) / 1e6 - 20, x['closed_ns'] / 1e6
            if least > 12000:
                tap.skip(f'{c["name"]}: since when', 'keepalive probes have been answered meanwhile')
            else:
                tap.ok(x['at_least'] and least <= ms <= ack + 20, f'{c["name"]}: since when',
                       f'closed for at least {least:.0f} ms, found {ms:.0f} ms, ss {ack} ms')


def planted():
    with Target(target_path('conns', RELEASE, VARIANT)) as t:
        time.sleep(0.3)
        cases = t.command('cases')['cases']
        look = Look([t.pid])
        check_found(cases, look, 'live')
        tap.equal(look.incomplete, [], 'nothing was missed')
        check_kernel(cases, look, t.pid)
        again = Look([t.pid])
        tap.equal({i: (x['state'], x['conn']) for i, x in again.found.items()},
                  {i: (x['state'], x['conn']) for i, x in look.found.items()}, 'a second look finds the same')
        t.command('gc')
        check_found(cases, Look([t.pid]), 'after a collection')


def multipath():
    """Listeners use Multipath TCP by default since Go 1.24, where the program's go.mod says so."""
    with Target(target_path('conns', RELEASE, VARIANT), env={'GODEBUG': 'multipathtcp=1'}) as t:
        if t.minor < 24:
            return
        check_found(t.command('cases')['cases'], Look([t.pid]), 'multipath')


def at_end():
    """The same at the end of a program that was started for it: end of file ends it."""
    check_end(Look(['--', target_path('conns', RELEASE, VARIANT)]), 2)
    # main returns, while one more goroutine sleeps: it is closing its connection.
    check_end(Look(['--', target_path('conns', RELEASE, VARIANT), '-end']), 3)


def check_end(look, sleepers):
    check_found(look.row('ready')['cases'], look, 'at its end')
    end = look.row('exit')
    tap.equal(end['exit'], 0, 'exit status')
    tap.equal([g['wait_reason'] for g in end['all']].count('sleep'), sleepers, 'so many sleep')
    ids = {g['id']: g['state'] for g in end['all']}
    tap.ok(all(c['id'] in ids for c in look.row('ready')['cases']), 'all goroutines are still there', ids)
    tap.equal([id for id, state in ids.items() if state not in ('waiting',)], [look.row('ready')['self']],
              'only the one that ended it ran')
    tap.ok('released with 0' in look.errors, 'and it exits as it would have')


def ends():
    """Other ends: by os.Exit of any goroutine, a panic, a signal."""
    for mode, status in {'exit': 7, 'panic': 2, 'fatal': 2, 'return': 0, 'kill': 137}.items():
        look = Look(['--', target_path('ending', RELEASE, VARIANT), mode])
        end = look.row('exit')
        reasons = [g['wait_reason'] for g in end['all']]
        tap.equal((end['exit'], reasons.count('chan receive')), (status, 10), f'{mode}: ten goroutines wait at the end')
        tap.ok(f'released with {status}' in look.errors, f'{mode}: exit status', look.errors)


def core():
    """A core file has no sockets, but what the program closed itself is there."""
    unlimited_cores()
    folder = tmp_dir() / 'core'
    folder.mkdir(exist_ok=True)
    with CorePattern(), Target(target_path('conns', RELEASE, VARIANT), cwd=folder, env={'GOTRACEBACK': 'crash'}) as t:
        cases = [c['id'] for c in t.command('cases')['cases'] if c['state'] == 'closed']
        t.process.send_signal(signal.SIGABRT)
        t.process.wait(60)
        files = list(folder.glob('core*'))
        if not files:
            raise Skip('no core file was written')
        r = gosonde('leaks', files[0], '--connections', '--format', 'json')
        d = r.json()
        tap.equal((r.code, sorted(id for f in d['findings'] for id in f['goroutine_ids'])), (10, sorted(cases)),
                  'core: what was closed by the program', r)
        tap.ok('sockets' in [i['what'] for i in d['incomplete']], 'core: says what is missing', d['incomplete'])


def command_line():
    """What users see: exit status 10, and the same goroutines."""
    with Target(target_path('conns', RELEASE, VARIANT)) as t:
        cases = {c['id'] for c in t.command('cases')['cases'] if c['state']}
        r = gosonde('leaks', t.pid, '--connections', '--after', '500ms', '--format', 'json')
        if tap.equal(r.code, 10, 'gosonde leaks: found', r):
            found = r.json()['findings']
            tap.equal({id for f in found for id in f['goroutine_ids']}, cases, 'gosonde leaks: the same goroutines')
            tap.equal({(f['kind'], f['confidence']) for f in found}, {('connection', 'high')}, 'gosonde leaks: kind')
    with Target(target_path('states', RELEASE, VARIANT)) as t:
        r = gosonde('leaks', t.pid, '--connections', '--after', '100ms', '--format', 'json')
        tap.equal((r.code, r.json()['findings']), (0, []), 'gosonde leaks: nothing to be found', r)


def idle():
    """Half closed connections that wait for their next use are none, but those that only one goroutine still has are."""
    with Target(target_path('conns', RELEASE, VARIANT), '-idle') as t:
        cases = {c['id']: c for c in t.command('cases')['cases']}
        for extra in ([], ['--unreachable', '--stop']):
            r = gosonde('leaks', t.pid, '--connections', '--after', '400ms', '--format', 'json', *extra)
            found = {id for f in r.json()['findings'] for id in f['goroutine_ids'] if f['kind'] == 'connection'}
            want = {id for id, c in cases.items() if c['state']}
            tap.ok(r.code == 10 and found == want and len(want) == 2 and len(cases) == 10,
                   f'idle{" stopped" if extra else ""}: pools, hijacked connections and clients of servers that ended',
                   *(cases.get(id, id) for id in found ^ want), r)


# --- healthy programs -------------------------------------------------------------------------------

def requests(address, seconds, keep_alive):
    """Ask for pages, with connections that are kept, and with new ones. Returns the number of answers."""
    count = [0]

    def one():
        end = time.monotonic() + seconds
        c = http.client.HTTPConnection(address, timeout=20)
        while time.monotonic() < end:
            c.request('GET', '/products')
            c.getresponse().read()
            count[0] += 1
            if not keep_alive:
                c.close()
        c.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for t in threads:
        t.start()
    yield
    for t in threads:
        t.join()
    yield count[0]


def shop():
    with tempfile.NamedTemporaryFile(mode='r') as log:
        p = start([target_path('shop', RELEASE, VARIANT), '-addr', '127.0.0.1:0'], stdout=log.fileno(),
                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_for(lambda: 'listening on ' in open(log.name).read(), 20, 'the shop listens')
        address = open(log.name).read().split('listening on ')[1].split()[0].split('//')[1]
        for keep_alive in (True, False):
            load = requests(address, 3, keep_alive)
            next(load)
            time.sleep(0.3)
            looks = []
            for _ in range(3):
                looks.append({(id, x['conn']) for id, x in Look([p.pid]).found.items()})
                time.sleep(0.6)
            count = next(load)
            stay = looks[0] & looks[1] | looks[1] & looks[2]
            tap.ok(not stay and count > 100, f'shop, {"kept" if keep_alive else "new"} connections: no finding stays',
                   stay, looks, count)
        time.sleep(1)
        look = Look([p.pid])
        tap.ok(not look.found, 'shop: nothing is left after the load', look.found)
        p.terminate()
        p.wait(20)


def web():
    """HTTP/1 and HTTP/2, server and client in one."""
    with Target(target_path('web', RELEASE, VARIANT), '-n', '3') as t:
        for command in ('load1', 'load2'):
            t.command(command)
            time.sleep(0.7)
            look = Look([t.pid])
            tap.ok(not look.found, f'web: nothing after {command}', look.found)


def states():
    with Target(target_path('states', RELEASE, VARIANT)) as t:
        look = Look([t.pid])
        tap.ok(not look.found, 'states: nothing', look.found)


# --- gRPC -------------------------------------------------------------------------------------------

def grpc():
    source, program = ROOT / 'tests' / 'targets' / 'grpc', CACHE / 'grpc-target-hang'
    r = subprocess.run([go_command(), 'build', '-o', program, '.'], cwd=source, capture_output=True, text=True)
    if r.returncode:
        raise Skip(f'cannot build the gRPC target: {r.stderr.strip()[-300:]}')
    p = start([program, '-n', '5'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    pid = json.loads(p.stdout.readline())['pid']
    tap.equal(Look([pid]).found, {}, 'gRPC: nothing at first')
    p.stdin.write('hang\n')
    hang = json.loads(p.stdout.readline())
    found = wait_for(lambda: Look([pid]).found, 10, 'a finding')
    x = found.get(hang['closed']['id'], {})
    tap.equal((list(found), x.get('role'), x.get('state'), x.get('peer'), x.get('local')),
              ([hang['closed']['id']], 'gRPC server call', 'closed', hang['closed']['peer'], hang['local']),
              'gRPC: the call whose client is gone, and not the other')
    p.stdin.write('load\n')
    p.stdout.readline()
    time.sleep(0.3)
    tap.equal(list(Look([pid]).found), [hang['closed']['id']], 'gRPC: no more after many calls')
    p.stdin.write('exit\n')
    tap.equal(p.wait(10), 0, 'gRPC: the target ends well')


tap.run(*{'cases': (planted, multipath, at_end, ends, core, command_line, idle), 'healthy': (shop, web, states), 'grpc': (grpc,)}[MODE])
