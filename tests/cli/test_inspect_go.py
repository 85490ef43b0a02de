#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""inspect against the go command, readelf and sha256sum, on programs in every link mode and for every
system that inspect reads."""
import json
import os
import pathlib
import re
import resource
import subprocess

from harness import FAILED, OK, Skip, go_command, gosonde, have, run_checked, tap, target_path, tmp_dir

GO = go_command('host')
ENV = dict(os.environ, GOTOOLCHAIN='local', GOFLAGS='-mod=mod', GOPROXY='off', CGO_ENABLED='0')


def go(*args, env=None, cwd=None):
    return run_checked([GO, *args], env=dict(ENV, **(env or {})), cwd=cwd)


def version_m(path):
    """What `go version -m` says: release, path, main module, dependencies, settings."""
    lines = go('version', '-m', path).splitlines()
    said = {'version': lines[0].rsplit(': ', 1)[1], 'path': None, 'mod': None, 'dep': [], 'build': {}}
    for line in lines[1:]:
        kind, *rest = line.strip('\t').split('\t')
        if kind == 'path':
            said['path'] = rest[0]
        elif kind == 'mod':
            said['mod'] = [*rest, '', ''][:3]
        elif kind == 'dep':
            said['dep'].append([*rest, '', ''][:3])
        elif kind == 'build':
            key, _, value = rest[0].partition('=')
            said['build'][key] = json.loads(value) if value.startswith('"') else value
    return said


def inspect(path, *args):
    r = gosonde('inspect', path, '--format', 'json', *args)
    if r.code != OK:
        raise AssertionError(str(r))
    return r.json()


def verdict(found, name):
    return {c['name']: c['verdict'] for c in found['checks']}.get(name)


def module(m):
    return m and [m['path'], m['version'] or '', m['sum'] or '']


def same_as_go(path, name):
    found, said = inspect(path), version_m(path)
    verdicts = [c['verdict'] for c in found['checks']]
    told = ', '.join(f'{verdicts.count(v)} {v}' for v in ('fail', 'warn') if v in verdicts) or 'no complaints'
    first = gosonde('inspect', path).text.split('\n')[0]
    tap.ok(first.endswith(': ' + told), f'{name}: the first line says how many complaints', first, told)
    tap.equal(found['go_version'], said['version'], f'{name}: release')
    tap.equal(found['path'], said['path'], f'{name}: main package')
    tap.equal(module(found['main_module']), said['mod'], f'{name}: main module')
    tap.equal([module(m) for m in found['modules']], said['dep'], f'{name}: modules')
    tap.equal(found['settings'], said['build'], f'{name}: settings')
    tap.equal(found['build_id'] or '', go('tool', 'buildid', path).strip(), f'{name}: Go build id')
    tap.equal((found['goos'], found['goarch'], found['machine']),
              (said['build']['GOOS'], said['build']['GOARCH'], said['build']['GOARCH']), f'{name}: system and CPU')
    tap.ok(verdict(found, 'machine_matches_goarch') == 'ok' and verdict(found, 'format_matches_goos') == 'ok',
           f'{name}: header and build info agree')
    return found


def elf_facts(path, found, name):
    text = run_checked(['readelf', '-hSldW', '-n', path])
    needed = re.findall(r'\(NEEDED\).*\[(.*)\]', text)
    tap.equal(found['stripped'], ' .symtab ' not in text, f'{name}: stripped')
    tap.equal('dwarf' in found['symbol_sources'], bool(re.search(r' \.z?debug_info ', text)), f'{name}: DWARF')
    tap.equal(found['pie'], bool(re.search(r'Type:\s+DYN', text)), f'{name}: PIE')
    tap.equal(found['needed'], needed, f'{name}: libraries')
    tap.equal(found['static'], not needed and ' INTERP ' not in text, f'{name}: static')
    build_id = re.search(r'Build ID: ([0-9a-f]+)', text)
    tap.equal(found['image_id'], build_id and build_id.group(1), f'{name}: GNU build id')


VARIANTS = ['default', 'stripped', 'pie', 'stripped+pie', 'static-pie', 'cgo', 'noopt', 'race', 'arm64']


def link_modes():
    for variant in VARIANTS:
        path = target_path('many', 'host', variant)
        found = same_as_go(path, variant)
        elf_facts(path, found, variant)
        if not found['stripped']:
            # Names of functions that are linked in; "runtime/cgo" is there or not.
            linked = ' crosscall2' in go('tool', 'nm', path)
            tap.equal(found['cgo'], linked, f'{variant}: cgo')
        tap.equal(verdict(found, 'race_detector'), 'warn' if variant == 'race' else 'ok', f'{variant}: race detector')
        tap.equal(verdict(found, 'optimised'), 'warn' if variant == 'noopt' else 'ok', f'{variant}: optimised')
        host = os.uname().machine.replace('x86_64', 'amd64').replace('aarch64', 'arm64')
        tap.equal(verdict(found, 'native') == 'ok', found['goarch'] == host, f'{variant}: native')


def hello(name, env=None, *args, source='package main\nfunc main() { println("hello") }\n'):
    """Build a program in a module of its own."""
    directory = tmp_dir() / name
    directory.mkdir(exist_ok=True)
    (directory / 'go.mod').write_text('module example.com/hello\n\ngo 1.19\n')
    (directory / 'main.go').write_text(source)
    go('build', '-o', directory / 'out', *args, '.', cwd=directory, env=env)
    return directory / 'out'


def other_systems():
    for goos, goarch, kind in (('windows', 'amd64', 'pe'), ('windows', 'arm64', 'pe'), ('darwin', 'amd64', 'macho'),
                               ('darwin', 'arm64', 'macho'), ('linux', 'arm64', 'elf'), ('freebsd', 'amd64', 'elf')):
        for flags in ([], ['-ldflags=-s -w']):
            name = f'{goos}/{goarch}{" stripped" if flags else ""}'
            path = hello(f'{goos}-{goarch}', {'GOOS': goos, 'GOARCH': goarch}, *flags)
            found = same_as_go(path, name)
            tap.equal(found['format'], kind, f'{name}: format')
            tap.equal(found['stripped'], bool(flags), f'{name}: stripped')
            tap.equal('dwarf' in found['symbol_sources'], not flags, f'{name}: DWARF')
            tap.ok(found['pclntab'] and found['pclntab']['functions'] > 500, f'{name}: function table')
            if kind == 'macho' and goarch == 'arm64':
                tap.equal(verdict(found, 'signed'), 'ok', f'{name}: the linker signed it')


def settings_become_verdicts():
    # go.mod says 1.19, so the defaults of that time are asked for.
    old = inspect(hello('old'))
    tap.equal(verdict(old, 'godebug'), 'warn', 'an old go line in go.mod')
    trimmed = inspect(hello('trim', None, '-trimpath', '-buildvcs=false'))
    tap.ok('removed' in [c['detail'] for c in trimmed['checks'] if c['name'] == 'trimpath'][0], '-trimpath')
    if int(re.search(r'go1\.(\d+)', go('version')).group(1)) >= 24:
        for goos in ('linux', 'darwin', 'windows'):
            fips = inspect(hello('fips', {'GOFIPS140': 'latest', 'GOOS': goos}))
            tap.equal(verdict(fips, 'fips'), 'ok', f'FIPS build for {goos}')
            tap.equal(fips['settings'].get('GOFIPS140'), 'latest', f'FIPS setting for {goos}')


def vcs():
    if not have('git'):
        raise Skip('git is not installed')
    path = hello('vcs')
    directory = path.parent
    identity = ['-c', 'user.name=x', '-c', 'user.email=x@example.com']
    run_checked(['git', 'init', '-q'], cwd=directory)
    (directory / '.gitignore').write_text('out\n')
    run_checked(['git', 'add', '.'], cwd=directory)
    run_checked(['git', *identity, 'commit', '-q', '-m', 'x'], cwd=directory)
    go('build', '-buildvcs=true', '-o', 'out', '.', cwd=directory)
    found = inspect(path)
    revision, date = run_checked(['git', 'log', '-1', '--format=%H %ct'], cwd=directory).split()
    time = run_checked(['date', '-u', '-d', f'@{date}', '+%Y-%m-%dT%H:%M:%SZ']).strip()
    tap.equal(found['vcs'], {'system': 'git', 'revision': revision, 'time': time, 'modified': False}, 'VCS')
    (directory / 'main.go').write_text('package main\nfunc main() { println("other") }\n')
    go('build', '-buildvcs=true', '-o', 'out', '.', cwd=directory)
    tap.equal(inspect(path)['vcs']['modified'], True, 'VCS: modified')
    tap.equal(verdict(inspect(path), 'vcs'), 'warn', 'VCS: modified is a warning')


def go_itself():
    root = pathlib.Path(go('env', 'GOROOT').strip())
    tools = sorted(p for p in (root / 'pkg' / 'tool').rglob('*') if p.is_file())
    for path in [root / 'bin' / 'go', *tools[:3]]:
        same_as_go(path, path.name)


def running_process():
    path = hello('sleeper', source='package main\nimport "time"\nfunc main() { time.Sleep(time.Hour) }\n')
    p = subprocess.Popen([path])
    try:
        by_pid, by_file = inspect(str(p.pid)), inspect(path)
        tap.ok(by_pid.pop('name') == f'PID {p.pid} ({path})' and by_file.pop('name') == str(path), 'names')
        tap.equal(by_pid, by_file, 'a PID is its executable')
        os.unlink(path)
        tap.equal(inspect(str(p.pid))['build_id'], by_file['build_id'], 'also when the file is deleted')
    finally:
        p.kill()
        p.wait()


def large_and_stripped():
    directory = tmp_dir() / 'large'
    directory.mkdir()
    (directory / 'blob').write_bytes(os.urandom(1 << 20) * 100)
    source = 'package main\nimport _ "embed"\n//go:embed blob\nvar b []byte\nfunc main() { println(len(b)) }\n'
    for name, flags, env in (('static', ['-ldflags=-s -w'], {}),
                             ('PIE by the C linker', ['-buildmode=pie', '-ldflags=-s -w -linkmode=external'],
                              {'CGO_ENABLED': '1'})):
        path = hello('large', env, *flags, source=source)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        r = gosonde('inspect', path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        tap.ok(r.code == OK and cpu < 0.1, f'100 MB, {name}: within 0.1 s of CPU', f'{cpu:.3f} s', r)
        tap.note(f'{name}: {path.stat().st_size >> 20} MiB, {r.seconds * 1e3:.0f} ms, CPU {cpu * 1e3:.0f} ms')


def digests():
    path = hello('sum')
    total = run_checked(['sha256sum', path]).split()[0]
    tap.equal(inspect(path, '--sha256', total)['sha256'], total, 'sha256 of sha256sum')
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    tap.equal(gosonde('inspect', path, '--sha256', total).code, FAILED, 'sha256 of a cut file')


tap.run(link_modes, other_systems, settings_become_verdicts, vcs, go_itself, running_process, large_and_stripped,
        digests)
