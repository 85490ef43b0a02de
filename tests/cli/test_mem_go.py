#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""mem as a command: its formats tell the same of the same program, watching can be ended and can do without
probes, and what it refuses it says. The program is the example shop, which maps memory and never unmaps it.
"""
import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from harness import (GOSONDE, INCOMPLETE, OK, TARGET, USAGE, Skip, go_command, gosonde, have, start, tap, tmp_dir)
from shop import Shop

DONE = (OK, INCOMPLETE)
NO_BPF = ('setpriv', '--bounding-set=-bpf,-perfmon,-sys_admin')


def mem(target, *args, codes=DONE, **kw):
    r = gosonde('mem', target, *args, timeout=120, **kw)
    if r.code not in codes:
        raise AssertionError(str(r))
    return r


def functions(frames):
    return ' '.join(f['function'] for f in frames)


def formats_agree():
    with Shop(load=0) as shop:
        time.sleep(1)
        d = mem(shop.pid, '--format', 'json').json()
        rss = d['rss_bytes']
        tap.equal(sum(c['resident_bytes'] for c in d['classes']), rss, 'classes add up to the RSS')
        lines = [l.rsplit(' ', 1) for l in mem(shop.pid, '--format', 'folded').text.splitlines()]
        total = sum(int(n) for _, n in lines)
        # The program is idle, but its runtime is not dead.
        tap.ok(abs(total - rss) < rss / 20, 'folded lines add up to it', total, rss)
        known = {c['name'] for c in d['classes']}
        tap.ok({k.split(';')[0] for k, _ in lines} <= known, 'folded lines begin with classes')
        page = mem(shop.pid, '--format', 'html').text
        inside = json.loads(re.search(r'<script type="application/json" id="result">(.*?)</script>', page, re.S)[1])
        total = sum(c['weights'][0] for c in inside['classes'])
        tap.ok(abs(total - rss) < rss / 20, 'and so does the map', total, rss)
        out = tmp_dir() / 'mem.pb.gz'
        r = mem(shop.pid, '--format', 'pprof', '-o', out)
        tap.ok(f'go tool pprof -http=: {out}' in r.errors and not r.out, 'a note tells how to look at a file')
        gzip.decompress(out.read_bytes())
        raw = subprocess.run([go_command(), 'tool', 'pprof', '-raw', out], check=True, capture_output=True, text=True).stdout
        total = sum(int(v) for v in re.findall(r'^ +(\d+): [\d ]+$', raw.split('Locations')[0], re.M))
        tap.ok(abs(total - rss) < rss / 20 and 'inuse_space/bytes' in raw, 'and so does the profile', total, rss)
        text = mem(shop.pid).text
        tap.ok(text.startswith(f'shop (PID {shop.pid}, go1.') and ' resident' in text.splitlines()[0], 'text', text[:200])
        words = {c['words'] for c in d['classes'] if c['resident_bytes'] > rss / 50}
        tap.ok(all(w in text for w in words), 'text has all classes that matter', words)
        tap.ok('\033' not in text and '█' not in text, 'no colours and bars into a pipe')


def on_a_terminal(*args, columns=120, seconds=30):
    """What a terminal shows, and the exit code."""
    master, slave = pty.openpty()
    env = dict(os.environ, TERM='xterm', COLUMNS=str(columns), LC_ALL='C.UTF-8', NO_COLOR='')
    p = start([GOSONDE, 'mem', *args], stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    out, end = b'', time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            out += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    return out.decode('utf-8'), p.wait(20)


def terminals():
    with Shop(load=0) as shop:
        text, code = on_a_terminal(str(shop.pid))
        plain = re.sub(r'\033\[[0-9;]*m', '', text)
        tap.ok(code in DONE and '█' in plain and '\033[1m' in text, 'bars and bold text on a terminal', text[:300])
        narrow = re.sub(r'\033\[[0-9;]*m', '', on_a_terminal(str(shop.pid), columns=100)[0])
        tap.ok('█' not in narrow, 'no bars where they would take the room of words', narrow[:300])
        longest = [max(len(l) for l in t.splitlines()) for t in (plain, narrow)]
        tap.ok(longest[0] <= 120 and longest[1] <= 100, 'no line is wider than the terminal', longest)
        text, code = on_a_terminal(str(shop.pid), '--watch', '3s', '--no-probes')
        tap.ok(code in DONE and re.search(r'mem: [12] s of 3 s', text), 'progress is shown while watching', text[:300])
        for f in ('pprof', 'html'):
            text, code = on_a_terminal(str(shop.pid), '--format', f)
            tap.ok(code == USAGE and '-o FILE' in text, f'{f} is not for terminals', text[:300])


def watching():
    with Shop('mmap', load=100) as shop:
        time.sleep(1)
        plan = gosonde('mem', shop.pid, '--watch', '2s', '--dry-run')
        tap.ok(plan.code == OK and 'page-faults' in plan.text, '--dry-run lists what would be attached', str(plan))
        r = mem(shop.pid, '--watch', '3s', '--format', 'json', '--no-probes')
        d = r.json()
        found = {g['class']: g for g in d['growth']}
        tap.ok(r.code == OK and 'watched_without_probes' in [i['what'] for i in d['incomplete']],
               '--no-probes is told, and is no reason for exit code 4', str(r))
        tap.ok(found['anonymous']['bytes'] > 0 and 3 <= d['watched_seconds'] < 60, 'growth by two looks', found)
        if os.geteuid() == 0 and have('setpriv'):
            r = mem(shop.pid, '--watch', '1s', '--format', 'json', codes=(INCOMPLETE,), prefix=NO_BPF)
            tap.ok('watched_without_probes' in [i['what'] for i in r.json()['incomplete']] and 'no probes' in r.errors,
                   'without BPF it goes on and says so', str(r))
        else:
            tap.skip('without BPF it goes on and says so', 'needs root and setpriv')
        watching_with_probes(shop)


def watching_with_probes(shop):
    p = start([GOSONDE, 'mem', str(shop.pid), '--watch', '10m', '--format', 'json'], stdout=subprocess.PIPE,
              stderr=subprocess.PIPE)
    time.sleep(4)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    d = json.loads(out)
    tap.ok(p.returncode in DONE and d['watched_seconds'] < 120, 'Ctrl-C ends watching with what there is', err[-500:])
    if b'no probes' in err:
        tap.skip('who made it grow', err.decode().splitlines()[0])
        return
    found = {g['class']: g for g in d['growth']}
    tap.ok('store.(*Cache).load' in functions(found['anonymous']['by']), 'who made it grow', json.dumps(found)[:800])
    tap.ok(any(g['what'] == 'mmap' and g['count'] for g in found['anonymous']['growers']), 'by which call')
    text = mem(shop.pid, '-d', '2s').text
    tap.ok(re.search(r'GROWTH in .*\n\+.*anonymous mappings.*\n(?: .*\n)*? +\+.* mmap, \d+ calls?, last by goroutine \d+\n'
                     r'.*\n +store\.\(\*Cache\)\.load cache\.go', text), 'the same as text', text[:1500])


def ends_meanwhile():
    with Shop(load=0) as shop:
        p = start([GOSONDE, 'mem', str(shop.pid), '--watch', '60s', '--no-probes'], stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE)
        time.sleep(2)
    out, err = p.communicate(timeout=60)
    tap.ok(p.returncode == TARGET and not out and b'cannot tell where the memory' in err,
           'a program that ends while it is watched', err[-500:])


def objects():
    with Shop(load=0) as shop:
        d = mem(shop.pid, '--objects', '--top', '500', '--format', 'json').json()
        tap.ok(d['schema'] == 'gosonde.mem.objects/1' and d['bytes'] >= sum(t['bytes'] for t in d['types']) > 0,
               'objects by type', d['bytes'])
        products = next((t['name'] for t in d['types'] if 'store.Product' in t['name']), None)
        tap.ok(products, 'a type of the program is among them', [t['name'] for t in d['types']][:12])
        r = mem(shop.pid, '--objects', '--path', products, '--top', '3')
        tap.ok('PATH from a root' in r.text and products in r.text, 'a path from a root to one of them', r.text[:800])
        tap.ok(r.text.count('\n') < 60 and 'KEPT BY' in r.text, '--top bounds the lists')
        tap.ok(all(t['retained_bytes'] is None for t in d['types']) and all(x['reached_bytes'] is None for x in d['roots']),
               'what is retained is not known unless asked for')
        d = mem(shop.pid, '--objects', '--retained', '--top', '100', '--format', 'json').json()
        short = [t for t in d['types'] if t['retained_bytes'] < t['bytes'] * 0.9 - 4096]
        short += [x for x in d['roots'] if x['reached_bytes'] < x['bytes'] * 0.9 - 4096]
        tap.ok(not short, 'with --retained each type keeps itself at least, and each root what is its alone', short[:3])
        keeps = {t['name']: t['retained_bytes'] for t in d['types']}
        tap.ok(keeps[products] > 0 and max(keeps.values()) <= d['bytes'] * 1.1 + 65536, 'and none more than there is', keeps)
        text = mem(shop.pid, '--objects', '--retained', '--top', '3').text
        tap.ok('RETAINED  TYPE' in text and 'REACHES  KEPT BY' in text, 'columns for both', text)


def cores():
    if not have('gcore'):
        raise Skip('gcore is not installed')
    with Shop(load=0) as shop:
        where = tmp_dir() / 'shop.core'
        subprocess.run(['gcore', '-o', where, str(shop.pid)], check=True, capture_output=True)
        core = f'{where}.{shop.pid}'
        d = mem(core, '--format', 'json').json()
        tap.ok(d['kernel_view'] is False and d['rss_bytes'] is None, 'a core file has no kernel view')
        classes = {c['name'] for c in d['classes'] if c['bytes']}
        tap.ok(classes >= {'heap_new', 'text', 'stacks'}, 'but classes', classes)
        tap.ok('which does not tell what was resident' in mem(core).text, 'text says so')
        tap.ok(mem(core, '--objects', '--format', 'json').json()['objects'] > 0, 'and objects')
        r = gosonde('mem', core, '--watch', '1s')
        tap.ok(r.code == TARGET and 'nothing grows any more' in r.errors, 'it cannot be watched', str(r))
        os.unlink(core)


tap.run(formats_agree, terminals, watching, ends_meanwhile, objects, cores)
