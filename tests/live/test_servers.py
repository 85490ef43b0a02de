#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Real servers that nobody here wrote, under load: etcd, Prometheus and Caddy.

  test_servers.py debian    as packaged by Debian (Go 1.19, cgo, stripped in part)
  test_servers.py proxy     later releases, built from the Go module proxy, stripped; Caddy also as PIE

Each is asked by loopback HTTP all the time. Truth is the server's own /debug/pprof/goroutine?debug=2,
taken before and after: goroutines that stand in both with the same stack have not moved in between.
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import programs
from harness import OK, gosonde, parse_traceback, start, tap, tmp_dir, wait_for

SOURCE = sys.argv[1]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def get(url, timeout=20, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=timeout) as r:
        return r.read()


class Load:
    """A few clients that ask without a break."""

    def __init__(self, requests, clients=3):
        self.requests, self.done, self.count, self.errors = requests, False, 0, []
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(clients)]

    def _run(self, offset):
        i = offset
        while not self.done:
            url, data = self.requests[i % len(self.requests)]
            try:
                get(url, data=data)
                self.count += 1
            except (OSError, urllib.error.URLError) as e:
                self.errors.append(f'{url}: {e}')
                time.sleep(0.05)
            i += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.done = True
        for t in self.threads:
            t.join(30)


def compare(name, process, pprof, rounds=15):
    """Dump under load, some times. A goroutine that its server shows at the same place before and after may
    still have run in between and come back, so single differences are counted, not wrong. Wrong is what always
    differs in the same way, and any other start function or creator: those never change."""
    equal, moved, wrong, codes = {}, {}, [], set()
    for _ in range(rounds):
        before = parse_traceback(get(pprof).decode())
        r = gosonde('dump', process.pid)
        after = parse_traceback(get(pprof).decode())
        codes.add(r.code)
        ours = parse_traceback(r.text)
        for id, w in before.items():
            if id not in after or w.reason != after[id].reason or w.same_frames(after[id]):
                continue
            if w.reason in ('running', 'runnable', 'syscall'):
                continue
            g = ours.get(id)
            if g is None:
                wrong.append(f'goroutine {id} [{w.reason}] is not in the dump')
            elif g.reason == w.reason and not g.same_frames(w):
                equal[id] = equal.get(id, 0) + 1
            else:
                moved.setdefault(id, []).append(f'goroutine {id}: [{g.reason}] instead of [{w.reason}]: {g.same_frames(w)}')
                if g.frames and (g.frames[-1].function != w.frames[-1].function or g.parent != w.parent or
                                 str(g.created) != str(w.created)):
                    wrong.append(f'goroutine {id}: another start: {g.frames[-1]} {g.created}')
    n_equal, n_moved = sum(equal.values()), sum(map(len, moved.values()))
    # A busy goroutine is seen at many places; one that is read wrong is so each time, in the same way.
    wrong += [m[0] for id, m in moved.items() if len(m) >= 4 and id not in equal and len(set(m)) == 1]
    tap.ok(codes <= {0, 4}, f'{name}: exit codes', codes)
    tap.ok(not wrong and n_equal > 4 * rounds, f'{name}: {n_equal} blocked goroutines equal its own dump', *wrong)
    tap.ok(n_moved * 10 <= n_equal, f'{name}: {n_moved} had left their place for a moment',
           *[m[0] for m in moved.values()])


def consistent(name, process):
    """JSON under load: whole stacks, and what is not whole is counted."""
    r = gosonde('dump', process.pid, '--format', 'json')
    if not tap.ok(r.code in (0, 4), f'{name}: JSON', r):
        return
    d = r.json()
    broken = [g for g in d['goroutines'] if g.get('stack_end') in ('broken', 'cut')]
    tap.ok(not broken, f'{name}: no stack of {len(d["goroutines"])} is broken', *broken[:3])
    tap.note(f'{name}: {d["process"]["go_version"]}, {len(d["goroutines"])} goroutines, '
             f'{d["duration_seconds"] * 1e3:.1f} ms, incomplete: {d["incomplete"]}')
    g = gosonde('dump', process.pid, '--group', '--format', 'json').json()
    tap.ok(sum(x['count'] for x in g['groups']) > 5, f'{name}: groups')


def rss_of(process):
    for line in open(f'/proc/{process.pid}/smaps_rollup'):
        if line.startswith('Rss:'):
            return int(line.split()[1]) * 1024


def memory(name, process):
    """Classes are the kernel's RSS, nothing is missing, and nobody is accused of leaking."""
    looks = [gosonde('mem', process.pid, '--format', 'json') for _ in range(9)]
    before = rss_of(process)
    r = gosonde('mem', process.pid, '--format', 'json')
    after = rss_of(process)
    if tap.ok(all(x.code == 0 for x in [*looks, r]), f'{name}: mem', *[x.json().get('incomplete') for x in looks if x.code], r):
        d = r.json()
        found = sum(c['resident_bytes'] for c in d['classes'] if c['name'] != 'unexplained')
        low, high = min(before, after) * 0.99, max(before, after) * 1.01
        tap.ok(low <= found <= high, f'{name}: classes are RSS within 1 %', f'{found}, RSS was {before} and then {after}',
               [c for c in d['classes'] if c['name'] == 'unexplained'])
    for _ in range(5):
        r = gosonde('leaks', process.pid, '--unreachable', '--connections', '--between', '500ms', '--format', 'json')
        findings = r.json()['findings'] if r.code in (0, 4, 10) else None
        if not tap.ok(findings == [], f'{name}: nothing leaks', r, json.dumps(findings)[:2000]):
            break


def check(name, process, pprof, requests, up):
    wait_for(lambda: answers(up, process), 60, f'{name} answers')
    with Load(requests) as load:
        wait_for(lambda: load.count > 20, 30, f'{name} serves')
        compare(name, process, pprof)
        consistent(name, process)
        memory(name, process)
        no_leaks(name, process)
    tap.ok(process.poll() is None, f'{name}: still runs', process.poll())
    tap.ok(load.count > 50 and len(load.errors) < load.count / 100, f'{name}: served {load.count} requests meanwhile',
           *load.errors[:5])
    process.terminate()
    process.wait(30)


def no_leaks(name, process, looks=20):
    """A right program under load: no goroutine is unreachable, however often it is looked at."""
    wrong, dismissed = [], 0
    for _ in range(looks):
        r = gosonde('leaks', process.pid, '--unreachable', '--between', '200ms', '--format', 'json', timeout=120)
        if r.code not in (0, 4) or r.json()['findings']:
            wrong.append(r)
        else:
            dismissed += r.json()['candidates_dismissed']
    tap.ok(not wrong, f'{name}: {looks} looks find no leak ({dismissed} suspects dismissed)', *wrong[:2])


def answers(url, process):
    if process.poll() is not None:
        raise AssertionError(f'ended at its start: status {process.returncode}')
    try:
        get(url)
        return True
    except OSError:
        return False


def log(name):
    return open(tmp_dir() / f'{name}.log', 'wb')


def etcd():
    binary = (programs.debian('etcd-server', 'usr/bin/etcd') if SOURCE == 'debian' else
              programs.go_build('go.etcd.io/etcd/server/v3', 'go.etcd.io/etcd/server/v3', 'v3.6.4', 'etcd', '-ldflags=-s -w'))
    client, peer = free_port(), free_port()
    base = f'http://127.0.0.1:{client}'
    p = start([binary, '--data-dir', tmp_dir() / 'etcd', '--enable-pprof', '--listen-client-urls', base,
               '--advertise-client-urls', base, '--listen-peer-urls', f'http://127.0.0.1:{peer}',
               '--initial-advertise-peer-urls', f'http://127.0.0.1:{peer}',
               '--initial-cluster', f'default=http://127.0.0.1:{peer}'], stdout=log('etcd'), stderr=subprocess.STDOUT)
    put = json.dumps({'key': 'Zm9v', 'value': 'YmFy'}).encode()
    check('etcd', p, f'{base}/debug/pprof/goroutine?debug=2',
          [(f'{base}/v3/kv/put', put), (f'{base}/v3/kv/range', b'{"key":"Zm9v"}'), (f'{base}/metrics', None)],
          f'{base}/health')


def prometheus():
    binary = (programs.debian('prometheus', 'usr/bin/prometheus') if SOURCE == 'debian' else
              programs.go_build('github.com/prometheus/prometheus/cmd/prometheus', 'github.com/prometheus/prometheus',
                                'v0.305.0', 'prometheus', '-ldflags=-s -w'))
    port = free_port()
    base = f'http://127.0.0.1:{port}'
    config = tmp_dir() / 'prometheus.yml'
    config.write_text(f'global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n'
                      f'  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]\n')
    p = start([binary, f'--config.file={config}', f'--storage.tsdb.path={tmp_dir() / "tsdb"}',
               f'--web.listen-address=127.0.0.1:{port}', '--web.console.templates=/nonexistent',
               '--web.console.libraries=/nonexistent'], stdout=log('prometheus'), stderr=subprocess.STDOUT)
    check('prometheus', p, f'{base}/debug/pprof/goroutine?debug=2',
          [(f'{base}/api/v1/query?query=up', None), (f'{base}/metrics', None),
           (f'{base}/api/v1/query?query=rate(prometheus_http_requests_total[1m])', None)], f'{base}/-/ready')


def caddy():
    binary = (programs.debian('caddy', 'usr/bin/caddy') if SOURCE == 'debian' else
              programs.go_build('github.com/caddyserver/caddy/v2/cmd/caddy', 'github.com/caddyserver/caddy/v2', 'v2.10.0',
                                'caddy', '-ldflags=-s -w', '-buildmode=pie'))
    admin, site = free_port(), free_port()
    root = tmp_dir() / 'www'
    root.mkdir(exist_ok=True)
    (root / 'index.html').write_text('hello ' * 1000)
    config = tmp_dir() / 'caddy.json'
    config.write_text(json.dumps({
        'admin': {'listen': f'127.0.0.1:{admin}'},
        'apps': {'http': {'servers': {'one': {
            'listen': [f'127.0.0.1:{site}'], 'automatic_https': {'disable': True},
            'routes': [{'handle': [{'handler': 'file_server', 'root': str(root)}]}]}}}}}))
    env = dict(os.environ, HOME=str(tmp_dir()), XDG_DATA_HOME=str(tmp_dir()), XDG_CONFIG_HOME=str(tmp_dir()))
    p = start([binary, 'run', '--config', config], env=env, stdout=log('caddy'), stderr=subprocess.STDOUT)
    check('caddy', p, f'http://127.0.0.1:{admin}/debug/pprof/goroutine?debug=2',
          [(f'http://127.0.0.1:{site}/', None), (f'http://127.0.0.1:{admin}/metrics', None)],
          f'http://127.0.0.1:{admin}/config/')


tap.run(etcd, prometheus, caddy)
