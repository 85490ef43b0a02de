# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gosonde mem --watch: who made memory grow and who gave it back. Programs (memory_watch, memory_watch_c) do one thing to
memory at a time, each in a function of its own, and say how many bytes that was; the class, the function and the bytes
have to be found.

    test_memory_watch.py RELEASE [VARIANT [go|c|all]]
"""
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from harness import GOSONDE, INCOMPLETE, OK, Result, Skip, Target, start, tap, target_path, tmp_dir, wait_for

MIB = 1 << 20
RELEASE = sys.argv[1] if len(sys.argv) > 1 else 'newest'
VARIANT = sys.argv[2] if len(sys.argv) > 2 else 'default'
PARTS = sys.argv[3] if len(sys.argv) > 3 else 'all'


def ticks(pid):
    """CPU time of a process, in hundredths of a second."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def attached(pid):
    try:
        return any('bpf_link' in str(f.readlink()) or 'perf_event' in str(f.readlink())
                   for f in pathlib.Path(f'/proc/{pid}/fd').iterdir())
    except OSError:
        return False


class Watch:
    """gosonde mem --watch while commands are done; ended by Ctrl-C when the last one has answered."""

    def __init__(self, target, *options):
        argv = [GOSONDE, 'mem', str(target.pid), '--watch', '60s', '-f', 'json', *options]
        self.began = time.monotonic()
        self.argv = argv
        self.process = start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if '--no-probes' not in options:
            wait_for(lambda: attached(self.process.pid) or self.process.poll() is not None, 30, 'probes to be attached')
        # The first look is done when gosonde has nothing to do any more.
        quiet = 0
        while quiet < 2 and self.process.poll() is None:
            before = ticks(self.process.pid)
            time.sleep(0.15)
            quiet = quiet + 1 if ticks(self.process.pid) - before <= 1 else 0

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        r = Result(self.argv, self.process.returncode, out, err, time.monotonic() - self.began)
        if r.code not in (OK, INCOMPLETE):
            raise AssertionError(str(r))
        return Seen(r)


class Seen:
    def __init__(self, r):
        self.code = r.code
        self.errors = r.errors
        self.json = r.json()
        self.first = self.json['verdict'][0]
        self.growth = {g['class']: g for g in self.json['growth']}
        self.growers = [g for c in self.json['growth'] for g in c['growers']]

    def summary(self):
        return [v['text'] for v in self.json['verdict']] + [
            f'{g["class"]} {g["what"]} {g["detail"]} {g["runtime"]} {g["cause"]} {g["bytes"]} of {g["asked_bytes"]} '
            f'{g["count"]}: {" < ".join(f["function"] for f in g["frames"][:12])}' for g in self.growers]

    def by(self, function, what=None, klass=None):
        return [g for g in self.growers if (what is None or g['what'] == what) and
                (klass is None or g['class'] == klass) and any(f['function'] == function for f in g['frames'])]

    def has(self, name, function, what, klass, size, off=0.02, least=64 << 10):
        """What @function did adds up to @size bytes of the class."""
        found = self.by(function, what, klass)
        got = sum(g['bytes'] for g in found)
        tap.ok(found and abs(got - size) <= abs(size) * off + least,
               f'{name}: {what} in {function} is {size} bytes of {klass}', f'it was {got}', *self.summary())
        tap.ok(all(g['goroutine_id'] for g in found), f'{name}: by a goroutine', found[:2])
        return found

    def says(self, name, *words):
        tap.ok(all(w in self.first['text'] for w in words), f'{name}: the verdict says {" … ".join(words)}',
               *self.summary())


def watched(target, *commands, options=()):
    """(what was seen, what each command answered)"""
    w = Watch(target, *options)
    bytes_of = {c: target.command(c)['bytes'] for c in commands}
    return w.end(), bytes_of


def program(name, *args):
    return Target(target_path(name, RELEASE, VARIANT), *args)


def close(got, size, off):
    return abs(got - size) <= abs(size) * off


# --- Go ----------------------------------------------------------------------------------------------------------

def unmapped():
    with program('memory_watch') as t:
        seen, n = watched(t, 'munmap-half', 'dontneed', 'shrink')
    seen.has('unmapped', 'main.giveHalf', 'munmap', 'anonymous', -n['munmap-half'])
    seen.has('unmapped', 'main.shrinkTable', 'mremap', 'anonymous', -n['shrink'])
    found = seen.has('unmapped', 'main.dropCache', 'madvise', 'anonymous', -n['dontneed'])
    tap.equal({(g['detail'], g['runtime'], g['cause']) for g in found}, {('MADV_DONTNEED', None, None)},
              'unmapped: the program\'s own advice')
    seen.says('unmapped', 'shrank', 'MADV_DONTNEED', 'main.dropCache', 'main.remap', 'unmapped by main.giveHalf')
    tap.equal(seen.code, OK, 'unmapped: nothing is missing', seen.errors)


def grown():
    with program('memory_watch') as t:
        seen, n = watched(t, 'mmap', 'grow', 'make')
        again, _ = watched(t, 'mmap', options=('--no-probes',))
    seen.has('grown', 'main.mapCache', 'mmap', 'anonymous', n['mmap'])
    seen.has('grown', 'main.growTable', 'mremap', 'anonymous', n['grow'])
    heap = [g for g in seen.by('main.loadOrders', 'mmap') if g['runtime'] == 'runtime.sysMap']
    tap.ok(heap and all(g['class'].startswith('heap_') for g in heap),
           'grown: the heap grew by runtime.sysMap in main.loadOrders', *seen.summary())
    tap.ok(sum(g['bytes'] for g in seen.by('main.loadOrders', 'page faults')) > n['make'] / 2,
           'grown: main.loadOrders touched what it made', *seen.summary())
    seen.says('grown', 'grew', 'made by main.mapped → syscall.Mmap')
    heap = [v['text'] for v in seen.json['verdict'] if 'the Go heap' in v['text']]
    tap.ok(heap and 'main.loadOrders' in heap[0], 'grown: a sentence about the heap names main.loadOrders', *seen.summary())
    tap.ok(close(again.growth['anonymous']['bytes'], n['mmap'], 0.02) and not again.growth['anonymous']['growers'],
           'grown: without probes the class is known, and who is not', *again.summary())


def huge():
    with program('memory_watch') as t:
        seen, n = watched(t, 'collapse')
    if not n['collapse']:
        tap.skip('huge: who made huge pages', 'the kernel does not make them when it is asked to')
        return
    found = seen.by('main.makeHuge', 'madvise')
    tap.ok([(g['detail'], g['bytes'], g['asked_bytes']) for g in found] == [('MADV_COLLAPSE', 0, n['collapse'])],
           'huge: the advice, by whom', *seen.summary())
    tap.ok(close(seen.growth['anonymous']['huge_bytes'], n['collapse'], 0.1), 'huge: so much more is in huge pages',
           *seen.summary())
    seen.says('huge', 'are in huge pages (MADV_COLLAPSE by main.makeHuge')


def freed():
    """What the collector has given up is given back when the program asks for it."""
    with program('memory_watch') as t:
        seen, n = watched(t, 'drop', 'free')
    by_scavenger = sum(-g['bytes'] for g in seen.growers if g['cause'] == 'the background scavenger')
    found = [g for g in seen.growers if g['cause'] == 'debug.FreeOSMemory']
    tap.ok(found and close(sum(-g['bytes'] for g in found) + by_scavenger, n['free'], 0.1),
           'freed: debug.FreeOSMemory, and the background scavenger meanwhile, gave back what there was', *seen.summary())
    tap.ok(all(g['runtime'] == 'runtime.sysUnused' and g['what'] == 'madvise' and
               any(f['function'] == 'main.releaseAll' for f in g['frames']) for g in found),
           'freed: by runtime.sysUnused, in main.releaseAll', *seen.summary())
    heap = sum(g['bytes'] for g in found if g['class'] == 'heap_returned')
    tap.ok(heap <= 0.9 * sum(g['bytes'] for g in found), 'freed: nearly all of it from the heap', *seen.summary())
    if sum(-g['bytes'] for g in found) > by_scavenger:
        seen.says('freed', 'shrank', 'debug.FreeOSMemory in main.releaseAll')


def limited():
    with program('memory_watch') as t:
        seen, n = watched(t, 'drop', 'limit')
    found = [g for g in seen.by('main.obeyLimit', 'madvise') if g['runtime'] == 'runtime.sysUnused']
    others = sum(g['bytes'] for g in seen.growers if g['cause'] == 'the background scavenger')
    tap.ok(found and n['limit'] > MIB and close(sum(g['bytes'] for g in found) + others, -n['limit'], 0.15),
           'limited: what allocations gave back is what the runtime counted', n, *seen.summary())
    tap.ok(all(g['cause'] and 'an allocation' in g['cause'] for g in found), 'limited: for allocations')


def scavenged():
    with program('memory_watch') as t:
        w = Watch(t)
        before = t.command('stats')['heap_released_bytes']
        n = t.command('scavenge')['bytes']
        # It takes its time: a hundredth of a CPU.
        wait_for(lambda: t.command('stats')['heap_released_bytes'] - before > n / 4, 30, 'the scavenger')
        seen = w.end()
    found = [g for g in seen.growers if g['cause'] == 'the background scavenger']
    tap.ok(found and -sum(g['bytes'] for g in found) > n / 5, 'scavenged: the background scavenger gave it back',
           before, *seen.summary())
    tap.ok(all(g['runtime'] == 'runtime.sysUnused' and any(f['function'] == 'runtime.bgscavenge' for f in g['frames'])
               for g in found), 'scavenged: the stack goes on from the system stack to its goroutine', *seen.summary())
    seen.says('scavenged', 'shrank', 'given back by the background scavenger')


def functions():
    """Each function of the runtime that makes a system call for memory is told by its stack."""
    with program('memory_watch') as t:
        seen, _ = watched(t, 'make', 'spans', 'drop', 'free')
    found = {g['runtime'] for g in seen.growers}
    for name in ('sysReserve', 'sysMap', 'sysAlloc', 'sysFree', 'sysUnused'):
        tap.ok(any(f and f.startswith(f'runtime.{name}') for f in found), f'functions: runtime.{name}', found,
               *seen.summary())
    tap.ok(any(g['runtime'] == 'runtime.sysMap' for g in seen.by('main.makeSpans')),
           'functions: runtime.sysMap for main.makeSpans', *seen.summary())


def workers():
    with program('memory_watch') as t:
        seen, n = watched(t, 'goroutines', 'file', options=())
    tap.ok(seen.growth['stacks']['bytes'] >= n['goroutines'] * 0.9, 'workers: stacks grew', *seen.summary())
    touched = sum(g['bytes'] for g in seen.by('main.deep', None, 'stacks'))
    tap.ok(touched > n['goroutines'] * 0.5, 'workers: main.deep made them', *seen.summary())
    seen.has('workers', 'main.mapFile', 'mmap', 'files', n['file'])
    tap.equal(seen.code, OK, 'workers: no stack that matters is missing', seen.errors)


# --- C -----------------------------------------------------------------------------------------------------------

def malloc():
    with program('memory_watch_c') as t:
        seen, n = watched(t, 'large', 'small', 'threads')
        after, _ = watched(t, 'trim')
    seen.has('malloc', 'main.loadImages', 'mmap', 'c_large', n['large'], 0.05)
    small = [g for g in seen.by('main.loadNames') if g['class'].startswith('c_') and g['what'] != 'page faults']
    touched = [g for g in seen.by('main.loadNames', 'page faults') if g['class'].startswith('c_')]
    tap.ok(max(sum(g['bytes'] for g in small), sum(g['bytes'] for g in touched)) > n['small'] * 0.7,
           'malloc: small blocks are main.loadNames\'', *seen.summary())
    seen.says('malloc', 'grew', 'the C heap (malloc)', 'C.fill')
    tap.ok(seen.growth['thread_stacks']['bytes'] > n['threads'] * 0.9 and
           sum(g['bytes'] for g in seen.by('main.callWorkers.func1', 'page faults', 'thread_stacks')) > n['threads'] * 0.4,
           'malloc: stacks of threads, used by C for main.callWorkers.func1', *seen.summary())
    back = [g for g in after.by('main.dropNames') if g['bytes'] < 0]
    tap.ok(-sum(g['bytes'] for g in back) > n['small'] * 0.8, 'malloc: what was freed was given back in main.dropNames',
           *after.summary())
    after.says('malloc', 'shrank', 'the C heap (malloc)', 'main.dropNames')


def loaded():
    plugin = target_path('plugin', RELEASE, VARIANT).parent / 'plugin.so'
    again = [str(shutil.copy(plugin, tmp_dir() / f'again{i}.so')) for i in range(3)]
    with program('memory_watch_c', '-plugin', plugin, '-again', ','.join(again)) as t:
        seen, _ = watched(t, 'dlopen', 'plugin')
        after, _ = watched(t, 'plugins')
    found = seen.by('main.openCodec', 'dlopen')
    tap.ok(found and found[0]['detail'] == 'libm.so.6' and found[0]['class'] == 'libraries' and found[0]['bytes'] > 0,
           'loaded: dlopen of libm in main.openCodec', *seen.summary())
    found = seen.by('main.loadPlugin', 'dlopen', 'plugins')
    tap.ok(found and found[0]['detail'] == str(plugin) and
           sum(g['bytes'] for g in found) > seen.growth['plugins']['bytes'] * 0.8,
           'loaded: the plugin is main.loadPlugin\'s, by the name it was opened by', *seen.summary())
    tap.equal({g['detail'] for g in after.by('main.reloadPlugins', 'dlopen', 'plugin_residue')}, set(again),
              'loaded: plugins that were refused, by name', *after.summary())
    after.says('loaded', 'refused', 'by dlopen of', 'main.reloadPlugins')


GO = (unmapped, grown, huge, freed, limited, scavenged, functions, workers)
C = (malloc, loaded)


def main():
    if 'static-pie' in VARIANT or 'arm64' in VARIANT:
        raise Skip('needs a program of this machine with a dynamic linker: default, pie and cgo builds have one')
    tap.run(*(GO if PARTS == 'go' else C if PARTS == 'c' else GO + C))


main()
