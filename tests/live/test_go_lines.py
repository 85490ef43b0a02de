#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What src/golang makes of the function table, against the Go runtime itself.

    test_go_lines.py GO_PRINT [RELEASE:VARIANT...]

tests/fixtures/gosym_oracle prints, for each byte of its own code, what runtime.CallersFrames says;
tests/lib/go_print has to print the same from the file. RELEASE is one of tools/go_toolchain, default
`host`; the default variants are those below. Prints TAP.
"""
import os
import pathlib
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
            except subprocess.CalledProcessError as e:
                difference, n = str(e), 0
        if n < 10000 and not difference:
            difference = f'only {n} lines'
        print(f'{"not " if difference else ""}ok {i} - {case}: {n} ranges', flush=True)
        if difference:
            print(f'# {difference}', flush=True)
            failed += 1
    return failed != 0


sys.exit(main())
