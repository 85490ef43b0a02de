#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde mem, mem --objects and leaks on core files whose heap is damaged: no crash, bounded time and memory, and a word
about what could not be read.

    test_memory_corrupt.py RELEASE [COPIES [FIRST [PROGRAM…]]]

Core files of programs with leaks, with typed objects and with a large heap are damaged, COPIES times each: words of
spans, arenas, the page heap, goroutines, sudogs, stacks, objects, variables, type descriptors and function tables become
null, all ones, pointers to themselves, to each other, into the heap or out of it, and absurd counts. The number of a copy
decides which words (`test_memory_corrupt.py newest 1 NUMBER leaks` is nearly that one again, but each process lies
elsewhere). Where things stand is looked up here, by symbols and by what they look like; a word that is none is damage too.
With a gosonde that was built with sanitizers, what these report is a failure.
"""
import array
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

import cores
from harness import (FAILED, GOSONDE, INCOMPLETE, OK, TARGET, CorePattern, Target, run_checked, start, tap,
                     target_path, tmp_dir, unlimited_cores)

RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
COPIES = int(sys.argv[2]) if len(sys.argv) > 2 else 8
FIRST = int(sys.argv[3]) if len(sys.argv) > 3 else 1
PROGRAMS = sys.argv[4:] or ['leaks', 'objects', 'bigheap']

ARGUMENTS = {'leaks': ['-what', 'all'], 'objects': ['-n', '500', '-workers', '20'], 'bigheap': ['-mb', '32']}
COMMANDS = {'mem': ['mem'], 'objects': ['mem', '--objects'], 'leaks': ['leaks']}
LEAKS = 10
SECONDS = 60          # of a run; a whole core takes a second with sanitizers
RSS_KIB = 1536 << 10  # that it may have
ARENA = 64 << 20
WORD = struct.Struct('<Q')
SANITIZERS = {'ASAN_OPTIONS': 'exitcode=99:allocator_may_return_null=1:detect_leaks=1',
              'UBSAN_OPTIONS': 'halt_on_error=1:exitcode=99:print_stacktrace=1'}


class Image:
    """A core file, or the program's file, read and written by address; what was written can be taken back."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, 'r+b', buffering=0)
        header = self.file.read(64)
        phoff, phentsize, phnum = WORD.unpack_from(header, 32)[0], *struct.unpack_from('<HH', header, 54)
        self.loads = []
        for i in range(phnum):
            kind, flags, offset, address, _, size = struct.unpack('<IIQQQQ', os.pread(self.file.fileno(), 40,
                                                                                      phoff + i * phentsize))
            if kind == 1 and size:
                self.loads.append((address, size, offset, flags))
        self.old = []

    def offset(self, address):
        for start, size, offset, _ in self.loads:
            if start <= address <= start + size - 8:
                return offset + address - start
        return None

    def words(self, address, n):
        """Fewer than @n at the end of a mapping."""
        at = self.offset(address)
        data = os.pread(self.file.fileno(), n * 8, at) if at is not None else b''
        return array.array('Q', data[:len(data) // 8 * 8])

    def word(self, address):
        return next(iter(self.words(address, 1)), 0)

    def put(self, address, value):
        at = self.offset(address)
        if at is None:
            return
        self.old.append((at, os.pread(self.file.fileno(), 8, at)))
        os.pwrite(self.file.fileno(), WORD.pack(value & (1 << 64) - 1), at)

    def restore(self):
        while self.old:
            at, data = self.old.pop()
            os.pwrite(self.file.fileno(), data, at)

    def used(self):
        """Parts of writable mappings that are no holes of the file: (address, words)."""
        for start, size, offset, flags in self.loads:
            at = offset
            while flags & 2 and at < offset + size:
                try:
                    at = max(os.lseek(self.file.fileno(), at, os.SEEK_DATA), offset)
                    end = min(os.lseek(self.file.fileno(), at, os.SEEK_HOLE), offset + size)
                except OSError:
                    break
                at += -(at - offset) % 8
                if at + 8 <= end:
                    yield start + at - offset, self.words(start + at - offset, (end - at) // 8)
                at = end


class Places:
    """Addresses of words, by what they belong to: structures as (start, bytes), and lone words."""

    def __init__(self, core, exe):
        self.core = core
        self.symbols = symbols(exe)
        allgs = self.symbols['runtime.allgs'][0]
        self.gs = list(core.words(core.word(allgs), core.word(allgs + 8)))
        self.heap = min(self.gs) & -ARENA
        parts = list(core.used())
        self.objects = [(a, len(w) * 8) for a, w in parts if self.in_heap(a)]
        lowest = min(a for a, _, _, _ in core.loads)
        program = [(a, len(w) * 8) for a, w in parts if a < lowest + (1 << 24)]
        tables = [(a, w) for a, w in parts if not self.in_heap(a) and a >= lowest + (1 << 24)]
        types = range_of(self.symbols, 'runtime.types', 'runtime.etypes')
        spans = set()
        for a, w in tables:
            spans.update(self.find_spans(a, w))
        self.structures = {
            'span': [(s, 160) for s in sorted(spans)],
            'g': [(g, 480) for g in self.gs],
            'sudog': [(s, 104) for s in self.sudogs()],
            'stack': self.stacks(),
            'arena': [(a + i * 8, 8) for a, w in tables for i, v in enumerate(w) if v in spans],
            'mheap': [self.symbols['runtime.mheap_']],
            'page_alloc': [(self.symbols['runtime.mheap_'][0], 2048)],
            'moduledata': [self.symbols['runtime.firstmoduledata']],
            'bucket': [(b, 256) for b in self.buckets()],
            'chan': [(v, 96) for s in self.sudogs() for v in core.words(s + 8, 12) if self.in_heap(v)],
            'type_header': [(a + i * 8, 8) for a, w in parts if self.in_heap(a) for i, v in enumerate(w)
                            if types and types[0] <= v < types[0] + types[1]],
            'runtime': [v for k, v in sorted(self.symbols.items()) if v[1] >= 8 and core.offset(v[0]) is not None and
                        program and program[0][0] <= v[0]],
            'table': [(a, len(w) * 8) for a, w in tables],
            'variable': program,
            'object': self.objects,
        }
        self.typed = [types, range_of(self.symbols, 'runtime.pclntab', 'runtime.epclntab')]

    def in_heap(self, address):
        return self.heap <= address < self.heap + 4 * ARENA

    def find_spans(self, address, words):
        """next, prev, list, startAddr, npages: pages of the heap, and how many."""
        for i in range(3, len(words) - 18):
            v = words[i]
            if self.in_heap(v) and v % 8192 == 0 and 0 < words[i + 1] <= 8192 and not self.in_heap(words[i - 3]):
                yield address + (i - 3) * 8

    def buckets(self):
        """Of the memory profile: a list by its second word."""
        at = self.core.word(self.symbols['runtime.mbuckets'][0])
        while at and self.core.offset(at):
            yield at
            at = self.core.word(at + 8)

    def sudogs(self):
        """A sudog begins with its goroutine, which points at it."""
        return [v for g in self.gs for v in self.core.words(g, 60) if self.in_heap(v) and self.core.word(v) == g]

    def stacks(self):
        bounds = [self.core.words(g, 2) for g in self.gs]
        return [(hi - 1024, 1024) for lo, hi in bounds if self.in_heap(lo) and lo < hi]

    def kinds(self):
        return sorted(k for k, v in self.structures.items() if v)


def symbols(exe):
    found = {}
    for line in run_checked(['nm', '-S', exe]).splitlines():
        parts = line.split()
        if parts[-1].startswith('runtime.') and len(parts) >= 3:
            found[parts[-1]] = (int(parts[0], 16), int(parts[1], 16) if len(parts) == 4 else 0)
    return found


def range_of(names, first, last):
    """(start, bytes); none if the program does not say."""
    if first not in names or last not in names or names[last][0] <= names[first][0]:
        return None
    return names[first][0], names[last][0] - names[first][0]


def some_value(rng, places, address, start):
    """What a word becomes: @address is its own, @start that of the structure it is in."""
    kind = rng.randrange(14)
    pick = places.structures[rng.choice(places.kinds())]
    return [lambda: 0, lambda: -1, lambda: address, lambda: start, lambda: rng.choice(pick)[0],
            lambda: rng.choice(pick)[0] + rng.randrange(64),
            lambda: places.heap + rng.randrange(1 << 24), lambda: places.heap + rng.randrange(1 << 11) * 8192,
            lambda: rng.choice([1 << 20, 1 << 31, 1 << 32, 1 << 40, 1 << 47, 1 << 63]) - rng.randrange(2),
            lambda: places.core.word(address) ^ 1 << rng.randrange(64),
            lambda: places.core.word(address) | 0xffffffff, lambda: places.core.word(address) + rng.choice([1, 8, 8192]),
            lambda: rng.randrange(256), lambda: rng.getrandbits(64)][kind]()


def damage_words(rng, places, kind):
    """Some words, each of some structure, each its own way."""
    n = 1 << rng.randrange(9)
    for _ in range(n):
        start, size = rng.choice(places.structures[kind])
        address = start + rng.randrange(size // 8) * 8
        places.core.put(address, some_value(rng, places, address, start))
    return f'{n} words of {kind}'


def damage_field(rng, places, kind):
    """One field of many structures, all one way: a whole list leads to itself, every count is absurd."""
    all_of = places.structures[kind]
    at = rng.randrange(min(size for _, size in all_of) // 8) * 8
    way, share = rng.getrandbits(32), rng.choice([1, 1, 0.5, 0.1])
    for start, _ in all_of[:20000]:
        if rng.random() < share:
            places.core.put(start + at, some_value(random.Random(way), places, start + at, start))
    return f'the word at {at} of {share * 100:.0f} % of {len(all_of)} {kind}'


def damage_block(rng, places, kind):
    """A page of it becomes noise, or all the same."""
    start, size = rng.choice(places.structures[kind])
    n, value = min(size // 8, 512), rng.choice([0, (1 << 64) - 1, None])
    begin = start + rng.randrange(size // 8 - n + 1) * 8
    for i in range(n):
        places.core.put(begin + i * 8, rng.getrandbits(64) if value is None else value)
    return f'{n} words on end of {kind}'


def damage_program(rng, places, program):
    """Type descriptors and function tables of the program's file."""
    found = [t for t in places.typed if t]
    start, size = rng.choice(found)
    n = 1 << rng.randrange(4, 13)
    for _ in range(n):
        address = (start + rng.randrange(size - 8)) & -8
        program.put(address, some_value(rng, places, address, start))
    return f'{n} words of the program\'s tables'


def damage(seed, places, program):
    rng = random.Random(seed)
    if seed % 8 == 0:
        return damage_program(rng, places, program)
    said = []
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        how = rng.choice([damage_words, damage_words, damage_field, damage_field, damage_block])
        said.append(how(rng, places, rng.choice(places.kinds())))
    return ', '.join(said)


class Run:
    def __init__(self, command, core, exe):
        self.argv = [GOSONDE, *COMMANDS[command], str(core), '--exe', str(exe), '--format', 'json']
        begin = time.monotonic()
        out, err = tmp_dir() / 'out', tmp_dir() / 'err'
        with open(out, 'wb') as o, open(err, 'wb') as e:
            p = start(self.argv, stdin=subprocess.DEVNULL, stdout=o, stderr=e, env={**os.environ, **SANITIZERS})
            self.late = False
            # wait4 tells the memory; a process that is late is ended, and what it was doing is not known.
            while True:
                pid, status, usage = os.wait4(p.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() - begin > SECONDS and not self.late:
                    self.late = True
                    p.kill()
                time.sleep(0.005)
        p.returncode = self.code = os.waitstatus_to_exitcode(status)
        self.seconds, self.rss = time.monotonic() - begin, usage.ru_maxrss
        self.out, self.err = out.read_bytes(), err.read_bytes().decode('utf-8', 'replace')

    def wrong(self):
        """What is wrong with it; None if nothing."""
        if self.late:
            return f'it did not end within {SECONDS} s'
        if 'runtime error:' in self.err or 'Sanitizer' in self.err:
            return 'a sanitizer reports'
        if self.code not in (OK, FAILED, TARGET, INCOMPLETE, LEAKS):
            return f'it ended with {self.code}'
        if self.rss > RSS_KIB:
            return f'it took {self.rss >> 10} MiB'
        try:
            result = json.loads(self.out)
        except ValueError as e:
            return f'no JSON: {e}'
        if self.code in (FAILED, TARGET):
            return None if result['error']['message'] else 'it failed without a word'
        if self.code == INCOMPLETE and not result['incomplete']:
            return 'incomplete, and nothing says what is missing'
        return None

    def said(self):
        return f'{self.wrong()} {self.err[-3000:]} {self.out[:200] if self.code in (FAILED, TARGET) else ""}'

    def missing(self):
        return {i['what'] for i in json.loads(self.out)['incomplete']} if self.code in (OK, INCOMPLETE, LEAKS) else set()


class Case:
    """A core of a program, ready to be damaged."""

    def __init__(self, name):
        where = cores.fresh_dir(f'corrupt {name}')
        self.exe = where / name
        shutil.copy(target_path(name, RELEASE), self.exe)
        with CorePattern():
            target = Target(self.exe, *ARGUMENTS[name], cwd=where, env={'GOTRACEBACK': 'crash'}, preexec=unlimited_cores)
            target.process.send_signal(signal.SIGABRT)
            target.process.wait(120)
        self.name, self.path = name, cores.only_core(where, 'core*')
        self.core, self.program = Image(self.path), Image(self.exe)
        self.places = Places(self.core, self.exe)
        tap.note(f'{name}: {", ".join(f"{len(v)} {k}" for k, v in self.places.structures.items())}')

    def run_all(self):
        return {c: Run(c, self.path, self.exe) for c in COMMANDS}

    def undo(self):
        self.core.restore()
        self.program.restore()

    def remove(self):
        shutil.rmtree(self.path.parent)


def whole(case):
    """Undamaged it is read whole: otherwise nothing below means anything."""
    bad = [f'{c}: exit {r.code}: {r.said()}' for c, r in case.run_all().items()
           if r.wrong() or r.code not in (OK, LEAKS)]
    tap.ok(not bad, f'{case.name}: the core is read whole', *bad)


def copies(case):
    bad, codes, slowest, largest = [], {}, 0, 0
    for seed in range(FIRST, FIRST + COPIES):
        said = damage(seed, case.places, case.program)
        for command, r in case.run_all().items():
            wrong = r.wrong()
            if wrong:
                bad.append(f'copy {seed} ({said}), {command}: {r.said()}')
            codes[r.code] = codes.get(r.code, 0) + 1
            slowest, largest = max(slowest, r.seconds), max(largest, r.rss)
        case.undo()
    tap.ok(not bad, f'{case.name}: {COPIES} damaged copies', *bad)
    tap.note(f'{case.name}: exit codes {dict(sorted(codes.items()))}, at most {slowest:.1f} s and {largest >> 10} MiB')


def told(case):
    """Damage that hides part of the heap is told by each command, or it fails with a word."""
    places = case.places
    spans = sorted(places.structures['span'])
    for what, at, value in (('begin nowhere', 24, 0x123), ('have no end', 32, 1 << 40), ('begin at all ones', 24, -1)):
        for some in (spans[::2], spans[::16]):
            for start, _ in some:
                case.core.put(start + at, value)
            silent = [f'{c}: exit {r.code}: {r.said()}' for c, r in case.run_all().items()
                      if r.wrong() or r.code == OK or r.code == LEAKS and not r.missing()]
            tap.ok(not silent, f'{case.name}: {len(some)} of {len(spans)} spans {what}: that is told', *silent)
            case.undo()


def check():
    for name in PROGRAMS:
        case = Case(name)
        try:
            whole(case)
            told(case)
            copies(case)
        finally:
            case.remove()


tap.run(check)
