#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What gosonde writes as JSON is JSON: Python's parser reads random strings back, and well-formed
parts of them unchanged. usage: test_json_writer.py TEST_PROGRAM"""
import json
import subprocess
import sys


def expected(raw):
    """Python's own decoding, one replacement character per bad byte."""
    out, i = "", 0
    while i < len(raw):
        for n in (1, 2, 3, 4):
            try:
                piece = raw[i:i + n].decode("utf-8")
            except UnicodeDecodeError:
                continue
            if len(piece) == 1:
                out, i = out + piece, i + n
                break
        else:
            out, i = out + "\ufffd", i + 1
    return out


failed = 0
for number, count in enumerate((1000, 1001), 1):
    data = subprocess.run([sys.argv[1], str(count)], check=True, capture_output=True).stdout
    items = json.loads(data.decode("utf-8", errors="strict"))
    bad = [i for i in items if i["text"] != expected(bytes(i["raw"]))]
    good = len(items) == count and not bad
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {count} random strings")
    for item in bad[:3]:
        print(f"# {item['raw']}: {item['text']!r}")
print("1..2")
sys.exit(failed > 0)
