#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""ps: real processes, compared with /proc and with what the programs say of themselves."""
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import threading

from harness import GOSONDE, INCOMPLETE, OK, USAGE, Skip, Target, gosonde, start, tap, target_path, tmp_dir


def processes(*args, **kw):
    r = gosonde('ps', '--format', 'json', *args, **kw)
    if r.code != OK:
        raise AssertionError(str(r))
    return {p['pid']: p for p in r.json()['processes']}


def a_process():
    with Target(target_path('many'), '-n', 500) as t:
        before = len(os.listdir(f'/proc/{t.pid}/task'))
        p = processes()[t.pid]
        runtime = len(t.stack())
        tap.equal(p['goroutines'], runtime, 'goroutines, as runtime.Stack counts them')
        tap.equal(p['go_version'], t.ready['go'].split()[0], 'Go release')
        tap.equal(p['executable'], str(pathlib.Path(t.exe).resolve()), 'executable')
        tap.equal(p['user'], pwd.getpwuid(os.geteuid()).pw_name, 'user')
        # The runtime may start a thread at any time: between what was counted before and what is now.
        tap.ok(before <= p['threads'] <= len(os.listdir(f'/proc/{t.pid}/task')), 'threads', before, p)
        rss = int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{t.pid}/status').read_text()).group(1)) * 1024
        tap.ok(abs(p['rss_bytes'] - rss) < max(rss / 4, 4 << 20), 'RSS', p['rss_bytes'], rss)
        dump = gosonde('dump', t.pid, '--format', 'json', '--limit', 1).json()
        tap.equal(p['start_time'], dump['process']['start_time'], 'start time, as in dump')
        tap.ok(p['snapshot'] == {'usable': True, 'why': None}, 'the snapshot lens can be used')
        text = gosonde('ps').text.splitlines()
        row = [l.split() for l in text if l.split()[0] == str(t.pid)]
        tap.equal(text[0].split()[:4], ['PID', 'USER', 'GO', 'GOROUTINES'], 'titles')
        tap.ok(len(row) == 1 and row[0][3] == str(runtime), 'one line of text', row)
    tap.ok(t.pid not in processes(), 'gone when it has ended')


def only_go():
    other = start(['sleep', '60'])
    found = processes()
    tap.ok(other.pid not in found and os.getpid() not in found, 'processes that are not Go are left out')
    other.kill()
    other.wait()


def not_permitted():
    if os.geteuid() != 0:
        raise Skip('needs root, to become somebody else')
    nobody = pwd.getpwnam('nobody')

    def become():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    # Where everybody may execute it: the tree may lie in root's home.
    program = tmp_dir() / 'gosonde'
    shutil.copy(GOSONDE, program)
    program.chmod(0o755)
    with Target(target_path('many'), '-n', 10) as t:
        r = gosonde('ps', program=program, preexec_fn=become)
        listed = len(r.text.splitlines()) > 1
        tap.ok(r.code == (OK if listed else INCOMPLETE) and str(t.pid) not in r.text and 'Run as root' in r.errors,
               'others are told of', r)
        tap.ok(listed or 'no Go process among those' in r.errors, 'an empty list is told of', r)
        r = gosonde('ps', '--format', 'json', program=program, preexec_fn=become)
        tap.equal(r.code, OK if r.json()['processes'] else INCOMPLETE, 'the exit code is that of the text')
        missing = r.json()['incomplete']
        tap.ok(missing and missing[0]['what'] == 'processes_unreadable' and missing[0]['count'] > 0,
               'in JSON too', missing)
    # nobody's own program.
    path = pathlib.Path('/tmp') / f'gosonde-ps-{os.getpid()}'
    shutil.copy(target_path('many'), path)
    path.chmod(0o755)
    try:
        with Target(path, '-n', 10, preexec=become, cwd='/') as t:
            r = gosonde('ps', program=program, preexec_fn=become)
            tap.ok(r.code == OK and str(t.pid) in r.text and 'Run as root' in r.errors,
                   'something is listed: done, and the rest is told', r)
    finally:
        path.unlink()


def order():
    with Target(target_path('many'), '-n', 300) as a, Target(target_path('many'), '-n', 900) as b:
        found = [p for p in processes('--sort', 'goroutines') if p in (a.pid, b.pid)]
        tap.equal(found, [b.pid, a.pid], 'most goroutines first')
        found = [p for p in processes() if p in (a.pid, b.pid)]
        tap.equal(found, sorted([a.pid, b.pid]), 'by PID')
        lines = [l for l in gosonde('ps', env=dict(os.environ, COLUMNS='80')).text.splitlines()]
        tap.ok(all(len(l) <= 80 for l in lines), 'fits 80 columns', *[l for l in lines if len(l) > 80])


def hostile_names():
    """A process may call itself anything; nothing of that reaches the terminal."""
    path = target_path('many')
    hostile = pathlib.Path(os.environ.get('TMPDIR', '/tmp')) / f'gosonde-\033[31m{os.getpid()}'
    try:
        os.link(path, hostile)
    except OSError:
        hostile.write_bytes(path.read_bytes())
        hostile.chmod(0o755)
    try:
        with Target(hostile, '-n', 10) as t:
            r = gosonde('ps')
            tap.ok(b'\033' not in r.out and b'\\x1b[31m' in r.out, 'an executable with an escape sequence', r)
            tap.ok('\033' in processes()[t.pid]['executable'], 'JSON has the name as it is')
    finally:
        hostile.unlink()


def by_name():
    """=NAME stands for one process; a Go program wins over others of that name."""
    fake = tmp_dir() / 'many'
    os.symlink(shutil.which('sleep'), fake)
    other = start([fake, '60'])
    with Target(target_path('many'), '-n', 10) as a:
        r = gosonde('dump', '=many', '--format', 'json', '--limit', 1)
        tap.ok(r.code == OK and r.json()['process']['pid'] == a.pid, 'the Go program of that name', r)
        with Target(target_path('many'), '-n', 10) as b:
            r = gosonde('dump', '=many')
            tap.ok(r.code == USAGE and str(a.pid) in r.errors and str(b.pid) in r.errors, 'several are listed', r)
    other.kill()
    other.wait()


def vanishing():
    """Processes come and go while ps looks; it never fails for that."""
    path, stop = target_path('short'), threading.Event()

    def churn():
        while not stop.is_set():
            subprocess.run([path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=60)

    threads = [threading.Thread(target=churn, daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    bad = []
    for _ in range(100):
        r = gosonde('ps', '--format', 'json')
        try:
            json.loads(r.out)
        except ValueError:
            bad.append(r)
        if r.code != OK:
            bad.append(r)
    stop.set()
    tap.ok(not bad, '100 times beside processes that end', *bad[:3])


tap.run(a_process, only_go, not_permitted, order, hostile_names, by_name, vanishing)
