#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Build info, build ids and function tables of programs for several systems, against Go's own tools.

    test_go_buildinfo.py GO_PRINT [RELEASE:GOOS/GOARCH...]

`go version -m`, `go tool buildid` and tests/fixtures/gosym_table (debug/gosym) are the truth; a
stripped build has to give the same functions as one with symbols. Prints TAP.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOSYM = ROOT / 'tests' / 'fixtures' / 'gosym_table'
BY_DEFAULT = ['host:linux/amd64', 'host:linux/arm64', 'host:windows/amd64', 'host:darwin/arm64']
ENV = {**os.environ, 'GOTOOLCHAIN': 'local', 'CGO_ENABLED': '0', 'GOFLAGS': '', 'GOWORK': 'off'}


def run(*command, cwd=None, env=ENV):
    return subprocess.run([str(c) for c in command], check=True, cwd=cwd, env=env,
                          stdout=subprocess.PIPE).stdout.decode(errors='surrogateescape')


def write_module(folder):
    """A program that needs two modules, one of them replaced by a folder."""
    files = {
        'main.go': 'package main\n\nimport (\n\t"fmt"\n\n\t"example.test/there"\n)\n\n'
                   'var words, quotes string\n\nfunc main() { fmt.Println(there.Name, words, quotes) }\n',
        'go.mod': 'module example.test/main\n\ngo 1.19\n\nrequire example.test/there v1.2.3\n\n'
                  'replace example.test/there v1.2.3 => ./there\n',
        'there/there.go': 'package there\n\nconst Name = "there"\n',
        'there/go.mod': 'module example.test/there\n\ngo 1.19\n',
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


class Case:
    def __init__(self, go_print, oracle, name, tmp):
        release, system = name.split(':')
        self.go = run(ROOT / 'tools' / 'go_toolchain', release).strip()
        self.env = {**ENV, 'GOOS': system.split('/')[0], 'GOARCH': system.split('/')[1]}
        self.go_print, self.oracle, self.tmp = go_print, oracle, tmp

    def build(self, name, *flags, cwd):
        out = self.tmp / name
        run(self.go, 'build', '-buildvcs=false', '-o', out, *flags, '.', cwd=cwd, env=self.env)
        return out

    def build_info(self):
        """Differences of build info and build id."""
        module = self.tmp / 'module'
        module.mkdir()
        write_module(module)
        for flags in ([], ['-trimpath'], ['-ldflags=' + '-s -w -X "main.words=two words"'],
                      ['-ldflags=-X \'main.quotes="quoted"\' -X main.words=`', '-gcflags=-N -l'],
                      ['-tags=one,two', '-ldflags=-X "main.words=back\\slash\tand tab"']):
            path = self.build('app', *flags, cwd=module)
            # Newer commands read older programs; the module's own one would not know new settings.
            want, got = run(self.go, 'version', '-m', path), run(self.go_print, 'buildinfo', path)
            if want != got:
                yield f'{flags}: want\n{want}got\n{got}'
            want, got = run(self.go, 'tool', 'buildid', path), run(self.go_print, 'buildid', path)
            if want != got:
                yield f'{flags}: build id: want {want!r}, got {got!r}'

    def functions(self):
        path = self.build('table', cwd=GOSYM)
        want = run(self.oracle, path)
        stripped = self.build('stripped', '-ldflags=-s -w', cwd=GOSYM)
        for which in path, stripped:
            got = run(self.go_print, 'functions', which)
            if got != want or want.count('\n') < 1000:
                pairs = zip(want.splitlines(), got.splitlines())
                yield f'{which.name}: functions: {next((p for p in pairs if p[0] != p[1]), "count")}'


def main():
    go_print = os.path.abspath(sys.argv[1])
    cases = sys.argv[2:] or BY_DEFAULT
    failed = 0
    print(f'1..{len(cases)}')
    with tempfile.TemporaryDirectory() as top:
        oracle = os.path.join(top, 'gosym_table')
        # The reader needs debug/gosym of a release that knows the newest tables.
        newest = run(ROOT / 'tools' / 'go_toolchain', 'newest').strip()
        run(newest, 'build', '-buildvcs=false', '-o', oracle, '.', cwd=GOSYM)
        for i, name in enumerate(cases, 1):
            tmp = pathlib.Path(top) / str(i)
            tmp.mkdir()
            case = Case(go_print, oracle, name, tmp)
            try:
                differences = [*case.build_info(), *case.functions()]
            except subprocess.CalledProcessError as e:
                differences = [str(e)]
            print(f'{"not " if differences else ""}ok {i} - {name}', flush=True)
            for d in differences:
                print('# ' + d.replace('\n', '\n# '), flush=True)
                failed += 1
    return failed != 0


sys.exit(main())
