#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Struct layouts against Go's own debug/dwarf: what src/golang reads from a binary, and the generated table
of the binary's release.

    test_go_layouts.py LAYOUT_PRINT [RELEASE:VARIANT...]
"""
import re
import subprocess
import sys

from harness import ROOT, tap, target_path, go_command, run_checked, tmp_dir

BY_DEFAULT = ['host:default', 'host:pie', 'host:arm64', 'host:noopt', 'host:cgo']
DATA = ROOT / 'src' / 'golang' / 'data'
FIELDS = re.findall(r'^GS_GO_FIELD\((\w+), "([^"]+)", "([^"]*)"\)$', (DATA / 'layout_fields.inc').read_text(), re.M)


def parse(text):
    return {k: None if v == '-' else int(v) for k, v in (line.split() for line in text.splitlines())}


def table(release, cpu):
    """The column of layout_tables.inc for (minor, patch), and what it is called there."""
    text = (DATA / 'layout_tables.inc').read_text()
    columns = re.findall(r'^\t\{ (\d+), (\d+), (?:true|false), "(\S+)"', text, re.M)
    n = max(i for i, c in enumerate(columns) if (int(c[0]), int(c[1])) <= release)
    rows = re.search(rf'^static const int32_t {cpu}\[.*?^\}};$', text, re.M | re.S).group(0)
    values = {}
    for name, row in re.findall(r'^\t\[GS_GO_(\w+)\] = \{ (.*) \},$', rows, re.M):
        v = int(row.split(',')[n])
        values[name] = None if v < 0 else v
    return values, columns[n][2]


def differences(got, want, names):
    return [f'{n}: {got.get(n)}, Go says {want[n]}' for n in names if got.get(n) != want[n]]


def check(layout_print, oracle, release, variant):
    path = target_path('states', release, variant)
    questions = ''.join(f'{i} {s} {p}\n' for i, s, p in FIELDS)
    truth = parse(subprocess.run([oracle, path], input=questions, text=True, check=True,
                                 stdout=subprocess.PIPE).stdout)
    got = parse(run_checked([layout_print, path]))
    tap.ok(len(truth) > 90 and None in truth.values(), f'{release} {variant}: Go knows the structures',
           f'{len(truth)} fields')
    wrong = differences(got, truth, truth)
    tap.ok(not wrong, f'{release} {variant}: DWARF as Go reads it', *wrong)

    version = run_checked([go_command('newest'), 'version', path]).split()[-1]
    minor, patch = re.match(r'go1\.(\d+)(?:\.(\d+))?', version).groups()
    values, column = table((int(minor), int(patch or 0)), 'arm64' if 'arm64' in variant else 'amd64')
    wrong = differences(values, truth, truth)
    tap.ok(not wrong, f'{release} {variant}: table of {column} for {version}', *wrong)


def main():
    layout_print = sys.argv[1]
    oracle = tmp_dir() / 'dwarf_oracle'
    subprocess.run([go_command(), 'build', '-buildvcs=false', '-o', oracle, '.'], check=True,
                   cwd=ROOT / 'tests' / 'fixtures' / 'dwarf_oracle')

    def one(name):
        def test():
            check(layout_print, oracle, *name.split(':'))
        test.__name__ = name
        return test
    tap.run(*[one(name) for name in sys.argv[2:] or BY_DEFAULT])


if __name__ == '__main__':
    main()
