#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The stripped Go binaries of the npm packages @esbuild/*: inspect all of them, dump a running one."""
import re
import struct
import subprocess
import urllib.request

import programs
from harness import OK, gosonde, go_command, parse_traceback, run_checked, start, tap, tmp_dir, wait_for

PACKAGES = {
    'linux-x64': ('bin/esbuild', 'linux', 'amd64', 'elf'),
    'linux-arm64': ('bin/esbuild', 'linux', 'arm64', 'elf'),
    'win32-x64': ('esbuild.exe', 'windows', 'amd64', 'pe'),
    'win32-arm64': ('esbuild.exe', 'windows', 'arm64', 'pe'),
    'darwin-arm64': ('bin/esbuild', 'darwin', 'arm64', 'macho'),
}


def inspect_each():
    for package, (path, goos, goarch, form) in PACKAGES.items():
        binary = programs.npm(f'@esbuild/{package}', path)
        r = gosonde('inspect', binary, '--format', 'json')
        if not tap.equal(r.code, OK, f'inspect {package}: exit code', r):
            continue
        d = r.json()
        tap.equal(d['goarch'], goarch, f'inspect {package}: CPU')
        tap.ok(d['goos'] in (goos, None), f'inspect {package}: system', d['goos'])
        tap.ok(form in d['format'].lower().replace('-', ''), f'inspect {package}: format', d['format'])
        compare_with_go(package, binary, d)
        tap.equal([c for c in d['checks'] if c['verdict'] == 'fail'], [], f'inspect {package}: no check fails')
        if form == 'pe':
            # Go's linker writes no .pdata for windows/arm64 in these, which is what that check is about.
            (unwind,) = [c['verdict'] for c in d['checks'] if c['name'] == 'unwind_data']
            tap.equal(unwind == 'ok', exception_directory(binary) > 0, f'inspect {package}: unwind data')
        tap.ok(d['stripped'] is True, f'inspect {package}: it is stripped', d['stripped'])


def exception_directory(path):
    """Size of a PE file's table of unwind data."""
    data = path.read_bytes()
    header = struct.unpack_from('<I', data, 0x3c)[0]
    return struct.unpack_from('<I', data, header + 24 + 112 + 8 * 3 + 4)[0]


def compare_with_go(package, binary, d):
    """`go version -m` is the oracle of what a binary says of itself. These releases are built without
    build info at times; then there is nothing to be found, and that is said."""
    r = subprocess.run([go_command(), 'version', '-m', str(binary)], capture_output=True, text=True)
    if r.returncode:
        said = [c for c in d['checks'] if c['name'] == 'buildinfo']
        tap.ok(re.search('not a Go executable|unrecognized file format', r.stderr) and [c['verdict'] for c in said] == ['warn'],
               f'inspect {package}: no build info, as the go command says', said, r.stderr)
        return
    lines = r.stdout.splitlines()
    version = lines[0].rsplit(' ', 1)[1]
    modules, settings = [], {}
    for line in lines[1:]:
        parts = line.strip().split('\t')
        if parts[0] in ('mod', 'dep'):
            modules.append((parts[1], parts[2]))
        elif parts[0] == 'build':
            key, value = parts[1].split('=', 1)
            settings[key] = value
    tap.equal(d['goos'], PACKAGES[package][1], f'inspect {package}: build info names the system')
    tap.equal(d['go_version'], version, f'inspect {package}: Go version')
    tap.equal(sorted((m['path'], m['version']) for m in d['modules']), sorted(modules), f'inspect {package}: modules')
    tap.equal(d['settings'], settings, f'inspect {package}: build settings')


def dump_running():
    binary = programs.npm('@esbuild/linux-x64', 'bin/esbuild')
    site = tmp_dir() / 'site'
    site.mkdir(exist_ok=True)
    (site / 'index.js').write_text('console.log(1)\n')
    p = start([binary, '--serve=127.0.0.1:0', '--servedir=' + str(site), '--bundle', str(site / 'index.js'),
               '--outdir=' + str(site / 'out'), '--watch=forever'], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
              stdin=subprocess.DEVNULL, cwd=site)
    url = wait_for(lambda: serve_url(p), 20, 'esbuild says where it serves')
    for _ in range(20):
        urllib.request.urlopen(url, timeout=10).read()
    r = gosonde('dump', p.pid, '--format', 'json')
    tap.equal(r.code, OK, 'dump a running esbuild', r.errors)
    d = r.json()
    functions = {f['function'] for g in d['goroutines'] for f in g['frames']}
    tap.ok({'main.main', 'net/http.(*Server).Serve'} <= functions, 'it serves HTTP', sorted(functions)[:60])
    broken = [g for g in d['goroutines'] if g.get('stack_end') in ('broken', 'torn')]
    tap.ok(len(d['goroutines']) > 3 and not broken, f'{len(d["goroutines"])} whole stacks', broken)
    # SIGQUIT makes the runtime print its own traceback, hidden frames included; the process ends by it.
    ours = parse_traceback(gosonde('dump', p.pid, '--system', '--all-frames').text)
    p.send_signal(3)
    _, err = p.communicate(timeout=20)
    compare_with_sigquit(ours, parse_traceback(err.decode('utf-8', 'replace')))


def serve_url(p):
    line = p.stderr.readline().decode()
    at = line.find('http://')
    return line[at:].strip() if at >= 0 else None


def compare_with_sigquit(ours, theirs):
    """The signal arrives on some thread; goroutines that are parked do not care."""
    common = [i for i in ours.keys() & theirs.keys() if theirs[i].reason == ours[i].reason
              and theirs[i].reason not in ('running', 'runnable', 'syscall')]
    bad = [f'{i}: {ours[i].same_frames(theirs[i])}' for i in common if ours[i].same_frames(theirs[i])]
    tap.ok(not bad and len(common) >= 3, f'{len(common)} parked goroutines equal the SIGQUIT traceback', *bad,
           sorted(ours), sorted(theirs))


tap.run(inspect_each, dump_running)
