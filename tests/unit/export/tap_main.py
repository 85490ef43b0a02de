# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The functions test_… of a script as points of TAP. A script that is given a second argument, which prints where Go is,
runs those that are called test_go_… with it; without it, all others."""
import subprocess
import sys
import traceback


def main(functions):
    go = subprocess.run([sys.argv[2], 'newest'], check=True, capture_output=True, text=True).stdout.strip() \
        if len(sys.argv) > 2 else None
    tests = [(n, f) for n, f in functions.items() if n.startswith('test_') and n.startswith('test_go_') == bool(go)]
    print(f'1..{len(tests)}')
    failed = 0
    for i, (name, f) in enumerate(tests, 1):
        try:
            skip = f(*([go] if go else []))
            print(f'ok {i} - {name[5:]}' + (f' # SKIP {skip}' if skip else ''))
        except Exception as e:
            failed = 1
            print(f'not ok {i} - {name[5:]}')
            print('# ' + traceback.format_exc().replace('\n', '\n# '))
            if isinstance(e, subprocess.CalledProcessError) and e.stderr:
                said = e.stderr if isinstance(e.stderr, str) else e.stderr.decode('utf-8', 'replace')
                print('# ' + said.replace('\n', '\n# '))
    return failed
