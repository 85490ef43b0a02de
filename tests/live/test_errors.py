#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Bad targets and bad outputs: each with its exit code, and a message that names the thing and helps."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from harness import (FAILED, GOSONDE, OK, TARGET, USAGE, Skip, Target, go_command, gosonde, have, parse_traceback,
                     run_checked, start, tap, target_path, tmp_dir, wait_for)


def expect(name, r, code, *words):
    codes = code if isinstance(code, tuple) else (code,)
    one_line = r.errors.strip()
    lacking = [w for w in words if not re.search(w, one_line, re.I)]
    tap.ok(r.code in codes and not lacking and one_line.startswith('gosonde') and 'Traceback' not in one_line, name,
           f'lacks: {lacking}', r)
    # Messages come from names and paths of foreigners too: nothing in them moves a terminal's cursor.
    if re.search(rb'[\x00-\x08\x0b-\x1f\x7f]', r.err):
        tap.ok(False, f'{name}: no control characters', r)


def no_such_process():
    pid = int(pathlib.Path('/proc/sys/kernel/pid_max').read_text()) - 1
    expect('no such PID', gosonde('dump', pid), TARGET, str(pid), 'no (such )?process|does not exist')
    expect('PID 0', gosonde('dump', 0), (TARGET, USAGE), '0')
    expect('PID beyond all', gosonde('dump', '99999999999999999999'), (FAILED, USAGE, TARGET), '9999')
    expect('no target', gosonde('dump'), USAGE, 'target|PID')
    expect('a file that is not there', gosonde('dump', '/nonexistent/core'), (FAILED, TARGET), '/nonexistent/core')
    expect('an unknown option', gosonde('dump', '--gruop', 1), USAGE, 'gruop', 'group')
    expect('an unknown command', gosonde('dmup', 1), USAGE, 'dmup', 'dump')
    expect('an unknown format', gosonde('dump', 1, '--format', 'jsno'), USAGE, 'jsno', 'json')


def as_json():
    r = gosonde('dump', 0x3fffff, '--format', 'json')
    e = json.loads(r.out or b'null')
    tap.ok(r.code == TARGET and isinstance(e, dict) and 'error' in e, '--format json covers errors too', r)


def not_go():
    p = start(['sleep', '1000'])
    wait_for(lambda: os.readlink(f'/proc/{p.pid}/exe').endswith('/sleep'), 5, 'exec')
    expect('not a Go program', gosonde('dump', p.pid), TARGET, 'not .*Go|no Go', str(p.pid))
    p.kill()
    p.wait()
    expect('a kernel thread', gosonde('dump', 2), TARGET, '2') if os.path.exists('/proc/2/comm') and open(
        '/proc/2/comm').read().startswith('kthreadd') else tap.note('PID 2 is no kernel thread here')


def zombie():
    p = start(['true'])
    wait_for(lambda: 'State:\tZ' in open(f'/proc/{p.pid}/status').read(), 5, 'zombie')
    expect('a zombie', gosonde('dump', p.pid), TARGET, 'zombie|has (already )?(exited|ended)')
    p.wait()


def stopped_process():
    """A stopped process can be read as any other, and stays stopped."""
    with Target(target_path('states')) as t:
        want = t.stack()
        os.kill(t.pid, signal.SIGSTOP)
        r = gosonde('dump', t.pid)
        state = open(f'/proc/{t.pid}/status').read()
        os.kill(t.pid, signal.SIGCONT)
        tap.ok(r.code == OK and set(parse_traceback(r.text)) == set(want), 'a stopped process is dumped', r)
        tap.ok('State:\tT' in state, 'and stays stopped')


def thirty_two_bit():
    source = tmp_dir() / 'wait386'
    source.mkdir(exist_ok=True)
    (source / 'main.go').write_text('package main\n\nfunc main() {\n\tprintln("up")\n\tselect {}\n}\n')
    (source / 'go.mod').write_text('module wait386\n\ngo 1.19\n')
    env = dict(os.environ, GOARCH='386', CGO_ENABLED='0', GOFLAGS='', GOTOOLCHAIN='local')
    (source / 'main.go').write_text('package main\n\nimport "time"\n\nfunc main() {\n\tprintln("up")\n\t'
                                    'for {\n\t\ttime.Sleep(time.Hour)\n\t}\n}\n')
    run_checked([go_command(), 'build', '-o', 'wait386', '.'], cwd=source, env=env)
    try:
        p = start([source / 'wait386'], stderr=subprocess.PIPE)
    except OSError as e:
        raise Skip(f'this kernel runs no 32-bit programs: {e.strerror}')
    p.stderr.readline()
    expect('a 32-bit Go program', gosonde('dump', p.pid), TARGET, '32.bit|386')
    p.kill()


def as_nobody():
    """Another user's process: the message says what would help."""
    if os.geteuid() != 0:
        raise Skip('needs root, to become another user')
    if not have('setpriv'):
        raise Skip('no setpriv')
    nobody = tmp_dir() / 'gosonde'
    shutil.copy(GOSONDE, nobody)
    nobody.chmod(0o755)
    with Target(target_path('states')) as t:
        become = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        argv = [*become, nobody, 'dump', t.pid]
        p = subprocess.run([str(a) for a in argv], capture_output=True, timeout=30)
        text = p.stderr.decode()
        tap.ok(p.returncode == TARGET and re.search('cannot read the memory', text)
               and re.search('CAP_SYS_PTRACE|ptrace_scope|root|sudo', text), 'permission denied: says what would help',
               p.returncode, text)
    # One's own process needs no rights.
    path = target_path('states')
    own = tmp_dir() / 'states'
    shutil.copy(path, own)
    own.chmod(0o755)
    with Target(own, prefix=become) as t:
        scope = pathlib.Path('/proc/sys/kernel/yama/ptrace_scope')
        if scope.exists() and scope.read_text().strip() != '0':
            tap.skip("one's own process needs no root", 'ptrace_scope is not 0 here')
            return
        p = subprocess.run([*become, str(nobody), 'dump', str(t.pid)], capture_output=True, timeout=30)
        tap.ok(p.returncode == OK and len(parse_traceback(p.stdout.decode())) == len(t.stack()),
               "one's own process needs no root", p.returncode, p.stderr.decode())


def patched(source, old, new, name):
    """A copy of a program with one text replaced by another as long."""
    data = source.read_bytes()
    if len(old) != len(new) or old not in data:
        raise AssertionError(f'{source} does not contain {old}')
    path = tmp_dir() / name
    path.write_bytes(data.replace(old, new))
    path.chmod(0o755)
    return path


def unknown_newer_release():
    for variant in ('default', 'stripped'):
        source = target_path('states', 'newest', variant)
        version = run_checked([go_command('newest'), 'version']).split()[2].encode()
        future = re.sub(rb'^go1\.\d\d', b'go1.39', version)
        path = patched(source, version, future, f'states-future-{variant}')
        with Target(path) as t:
            tap.equal(t.ready['go'], future.decode(), f'{variant}: the program believes it')
            want = t.stack()
            r = gosonde('dump', t.pid)
            got = parse_traceback(r.text)
            same = [i for i in want if i in got and i != t.ready['self'] and not got[i].same_frames(want[i])]
            tap.ok(r.code in (OK, 4) and len(same) == len(want) - 1, f'{variant}: unknown release: all stacks are right',
                   f'{len(same)} of {len(want) - 1}', r)
            tap.ok('go1.39' in r.errors, f'{variant}: and it is said', r.errors)


def damaged_programs():
    """inspect and dump of broken files: an error, within a second, whatever is cut off."""
    data = target_path('states').read_bytes()
    rounds = [len(data) * i // 40 for i in range(40)] + [0, 1, 4, 16, 63, 64, 65, 120]
    bad = []
    for size in rounds:
        path = tmp_dir() / 'truncated'
        path.write_bytes(data[:size])
        for command in (('inspect', path), ('dump', path)):
            r = gosonde(*command, timeout=20)
            # A file cut near its end can still be inspected in full; a program is never a core.
            if r.code not in ((OK, FAILED, TARGET, 4) if command[0] == 'inspect' else (FAILED, TARGET)) or (
                    r.code != OK and not r.errors.startswith('gosonde ')) or r.seconds > 10:
                bad.append(f'{command[0]} of the first {size} bytes: {r}')
    tap.ok(not bad, f'{len(rounds)} truncated programs', *bad)


def odd_names():
    """Control characters in names reach no terminal."""
    name = b'evil\x1b]0;x\x07\n'
    where = os.fsencode(tmp_dir()) + b'/' + name
    shutil.copy(target_path('states'), where)
    with Target(os.fsdecode(where)) as t:
        for options in ((), ('--format', 'json'), ('--group',)):
            r = gosonde('dump', t.pid, *options)
            tap.ok(r.code == OK and b'\x1b' not in r.out + r.err and b'\x07' not in r.out + r.err,
                   f'no escape sequence gets through: dump {" ".join(options)}', r)
        r = gosonde('ps')
        tap.ok(b'\x1b' not in r.out + r.err, 'no escape sequence gets through: ps', r)


def replaced_binary():
    """The program on disk was replaced or removed while it runs: what runs is what counts."""
    path = tmp_dir() / 'replaced'
    shutil.copy(target_path('states'), path)
    with Target(path) as t:
        want = t.stack()
        path.unlink()
        r = gosonde('dump', t.pid)
        tap.ok(r.code == OK and set(parse_traceback(r.text)) == set(want), 'the binary was deleted', r)
        shutil.copy('/bin/true', path)
        r = gosonde('dump', t.pid)
        tap.ok(r.code == OK and set(parse_traceback(r.text)) == set(want), 'the binary was replaced', r)


def full_disk():
    if not os.path.exists('/dev/full'):
        raise Skip('no /dev/full')
    with Target(target_path('states')) as t:
        for form in ('text', 'json', 'folded', 'pprof'):
            with open('/dev/full', 'wb') as full:
                p = subprocess.run([GOSONDE, 'dump', str(t.pid), '--format', form], stdout=full,
                                   stderr=subprocess.PIPE, timeout=30)
            tap.ok(p.returncode == FAILED and re.search('space', p.stderr.decode(), re.I), f'full disk: {form}',
                   p.returncode, p.stderr.decode())
        r = gosonde('dump', t.pid, '-o', '/dev/full')
        tap.ok(r.code == FAILED and re.search('space', r.errors, re.I), 'full disk: -o', r)
        r = gosonde('dump', t.pid, '-o', '/nonexistent/dir/file')
        tap.ok(r.code == FAILED and '/nonexistent/dir' in r.errors, '-o into a folder that is not there', r)


def closed_pipe():
    with Target(target_path('many'), '-n', 5000, '-no-meter') as t:
        read_end, write_end = os.pipe()
        p = start([GOSONDE, 'dump', t.pid], stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        os.read(read_end, 100)
        os.close(read_end)
        _, err = p.communicate(timeout=30)
        tap.ok(p.returncode in (FAILED, -signal.SIGPIPE) and b'Traceback' not in err,
               'a reader that goes away ends the dump', p.returncode, err)


def interrupted():
    """Ctrl-C ends early with what there is."""
    with Target(target_path('many'), '-n', 100000, '-no-meter', timeout=120) as t:
        p = start([GOSONDE, 'dump', t.pid, '--format', 'json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # The pipe is full soon after the start, so it stands in the middle of its output.
        begin = p.stdout.read(1 << 16)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=30)
        d = json.loads(begin + out)
        tap.ok(p.returncode == 4 and 0 < len(d['goroutines']) < 100000 and
               any(i['what'] == 'interrupted' for i in d['incomplete']), 'Ctrl-C: valid JSON, marked incomplete',
               p.returncode, err, d['incomplete'], len(d['goroutines']))


tap.run(no_such_process, as_json, not_go, zombie, stopped_process, thirty_two_bit, as_nobody, unknown_newer_release,
        damaged_programs, odd_names, replaced_binary, full_disk, closed_pipe, interrupted)
