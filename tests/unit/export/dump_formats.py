#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Read the dumps of dump_print back with readers that are not ours.

  dump_formats.py DUMP_PRINT            JSON, gzip and protobuf with what Python has
  dump_formats.py DUMP_PRINT GO_FINDER  profiles with `go tool pprof`; GO_FINDER prints where Go is
"""
import gzip
import json
import re
import subprocess
import sys
import tempfile

import tap_main

PRINT = sys.argv[1]


def dump(*args):
    return subprocess.run([PRINT, *args], check=True, capture_output=True).stdout


def fields(data):
    """(number, value) of each field of a protobuf message; strict about its bounds."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            assert tag & 7 == 2, f'wire type {tag & 7}'
            size = varint()
            assert at + size <= len(data), 'a message ends outside of its parent'
            yield tag >> 3, data[at:at + size]
            at += size


def packed(data):
    return [v for _, v in fields(b''.join(b'\x08' + b for b in re.findall(rb'[\x80-\xff]*[\x00-\x7f]', data, re.S)))]


class Profile:
    def __init__(self, data):
        self.strings, self.samples, self.locations, self.functions = [], [], {}, {}
        self.comments, self.types, self.mappings, self.numbers = [], [], [], {}
        raw = list(fields(gzip.decompress(data)))
        self.strings = [v.decode('utf-8') for k, v in raw if k == 6]
        for k, v in raw:
            if k == 1 or k == 11:
                self.types.append([self.strings[n] for _, n in fields(v)])
            elif k == 2:
                self.add_sample(v)
            elif k == 3:
                self.mappings.append(dict(fields(v)))
            elif k == 4:
                self.add_location(v)
            elif k == 5:
                f = dict(fields(v))
                assert f[1] not in self.functions, 'a function twice'
                self.functions[f[1]] = (self.strings[f[2]], self.strings[f.get(4, 0)])
                assert f[3] == f[2]
            elif k == 13:
                self.comments.append(self.strings[v])
            elif k != 6:
                self.numbers[k] = v

    def add_location(self, data):
        location = {'lines': []}
        for k, v in fields(data):
            if k == 4:
                location['lines'].append(dict(fields(v)))
            else:
                location[k] = v
        assert location[1] not in self.locations, 'a location twice'
        self.locations[location[1]] = location

    def add_sample(self, data):
        sample = {'ids': [], 'labels': {}}
        for k, v in fields(data):
            if k == 1:
                sample['ids'] += packed(v)
            elif k == 2:
                sample['value'] = packed(v)
            else:
                label = dict(fields(v))
                key = self.strings[label[1]]
                assert key not in sample['labels'], f'{key} twice'
                assert (2 in label) != (3 in label)
                sample['labels'][key] = self.strings[label[2]] if 2 in label else label[3]
        self.samples.append(sample)

    def stack(self, sample):
        """[(address, [(function, file, line)])], innermost first."""
        out = []
        for i in sample['ids']:
            location = self.locations[i]
            out.append((location[3], [self.functions[l[1]] + (l[2],) for l in location['lines']]))
        return out


def test_json_is_json():
    for args in ((), ('pretty',), ('group',), ('group', 'pretty'), ('all',)):
        text = dump('json', *args).decode('utf-8')
        d = json.loads(text)
        assert next(iter(d)) == 'schema' and d['schema'] == 'gosonde.dump/1'
        assert text.endswith('}\n') and ('pretty' in args) == (text.count('\n') > 1)
        assert d['incomplete'] == [{'what': 'stacks_broken', 'count': 2, 'why': 'memory at 0x10 unreadable'}]
    assert json.loads(dump('json')) == json.loads(dump('json', 'pretty'))


def test_json_keys_are_stable():
    always = {'id', 'state', 'wait_reason', 'wait_seconds', 'thread_id', 'created_by', 'parent_id', 'frames'}
    d = json.loads(dump('json'))
    assert len(d['goroutines']) == d['goroutines_total'] == 11
    for g in d['goroutines']:
        assert always <= set(g), g
        for f in g['frames']:
            assert {'function', 'file', 'line', 'pc'} <= set(f), f
    # what equals in one place equals in all: one stack, rendered once and copied
    frames = [g['frames'] for g in d['goroutines'] if g['id'] in (18, 19, 21, 22, 23)]
    assert len(frames) == 5 and all(f == frames[0] for f in frames)


def test_folded_lines():
    for args in ((), ('all',), ('group',)):
        lines = dump('folded', *args).decode('ascii').splitlines()
        assert lines == sorted(lines) and len(set(lines)) == len(lines)
        for line in lines:
            assert re.fullmatch(r'[^ ;]+(;[^ ;]+)* [1-9][0-9]*', line), line


def test_profile_of_goroutines():
    p = Profile(dump('pprof'))
    assert p.strings[0] == '' and len(set(p.strings)) == len(p.strings)
    assert p.types == [['goroutine', 'count']] * 2
    assert p.numbers == {12: 1, 9: 1767225600123456789}
    assert len(p.mappings) == 1 and p.strings[p.mappings[0][5]] == '/srv/sh\\xffop'
    assert p.comments == ['incomplete: stacks_broken: 2: memory at 0x10 unreadable']
    by_id = {s['labels']['goid']: s for s in p.samples}
    assert len(p.samples) == len(by_id) == 11 and all(s['value'] == [1] for s in p.samples)
    assert by_id[18]['labels'] == {'goid': 18, 'state': 'waiting', 'wait_reason': 'chan receive'}
    # a label with our name is renamed, of equal keys the first counts, an empty value says nothing
    assert by_id[23]['labels'] == {'goid': 23, 'state': 'waiting', 'wait_reason': 'select', 'route': '/api/v1',
                                   'user name': 'a "b"\\x0a\\x01é\\xff', 'label:goid': 'not a number'}


def test_profile_stacks():
    p = Profile(dump('pprof'))
    by_id = {s['labels']['goid']: p.stack(s) for s in p.samples}
    # addresses of calls, not of returns; hidden frames are there, runtime.goexit is not
    assert by_id[18] == by_id[19] == [
        (0x4390cd, [('runtime.gopark', '/usr/local/go/src/runtime/proc.go', 435)]),
        (0x40651b, [('runtime.chanrecv1', '/usr/local/go/src/runtime/chan.go', 506)]),
        (0x48103c, [('main.worker', '/src/main.go', 12)])]
    # inlined calls share a location, innermost first; the wrapper is left out; names are whole symbols
    assert by_id[25] == [
        (0x4300a9, [('runtime.gopanic', '/usr/local/go/src/runtime/panic.go', 787)]),
        (0x4900b6, [('main.Map[go.shape.int,go.shape.[]string].Each', '/src/map.go', 30),
                    ('main.(*T[go.shape.int_0]).walk[go.shape.string].func1', '/src/map.go', 44)]),
        (0x4901c3, [('main.run', '/src/main.go', 60)])]
    assert by_id[1] == []
    assert by_id[20][0][0] == 0x47a000  # at a function's entry nothing was called yet
    assert by_id[24][1][1] == [('main.\\x1b[2Jevil; name\\x0a', '/tmp/\\x0d\\xff/x y.go', 7)]
    assert by_id[26][0] == (0x7f1200000fff, [])


def test_profile_of_groups():
    p = Profile(dump('pprof', 'group'))
    assert [(s['value'], s['labels']) for s in p.samples] == [
        ([1234], {'state': 'waiting', 'wait_reason': 'chan receive'}),
        ([3], {'state': 'syscall'}),
        ([1], {'state': 'running'})]


def pprof(go, *args):
    with tempfile.NamedTemporaryFile(suffix='.pb.gz') as f:
        f.write(dump('pprof', *args[1:]))
        f.flush()
        return subprocess.run([go, 'tool', 'pprof', args[0], f.name], check=True, capture_output=True,
                              text=True).stdout


def test_go_tool_pprof(go):
    raw = pprof(go, '-raw')
    assert 'PeriodType: goroutine count\nPeriod: 1\nTime: 2026-01-01 00:00:00.123456789 +0000 UTC' in raw
    assert 'state:[waiting] wait_reason:[chan receive]\n                goid:[18]' in raw, raw
    top = pprof(go, '-top', 'group')
    assert 'Type: goroutine' in top and re.search(r'^ +1234 .* runtime\.gopark$', top, re.M), top
    assert re.search(r'of 1238 total', top), top
    traces = pprof(go, '-traces')
    assert re.search(r'main\.Map\[go\.shape\.int,go\.shape\.\[\]string\]\.Each( \(inline\))?\n'
                     r' +main\.\(\*T\[go\.shape\.int_0\]\)\.walk\[go\.shape\.string\]\.func1\n'
                     r' +main\.run', traces), traces


if __name__ == '__main__':
    sys.exit(tap_main.main(globals()))
