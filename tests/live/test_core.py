#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Core files: of the kernel, of gcore, of arm64; and damaged ones."""
import re
import struct

import cores
from harness import FAILED, OK, TARGET, gosonde, parse_traceback, tap, target_path, tmp_dir


def kernel_default():
    cores.check_kernel('host', 'default')


def kernel_stripped_pie():
    cores.check_kernel('newest', 'stripped+pie')


def kernel_oldest():
    cores.check_kernel('1.19', 'stripped')


def gcore():
    cores.check_gcore('host', 'stripped')


def arm64_default():
    cores.check_arm64('newest', 'default')


def arm64_stripped():
    cores.check_arm64('host', 'stripped')


def damaged():
    """Cut short and spoiled cores: what is there is shown or a clear error is given; never a crash."""
    core, target, want = cores.kernel_core(target_path('states'), 'damaged core')
    data = core.read_bytes()
    bad, partial = [], 0
    places = [len(data) * i // 16 for i in range(1, 16)] + [0, 3, 16, 63, 64, 100, 4095, 4096, len(data) - 1]
    cut = tmp_dir() / 'cut.core'
    for size in places:
        cut.write_bytes(data[:size])
        r = gosonde('dump', cut, timeout=60)
        if r.code not in (OK, FAILED, TARGET, 4) or r.code != OK and not r.errors.startswith('gosonde '):
            bad.append(f'the first {size} of {len(data)} bytes: {r}')
        partial += r.code == 4 and len(parse_traceback(r.text)) > 0
    tap.ok(not bad, f'{len(places)} truncated cores', *bad)
    tap.note(f'{partial} of them still gave goroutines, marked incomplete')
    bad = []
    spoiled = bytearray(data)
    for offset in (16, 18, 20, 32, 40, 52, 54, 56, 58):
        for value in (0, 0xff):
            spoiled[:64] = data[:64]
            spoiled[offset] = value
            spoiled[offset + 1] = value
            cut.write_bytes(spoiled)
            r = gosonde('dump', cut, timeout=60)
            if r.code not in (OK, FAILED, TARGET, 4):
                bad.append(f'header byte {offset} = {value}: {r}')
    tap.ok(not bad, 'spoiled headers', *bad)
    core.unlink()


def wrong_executable():
    core, target, want = cores.kernel_core(target_path('states', 'host', 'stripped'), 'wrong exe')
    r = gosonde('dump', core, '--exe', '/bin/true')
    tap.ok(r.code in (FAILED, TARGET) and '/bin/true' in r.errors, 'a wrong --exe is refused', r)
    r = gosonde('dump', core, '--exe', target_path('states', '1.19', 'stripped'))
    tap.ok(r.code in (FAILED, TARGET) and not r.out.strip(), 'the same program built otherwise is refused', r)
    core.unlink()


def not_a_core():
    text = tmp_dir() / 'text'
    text.write_text('hello\n')
    r = gosonde('dump', text)
    tap.ok(r.code in (FAILED, TARGET) and re.search('core|ELF', r.errors), 'a text file is no core', r)
    r = gosonde('dump', target_path('states'))
    tap.ok(r.code in (FAILED, TARGET) and 'core' in r.errors, 'a program is no core', r)
    r = gosonde('dump', tmp_dir())
    tap.ok(r.code in (FAILED, TARGET) and 'directory' in r.errors, 'a folder is no core', r)


tap.run(kernel_default, kernel_stripped_pie, kernel_oldest, gcore, arm64_default, arm64_stripped, damaged,
        wrong_executable, not_a_core)
