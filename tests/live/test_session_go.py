#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Sessions on Go programs: what the shop says of its requests, what bpftool says of the kernel, and what the
target's code looks like before and after, with both mechanisms of uprobes.

    test_session_go.py [RELEASE [VARIANT]]
"""
import http.client
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from harness import BUILD, Skip, Target, start, tap, target_path

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
DUMP = BUILD / 'tests' / 'live' / 'session_dump'
MECHANISMS = {'uprobe_multi': [], 'perf': ['--perf']}
BPFTOOL = shutil.which('bpftool') or '/usr/sbin/bpftool'


class Shop:
    def __init__(self, *args):
        self.log = tempfile.NamedTemporaryFile(mode='r')
        self.path = target_path('shop', RELEASE, VARIANT)
        self.process = start([self.path, '-addr', '127.0.0.1:0', *args], stdout=self.log,
                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for _ in range(200):
            text = open(self.log.name).read()
            if 'listening on ' in text:
                break
            time.sleep(0.1)
        self.url = text.split('listening on ')[1].split()[0]
        self.pid = self.process.pid

    def get(self, n):
        """n requests, one after the other. Returns how many were answered well."""
        c = http.client.HTTPConnection(self.url.split('//')[1], timeout=20)
        good = 0
        for _ in range(n):
            c.request('GET', '/products')
            r = c.getresponse()
            r.read()
            good += r.status == 200
        c.close()
        return good

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)


class Session:
    """A session_dump that has attached."""

    def __init__(self, pid, *args):
        self.process = start([DUMP, *args, pid], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not select.select([self.process.stdout], [], [], 30)[0]:
            raise AssertionError('session_dump did not attach')
        line = self.process.stdout.readline()
        if line != 'ready\n':
            raise AssertionError(f'session_dump: {line}{self.process.stderr.read()}')
        self.pid = self.process.pid

    def end(self, send=True):
        """Its summary; the lines before it are in self.lines."""
        if send:
            self.process.terminate()
        out, err = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise AssertionError(f'session_dump: status {self.process.returncode}: {err}')
        self.lines = out.splitlines()
        return json.loads(self.lines.pop())


def needs():
    if os.geteuid() != 0:
        raise Skip('needs root')
    if not os.path.exists('/sys/kernel/btf/vmlinux'):
        raise Skip('kernel without BTF')


def of_process(kind, pid):
    """Ids of the links or programs that a process holds, as the kernel tells of its descriptors."""
    ids = set()
    for fd in os.listdir(f'/proc/{pid}/fdinfo'):
        text = open(f'/proc/{pid}/fdinfo/{fd}').read()
        link, prog = re.search(r'^link_id:\s*(\d+)', text, re.M), re.search(r'^prog_id:\s*(\d+)', text, re.M)
        if kind == 'link' and link:
            ids.add(int(link[1]))
        elif kind == 'prog' and prog:
            ids.add(int(prog[1]))
    return ids


def all_ids(kind):
    """Those of the whole machine, as bpftool tells."""
    out = subprocess.run([BPFTOOL, '-j', kind, 'list'], capture_output=True, text=True).stdout
    return {e['id'] for e in json.loads(out)}


def code_differs(pid):
    """Number of bytes of the target's code that are not those of its file."""
    exe = os.stat(f'/proc/{pid}/exe')
    differing = 0
    with open(f'/proc/{pid}/mem', 'rb') as mem, open(f'/proc/{pid}/exe', 'rb') as file:
        for line in open(f'/proc/{pid}/maps'):
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ (\d+)', line)
            if not m or int(m[4]) != exe.st_ino:
                continue
            start_, end, offset = (int(m[i], 16) for i in (1, 2, 3))
            mem.seek(start_)
            file.seek(offset)
            here = mem.read(end - start_)
            there = file.read(end - start_)
            if here[:len(there)] != there:
                differing += sum(a != b for a, b in zip(here, there))
    return differing


def requests_are_counted():
    """As many requests begin and end as were made; all records are written, none is lost."""
    needs()
    for name, args in MECHANISMS.items():
        with Shop() as shop:
            shop.get(3)
            session = Session(shop.pid, *args)
            tap.ok(code_differs(shop.pid) > 10, f'{name}: breakpoints are in the code')
            good = shop.get(300)
            time.sleep(0.1)
            r = session.end()
            tap.equal(good, 300, f'{name}: all requests were answered')
            tap.equal((r['records'].get('begin'), r['records'].get('end')), (300, 300),
                      f'{name}: every request has a begin and an end')
            sums = [sum(r['records'].get(k, 0) for k in kinds) for kinds in (
                ('create', 'ready', 'run', 'park', 'yield', 'exit', 'begin', 'end', 'runtime'),
                ('off_cpu', 'sample', 'map', 'process'), ('stack',))]
            tap.equal(sums, r['produced'], f'{name}: as many records were read as were written')
            tap.equal([r[k] for k in ('ring_full', 'rejected', 'missed', 'threads_full', 'missing')],
                      [[0, 0, 0], 0, 0, 0, []], f'{name}: nothing was lost', json.dumps(r))
            tap.equal(r['mechanism'], name, f'{name}: the mechanism that was asked for')
            tap.equal(code_differs(shop.pid), 0, f'{name}: the code is as it was')
            tap.note(f'{name}: loaded in {r["load_ms"]} ms, attached in {r["attach_ms"]} ms, '
                     f'detached in {r["detach_ms"]} ms, {r["rss_kib"]} KiB')
            # Other users of probes hold the kernel's locks for a while: the better of two counts.
            other = Session(shop.pid, *args).end()
            tap.ok(min(r['attach_ms'], other['attach_ms']) <= 300, f'{name}: attached within 300 ms',
                   r['attach_ms'], other['attach_ms'])
            if name == 'uprobe_multi':  # perf events are removed one at a time by the kernel
                tap.ok(min(r['detach_ms'], other['detach_ms']) <= 300, f'{name}: detached within 300 ms',
                       r['detach_ms'], other['detach_ms'])


def nothing_is_left():
    """After the end and after kill -9 of the session under load."""
    needs()
    for name, args in MECHANISMS.items():
        with Shop('-load', '200') as shop:
            for how in ('end', 'kill -9'):
                session = Session(shop.pid, *args)
                time.sleep(0.3)
                links, programs = of_process('link', session.pid), of_process('prog', session.pid)
                tap.ok(len(links & all_ids('link')) >= 10 and len(programs & all_ids('prog')) >= 10, f'{name}, {how}: links and programs are there',
                       f'{len(links)} links, {len(programs)} programs')
                if how == 'end':
                    session.end()
                else:
                    session.process.kill()
                    session.process.wait()
                since = time.monotonic()
                while time.monotonic() - since < 10:
                    left = links & all_ids('link'), programs & all_ids('prog')
                    if not any(left):
                        break
                    time.sleep(0.05)
                tap.note(f'{name}, {how}: gone after {time.monotonic() - since:.2f} s')
                tap.equal(left, (set(), set()), f'{name}, {how}: no link and no program is left')
                tap.equal(code_differs(shop.pid), 0, f'{name}, {how}: the code is as it was')
            tap.equal(shop.get(50), 50, f'{name}: the shop goes on')


def throughput():
    """The same load with and without a session: everything is answered, about as fast."""
    needs()
    with Shop() as shop:
        reports = {}
        for name in ('without', 'with'):
            session = Session(shop.pid) if name == 'with' else None
            out = subprocess.run([shop.path, '-drive', shop.url, '-rate', '300', '-duration', '5s'],
                                 capture_output=True, text=True, timeout=60)
            reports[name] = out.stdout
            if session:
                r = session.end()
                tap.equal(r['ring_full'], [0, 0, 0], 'nothing lost under load')
        a, b = (json.loads(reports[k]) for k in ('without', 'with'))
        without, with_ = (json.loads(reports[k]) for k in ('without', 'with'))
        for name, r in ('without', without), ('with', with_):
            tap.note(f'{name} a session: ' + ', '.join(
                f'{route} p50 {v["p50_seconds"] * 1e6:.0f} us p99 {v["p99_seconds"] * 1e6:.0f} us'
                for route, v in r['routes'].items()))
        tap.equal((with_['failed'], with_['dropped'], with_['in_flight']), (0, 0, 0), 'all requests were answered')


def two_sessions():
    needs()
    with Shop() as shop:
        first, second = Session(shop.pid), Session(shop.pid, '--wake', 'adaptive')
        shop.get(100)
        time.sleep(0.1)
        a = first.end()
        shop.get(100)
        time.sleep(0.1)
        b = second.end()
        tap.equal((a['records'].get('end'), b['records'].get('end')), (100, 200),
                  'each sees what happened in its time')
        tap.equal(code_differs(shop.pid), 0, 'the code is as it was')


def target_ends():
    """The target is killed: the session ends by itself, with its results."""
    needs()
    for name, args in MECHANISMS.items():
        with Shop('-load', '100') as shop:
            session = Session(shop.pid, *args)
            time.sleep(1)
            shop.process.kill()
            r = session.end(send=False)
            tap.ok(r['records'].get('end', 0) > 20, f'{name}: requests were seen until the end',
                   json.dumps(r['records']))
            tap.ok(r['records'].get('process', 0) >= 1, f'{name}: the end was told')


def target_executes():
    """A target that becomes another program under the same PID, then the same one once more."""
    needs()
    for name, args in MECHANISMS.items():
        with Target(target_path('exec', RELEASE, VARIANT), '-after', '0', '-n', '10') as target:
            session = Session(target.pid, *args, '--print')
            target.process.stdin.write(b'exec\n')
            ready = target.read_line(20)
            tap.equal(ready['pid'], target.pid, f'{name}: it became another program')
            time.sleep(0.3)
            target.command('stack')
            tap.ok(target.alive(), f'{name}: and runs')
            session.end()
            text = '\n'.join(session.lines)
            tap.ok(re.search(r' process .* what 4 ', text), f'{name}: that was told')
            tap.equal(code_differs(target.pid), 0, f'{name}: its code is as in the file')


if __name__ == '__main__':
    tap.run(requests_are_counted, nothing_is_left, throughput, two_sessions, target_ends, target_executes)
