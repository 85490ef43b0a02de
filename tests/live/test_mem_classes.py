# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde mem: who owns the resident memory. Programs plant one kind of memory each and say how much (targets memory,
memory_c, plugin); the kernel says how much is resident (smaps_rollup), and the Go runtime what is in its heap
(runtime/metrics).

    test_mem_classes.py RELEASE [VARIANT [go|c|more|all]]
"""
import os
import pathlib
import shutil
import sys
import threading
import time

from cores import only_core
from harness import OK, ROOT, Skip, Target, go_command, gosonde, have, run_checked, tap, target_path, tmp_dir
from shop import Shop

MIB = 1 << 20
PAGE = 8192  # of the Go heap
RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
PARTS = sys.argv[3] if len(sys.argv) > 3 else 'all'


def rollup(pid):
    """What the kernel says is resident, by a walk of all pages."""
    values = {}
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:]:
        key, value = line.split(':')
        values[key] = int(value.split()[0]) * 1024
    return values


class Look:
    """The result of one look, and what the kernel said before and after it."""

    def __init__(self, target, *options, **kw):
        self.before = rollup(target.pid)
        r = gosonde('mem', target.pid, '-f', 'json', *options, **kw)
        self.after = rollup(target.pid)
        if r.code not in (OK, 4):
            raise AssertionError(str(r))
        self.json = r.json()
        self.code = r.code
        self.seconds = r.seconds
        self.classes = {c['name']: c for c in self.json['classes']}
        self.verdict = self.json['verdict']

    def resident(self, *names):
        return sum(self.classes[n]['resident_bytes'] for n in names if n in self.classes)

    def bytes(self, *names):
        return sum(self.classes[n]['bytes'] for n in names if n in self.classes)

    def items(self, name):
        return [i for i in self.json['items'] if i['class'] == name]

    def summary(self):
        return [f'{c["name"]}: {c["resident_bytes"]} of {c["bytes"]}' for c in self.json['classes']] + \
            [v['text'] for v in self.verdict]

    def adds_up(self, name, percent=1.0):
        """Classes add up to what gosonde says is resident, and that is what the kernel says."""
        total = sum(c['resident_bytes'] for c in self.json['classes'])
        tap.equal(total, self.json['rss_bytes'], f'{name}: classes add up to the last byte', *self.summary())
        low = min(self.before['Rss'], self.after['Rss']) * (1 - percent / 100)
        high = max(self.before['Rss'], self.after['Rss']) * (1 + percent / 100)
        tap.ok(low <= total <= high, f'{name}: their sum is the kernel\'s RSS within {percent} %',
               f'{total} is not within {low:.0f} and {high:.0f}', *self.summary())
        unexplained = self.resident('unexplained')
        tap.ok(unexplained <= total * percent / 100, f'{name}: at most {percent} % are unexplained', unexplained,
               *self.summary())

    def names(self, name, klass, words=''):
        found = [v for v in self.verdict if v['class'] == klass and words in v['text']]
        tap.ok(found, f'{name}: the verdict names {klass}{" and says " + repr(words) if words else ""}',
               *self.summary())

    def has_planted(self, name, planted, most=None):
        for klass, size in planted.items():
            got = self.resident(klass)
            tap.ok(got >= size * 0.9, f'{name}: at least nine tenths of what was planted are {klass}',
                   f'{got} of {size}', *self.summary())
            if most:
                tap.ok(got <= size * 1.1 + most, f'{name}: not much more is {klass}', f'{got} of {size}',
                       *self.summary())


def memory(*args, **kw):
    return Target(target_path('memory', RELEASE, VARIANT), *args, **kw)


# --- Go ----------------------------------------------------------------------------------------------------------

def plant(mode, klass=None, *args, words='', most=8 * MIB, **kw):
    with memory('-mode', mode, *args, **kw) as t:
        look = Look(t)
        look.adds_up(mode)
        look.has_planted(mode, t.ready['planted'], most)
        if klass:
            look.names(mode, klass, words)
            tap.equal(look.verdict[0]['class'], klass, f'{mode}: the first sentence is about {klass}', *look.summary())
        return look, t.ready['planted']


def idle():
    look, _ = plant('idle')
    tap.ok(not look.items('plugin_residue') and not look.items('library_residue'), 'idle: no residue')


def loaded():
    plant('loaded', 'heap_live')


def kept():
    look, _ = plant('kept', 'heap_free', words='GC percent goal keeps it')
    tap.ok('GOGC=100000' in look.json['scavenger']['why'], 'kept: the scavenger\'s reason has GOGC',
           look.json['scavenger'])


def behind():
    with memory('-mode', 'behind', '-mb', '192') as t:
        look = Look(t)
        look.adds_up('behind', 3)  # pages are being returned
        free = look.resident('heap_free')
        s = look.json['scavenger']
        if free < 32 * MIB:
            tap.skip('behind: the verdict', 'the scavenger was faster than the test')
            return
        tap.ok(s['behind_bytes'] >= free * 0.6, 'behind: it should return nearly all of it', s, *look.summary())
        look.names('behind', 'heap_free', 'The scavenger is behind')


def fragmented():
    look, _ = plant('fragmented', 'heap_unused', words='Fragmentation')
    top = look.items('heap_unused')[0]
    tap.equal(top['name'], 'slots of 512 bytes', 'fragmented: by size of the slots', top)


def lazy():
    plant('lazy', 'heap_lazy', words='MADV_FREE', env={'GODEBUG': 'madvdontneed=0'})
    with memory('-mode', 'lazy') as t:
        look = Look(t)
        look.adds_up('returned')
        tap.ok(look.resident('heap_returned', 'heap_lazy', 'heap_free') < 8 * MIB and
               look.bytes('heap_returned') > 56 * MIB, 'returned: by MADV_DONTNEED nothing stays', *look.summary())


def limit():
    look, _ = plant('limit', 'heap_live')
    look.names('limit', 'heap_live', 'of its memory limit')


def huge():
    enabled = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')
    if not enabled.exists() or '[never]' in enabled.read_text():
        raise Skip('the kernel makes no transparent huge pages')
    with memory('-mode', 'huge') as t:
        look = Look(t)
        look.adds_up('huge')
        look.has_planted('huge', t.ready['planted'])
        kernel = look.after['AnonHugePages']
        ours = sum(c['huge_bytes'] for c in look.json['classes'])
        if kernel < 32 * MIB:
            tap.skip('huge: the verdict', f'the kernel made only {kernel} bytes of huge pages')
            return
        tap.ok(abs(ours - kernel) <= 0.02 * kernel, 'huge: classes add up to the kernel\'s AnonHugePages',
               f'{ours} of {kernel}', *look.summary())
        tap.ok(look.classes['heap_live']['huge_bytes'] > 0.9 * kernel, 'huge: they are in the heap', *look.summary())
        look.names('huge', 'heap_live', 'huge pages')


def stacks():
    plant('stacks', 'stacks', words='Goroutine stacks')


def files():
    look, planted = plant('files', 'files', '-dir', str(tmp_dir()))
    top = look.items('files')[0]
    tap.ok(top['name'] == f'{tmp_dir()}/mapped file' and top['resident_bytes'] >= planted['files'],
           'files: by path', top)


def shared():
    look, planted = plant('shared', 'shared')
    names = sorted(i['name'] for i in look.items('shared'))
    tap.ok(len(names) == 2 and names[0].startswith('/dev/shm/gosonde-test-') and names[1] == 'shared anonymous',
           'shared: by name', names)


def anonymous():
    look, _ = plant('anonymous', 'anonymous')
    tap.ok(look.items('anonymous')[0]['name'].startswith('rw-p '), 'anonymous: by permission and size',
           look.items('anonymous')[:3])


def many():
    look, _ = plant('many', 'anonymous')
    top = look.items('anonymous')[0]
    tap.ok(top['count'] >= 20000 and top['name'] == 'rw-p 8 KiB', 'many: mappings that are alike are one item', top)
    tap.ok(look.seconds < 10, 'many: 40,000 mappings do not take long', look.seconds)


def holes():
    """Pages that are present one by one: as many runs of them as the kernel tells at once, fewer, and more."""
    for n in (400, 700, 1000, 3000):
        with memory('-mode', 'holes', '-n', str(n)) as t:
            look = Look(t)
            look.adds_up(f'{n} holes')
            got = look.resident('heap_live', 'heap_new')
            tap.ok(n * 8192 <= got <= n * 8192 + 2 * MIB, f'{n} holes: what is live', f'{got} of {n * 8192}', *look.summary())


def runtime_memory():
    """What the runtime maps apart from its heap has an owner, whatever it is doing: nothing of a program without C, that maps
    nothing itself, is called anonymous."""
    with memory('-mode', 'runtime') as t:
        look = Look(t)
        look.adds_up('runtime')
        tap.ok(look.resident('anonymous') <= 64 << 10, 'runtime: next to nothing is anonymous', *look.items('anonymous'),
               *look.summary())
        tap.ok(look.resident('runtime_other') >= 128 << 10, 'runtime: the buffers of the trace are its own', *look.summary())
        tap.ok(look.resident('runtime_persistent') >= 4 * MIB, 'runtime: so is what it never frees', *look.summary())
        t.process.kill()
        t.process.wait()


def exits_busy(name, t, looks):
    """Looks at a target that allocates all the time: nothing is missing, nothing is unexplained, and the sum is the kernel's."""
    off, codes, unexplained = [], [], 0
    for _ in range(looks):
        look = Look(t)
        total = sum(c['resident_bytes'] for c in look.json['classes'])
        if total != look.json['rss_bytes']:
            off.append(100)
        # Collections come and go between the readings of the kernel's own numbers.
        kernel = look.before['Rss'], look.after['Rss'], look.json['status_rss_bytes']
        off.append(100 * max(0, min(kernel) - total, total - max(kernel)) / total)
        unexplained = max(unexplained, 100 * look.resident('unexplained') / total)
        if look.code != OK:
            codes.append(look.json['incomplete'])
    tap.ok(sorted(off)[looks // 2] <= 0.1 and sum(o > 1 for o in off) <= looks // 5,
           f'{name}: classes add up to what the kernel says', off)
    tap.ok(unexplained <= 0.1, f'{name}: nothing is unexplained', unexplained)
    # On a machine where others take the CPU from gosonde between two readings some spans may stay in motion, which it says.
    torn = [c for c in codes if all(x['what'] == 'heap_spans_torn' for x in c)]
    tap.ok(len(torn) == len(codes) <= looks // 7, f'{name}: nothing is missing in {looks} looks', *codes)


def busy(looks=7):
    """Everything moves: classes still add up, to an RSS that changes."""
    with memory('-mode', 'loaded', '-busy', '2') as t:
        exits_busy('busy', t, looks)
        look = Look(t)
        tap.ok(look.resident('heap_live', 'heap_new') >= 0.9 * 64 * MIB, 'busy: what is live is there',
               *look.summary())
        t.process.kill()
        t.process.wait()
    with Target(target_path('churn', RELEASE, VARIANT), env={'GOGC': '20'}) as t:
        exits_busy('churn', t, looks)


def busy_long():
    """The same, so often that what is rare is seen; and a web server."""
    busy(50)
    with Shop(load=100, release=RELEASE, variant=VARIANT) as shop:
        exits_busy('shop', shop, 50)


def metrics():
    """The runtime's own classes, of a quiet program: within one page. Asking costs it some objects, so it is asked twice."""
    pairs = {
        'heap/free': ('heap_free',),
        'heap/released': ('heap_returned', 'heap_lazy'),
        'heap/stacks': ('stacks', 'stacks_free'),
        'heap/objects+unused': ('heap_live', 'heap_new', 'heap_unused'),
    }

    def ask(t):
        m = t.command('metrics')['metrics']
        m['/memory/classes/heap/objects+unused:bytes'] = \
            m['/memory/classes/heap/objects:bytes'] + m['/memory/classes/heap/unused:bytes']
        return m

    for mode in ('loaded', 'fragmented', 'stacks'):
        with memory('-mode', mode) as t:
            before = ask(t)
            look = Look(t)
            after = ask(t)
            for metric, names in pairs.items():
                key = f'/memory/classes/{metric}:bytes'
                low, high = sorted((before[key], after[key]))
                got = look.bytes(*names)
                tap.ok(low - PAGE <= got <= high + PAGE, f'{mode}: {metric} is that of runtime/metrics',
                       f'{got} is not within {low} and {high}', *look.summary())


def core():
    """Without the kernel's view: sizes."""
    if not have('gcore'):
        raise Skip('no gcore. Run: apt-get install gdb')
    where = tmp_dir() / 'core'
    where.mkdir()
    with memory('-mode', 'loaded') as t:
        live = Look(t)
        run_checked(['gcore', '-o', where / 'core', t.pid], timeout=120)
    r = gosonde('mem', only_core(where, 'core*'), '-f', 'json')
    tap.ok(r.code in (OK, 4), 'core: exit code', r)
    j = r.json()
    tap.ok(j['kernel_view'] is False and 'core file' in j['verdict'][0]['text'], 'core: it says so', j['verdict'])
    got = {c['name']: c for c in j['classes']}
    tap.ok(not any(c['resident_bytes'] for c in j['classes']), 'core: nothing is called resident')
    for name in ('heap_live', 'heap_unused', 'stacks', 'text', 'bss', 'runtime_arenas'):
        a, b = got.get(name, {'bytes': 0})['bytes'], live.classes[name]['bytes']
        tap.ok(abs(a - b) <= max(0.02 * b, 64 * 1024), f'core: {name} is as large as it was', f'{a} of {b}')


NO_SCAN = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((request & 0xffff) == (('f' << 8) | 16)) {
		errno = ENOTTY;
		return -1;
	}
	return next(fd, request, arg);
}
'''


def without_scan():
    """Kernels before 6.7 have no PAGEMAP_SCAN: smaps and pagemap have to do."""
    source, shim = tmp_dir() / 'noscan.c', tmp_dir() / 'noscan.so'
    source.write_text(NO_SCAN)
    run_checked(['cc', '-shared', '-fPIC', '-o', shim, source, '-ldl'])
    env = dict(os.environ, LD_PRELOAD=str(shim))
    for mode in ('loaded', 'stacks', 'anonymous'):
        with memory('-mode', mode) as t:
            look = Look(t, env=env)
            look.adds_up(f'without PAGEMAP_SCAN: {mode}')
            look.has_planted(f'without PAGEMAP_SCAN: {mode}', t.ready['planted'], 8 * MIB)
            quick = Look(t)
            for name in quick.classes:
                a, b = look.resident(name), quick.resident(name)
                tap.ok(abs(a - b) <= 64 * 1024, f'without PAGEMAP_SCAN: {mode}: {name} is as with it', f'{a} and {b}')


def watch():
    """Two looks; in between the program plants more."""
    for mode, klass in (('anonymous', 'anonymous'), ('loaded', 'heap_live')):
        with memory('-mode', mode, '-mb', '128') as t:
            timer = threading.Timer(1.5, lambda: t.command('grow'))
            timer.start()
            r = gosonde('mem', t.pid, '--watch', '4s', '-f', 'json', timeout=120)
            timer.join()
            tap.ok(r.code in (OK, 4), f'watch {mode}: exit code', r)
            j = r.json()
            grown = {g['class']: g['bytes'] for g in j['growth']['classes']} if isinstance(j.get('growth'), dict) \
                else {g['class']: g['bytes'] for g in j['growth']}
            heap = sum(v for k, v in grown.items() if k.startswith('heap_'))
            got = grown.get(klass, 0) if mode == 'anonymous' else heap
            tap.ok(7 * MIB <= got <= 16 * MIB, f'watch {mode}: {klass} grew by an eighth of 128 MB', grown)
            first = j['verdict'][0]
            tap.ok(first['class'] == klass and first['text'].startswith('RSS grew'),
                   f'watch {mode}: the first sentence says what grew', j['verdict'])


# --- C -----------------------------------------------------------------------------------------------------------

def is_glibc():
    text = run_checked(['sh', '-c', 'ldd --version 2>&1; true'])
    return 'GNU' in text or 'GLIBC' in text


def c_memory():
    exe = target_path('memory_c', RELEASE, 'default')
    if not is_glibc():
        raise Skip('the C library is not glibc: its malloc has no marks')
    with Target(exe, '-heap', '24', '-threads', '8', '-arena', '8', '-large', '32', '-stack', '1024') as t:
        look = Look(t)
        look.adds_up('c')
        look.has_planted('c', t.ready['planted'], 2 * MIB)
        look.names('c', 'c_arenas', 'C code holds')
        tap.ok(look.items('c_arenas')[0]['count'] >= 8, 'c: an arena for each thread', look.items('c_arenas'))
        large = look.items('c_large')
        tap.ok(large and large[0]['count'] == 32, 'c: large blocks are counted', large)
        count = sum(i['count'] for i in look.items('thread_stacks'))
        threads = len(os.listdir(f'/proc/{t.pid}/task'))
        tap.ok(abs(count - threads) <= 2, 'c: a stack for each thread', f'{count} of {threads}',
               *look.items('thread_stacks'))
        tap.ok(look.resident('anonymous') < MIB, 'c: nothing of it is called anonymous', *look.items('anonymous'))
    with Target(exe, '-heap', '48') as t:
        look = Look(t)
        look.adds_up('c heap')
        look.has_planted('c heap', {'c_heap': t.ready['planted']['c_heap']}, 2 * MIB)
        look.names('c heap', 'c_heap', 'more than Go\'s objects')


def musl_program(*flags):
    """memory_c with musl for a C library."""
    if not have('musl-gcc'):
        raise Skip('no musl-gcc. Run: apt-get install musl-tools')
    exe = tmp_dir() / '-'.join(['memory_c', 'musl', *flags])
    env = dict(os.environ, CC='musl-gcc', CGO_ENABLED='1', GOTOOLCHAIN='local', GOFLAGS='', GOPROXY='off')
    run_checked([go_command(RELEASE), 'build', '-buildvcs=false', '-o', exe,
                 '-ldflags=-linkmode=external -extldflags=' + ' '.join(flags), '.'], cwd=ROOT / 'tests/targets/memory_c', env=env)
    return exe


def musl():
    """musl lists all that its malloc has."""
    for how, flags in (('static', ['-static']), ('dynamic', [])):
        with Target(musl_program(*flags), '-heap', '24', '-threads', '8', '-arena', '8', '-large', '32', '-stack', '100') as t:
            look, planted = Look(t), t.ready['planted']
            look.adds_up(f'musl {how}')
            planted['c_heap'] += planted.pop('c_arenas')  # it has one heap for all threads
            look.has_planted(f'musl {how}', planted, 20 * MIB)  # blocks of 4096 bytes take slots of 4672
            look.names(f'musl {how}', 'c_heap')
            tap.equal(look.items('c_large')[0]['count'], 32, f'musl {how}: large blocks are counted', look.items('c_large'))
            count = sum(i['count'] for i in look.items('thread_stacks'))
            threads = len(os.listdir(f'/proc/{t.pid}/task'))
            tap.ok(abs(count - threads) <= 2, f'musl {how}: a stack for each thread', f'{count} of {threads}')
            tap.ok(look.resident('anonymous') <= 64 << 10, f'musl {how}: nothing of it is called anonymous', *look.items('anonymous'))


def other_allocators():
    """jemalloc's memory has no marks; that the library is there is said."""
    exe = target_path('memory_c', RELEASE, 'default')
    if 'jemalloc' not in run_checked(['sh', '-c', '/sbin/ldconfig -p; true']):
        raise Skip('no libjemalloc.so.2. Run: apt-get install libjemalloc2')
    with Target(exe, '-heap', '24', '-large', '32', env={'LD_PRELOAD': 'libjemalloc.so.2'}) as t:
        look = Look(t)
        look.adds_up('jemalloc')
        look.has_planted('jemalloc', {'anonymous': 56 * MIB})
        top = look.items('anonymous')[0]
        tap.equal(top['note'], "possibly jemalloc's: libjemalloc.so.2 is loaded", 'jemalloc: the note', top)
        tap.ok(look.resident('c_large', 'c_arenas') == 0, 'jemalloc: glibc has none of it', *look.summary())


def plugins():
    exe = target_path('plugin', RELEASE, 'default')
    copies = []
    for i in range(2):
        copies.append(tmp_dir() / f'copy{i}.so')
        shutil.copy(str(exe) + '.so', copies[-1])
    with Target(exe) as t:
        look = Look(t)
        look.adds_up('plugin')
        mine = look.items('plugins')
        tap.ok(len(mine) == 1 and mine[0]['name'] == str(exe) + '.so' and look.resident('plugins') > 100 << 10,
               'plugin: it is one in use', mine, *look.summary())
        tap.ok(not look.items('plugin_residue'), 'plugin: nothing was refused', look.items('plugin_residue'))
        libraries = [i['name'] for i in look.items('libraries')]
        tap.ok(any('libc.so' in n for n in libraries), 'plugin: libc is a library in use', libraries)
    with Target(exe, '-again', ','.join(map(str, copies))) as t:
        look = Look(t)
        look.adds_up('plugin refused')
        residue = look.items('plugin_residue')
        tap.equal(sorted(i['name'] for i in residue), sorted(map(str, copies)), 'plugin refused: both copies stay')
        size = sum(os.path.getsize(c) for c in copies)
        maps = pathlib.Path(f'/proc/{t.pid}/smaps').read_text().splitlines()
        want, inside = 0, False
        for line in maps:
            if not line[0].isupper():
                inside = 'copy' in line and '.so' in line
            elif inside and line.startswith('Rss:'):
                want += int(line.split()[1]) * 1024
        got = look.resident('plugin_residue')
        tap.ok(want <= got <= want + 4 * MIB, 'plugin refused: what smaps says of them, and their bss',
               f'{got} of {want}; files {size}')
        tap.ok(all('refused' in i['note'] for i in residue), 'plugin refused: says why', residue)
        look.names('plugin refused', 'plugin_residue', '2 × ')


GO = (idle, loaded, kept, behind, fragmented, lazy, limit, huge, stacks, files, shared, anonymous, many, holes, runtime_memory, busy,
      metrics)
C = (c_memory, musl, other_allocators, plugins)
MORE = (core, without_scan, watch)
tap.run(*{'go': GO, 'c': C, 'more': MORE, 'all': GO + C + MORE + (busy_long,)}[PARTS])
