#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A target in PID and mount namespaces of its own, as in a container: its binary lies at a path that does
not exist outside, and its threads have other numbers inside."""
import os
import pathlib
import shutil
import subprocess

import exact
from harness import OK, Skip, Target, gosonde, tap, target_path, tmp_dir, wait_for

INSIDE = '/mnt/app/server'


def start_inside(path):
    if os.geteuid() != 0 or not shutil.which('unshare'):
        raise Skip('namespaces need root and unshare(1)')
    probe = subprocess.run(['unshare', '--pid', '--fork', '--mount', '--mount-proc', 'true'],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        raise Skip(f'no namespaces can be made here: {probe.stderr.strip()}')
    script = tmp_dir() / 'inside.sh'
    script.write_text(f'mount -t tmpfs none /mnt && mkdir /mnt/app && cp "$1" {INSIDE} && exec {INSIDE}\n')
    return Target(path, prefix=['unshare', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc',
                                'sh', script])


def host_pid(inner):
    """The process outside whose binary it is."""
    for p in pathlib.Path('/proc').iterdir():
        try:
            if p.name.isdigit() and os.readlink(p / 'exe') == INSIDE:
                return int(p.name)
        except OSError:
            continue
    return None


def container():
    target = start_inside(target_path('states', 'host', 'stripped'))
    with target:
        inner, target.pid = target.pid, wait_for(lambda: host_pid(target.pid), 10, 'the process outside')
        tap.ok(inner != target.pid and not os.path.exists(INSIDE), 'it is another world inside', inner)
        exact.test_text('in namespaces', target)
        document = gosonde('dump', target.pid, '--format', 'json').json()
        tap.equal(document['process']['executable'], INSIDE, 'the path is the one inside')
        tasks = {int(t) for t in os.listdir(f'/proc/{target.pid}/task')}
        with_thread = [g for g in document['goroutines'] if g.get('thread_id')]
        tap.ok(len(with_thread) > 3 and all(g['thread_id'] in tasks for g in with_thread),
               'thread ids are those of the outside', [g['thread_id'] for g in with_thread], tasks)
        futex = next(id for id, g in target.roles().items() if g['role'] == 'syscall-futex')
        tid = next(g['thread_id'] for g in document['goroutines'] if g['id'] == futex)
        syscall = pathlib.Path(f'/proc/{target.pid}/task/{tid}/syscall').read_text().split()[0]
        tap.ok(syscall in ('202', '98'), 'and the right ones: the kernel has this one in futex', syscall)
        stopped = gosonde('dump', target.pid, '--stop', '--format', 'json')
        tap.equal((stopped.code, len(stopped.json()['goroutines'])), (OK, len(document['goroutines'])),
                  '--stop sees the same')


tap.run(container)
