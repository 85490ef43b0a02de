#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Golden tests of the command line.

  run_cli.py [--update] --gosonde PATH --samples PROGRAM CASE...

A case is a text file of commands and what they print:

  $ gosonde hepl                        a shell command; gosonde is the one under test
  ! gosonde: unknown command hepl: …    a line on stderr
  | text                                a line on stdout
  ? 2                                   the exit code, if not 0

Lines that begin with # are comments. An expected line that ends in " (glob)" is a pattern of fnmatch;
"| ... (lines)" stands for any number of lines. Each case runs in a new directory; $SAMPLES holds files
written by PROGRAM, $FIXTURES is tests/cli/fixtures. Before comparison, versions and the paths of
directories are replaced by <VERSION>, <SAMPLES>, <FIXTURES>, <TMP>. --update rewrites a case with what
was printed, except lines that match.
"""
import argparse
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


class Step:
    def __init__(self, command, line):
        self.command, self.line = command, line
        self.out, self.err, self.code = [], [], 0
        self.comments = []


def parse(path):
    steps, comments = [], []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        kind, _, rest = text.partition(' ')
        if kind == '$':
            steps.append(Step(rest, number))
            steps[-1].comments, comments = comments, []
        elif kind == '|':
            steps[-1].out.append(rest)
        elif kind == '!':
            steps[-1].err.append(rest)
        elif kind == '?':
            steps[-1].code = int(rest)
        elif not text or kind.startswith('#'):
            comments.append(text)
        else:
            sys.exit(f'{path}:{number}: not understood: {text}')
    return steps, comments


def normalise(data, replacements):
    text = data.decode('utf-8', 'backslashreplace')
    for value, name in replacements:
        text = text.replace(value, name)
    text = re.sub(r'\bgosonde 0\.\d+\.\d+', 'gosonde <VERSION>', text)
    lines = text.split('\n')
    return lines[:-1] if lines[-1] == '' else lines[:-1] + [lines[-1] + ' (no newline)']


def matches(expected, got):
    """Whether lines match; '... (lines)' swallows any number."""
    if not expected:
        return not got
    if expected[0] == '... (lines)':
        return any(matches(expected[1:], got[i:]) for i in range(len(got) + 1))
    if not got:
        return False
    want = expected[0]
    ok = fnmatch.fnmatchcase(got[0], want[:-7]) if want.endswith(' (glob)') else want == got[0]
    return ok and matches(expected[1:], got[1:])


def render(step):
    text = step.comments + [f'$ {step.command}']
    text += [f'| {l}'.rstrip() for l in step.out] + [f'! {l}'.rstrip() for l in step.err]
    return text + ([f'? {step.code}'] if step.code else [])


def run_step(step, env, cwd, replacements):
    p = subprocess.run(['sh', '-c', step.command], env=env, cwd=cwd, capture_output=True, timeout=60,
                       stdin=subprocess.DEVNULL)
    return normalise(p.stdout, replacements), normalise(p.stderr, replacements), p.returncode


def run_case(path, args, samples, update):
    """TAP results: (name, problem or None)."""
    steps, tail = parse(path)
    results = []
    with tempfile.TemporaryDirectory() as tmp:
        fixtures = HERE / 'fixtures'
        env = {'PATH': f'{args.bin}:{os.environ["PATH"]}', 'SAMPLES': samples, 'FIXTURES': str(fixtures),
               'TMP': tmp, 'LC_ALL': 'C.UTF-8', 'HOME': tmp, 'GOTOOLCHAIN': 'local', 'TERM': 'dumb'}
        for key in ('ASAN_OPTIONS', 'UBSAN_OPTIONS'):
            if key in os.environ:
                env[key] = os.environ[key]
        replacements = [(samples, '<SAMPLES>'), (str(fixtures), '<FIXTURES>'), (tmp, '<TMP>')]
        for step in steps:
            out, err, code = run_step(step, env, tmp, replacements)
            problem = []
            if not matches([l.rstrip() for l in step.out], [l.rstrip() for l in out]):
                problem += ['stdout:'] + [f'| {l}' for l in out]
                step.out = out if update else step.out
            if not matches([l.rstrip() for l in step.err], [l.rstrip() for l in err]):
                problem += ['stderr:'] + [f'! {l}' for l in err]
                step.err = err if update else step.err
            if code != step.code:
                problem.append(f'exit code {code}, not {step.code}')
                step.code = code if update else step.code
            results.append((f'{path.name}:{step.line} {step.command}', problem))
    if update:
        path.write_text('\n'.join(sum((render(s) for s in steps), []) + tail) + '\n')
    return results


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--update', action='store_true')
    p.add_argument('--gosonde', required=True)
    p.add_argument('--samples', required=True)
    p.add_argument('cases', nargs='+')
    args = p.parse_args()
    number = failed = 0
    with tempfile.TemporaryDirectory() as work:
        samples = os.path.join(work, 'samples')
        args.bin = os.path.join(work, 'bin')
        os.mkdir(args.bin)
        os.symlink(os.path.abspath(args.gosonde), os.path.join(args.bin, 'gosonde'))
        subprocess.run([args.samples, samples], check=True)
        for case in args.cases:
            for name, problem in run_case(pathlib.Path(case), args, samples, args.update):
                number += 1
                failed += bool(problem)
                print(f'{"not ok" if problem else "ok"} {number} - {name.replace("#", "")}')
                for line in problem:
                    print(f'# {line}')
    print(f'1..{number}')
    return 1 if failed and not args.update else 0


if __name__ == '__main__':
    shutil.which('sh') or sys.exit('no sh')
    sys.exit(main())
