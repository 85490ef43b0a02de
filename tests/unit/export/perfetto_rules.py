# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Reads a Perfetto trace as its importers do and says what they would not like: a reader of its own, with the field
numbers of protos/perfetto/trace, and the rules of the track event importer about sequences, interning, nesting of slices
and flows. Where the Python package `perfetto` is installed, its generated classes must know every field too.

perfetto_rules.py FILE... prints a summary of each and fails if one breaks a rule.
"""
import collections
import struct
import sys

# message -> field number -> (name, type); a type in capitals is a message
SCHEMA = {
    'TRACE': {1: ('packet', 'PACKET')},
    'PACKET': {6: ('clock_snapshot', 'SNAPSHOT'), 8: ('timestamp', 'int'), 10: ('sequence', 'int'),
               11: ('event', 'EVENT'), 12: ('interned', 'INTERNED'), 13: ('flags', 'int'), 59: ('defaults', 'DEFAULTS'),
               60: ('track', 'TRACK'), 66: ('sample', 'SAMPLE'), 87: ('first', 'int')},
    'SNAPSHOT': {1: ('clocks', 'CLOCK'), 2: ('primary', 'int')},
    'CLOCK': {1: ('id', 'int'), 2: ('timestamp', 'int')},
    'DEFAULTS': {58: ('clock', 'int')},
    'TRACK': {1: ('uuid', 'int'), 2: ('name', 'str'), 3: ('process', 'PROCESS'), 4: ('thread', 'THREAD'),
              5: ('parent', 'int'), 8: ('counter', 'COUNTER'), 11: ('ordering', 'int'), 12: ('rank', 'int')},
    'PROCESS': {1: ('pid', 'int'), 6: ('name', 'str')},
    'THREAD': {1: ('pid', 'int'), 2: ('tid', 'int')},
    'COUNTER': {3: ('unit', 'int')},
    'EVENT': {3: ('category', 'int'), 4: ('annotation', 'ANNOTATION'), 9: ('type', 'int'), 10: ('name', 'int'),
              11: ('track', 'int'), 30: ('value', 'int'), 47: ('flow', 'fixed'), 48: ('flow_end', 'fixed'),
              56: ('callstack', 'int')},
    'ANNOTATION': {1: ('name', 'int'), 3: ('number', 'int'), 6: ('text', 'str')},
    'INTERNED': {1: ('categories', 'STRING'), 2: ('names', 'STRING'), 3: ('annotations', 'STRING'),
                 5: ('functions', 'STRING'), 6: ('frames', 'FRAME'), 7: ('callstacks', 'CALLSTACK'),
                 17: ('paths', 'STRING'), 18: ('sources', 'STRING'), 19: ('mappings', 'MAPPING')},
    'STRING': {1: ('iid', 'int'), 2: ('str', 'str')},
    'FRAME': {1: ('iid', 'int'), 2: ('function', 'int'), 3: ('mapping', 'int'), 4: ('pc', 'int'), 5: ('source', 'int'),
              6: ('line', 'int')},
    'CALLSTACK': {1: ('iid', 'int'), 2: ('frames', 'int')},
    'MAPPING': {1: ('iid', 'int'), 7: ('path', 'int')},
    'SAMPLE': {1: ('cpu', 'int'), 2: ('pid', 'int'), 3: ('tid', 'int'), 4: ('callstack', 'int')},
}
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def varint(b, i):
    v = shift = 0
    while True:
        c = b[i]
        i += 1
        v |= (c & 0x7f) << shift
        shift += 7
        if c < 0x80:
            return v & (1 << 64) - 1, i


def parse(b, message):
    """A message as {name: [values]}. A field that is not in the schema, or of another type, is an error."""
    out = collections.defaultdict(list)
    i = 0
    while i < len(b):
        tag, i = varint(b, i)
        name, kind = SCHEMA[message][tag >> 3]
        wire = tag & 7
        assert wire == {'int': 0, 'fixed': 1}.get(kind, 2), f'{message}.{name}: wire type {wire}'
        if wire == 0:
            v, i = varint(b, i)
        elif wire == 1:
            v, i = struct.unpack_from('<Q', b, i)[0], i + 8
        else:
            n, i = varint(b, i)
            v, i = b[i:i + n], i + n
            assert len(v) == n, f'{message}.{name}: cut'
            v = v.decode() if kind == 'str' else parse(v, kind)
        out[name].append(v)
    return out


def packets(b):
    i = 0
    while i < len(b):
        tag, i = varint(b, i)
        assert tag == 1 << 3 | 2, f'tag {tag} at {i}'
        n, i = varint(b, i)
        yield parse(b[i:i + n], 'PACKET')
        i += n


class Trace:
    """What a trace says. problems: what its readers would not like."""

    def __init__(self, data):
        self.problems = []
        self.interned = collections.defaultdict(dict)
        self.tracks = {}
        self.events = []
        self.samples = []
        self.clock = None
        self.packets = 0
        for p in packets(data):
            self.packet(p)
        # Importers sort by time; packets of the same time stay in the order of the file.
        self.events.sort(key=lambda e: e[0])
        self.nest()

    def problem(self, text):
        if len(self.problems) < 20:
            self.problems.append(text)

    def packet(self, p):
        self.packets += 1
        first = self.packets == 1
        flags = p['flags'][0] if p['flags'] else 0
        if p['sequence'] != [1]:
            self.problem(f'packet {self.packets}: sequence {p["sequence"]}')
        if first != bool(flags & 1) or first != bool(p['first']):
            self.problem(f'packet {self.packets}: flags {flags}')
        if not first and not flags & 2:
            self.problem(f'packet {self.packets} does not need the state it uses')
        if p['defaults']:
            self.clock = p['defaults'][0]['clock'][0]
        for snapshot in p['clock_snapshot']:
            if snapshot['primary'] != [self.clock]:
                self.problem('the clock of the trace is not that of the timestamps')
        for i in p['interned']:
            self.intern(i)
        for t in p['track']:
            self.track(t)
        for e in p['event']:
            self.event(p, e)
        for s in p['sample']:
            self.samples.append(s)
            self.known('callstacks', s['callstack'])

    def intern(self, data):
        for table, values in data.items():
            for v in values:
                iid = v['iid'][0]
                if iid in self.interned[table]:
                    self.problem(f'{table} {iid} is defined twice')
                self.interned[table][iid] = v
        for f in data['frames']:
            self.known('functions', f['function'])
            self.known('sources', f['source'])
            self.known('mappings', f['mapping'])
        for c in data['callstacks']:
            self.known('frames', c['frames'])
        for m in data['mappings']:
            self.known('paths', m['path'])

    def known(self, table, iids):
        for iid in iids:
            if iid not in self.interned[table]:
                self.problem(f'{table} {iid} is not defined before it is used')

    def track(self, t):
        uuid = t['uuid'][0]
        if uuid in self.tracks:
            self.problem(f'track {uuid} is described twice')
        for parent in t['parent']:
            if parent not in self.tracks:
                self.problem(f'track {uuid}: parent {parent} is not described')
        self.tracks[uuid] = t

    def event(self, p, e):
        kind, track = e['type'][0], e['track'][0]
        if track not in self.tracks:
            self.problem(f'event on track {track}, which is not described')
            return
        if (kind == COUNTER) != bool(self.tracks[track]['counter']):
            self.problem(f'event of type {kind} on track {track}')
        self.known('names', e['name'])
        self.known('categories', e['category'])
        self.known('callstacks', e['callstack'])
        for a in e['annotation']:
            self.known('annotations', a['name'])
        if kind in (BEGIN, INSTANT) and not e['name']:
            self.problem('a slice without a name')
        if not p['timestamp']:
            self.problem('an event without a time')
        self.events.append((p['timestamp'][0], kind, track, e))

    def name(self, e):
        return self.interned['names'][e['name'][0]]['str'][0] if e['name'] else ''

    def nest(self):
        self.slices = []  # track, begin, end, name, depth, event
        begun, ended = collections.Counter(), collections.Counter()
        stacks = collections.defaultdict(list)
        for t, kind, track, e in self.events:
            begun.update(e['flow'])
            ended.update(e['flow_end'])
            if kind == BEGIN:
                stacks[track].append((t, e))
            elif kind == END:
                if not stacks[track]:
                    self.problem(f'an end on track {track} where nothing is open')
                    continue
                b, begin = stacks[track].pop()
                self.slices.append((track, b, t, self.name(begin), len(stacks[track]), begin))
        for track, s in stacks.items():
            if s:
                self.problem(f'track {track}: {len(s)} slices without an end')
        self.flows = sum(1 for f in begun if f in ended)
        if [f for f, n in begun.items() if n > 1] or [f for f in ended if f not in begun]:
            self.problem('flows that begin twice or never')

    def track_name(self, uuid):
        t = self.tracks[uuid]
        return t['name'][0] if t['name'] else t['thread'][0]['tid'][0] if t['thread'] else 'process'


def strict(data):
    """Perfetto's own classes: no field that they do not know. Returns None if they are not here."""
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb
        from google.protobuf import unknown_fields
    except ImportError:
        return None
    trace = pb.Trace()
    trace.ParseFromString(data)
    problems = []

    def walk(m):
        for f in unknown_fields.UnknownFieldSet(m):
            problems.append(f'{m.DESCRIPTOR.name}: unknown field {f.field_number}')
        for d, v in m.ListFields():
            if d.type == d.TYPE_MESSAGE:
                for x in v if d.is_repeated else [v]:
                    walk(x)

    walk(trace)
    return problems


def main():
    failed = False
    for name in sys.argv[1:]:
        with open(name, 'rb') as f:
            data = f.read()
        t = Trace(data)
        theirs = strict(data)
        failed |= bool(t.problems or theirs)
        print(f'{name}: {t.packets} packets, {len(t.tracks)} tracks, {len(t.slices)} slices, {t.flows} flows, '
              f'{len(t.samples)} samples; perfetto\'s classes: {"not installed" if theirs is None else theirs[:5]}')
        for p in t.problems:
            print(' ', p)
    sys.exit(failed)


if __name__ == '__main__':
    main()
