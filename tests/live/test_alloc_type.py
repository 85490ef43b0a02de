#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Which type the code hands to the allocator, against Go's own disassembler, also of programs for the other CPU.

test_alloc_type.py RELEASE VARIANT"""
import os
import pathlib
import re
import subprocess
import sys

from harness import go_command, tap, target_path

RELEASE, VARIANT = sys.argv[1:3]
PRINT = pathlib.Path(os.environ['GOSONDE_BUILD']) / 'tests' / 'unit' / 'golang' / 'alloc_print'
LINE = re.compile(r'\s+\S+\s+0x([0-9a-f]+)\s+([0-9a-f]+)\s+(.*)')
REGISTERS = {'amd64': ['AX', 'BX', 'CX', 'DI', 'SI'], 'arm64': ['R0', 'R1', 'R2', 'R3', 'R4']}
# Which argument is the type: of the functions that the text of a call can be compared for.
ARGUMENT = {'runtime.newobject': 0, 'runtime.makeslice': 0, 'runtime.makechan': 0, 'runtime.mapassign_faststr': 0,
            'runtime.makemap': 0, 'runtime.convT': 0, 'runtime.growslice': 4}


def lines(binary):
    out = subprocess.run([go_command(), 'tool', 'objdump', '-s', r'^(main|fmt|strings|reflect|sync|targets/truth|runtime)\.',
                          str(binary)], capture_output=True, text=True, check=True, timeout=200).stdout
    rows = [LINE.match(row) for row in out.splitlines()]
    return [(int(m[1], 16), len(m[2]) // 2, m[3].strip()) for m in rows if m]


def loaded(rows, i, register):
    """The address that straight code in front of a call has loaded into the register, None if that is not simple."""
    low = None
    for address, size, text in reversed(rows[max(0, i - 12):i]):
        if re.match(r'(CALL|J|RET|B[A-Z]* |CB|TB)', text):
            return None
        m = re.match(r'LEAQ (-?0x[0-9a-f]+)\(IP\), ' + register + r'\b', text)
        if m:
            return address + size + int(m[1], 16)
        if re.match(r'LEAQ [^(]*\(SB\), ' + register + r'\b', text):
            return None
        m = re.match(r'ADD \$(\d+), ' + register + ', ' + register + r'\b', text)
        if m and low is None:
            low = int(m[1])
            continue
        m = re.match(r'ADRP (-?\d+)\(PC\), ' + register + r'\b', text)
        if m and low is not None:
            return (address & ~0xfff) + int(m[1]) + low
        if re.search(r', ' + register + r'\b', text) or re.search(r'\(' + register + r'\)', text):
            return None
    return None


def same_as_objdump():
    arch = 'arm64' if 'arm64' in VARIANT else 'amd64'
    binary = target_path('sites', RELEASE, VARIANT)
    minor = re.search(r'go1\.(\d+)', subprocess.run([go_command(), 'version', str(binary)], capture_output=True,
                                                    text=True, check=True).stdout)[1]
    out = subprocess.run([str(PRINT), str(binary), minor], capture_output=True, text=True, check=True, timeout=100).stdout
    found = {}
    for row in out.splitlines():
        back, address, name = row.split()
        found[int(back, 16)] = None if address == '-' else int(address, 16)
    rows, compared, wrong = lines(binary), 0, []
    for i, (address, size, text) in enumerate(rows):
        m = re.match(r'CALL (\S+)\(SB\)', text)
        argument = ARGUMENT.get(m[1]) if m else None
        if argument is None or (m[1] == 'runtime.growslice' and minor == '19'):
            continue
        want = loaded(rows, i, REGISTERS[arch][argument])
        if want is None:
            continue
        compared += 1
        if found.get(address + size) != want:
            wrong.append([hex(address), text, want, found.get(address + size)])
    told = sum(v is not None for v in found.values())
    tap.note(f'{len(found)} calls of the allocator, {told} with a type, {compared} compared')
    tap.ok(compared > 100 and not wrong, 'the same addresses as Go\'s disassembler', [compared, wrong[:5]])
    tap.ok(told > len(found) * 0.8, 'nearly all calls tell their type', [told, len(found)])


if __name__ == '__main__':
    tap.run(same_as_objdump)
