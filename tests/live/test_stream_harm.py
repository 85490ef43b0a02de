# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Watching harms nobody, whoever dies: gosonde killed under load, the target killed while watched, a recording
cut off; and, with "soak", a hundred million probe hits on a program that checks itself all the time.

    test_stream_harm.py [soak [HITS]]
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import GOSONDE, INCOMPLETE, OK, Target, gosonde, start, tap, target_path, wait_for
from test_why import Shop, Why


def sites(pid):
    """Where why would put its uprobes: file offset and address of each."""
    r = gosonde('why', str(pid), '--dry-run', '--format', 'json')
    plan = json.loads(r.out)
    return [s for s in plan['probes'] if s.get('file_offset')]


def patched(pid, exe, places):
    """Sites whose bytes in memory are not those of the file: breakpoints that were left behind."""
    with open(exe, 'rb') as f, open(f'/proc/{pid}/mem', 'rb') as memory:
        bad = []
        for s in places:
            f.seek(int(s['file_offset'], 0) if isinstance(s['file_offset'], str) else s['file_offset'])
            memory.seek(int(s['address'], 0))
            if f.read(1) != memory.read(1):
                bad.append(s)
        return bad


def programs():
    """Names of BPF programs of the stream lens that the kernel still has."""
    r = subprocess.run(['bpftool', '-j', 'prog', 'show'], capture_output=True, text=True,
                       env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'})
    return [p.get('name') for p in json.loads(r.stdout or '[]') if str(p.get('name', '')).startswith('gs_')]


def killed_under_load():
    exe = target_path('churn')
    with Target(exe, '-n', '50', '-pace', '1ms') as t:
        places = sites(t.pid)
        tap.ok(len(places) >= 8, 'the dry run lists uprobes', len(places))
        tap.equal(patched(t.pid, exe, places), [], 'before: memory is as the file')
        watch = Why(t.pid).attached()
        tap.ok(len(patched(t.pid, exe, places)) >= 8, 'watching: breakpoints are in place')
        time.sleep(1)
        watch.process.kill()
        watch.process.wait()
        wait_for(lambda: not patched(t.pid, exe, places), 10, 'breakpoints to go away')
        tap.equal(patched(t.pid, exe, places), [], 'after kill -9: nothing is left in the target')
        wait_for(lambda: not programs(), 10, 'programs to go away')
        tap.equal(programs(), [], 'after kill -9: no program is left in the kernel')
        tap.equal(t.command('check')['failures'], 0, "the target's own checks are green")


def target_killed():
    with Shop('ledger') as shop:
        watch = Why(shop.pid).attached()
        time.sleep(2)
        shop.process.kill()
        result = watch.end(ask=False)
        tap.ok(result['requests']['count'] > 20, 'what was seen until then is told', result['requests'])
        tap.ok('exited' in watch.text or 'gone' in watch.text or 'ended' in watch.text, 'it says that the target is gone', watch.text[-500:])


def restarted():
    """why =NAME --watch goes on with the next process of that name."""
    with tempfile.TemporaryDirectory() as d:
        program = f'{d}/phoenix{os.getpid() % 10000}'
        shutil.copy(target_path('shop'), program)

        def live():
            return start([program, '-addr', '127.0.0.1:0', '-load', '40'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first, out = live(), open(f'{d}/out', 'w+')
        time.sleep(0.5)
        watch = start([GOSONDE, 'why', '=' + os.path.basename(program), '--watch', '--interval', '500ms', '--format', 'json',
                       '--max-overhead', '0'], stdout=out, stderr=subprocess.DEVNULL)

        def seen(pid):
            out.seek(0)
            lines = [json.loads(line) for line in out.read().splitlines() if line.endswith('}')]
            return sum(r['requests']['count'] for r in lines if r['process']['pid'] == pid)
        wait_for(lambda: seen(first.pid) > 20, 20, 'requests of the first')
        first.kill()
        first.wait()
        second = live()
        wait_for(lambda: seen(second.pid) > 20, 20, 'requests of the second')
        tap.ok(seen(second.pid) > 20, 'the process that took its place is watched')
        watch.send_signal(signal.SIGINT)
        tap.ok(watch.wait(20) in (OK, INCOMPLETE), 'Ctrl-C ends it well')
        second.kill()
        second.wait()


def replays():
    """A recording gives the same answer to the byte, whichever command reads it."""
    with Shop('ledger', 'upstream') as shop, tempfile.TemporaryDirectory() as d:
        time.sleep(1)
        for live, name in ((['why', '--format', 'json'], 'why'), (['trace', '--format', 'jsonl'], 'trace'),
                           (['trace', '--format', 'gotrace'], 'gotrace'), (['record', '--off-cpu', '--format', 'folded'], 'record')):
            raw, first, again = f'{d}/{name}.rec', f'{d}/{name}.live', f'{d}/{name}.replay'
            r = gosonde(live[0], str(shop.pid), *live[1:], '-d', '2s', '--max-overhead', '0', '--raw', raw, '-o', first)
            tap.ok(r.code in (OK, INCOMPLETE), f'{name}: recorded', r.errors[-500:])
            r = gosonde(live[0], raw, *live[1:], '-o', again)
            tap.ok(r.code in (OK, INCOMPLETE), f'{name}: replayed', r.errors[-500:])
            a, b = open(first, 'rb').read(), open(again, 'rb').read()
            tap.ok(len(a) > 200 and a == b, f'{name}: the replay is the same to the byte', len(a), len(b))
        data = open(f'{d}/why.rec', 'rb').read()
        open(f'{d}/cut.rec', 'wb').write(data[:len(data) * 2 // 3])
        r = gosonde('why', f'{d}/cut.rec', '--format', 'json')
        tap.equal(r.code, INCOMPLETE, 'a recording that was cut off: done but incomplete', r.errors[-500:])
        tap.ok('"incomplete"' in r.text and json.loads(r.out)['incomplete'], 'and it says so')


def soak():
    want, hits, rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000_000, 0, 0
    begin = time.monotonic()
    with Target(target_path('churn'), '-n', '200') as t:
        while hits < want and rounds < 60:
            r = gosonde('why', str(t.pid), '-d', '60s', '--max-overhead', '0', '--format', 'json', timeout=150)
            hits += sum(p['hits'] for p in json.loads(r.out)['overhead']['probes'])
            rounds += 1
            tap.note(f'round {rounds}: {hits} hits, {time.monotonic() - begin:.0f} s')
            if t.command('check')['failures']:
                break
        tap.ok(hits >= want, f'{hits} probe hits')
        tap.equal(t.command('check')['failures'], 0, "the target's own checks are green")


if __name__ == '__main__':
    if len(sys.argv) > 1:
        tap.run(soak)
    tap.run(killed_under_load, target_killed, restarted, replays)
