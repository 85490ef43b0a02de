#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""inspect --module against the go command.

Modules come from a proxy in a folder, so nothing is downloaded. A module that the go command made tidy
and vendored has to agree; then one thing is broken at a time, and the go command and gosonde have to
name the same module.
"""
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

from harness import FAILED, OK, go_command, gosonde, run_checked, tap, tmp_dir

GO = go_command('host')
WORK = tmp_dir() / 'modules'
PROXY = WORK / 'proxy'
ENV = dict(os.environ, GOTOOLCHAIN='local', GOPROXY=f'file://{PROXY}', GOSUMDB='off', GOFLAGS='-modcacherw',
           GOMODCACHE=str(WORK / 'cache'), CGO_ENABLED='0', GOWORK='off')


def publish(path, version, files, requires=''):
    at = PROXY / path / '@v'
    at.mkdir(parents=True, exist_ok=True)
    mod = f'module {path}\n\ngo 1.21\n{requires}'
    (at / f'{version}.mod').write_text(mod)
    (at / f'{version}.info').write_text(f'{{"Version":"{version}","Time":"2026-01-01T00:00:00Z"}}')
    with (at / 'list').open('a') as f:
        f.write(version + '\n')
    with zipfile.ZipFile(at / f'{version}.zip', 'w') as z:
        for name, text in {'go.mod': mod, **files}.items():
            z.writestr(f'{path}@{version}/{name}', text)


def source(name, value):
    return {f'{name}.go': f'package {name}\n\nfunc Value() string {{ return "{value}" }}\n'}


def make_proxy():
    publish('example.com/log', 'v1.0.0', source('log', 'log 1.0.0'))
    publish('example.com/log', 'v1.1.0', source('log', 'log 1.1.0'))
    publish('example.com/base', 'v0.3.0', source('base', 'base 0.3.0'))
    publish('example.com/base', 'v0.4.0', source('base', 'base 0.4.0'))
    publish('example.com/fork', 'v0.3.1', source('base', 'fork 0.3.1'))
    publish('example.com/web', 'v1.2.0',
            {'web.go': 'package web\n\nimport "example.com/base"\n\nfunc Value() string { return base.Value() }\n'},
            'require example.com/base v0.3.0\n')


def run_go(directory, *args):
    return subprocess.run([GO, *args], cwd=directory, env=ENV, capture_output=True, text=True)


def go(directory, *args):
    return run_checked([GO, *args], cwd=directory, env=ENV)


MAIN = '''package main

import (
	"example.com/log"
	"example.com/web"
	"example.com/local"
)

func main() { println(log.Value(), web.Value(), local.Value()) }
'''
MOD = '''module example.com/app

go 1.21

require (
	example.com/log v1.0.0
	example.com/web v1.2.0
	example.com/local v0.0.0
)

replace example.com/local => ./local

replace example.com/base v0.3.0 => example.com/fork v0.3.1
'''


def make_module():
    app = WORK / 'app'
    (app / 'local').mkdir(parents=True)
    (app / 'main.go').write_text(MAIN)
    (app / 'go.mod').write_text(MOD)
    (app / 'local' / 'go.mod').write_text('module example.com/local\n\ngo 1.21\n')
    (app / 'local' / 'local.go').write_text(source('local', 'local')['local.go'])
    # The fork keeps the path of what it replaces.
    fork = PROXY / 'example.com/fork/@v'
    mod = 'module example.com/base\n\ngo 1.21\n'
    (fork / 'v0.3.1.mod').write_text(mod)
    with zipfile.ZipFile(fork / 'v0.3.1.zip', 'w') as z:
        z.writestr('example.com/fork@v0.3.1/go.mod', mod)
        z.writestr('example.com/fork@v0.3.1/base.go', source('base', 'fork')['base.go'])
    go(app, 'mod', 'tidy')
    go(app, 'build', '-buildvcs=false', '-o', 'app', '.')
    return app


def check(directory, *file):
    return gosonde('inspect', '--module', directory, '--format', 'json', *file)


def findings(r):
    return {f['module'] for f in r.json()['module_check']['findings'] if f['verdict'] == 'fail'}


def copy(app, name):
    to = WORK / name
    shutil.copytree(app, to)
    return to


def edit(path, old, new):
    text = path.read_text()
    if old not in text:
        raise AssertionError(f'{path} has no {old!r}')
    path.write_text(text.replace(old, new, 1))


def good_module(app):
    r = check(app, app / 'app')
    tap.ok(r.code == OK and r.json()['module_check']['findings'] == [], 'a tidy module and its binary agree', r)
    go(app, 'mod', 'vendor')
    r = check(app)
    tap.ok(r.code == OK and r.json()['module_check']['has_vendor'] and not findings(r), 'a vendored module agrees', r)
    go(app, 'build', '-buildvcs=false', '-mod=vendor', '-o', 'app-vendored', '.')
    r = check(app, app / 'app-vendored')
    tap.ok(r.code == OK and not findings(r), 'a binary built from vendor agrees', r)


# name, file, old, new, module that the go command complains about
VENDOR = [
    ('another version in vendor', 'vendor/modules.txt', '# example.com/log v1.0.0', '# example.com/log v1.1.0',
     'example.com/log'),
    ('another version in go.mod', 'go.mod', 'example.com/log v1.0.0', 'example.com/log v1.1.0', 'example.com/log'),
    ('not vendored', 'vendor/modules.txt', '# example.com/web v1.2.0\n## explicit; go 1.21\nexample.com/web\n', '',
     'example.com/web'),
    ('not explicit', 'vendor/modules.txt', '# example.com/log v1.0.0\n## explicit; go 1.21',
     '# example.com/log v1.0.0\n## go 1.21', 'example.com/log'),
    ('required no more', 'go.mod', '\texample.com/log v1.0.0\n', '', 'example.com/log'),
    ('another replacement', 'go.mod', 'example.com/fork v0.3.1', 'example.com/fork v0.3.2', 'example.com/base'),
    ('replacement removed', 'go.mod', 'replace example.com/local => ./local\n', '', 'example.com/local'),
    ('replacement added', 'go.mod', 'replace example.com/local => ./local\n',
     'replace example.com/local => ./local\nreplace example.com/log => ./local\n', 'example.com/log'),
]


def broken_vendor(app):
    for name, file, old, new, module in VENDOR:
        broken = copy(app, 'vendor-' + re.sub(r'\W', '-', name))
        edit(broken / file, old, new)
        said = run_go(broken, 'build', '-mod=vendor', '-o', '/dev/null', '.')
        # Otherwise the test would be wrong about the go command.
        go_names = said.returncode != 0 and 'inconsistent vendoring' in said.stderr and module in said.stderr
        r = check(broken)
        tap.ok(go_names, f'{name}: the go command refuses', said.stderr)
        tap.ok(r.code == FAILED and module in findings(r), f'{name}: so does inspect, naming {module}', r)


def broken_sums(app):
    shutil.rmtree(app / 'vendor')
    lines = (app / 'go.sum').read_text().splitlines(keepends=True)
    for i, line in enumerate(lines):
        module = line.split()[0]
        broken = copy(app, f'sum-{i}')
        (broken / 'go.sum').write_text(''.join(lines[:i] + lines[i + 1:]))
        said = run_go(broken, 'build', '-mod=readonly', '-o', '/dev/null', '.')
        r = check(broken, broken / 'app')
        refuses = said.returncode != 0 and 'go.sum' in said.stderr
        named = {'example.com/fork': 'example.com/base'}.get(module, module)
        tap.ok(refuses, f'without line {i + 1} of go.sum: the go command refuses', said.stderr)
        tap.ok(r.code == FAILED and named in findings(r), f'so does inspect, naming {named}', line, r)
    changed = copy(app, 'sum-changed')
    at = next(l for l in lines if l.startswith('example.com/log v1.0.0 h1:'))
    edit(changed / 'go.sum', at, re.sub(r'h1:....', 'h1:AAAA', at))
    r = check(changed, changed / 'app')
    tap.ok(r.code == FAILED and findings(r) == {'example.com/log'}, 'another hash than in the binary', r)


def broken_binary(app):
    other = copy(app, 'newer')
    go(other, 'get', 'example.com/log@v1.1.0')
    r = check(other, app / 'app')
    tap.ok(r.code == FAILED and findings(r) == {'example.com/log'}, 'a binary of before an upgrade', r)
    unreplaced = copy(app, 'unreplaced')
    edit(unreplaced / 'go.mod', 'replace example.com/base v0.3.0 => example.com/fork v0.3.1', '')
    r = check(unreplaced, app / 'app')
    tap.ok(r.code == FAILED and 'example.com/base' in findings(r), 'a binary with a replacement of before', r)
    go(other, 'mod', 'edit', '-go=1.99.0')
    tap.ok(any('1.99' in f['detail'] for f in check(other, app / 'app').json()['module_check']['findings']),
           'a binary of an older release than go.mod asks for')


def everything():
    make_proxy()
    app = make_module()
    good_module(app)
    broken_vendor(app)
    broken_sums(app)
    broken_binary(app)


tap.run(everything)
