#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What src/golang makes of the function table, against the Go runtime itself.

    test_go_lines.py GO_PRINT [RELEASE:VARIANT...]

tests/fixtures/gosym_oracle prints, for each byte of its own code, what runtime.CallersFrames says;
tests/lib/go_print has to print the same from the file. Stack depths have to be those of the DWARF frame
tables, where there are some (readelf). RELEASE is one of tools/go_toolchain, default `host`; the
default variants are those below. Prints TAP.
"""
import bisect
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ORACLE = ROOT / 'tests' / 'fixtures' / 'gosym_oracle'
C = {'CGO_ENABLED': '1'}
VARIANTS = {
    'default': ([], {}),
    'stripped': (['-ldflags=-s -w'], {}),
    'pie': (['-buildmode=pie'], {}),
    'stripped+pie': (['-buildmode=pie', '-ldflags=-s -w'], {}),
    'noinline': (['-gcflags=all=-l'], {}),
    'external': (['-ldflags=-linkmode=external'], C),
    'race': (['-race'], C),
    'external+pie': (['-buildmode=pie', '-ldflags=-linkmode=external -s -w'], C),
    'external+static-pie': (
        ['-buildmode=pie', '-ldflags=-linkmode=external -s -w "-extldflags=-static-pie"'], C),
}
BY_DEFAULT = ['host:default', 'host:stripped+pie', 'host:external+pie']


def build(go, variant, out):
    flags, env = VARIANTS[variant]
    subprocess.run([go, 'build', '-o', out, *flags, '.'], cwd=ORACLE, check=True,
                   env={**os.environ, 'GOTOOLCHAIN': 'local', 'CGO_ENABLED': '0',
                        'GOFLAGS': '-buildvcs=false', **env})


def lines(command, path):
    with open(path, 'w') as out:
        subprocess.run(command, stdout=out, check=True)
    return open(path, errors='surrogateescape')


def first_difference(want, got):
    """None, or what differs; and how many lines were equal."""
    n = 0
    for n, line in enumerate(want, 1):
        other = got.readline()
        if line != other:
            return f'line {n}:\n#  want {line.rstrip()}\n#  got  {other.rstrip()}', n
    rest = got.readline()
    return (f'more than the {n} lines wanted: {rest.rstrip()}' if rest else None), n


def depth_difference(go_print, binary):
    """Of the stack depths and .debug_frame: None or what differs, and the number of rows."""
    pcs, depths = [], []
    for line in subprocess.run([go_print, 'stack', binary], check=True, stdout=subprocess.PIPE,
                               text=True, errors='surrogateescape').stdout.splitlines():
        pc, depth, _ = line.split('\t')
        pcs.append(int(pc, 16))
        depths.append(int(depth))
    frames = subprocess.run(['readelf', '--debug-dump=frames-interp', '-W', binary], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    rows = re.findall(r'^([0-9a-f]{16}) (rsp|sp)\+(\d+)\s', frames, re.M)
    for pc, register, cfa in rows:
        # On amd64 the return address lies between the two.
        want = int(cfa) - (8 if register == 'rsp' else 0)
        got = depths[bisect.bisect_right(pcs, int(pc, 16)) - 1]
        if got != want:
            return f'stack depth at {pc}: want {want}, got {got}', len(rows)
    return None, len(rows)


def main():
    go_print = os.path.abspath(sys.argv[1])
    cases = sys.argv[2:] or BY_DEFAULT
    failed = 0
    print(f'1..{len(cases)}')
    for i, case in enumerate(cases, 1):
        release, variant = case.split(':')
        go = subprocess.run([ROOT / 'tools' / 'go_toolchain', release], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
        with tempfile.TemporaryDirectory() as tmp:
            binary = os.path.join(tmp, 'oracle')
            try:
                build(go, variant, binary)
                want = lines([binary], os.path.join(tmp, 'want'))
                got = lines([go_print, 'lines', binary], os.path.join(tmp, 'got'))
                difference, n = first_difference(want, got)
                rows = 0
                if variant == 'default' and shutil.which('readelf') and not difference:
                    difference, rows = depth_difference(go_print, binary)
                    if rows < 10000 and not difference:
                        difference = f'only {rows} rows in .debug_frame'
            except subprocess.CalledProcessError as e:
                difference, n, rows = str(e), 0, 0
        if n < 10000 and not difference:
            difference = f'only {n} ranges'
        print(f'{"not " if difference else ""}ok {i} - {case}: {n} ranges, {rows} stack depths',
              flush=True)
        if difference:
            print(f'# {difference}', flush=True)
            failed += 1
    return failed != 0


sys.exit(main())
