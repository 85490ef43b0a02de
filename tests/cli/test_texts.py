#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The texts that gosonde makes from its tables: help, manual pages, completions.

Every command's help fits 80 columns and says the same for -h, --help and `help COMMAND`, with nothing on
stderr; manual pages pass mandoc's lint; completion scripts are valid shell and offer what the help
lists.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

gosonde = sys.argv[1]
number = failed = 0


def check(name, problems):
    global number, failed
    number += 1
    failed += bool(problems)
    print(f'{"not ok" if problems else "ok"} {number} - {name}')
    for p in problems:
        print(f'# {p}')


def skip(name, reason):
    global number
    number += 1
    print(f'ok {number} - {name} # SKIP {reason}')


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, timeout=60, **kw)


def text_problems(p):
    problems = [f'exit code {p.returncode}'] if p.returncode else []
    problems += [f'on stderr: {p.stderr}'] if p.stderr else []
    problems += [f'{len(l)} columns: {l}' for l in p.stdout.splitlines() if len(l) > 80]
    problems += [f'blank at the end: {l!r}' for l in p.stdout.splitlines() if l != l.rstrip()]
    return problems


overview = run(gosonde, '--help')
commands = re.findall(r'^  ([a-z]+)  ', overview.stdout, re.M)
check('--help', text_problems(overview) + ([] if 'inspect' in commands else ['lists no inspect']))
check('-h is --help', [] if run(gosonde, '-h').stdout == overview.stdout else ['differs'])
check('help is --help', [] if run(gosonde, 'help').stdout == overview.stdout else ['differs'])

for c in commands:
    p = run(gosonde, c, '--help')
    check(f'{c} --help', text_problems(p) + ([] if 'Usage: gosonde ' + c in p.stdout else ['no usage line']))
    for other in ([c, '-h'], ['help', c]):
        check(' '.join(other), [] if run(gosonde, *other).stdout == p.stdout else ['differs from --help'])
    check(f'{c}: examples are of this command',
          [l for l in re.findall(r'^  ((?:sudo )?gosonde .*)', p.stdout, re.M) if f'gosonde {c}' not in l])

for c in [None] + commands:
    name = f'manual page of {c or "gosonde"}'
    page = run(gosonde, 'help', '--man', *([c] if c else []))
    if not shutil.which('mandoc'):
        skip(name, 'mandoc is not installed')
        continue
    lint = run('mandoc', '-T', 'lint', '-W', 'warning', input=page.stdout)
    check(name, lint.stdout.splitlines() + ([] if page.stdout.startswith('.TH') else ['no .TH']))
every = run(gosonde, 'help', '--man', 'all').stdout
check('help --man all', [] if every.count('.TH') == len(commands) + 1 else ['not one page per command'])

for shell in ('bash', 'zsh', 'fish'):
    script = run(gosonde, 'help', '--completion', shell).stdout
    options = set(re.findall(r'--([a-z0-9-]+)', run(gosonde, 'inspect', '--help').stdout))
    missing = [o for o in options if o not in script and o != 'help']
    check(f'{shell} completion names all options', missing)
    if not shutil.which(shell):
        skip(f'{shell} completion is valid', f'{shell} is not installed')
        continue
    p = run(shell, '-n', input=script)
    check(f'{shell} completion is valid', p.stderr.splitlines())

BASH = '''
eval "$("$0" help --completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gosonde; printf '%s\\n' "${COMPREPLY[@]}"
'''
for words, want in ((['gosonde', 'ins'], ['inspect']), (['gosonde', 'inspect', '--sh'], ['--sha256']),
                    (['gosonde', 'inspect', '--format', ''], ['json', 'text']),
                    (['gosonde', 'help', 'doc'], ['doctor'])):
    p = run('bash', '-c', BASH, gosonde, *words)
    got = sorted(p.stdout.split())
    check(f'bash completes {" ".join(words)}', [] if got == want else [f'{got}, {p.stderr}'])

# What `make install` adds to the program.
with tempfile.TemporaryDirectory() as folder:
    p = run(Path(__file__).resolve().parents[2] / 'tools' / 'install_texts', os.path.abspath(gosonde), '/usr/share/man',
            '/usr/share', env={**os.environ, 'DESTDIR': folder})
    share = Path(folder) / 'usr' / 'share'
    pages = ['gosonde'] + [f'gosonde-{c}' for c in commands]
    want = [f'man/man1/{page}.1' for page in pages] + [
        'bash-completion/completions/gosonde', 'zsh/site-functions/_gosonde', 'fish/vendor_completions.d/gosonde.fish']
    missing = [f for f in want if not (share / f).is_file() or not (share / f).stat().st_size]
    check('install_texts', missing + p.stderr.splitlines())
print(f'1..{number}')
sys.exit(1 if failed else 0)
