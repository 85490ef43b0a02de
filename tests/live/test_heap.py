#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The page heap as gosonde reads it from outside, against what the Go runtime says of itself: runtime/metrics,
runtime.MemStats, runtime.MemProfile.

    test_heap.py [RELEASE[/VARIANT]]...
    test_heap.py all

Default: 1.19, 1.22, 1.25, and the newest, also stripped.
"""
import collections
import json
import os
import shutil
import struct
import subprocess
import sys

from harness import BUILD, ROOT, Skip, Target, go_command, run_checked, tap, target_path, tmp_dir

PAGE = 8192
# The answer that carries the truth is built after the truth was read: a few pages of small objects. Where only one answer
# is at hand it may be off by so much.
SLACK = 16 * PAGE
CHUNK = 256 << 10
DEFAULT = ['1.19/default', '1.19/stripped', '1.22/default', '1.25/default', 'newest/default', 'newest/stripped']
VARIANTS = ['default', 'stripped', 'pie', 'noopt', 'cgo']

CLASSES = {
    'heap_free': 'heap/free', 'heap_objects': 'heap/objects', 'heap_released': 'heap/released',
    'heap_stacks': 'heap/stacks', 'heap_unused': 'heap/unused', 'mcache_free': 'metadata/mcache/free',
    'mcache_inuse': 'metadata/mcache/inuse', 'mspan_free': 'metadata/mspan/free',
    'mspan_inuse': 'metadata/mspan/inuse', 'metadata_other': 'metadata/other', 'os_stacks': 'os-stacks',
    'other': 'other', 'profiling_buckets': 'profiling/buckets', 'total': 'total',
}


def heap_print(*args, timeout=60):
    r = subprocess.run([BUILD / 'tests' / 'live' / 'heap_print', *map(str, args)], capture_output=True, text=True,
                       errors='replace', timeout=timeout)
    if r.returncode:
        raise AssertionError(f'heap_print {args}: exit {r.returncode}\n{r.stderr[-1500:]}')
    return json.loads(r.stdout)


def within(got, a, b, slack=PAGE):
    """What was read between two answers is between them, or next to it: the runtime's own thread may return a page."""
    return min(a, b) - slack <= got <= max(a, b) + slack


def compare(title, truth, seen, after):
    """Every class within one page of what the runtime says before and after the look."""
    metrics, stats, mine = truth['metrics'], truth['stats'], seen['stats']
    later, later_stats = after['metrics'], after['stats']
    off = []

    def ask(m, metric):
        return m[f'/memory/classes/{metric}:bytes']
    for name, metric in CLASSES.items():
        want, then = ask(metrics, metric), ask(later, metric)
        # Free slots are used up by objects and come with spans: neither falls nor rises only.
        slack = 0 if name == 'os_stacks' else PAGE
        if name == 'heap_unused':
            slack += abs(ask(later, 'heap/objects') - ask(metrics, 'heap/objects')) + abs(then - want)
        if not within(mine[name], want, then, slack):
            off.append(f'{name}: {mine[name]}, the runtime says {want} before and {then} after')
    tap.ok(not off, f'{title}: memory classes', *off)

    work = mine['work_buffers']
    used = seen['in_use_pages'] + seen['stack_pages'] + seen['work_pages']

    def whole(m, s):
        return s['HeapSys'] + s['StackInuse'] + work - ask(m, 'os-stacks')
    pages = {
        'pages in use': (seen['in_use_pages'] * PAGE, stats['HeapInuse'], later_stats['HeapInuse']),
        'pages of stacks': (seen['stack_pages'] * PAGE, stats['StackInuse'] - ask(metrics, 'os-stacks'),
                            later_stats['StackInuse'] - ask(later, 'os-stacks')),
        'free pages kept': (seen['kept'], ask(metrics, 'heap/free'), ask(later, 'heap/free')),
        'free pages returned': (seen['returned'], ask(metrics, 'heap/released'), ask(later, 'heap/released')),
        'work buffers': (seen['work_pages'] * PAGE, work, work),
        'all pages': (used * PAGE + seen['kept'] + seen['returned'], whole(metrics, stats), whole(later, later_stats)),
    }
    off = [f'{k}: {got}, the runtime says {a} before and {b} after' for k, (got, a, b) in pages.items() if not within(got, a, b)]
    tap.ok(not off, f'{title}: pages', *off)
    tap.ok(used + (seen['kept'] + seen['returned']) // PAGE <= len(seen['arenas']) * 8192,
           f'{title}: no more pages than arenas have', seen)

    # The answer's own objects are the difference.
    near = {
        'objects': (seen['allocated'], stats['HeapObjects'], 3000),
        'counted objects': (mine['objects'], metrics['/gc/heap/objects:objects'], 3000),
        # With a limit it depends on what is mapped, and there always is one: the largest number.
        'heap goal': (mine['heap_goal'], metrics['/gc/heap/goal:bytes'], CHUNK + SLACK),
        'collections': (mine['gc_count'], stats['NumGC'], 0),
        'forced collections': (mine['gc_forced'], stats['NumForcedGC'], 0),
        'time of the last collection': (mine['last_gc_unix_ns'], stats['LastGC'], 0),
    }
    off = [f'{k}: {a}, the runtime says {b}' for k, (a, b, d) in near.items() if abs(a - b) > d]
    tap.ok(not off, f'{title}: objects and collections', *off)
    bad = {k: seen[k] for k in ('bad_spans', 'bad_ranges', 'bad_meta')}
    tap.ok(not any(bad.values()) and not seen['incomplete'], f'{title}: lists are sorted and complete', bad,
           seen['incomplete'])


def anonymous(pid):
    """[(start, end)] of private anonymous mappings."""
    found = []
    with open(f'/proc/{pid}/maps') as f:
        for line in f:
            w = line.split(maxsplit=5)
            name = w[5].strip() if len(w) > 5 else ''
            if w[3] == '00:00' and w[4] == '0' and (not name or name.startswith('[anon')):
                found.append(tuple(int(x, 16) for x in w[0].split('-')))
    return found


def covered(part, ranges):
    return sum(max(0, min(part[1], b) - max(part[0], a)) for a, b in ranges)


def writable_segments(pid, exe):
    """Address ranges that the executable's own data has, .bss among it: it is anonymous memory behind the file's."""
    out = run_checked(['readelf', '-lW', exe])
    starts = []
    with open(f'/proc/{pid}/maps') as f:
        for line in f:
            if line.rstrip().endswith(os.path.realpath(exe)):
                starts.append(int(line.split('-')[0], 16))
    is_pie = 'DYN' in out.splitlines()[1]
    loads = [(int(w[2], 16), int(w[5], 16)) for w in map(str.split, out.splitlines()) if w and w[0] == 'LOAD']
    bias = min(starts) - (min(loads)[0] & ~4095) if is_pie else 0
    return [((at + bias) & ~4095, (at + bias + size + 4095) & ~4095) for at, size in loads]


def check_meta(title, t, seen):
    """The runtime's own memory: what it lists is mapped, and together with arenas and data nearly all there is."""
    meta = [(a, b) for a, b, _ in seen['meta']]
    maps = anonymous(t.pid)
    unmapped = [f'{hex(a)}-{hex(b)} {k}' for a, b, k in seen['meta'] if covered((a, b), maps) != b - a]
    tap.ok(not unmapped, f'{title}: the runtime\'s own memory is mapped', *unmapped)
    kinds = {k for _, _, k in seen['meta']}
    tap.ok(kinds >= {'arenas', 'page_alloc', 'persistent', 'gc_bits', 'profile'}, f'{title}: all kinds of it are there',
           kinds)
    if 'cgo' in title:
        return  # ld.so and libc have anonymous memory, too
    known = meta + [(a, a + (64 << 20)) for a in seen['arenas']] + writable_segments(t.pid, t.exe)
    rest = sum(b - a - covered((a, b), known) for a, b in maps)
    # Stacks of threads that the runtime makes, and states of vgetrandom.
    allowed = seen['stats']['os_stacks'] + (64 << 10)
    if 'pie' in title:
        allowed += 256 << 10  # ld.so was there first
    tap.ok(rest <= allowed, f'{title}: nearly all of the process is known ({rest} bytes are not)', allowed)


def look(title, t, meta=False):
    truth = t.command('metrics')
    seen = heap_print(t.pid)
    compare(title, truth, seen, t.command('metrics'))
    if meta:
        check_meta(title, t, seen)
    return seen


def check_phases(release, variant):
    title = f'{release} {variant}'
    with Target(target_path('heap', release, variant), env={'GOGC': 'off', 'GODEBUG': ''}) as t:
        look(f'{title}, at start', t)
        t.command('grow')
        seen = look(f'{title}, grown', t, meta=True)
        tap.ok(seen['large'] >= 30 and seen['specials'] > 0 and seen['noscan_pages'] > 2000, f'{title}: kinds of spans', seen)
        if t.minor >= 22:
            tap.ok(seen['bitmap'] > 300 and seen['headers'] > 100, f'{title}: where pointers are', seen)
        else:
            tap.ok(seen['bitmap'] == seen['headers'] == 0, f'{title}: pointers are told by arenas', seen)
        t.command('drop')
        seen = look(f'{title}, dropped', t)
        tap.ok(seen['kept'] > 2 << 20, f'{title}: free pages are kept', seen['kept'])
        t.command('stacks')
        seen = look(f'{title}, with stacks', t)
        tap.ok(seen['stack_pages'] * PAGE > 40 << 20, f'{title}: stacks are large', seen['stack_pages'])
        t.command('unstacks')
        t.command('release')
        seen = look(f'{title}, released', t)
        tap.ok(seen['kept'] < 2 << 20 and seen['returned'] > 20 << 20, f'{title}: pages were returned', seen['kept'],
               seen['returned'])
        t.command('grow')
        look(f'{title}, grown again', t, meta=True)
        check_settings(title, heap_print(t.pid)['stats'], t.minor, -1, 2**63 - 1, False)


def check_settings(title, got, minor, percent, limit, madv_free):
    with open('/sys/kernel/mm/transparent_hugepage/hpage_pmd_size') as f:
        huge = int(f.read())
    want = {'gc_percent': percent, 'memory_limit': limit, 'madv_free': int(madv_free), 'has_scavenger': 1,
            'physical_huge_page': huge, 'enable_gc': 1}
    off = [f'{k}: {got[k]} instead of {v}' for k, v in want.items() if got[k] != v]
    tap.ok(not off, f'{title}: settings', *off)
    known = got['released_background'] != 2**64 - 1 and got['released_eager'] != 2**64 - 1
    tap.ok(known == (minor >= 21), f'{title}: what the scavenger did', got)


def check_limits(release, variant):
    """A memory limit below what is in use: goals of pacer and scavenger follow from it."""
    title = f'{release} {variant} with a limit'
    limit = 40 << 20
    env = {'GOGC': '50', 'GOMEMLIMIT': str(limit), 'GODEBUG': 'madvdontneed=0'}
    with Target(target_path('heap', release, variant), env=env) as t:
        for command in ('grow', 'drop', 'gc'):
            t.command(command)
        truth = t.command('metrics')
        got = heap_print(t.pid)['stats']
        check_settings(title, got, t.minor, 50, limit, True)
        goal = truth['metrics']['/gc/heap/goal:bytes']
        tap.ok(abs(got['heap_goal'] - goal) <= CHUNK + SLACK and goal < limit, f'{title}: the heap goal', got['heap_goal'], goal)
        # gcPaceScavenger: 95% of the limit, if what is ready is above that.
        tap.ok(got['memory_limit_goal'] in (limit * 95 // 100, int(limit * 0.95), 2**64 - 1), f'{title}: the scavenger\'s goal',
               got['memory_limit_goal'], got['mapped_ready'])
        tap.ok(0 < got['gc_percent_goal'] < 1 << 40 or got['gc_percent_goal'] == 2**64 - 1, f'{title}: its other goal',
               got['gc_percent_goal'])


def short(name):
    """The name as runtime.Frame has it: type arguments are left out."""
    if '[' not in name:
        return name
    return name[:name.index('[')] + '[...]' + name[name.rindex(']') + 1:]


def check_profile(release, variant):
    title = f'{release} {variant} profile'
    with Target(target_path('heap', release, variant), '-rate', '4000', env={'GOGC': 'off'}) as t:
        t.command('grow')
        t.command('drop')
        truth = t.command('sites')
        got = heap_print('sites', t.pid)
        # MemProfileRecord has room for 32 calls.
        want, mine = collections.Counter(), collections.Counter()
        for s in truth['sites']:
            want[(tuple(s['stack']), s['size'])] += s['allocs'] + 1j * s['frees']
        for s in got['sites']:
            mine[(tuple(short(n) for n in s['stack'][:32]), s['size'])] += s['allocs'] + 1j * s['frees']
        off = [f'{k}: {mine.get(k)} instead of {v}' for k, v in want.items() if mine.get(k) != v]
        tap.ok(not off and len(want) > 10, f'{title}: {len(want)} sites as runtime.MemProfile has them', *off)
        more = [k for k in mine if k not in want]
        tap.ok(not more, f'{title}: no others', *more)
        tap.ok(got['profiled'] and got['rate'] == truth['rate'] == 4000, f'{title}: the rate', got['rate'])
        tap.ok(all(s['alloc_bytes'] == s['allocs'] * s['size'] and s['free_bytes'] == s['frees'] * s['size']
                   for s in got['sites']), f'{title}: bytes')
        inlined = [s for s in got['sites'] if 'main.newHeader' in s['stack']]
        tap.ok(inlined and all(s['stack'].count('main.growHeaders') == 1 for s in inlined), f'{title}: inlined callers stand once',
               *inlined[:2])


UNPROFILED = """package main
import ("fmt"; "os"; "runtime")
var keep [][]byte
func main() {
	for i := 0; i < 100; i++ { keep = append(keep, make([]byte, 100000)) }
	fmt.Printf("{\\"pid\\":%d,\\"go\\":%q}\\n", os.Getpid(), runtime.Version())
	var line [16]byte
	os.Stdin.Read(line[:])
}
"""


def check_no_profile(release):
    """A program that never asks for the profile has none: the linker switches it off. (All targets can ask.)"""
    source, program = tmp_dir() / 'unprofiled.go', tmp_dir() / f'unprofiled-{release}'
    source.write_text(UNPROFILED)
    run_checked([go_command(release), 'build', '-o', program, source], cwd=tmp_dir(),
                env=dict(os.environ, GO111MODULE='off', GOTOOLCHAIN='local', GOFLAGS='', CGO_ENABLED='0'))
    with Target(program) as t:
        got = heap_print('sites', t.pid)
        tap.ok(not got['profiled'] and got['rate'] == 0 and not got['sites'], f'{release}: a program without a profile', got)


def check_modules(release):
    path = target_path('plugin', release, 'default')
    with Target(path) as t:
        got = heap_print('modules', t.pid)['modules']
        maps = {}
        with open(f'/proc/{t.pid}/maps') as f:
            for line in f:
                w = line.split(maxsplit=5)
                if len(w) > 5:
                    a, b = (int(x, 16) for x in w[0].split('-'))
                    maps.setdefault(w[5].strip(), []).append((a, b))
        real = os.path.realpath(path)
        tap.equal([bool(m['path']) for m in got], [False, True], f'{release}: the executable, then the plugin', got)
        for m, file in zip(got, (real, real + '.so')):
            inside = all(any(a <= m[k] < b for a, b in maps[file]) for k in ('text', 'types', 'pclntab'))
            tap.ok(inside and m['etext'] > m['text'] and m['pclntab_end'] > m['pclntab'],
                   f'{release}: module {m["path"]!r} is where {os.path.basename(file)} is mapped', m)
        tap.ok(got[0]['has_main'] and not got[-1]['has_main'] and not any(m['bad'] for m in got), f'{release}: flags', got)


def check_refused_plugin(release):
    """The same plugin from another file: plugin.Open refuses it, but it stays in the list, and mapped."""
    path = target_path('plugin', release, 'default')
    copy = tmp_dir() / 'copy.so'
    shutil.copyfile(f'{path}.so', copy)
    with Target(path, '-again', copy) as t:
        got = heap_print('modules', t.pid)['modules']
        tap.equal([m['bad'] for m in got], [0, 0, 1], f'{release}: the refused plugin is bad', got)
        tap.equal(got[1]['path'], got[-1]['path'], f'{release}: and has the same path', got)


def check_busy(release):
    """A program that allocates and collects all the time: what is read at different moments still fits together."""
    with Target(target_path('churn', release, 'default'), env={'GOGC': '20'}) as t:
        reads = [heap_print(t.pid) for _ in range(20)]
        bad = [(r['bad_spans'], r['bad_ranges'], r['bad_meta']) for r in reads]
        tap.ok(not any(map(any, bad)), f'{release}: lists of a busy heap are sorted and disjoint', bad)
        lost = [r['incomplete'] for r in reads]
        tap.ok(sum(sum(x.values()) for x in lost) < 20 * 200, f'{release}: nearly all of it is read', *lost)
        pages = [(r['in_use_pages'] + r['stack_pages'] + r['work_pages'], r['stats']) for r in reads]
        off = [f'{n} pages, the counters say {c}' for n, s in pages for c in
               [(s['heap_objects'] + s['heap_unused'] + s['heap_stacks'] + s['work_buffers']) // PAGE] if abs(n - c) > 0.2 * c + 200]
        tap.ok(len(off) <= 4, f'{release}: pages are as many as the counters say', *off)


def core_of(t):
    core = tmp_dir() / f'core.{t.pid}'
    r = subprocess.run(['gdb', '-q', '-batch', '-p', str(t.pid), '-ex', f'generate-core-file {core}'],
                       capture_output=True, text=True)
    if not core.exists():
        raise AssertionError(f'gdb wrote no core: {r.stderr[-500:]}')
    return core


def segments(core):
    """[(address, offset, size)] of the PT_LOADs."""
    with open(core, 'rb') as f:
        head = f.read(64)
        phoff, = struct.unpack_from('<Q', head, 32)
        n, = struct.unpack_from('<H', head, 56)
        f.seek(phoff)
        rows = [struct.unpack('<IIQQQQQQ', f.read(56)) for _ in range(n)]
    return [(r[3], r[2], r[5]) for r in rows if r[0] == 1 and r[5]]


def check_damage(release):
    """A core file whose page heap is scribbled over: no crash, no endless loop, the rest is there."""
    if not shutil.which('gdb'):
        raise Skip('no gdb to write a core file with. Run: apt-get install gdb')
    with Target(target_path('heap', release, 'default'), env={'GOGC': 'off'}) as t:
        t.command('grow')
        t.command('drop')
        whole = heap_print(t.pid)
        core = core_of(t)
    same = heap_print(core, t.exe)
    keys = ('in_use_pages', 'stack_pages', 'kept', 'returned', 'spans', 'slots')
    tap.equal({k: same[k] for k in keys}, {k: whole[k] for k in keys}, f'{release}: a core file says the same')
    mheap = int(next(l.split()[1] for l in run_checked(['readelf', '-sW', t.exe]).splitlines()
                     if l.endswith(' runtime.mheap_')), 16)
    where = segments(core)
    ranges = [(mheap, mheap + 93000)] + [(a, min(b, a + (1 << 20))) for a, b, k in whole['meta']
                                         if k in ('arenas', 'persistent', 'gc_bits', 'page_alloc')]
    seed, troubles, unsupported = 1, [], 0
    with open(core, 'r+b') as f:
        for round_ in range(40):
            undo = []
            for _ in range(1 << (round_ % 10)):
                seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
                a, b = ranges[(seed >> 33) % len(ranges)]
                at = a + (seed >> 20) % ((b - a) // 8) * 8
                value = [0, seed, 2**64 - 1, at, a, whole['arenas'][0] + (seed >> 40) % (1 << 22), 1 << 47][seed % 7]
                for start, offset, size in where:
                    if start <= at < start + size - 8:
                        f.seek(offset + at - start)
                        undo.append((offset + at - start, f.read(8)))
                        f.seek(offset + at - start)
                        f.write(struct.pack('<Q', value))
            f.flush()
            r = subprocess.run([BUILD / 'tests' / 'live' / 'heap_print', core, t.exe], capture_output=True, text=True,
                               timeout=30)
            unsupported += r.returncode == 1
            if r.returncode not in (0, 1) or (r.returncode == 0 and json.loads(r.stdout)['bad_spans']):
                troubles.append(f'round {round_}: exit {r.returncode} {r.stderr[-300:]}')
            for at, old in reversed(undo):
                f.seek(at)
                f.write(old)
    tap.ok(not troubles, f'{release}: damaged heaps are survived ({unsupported} of 40 refused)', *troubles)


def main():
    args = sys.argv[1:]
    if args == ['all']:
        args = [f'{r}/{v}' for r in run_checked([ROOT / 'tools' / 'go_toolchain', '--list']).split() for v in VARIANTS]
    tests = []

    def add(name, f, *a):
        def test():
            f(*a)
        test.__name__ = '_'.join([name, *map(str, a)])
        tests.append(test)

    for arg in args or DEFAULT:
        release, _, variant = arg.partition('/')
        variant = variant or 'default'
        add('phases', check_phases, release, variant)
        add('limits', check_limits, release, variant)
        add('profile', check_profile, release, variant)
        if variant == 'default':
            add('no_profile', check_no_profile, release)
    for release in ['newest'] if args else ['1.19', 'newest']:
        add('modules', check_modules, release)
        add('refused_plugin', check_refused_plugin, release)
        add('busy', check_busy, release)
        add('damage', check_damage, release)
    tap.run(*tests)


if __name__ == '__main__':
    main()
