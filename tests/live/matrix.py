#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Every Go release in every link mode: live on this machine's CPU, and arm64 from core files.

  matrix.py [--release R]... [--variant V]... [--no-arm64]

Takes half an hour with cold caches; `make test` runs a few of these combinations as tests of their own.
"""
import argparse

import cores
import exact
from harness import Skip, tap, target_path, run_checked, ROOT

# Patch releases whose structures differ from those of the pinned ones: m.allpSnapshot moved.
PATCHES = ['1.23.11', '1.24.5']
VARIANTS = ['default', 'stripped', 'pie', 'static-pie', 'cgo', 'noopt']


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--release', action='append')
    p.add_argument('--variant', action='append')
    p.add_argument('--no-arm64', action='store_true')
    a = p.parse_args()
    known = run_checked([ROOT / 'tools' / 'go_toolchain', '--list']).split()
    tests = []
    for release in a.release or known:
        for variant in a.variant or VARIANTS:
            tests.append(live(release, variant))
        if not a.no_arm64:
            tests += [arm64(release, v) for v in ('default', 'stripped', 'pie')]
    if not a.release:
        tests += [live(p, 'stripped') for p in PATCHES]
    tap.run(*tests)


def live(release, variant):
    def test():
        exact.run(f'go {release} {variant}', target_path('states', release, variant))
    test.__name__ = f'live_{release}_{variant}'
    return test


def arm64(release, variant):
    def test():
        cores.check_arm64(release, variant)
    test.__name__ = f'arm64_core_{release}_{variant}'
    return test


if __name__ == '__main__':
    main()
