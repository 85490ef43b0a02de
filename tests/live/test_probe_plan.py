#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Where probes are put, against Go's own disassembler.

  test_probe_plan.py [--release R]... [--variant V]... [--no-live]

The truth is `go tool objdump` of the same program: every site must be the start of an instruction of the
right function with the right bytes in the file, the begin must be the first push behind the stack check (or
the check's branch), the ends must be the function's returns. Once for the planned functions of shop and
states, once for every function of the program. A stripped program is compared with its twin that has
symbols. Defaults: the newest release, in the variants below. `make test-all` runs every release.
"""
import argparse
import json
import os
import re
import signal
import struct
import subprocess

from harness import BUILD, ROOT, Skip, go_command, run_checked, start, tap, target_path, tmp_dir, wait_for

PLAN_PRINT = BUILD / 'tests/unit/probe/plan_print'
SESSION_DUMP = BUILD / 'tests/live/session_dump'
CODE_PRINT = BUILD / 'tests/unit/golang/code_print'
VARIANTS = ['default', 'stripped', 'pie', 'cgo', 'noopt', 'arm64']
WANT_FUNCTIONS, WANT_ALL_BUT_FUNCTIONS = 8, 0xffffffff & ~8

# Programs of the plan that stand at the begin of a function, at its ends, at a call in it.
CALL_BEGIN, CALL_END, ASSIST_END, CGO_BEGIN, CGO_END, UPROBES = 15, 16, 19, 20, 21, 23


# --- the truth ---------------------------------------------------------------------------------------

class Function:
    """One TEXT block: instructions as (address, bytes, mnemonic, operands)."""

    def __init__(self, name):
        self.name = name
        self.code = []

    def complete(self, arm64):
        """False if the disassembler may have lost step: it does not know all vector instructions, and reads
        a wrong length of some (VZEROUPPER). On arm64 it cannot."""
        if arm64:
            return all(len(i[1]) == 4 for i in self.code)
        return all(i[2] != '?' and i[1][0] not in b'\xc4\xc5\x62' for i in self.code)

    def index(self, addr):
        for n, i in enumerate(self.code):
            if i[0] == addr:
                return n
        return None


class Listing:
    def __init__(self, go, path, arm64):
        self.arm64 = arm64
        self.at = {}  # entry -> Function
        self.by_name = {}
        out = subprocess.run([go, 'tool', 'objdump', path], stdout=subprocess.PIPE, check=True).stdout
        f = None
        for line in out.decode('utf-8', 'surrogateescape').split('\n'):
            if line.startswith('TEXT '):
                f = Function(line[5:line.rindex('(SB)')])
            elif f is not None and line.startswith('  '):
                parts = line.split('\t')
                addr, code, text = [p for p in parts[1:] if p][:3]
                mnemonic, _, operands = text.strip().partition(' ')
                f.code.append((int(addr, 16), bytes.fromhex(code), mnemonic, operands.strip()))
                if len(f.code) == 1:
                    self.at[f.code[0][0]] = f
                    self.by_name.setdefault(f.name.removesuffix('.abi0'), []).append(f)
        if not self.at:
            raise AssertionError(f'{path}: go tool objdump prints no code')
        for f in self.at.values() if arm64 else ():
            self.tidy(f)

    def tidy(self, f):
        """The disassembler prints arm64 instructions as numbers, not in the order of their bytes; and the
        padding between functions as unknown ones."""
        while f.code and f.code[-1][2] == '?' and not any(f.code[-1][1]):
            f.code.pop()
        f.code = [(a, c[::-1], m, o) for a, c, m, o in f.code]

    def jump_target(self, f, instruction):
        """Address that a direct jump goes to, or the name of another function."""
        addr, _, _, operands = instruction
        last = operands if operands.endswith('(SB)') else operands.split(', ')[-1]
        m = re.fullmatch(r'(-?\d+)\(PC\)', last)
        if m:
            return addr + 4 * int(m.group(1))
        if last.startswith('0x'):
            return int(last, 16)
        if last.endswith('(SB)'):
            name = last[:-4]
            return f.code[0][0] if name == f.name else name
        return None

    def goes_to_morestack(self, f, target):
        n = f.index(target) if isinstance(target, int) else None
        if n is None:
            return False
        for i in f.code[n:n + 24]:
            if i[2] == 'CALL':
                return i[3].startswith('runtime.morestack')
        return False

    def begin(self, f):
        """(kind, address) of the place where a call of @f begins."""
        check = None
        for n, i in enumerate(f.code[:12]):
            if i[2] in ('JBE', 'JLS', 'BLS') and self.goes_to_morestack(f, self.jump_target(f, i)):
                check = n
                break
        if check is None:
            first = f.code[0]
            return ('push' if not self.arm64 and first[2] == 'PUSHQ' else 'entry'), first[0]
        after = f.code[check + 1]
        if not self.arm64 and after[2] == 'PUSHQ':
            return 'push', after[0]
        return 'branch', f.code[check][0]

    def ends(self, f):
        """Addresses where @f returns or jumps to another function."""
        lo, hi = f.code[0][0], f.code[-1][0]
        found = []
        for i in f.code:
            if i[2] == 'RET':
                found.append(i[0])
            elif i[2] in ('JMP', 'B'):
                target = self.jump_target(f, i)
                if isinstance(target, str) or (target is not None and not lo <= target <= hi):
                    found.append(i[0])
        return found


# --- every function ----------------------------------------------------------------------------------

def check_every_function(listing, path):
    compared = skipped = refused = 0
    wrong, unknown = [], []
    for line in run_checked([CODE_PRINT, path]).split('\n'):
        m = re.match(r'^(\w+) (\w+) begin (\w+)(\+loop)? (\w+) ends(.*?) \| (.*)$', line)
        if not m:
            if line:
                wrong.append(f'not understood: {line}')
            continue
        entry, name, ends = int(m.group(1), 16), m.group(7), m.group(6).split()
        f = listing.at.get(entry)
        if f is None or not f.code or not f.complete(listing.arm64):
            skipped += 1
            continue
        if m.group(3) == 'refused' or ends == ['refused']:
            refused += 1
            unknown.append(name)
            continue
        compared += 1
        want = listing.begin(f)
        if (m.group(3), int(m.group(5), 16)) != want:
            wrong.append(f'{name}: begins at {m.group(3)} {m.group(5)} instead of {want[0]} {want[1]:x}')
        got = [int(e.split(':')[1], 16) for e in ends]
        if got != listing.ends(f):
            wrong.append(f'{name}: ends at {list(map(hex, got))} instead of {list(map(hex, listing.ends(f)))}')
    tap.ok(not wrong and compared > 1000, f'{compared} functions begin and end where go tool objdump says', *wrong)
    tap.ok(skipped < compared / 50 and refused < 8,
           f'{skipped} that it cannot read are left out, {refused} refused', *unknown)


# --- the plan ----------------------------------------------------------------------------------------

def plan(path, *args, pid=None, good=True):
    argv = [PLAN_PRINT, *map(str, args), *(['--pid', str(pid)] if pid else []), path]
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if good and r.returncode:
        raise AssertionError(f'{argv}: {r.stderr}')
    return json.loads(r.stdout) if not r.returncode else r.stderr


def is_emulated(listing, instruction):
    _, code, mnemonic, _ = instruction
    if listing.arm64:
        return mnemonic in ('RET', 'JMP', 'CALL', 'CBZ', 'CBNZ', 'TBZ', 'TBNZ', 'ADR', 'ADRP') or (
            mnemonic[0] == 'B' and code[3] == 0x54)
    return (mnemonic in ('PUSHQ', 'CALL', 'JMP') or code == b'\x90' or
            (mnemonic[0] == 'J' and code[0] != 0x66)) and code[0] not in (0xff, 0x66)


def check_site(listing, data, s):
    """None, or what is wrong with a site."""
    for f in listing.by_name.get(s['function'], []):
        n = f.index(s['addr'])
        if n is None:
            continue
        i = f.code[n]
        if data[s['file_offset']:s['file_offset'] + len(i[1])] != i[1]:
            return 'other bytes in the file'
        if s['emulated'] != is_emulated(listing, i):
            return f'emulated is {s["emulated"]}, but it is {i[2]} {i[3]}'
        if s['program'] in (ASSIST_END, CALL_END):
            return None if s['placement'] == 'ret' and s['addr'] in listing.ends(f) else 'no end'
        if s['program'] == CGO_END:
            return None if i[2] == 'CALL' and i[3].startswith('runtime.exitsyscall(') else f'{i[2]} {i[3]}'
        want = listing.begin(f)
        return None if (s['placement'], s['addr']) == want else f'instead of {want[0]} {want[1]:x}'
    return 'no instruction of this function starts there'


def check_ends_complete(listing, sites):
    ends = {}
    for s in sites:
        if s['program'] in (ASSIST_END, CALL_END):
            ends.setdefault(s['function'], []).append(s['addr'])
    wrong = []
    for name, got in ends.items():
        if not any(sorted(got) == listing.ends(f) for f in listing.by_name.get(name, [])):
            wrong.append(f'{name}: {list(map(hex, got))}')
    return wrong


def check_ranges(listing, config):
    wrong = []
    for key, name in (('newproc', 'runtime.newproc.func1'), ('goyield', 'runtime.goyield_m'),
                      ('ready', 'runtime.ready')):
        lo, hi = config[key + '_lo'], config[key + '_hi']
        f = listing.by_name[name][0]
        last = f.code[-1]
        if lo != f.code[0][0] or not last[0] + len(last[1]) <= hi <= last[0] + len(last[1]) + 64:
            wrong.append(f'{name}: {lo:x} to {hi:x}')
        calls = [i for i in f.code if i[2] == 'CALL' and i[3] == 'runtime.runqput(SB)']
        if not calls:
            wrong.append(f'{name} does not call runqput')
    return wrong


EXPECTED = {
    'runtime.gopark', 'runtime.runqput', 'runtime.execute', 'runtime.goschedImpl', 'runtime.goexit0',
    'runtime.netpollready', 'runtime.preemptPark', 'runtime.stopTheWorldWithSema',
    'runtime.startTheWorldWithSema', 'runtime.gcBgMarkStartWorkers', 'runtime.gcMarkTermination',
    'runtime.gcSweep', 'runtime.freeStackSpans', 'runtime.gcAssistAlloc1',
}
HTTP = {'net/http.serverHandler.ServeHTTP', 'net/http.(*connReader).abortPendingRead'}


def expected(program, minor):
    names = set(EXPECTED)
    names.add('runtime.exitsyscall0' if minor < 26 else 'runtime.exitsyscallNoP')
    names.add('runtime.gcMarkRootPrepare' if minor < 25 else 'runtime.gcPrepareMarkRoots')
    if minor < 26:
        names.add('runtime.(*semaRoot).queue')
    if program == 'shop':
        names |= HTTP
        names.add('net/http.(*http2responseWriter).handlerDone' if minor < 27 else
                  'net/http/internal/http2.(*responseWriter).handlerDone')
    return names


def check_plan(listing, program, path):
    p = plan(path)
    minor = int(re.match(r'go1\.(\d+)', p['go']).group(1))
    data = path.read_bytes()
    sites = [s for s in p['sites'] if s['program'] < UPROBES]
    wrong = [f'{s["function"]} {s["placement"]} {s["addr"]:x}: {why}'
             for s in sites for why in [check_site(listing, data, s)] if why]
    tap.ok(not wrong, f'{len(sites)} sites of the runtime and net/http', *wrong)
    tap.ok(not check_ends_complete(listing, sites), 'all ends', *check_ends_complete(listing, sites))
    tap.ok(not check_ranges(listing, p['config']), 'callers of runqput', *check_ranges(listing, p['config']))
    missing = expected(program, minor) - {s['function'] for s in sites}
    refused = [f'{r["function"]}: {r["why"]}' for r in p['refused']]
    if program != 'shop':
        refused = [r for r in refused if not r.startswith('net/http.serverHandler.ServeHTTP: no requests')]
    tap.ok(not missing and not refused, 'nothing refused or left out', *missing, *refused)
    if minor > 20 and not listing.arm64:
        slow = [s['function'] for s in sites
                if not s['emulated'] and s['placement'] not in ('ret', 'entry')]
        entries = [s['function'] for s in sites if s['placement'] == 'entry']
        tap.ok(not slow and set(entries) <= {'runtime.netpollready'}, 'probes stand at cheap instructions',
               *slow, *entries)


def check_functions(listing, path):
    """Watched functions of the shop by name."""
    names = ['store.(*Ledger).Append', 'main.main', 'net/http.(*conn).serve', 'net/url.parse']
    p = plan(path, '--want', WANT_FUNCTIONS, *[a for n in names for a in ('--function', n)])
    data = path.read_bytes()
    sites = [s for s in p['sites'] if s['program'] < UPROBES]
    wrong = [f'{s["function"]} {s["addr"]:x}: {why}' for s in sites
             for why in [check_site(listing, data, s)] if why]
    tap.ok(not wrong, 'watched functions', *wrong, *check_ends_complete(listing, sites))
    tap.equal(p['functions'], ['shop/internal/store.(*Ledger).Append', *names[1:]], 'their full names')
    tap.equal(sorted({s['arg'] for s in sites}), [0, 1, 2, 3], 'their numbers')


def check_names(path):
    """What is told of names that cannot be watched."""
    def refusal(name):
        return plan(path, '--want', WANT_FUNCTIONS, '--function', name, good=False)

    text = refusal('Append')
    tap.ok('may be any of' in text and 'store.(*Ledger).Append' in text, 'an ambiguous name', text)
    text = refusal('store.(*Ledger).Apend')
    tap.ok('no function' in text and 'shop/internal/store.(*Ledger).Append' in text, 'a misspelt name', text)
    text = refusal('no.such/function.atAll')
    tap.ok('no function' in text and 'Similar' not in text, 'a name like no other', text)
    text = refusal('strings.HasPrefix')
    tap.ok('were inlined, into' in text and 'go:noinline' in text, 'a function that was inlined', text)
    text = refusal('runtime.systemstack')
    tap.ok('switches stacks' in text, 'a function that switches stacks', text)
    text = refusal('os/signal.loop')
    tap.ok('never returns' in text, 'a function that never returns', text)


def check_release(release, variant):
    def test():
        arm64 = 'arm64' in variant
        twin = '+'.join(v for v in variant.split('+') if v != 'stripped') or 'default'
        go = go_command(release)
        for program in ('shop', 'states'):
            path, with_symbols = target_path(program, release, variant), target_path(program, release, twin)
            listing = Listing(go, with_symbols, arm64)
            tap.note(f'{program} {release} {variant}')
            check_plan(listing, program, path)
            if program == 'shop':
                check_functions(listing, path)
                if variant != 'stripped':
                    check_every_function(listing, path)
    test.__name__ = f'{release}_{variant}'
    return test


# --- modules outside of Go -----------------------------------------------------------------------------

MODULES = {
    'google.golang.org/grpc': (['1.51.0', '1.68.0', '1.71.0', '1.80.0'], '''package main

import (
	"net"

	"google.golang.org/grpc"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = grpc.NewServer().Serve(l)
	}
	panic(err)
}
'''),
    'golang.org/x/net': (['0.10.0', '0.41.0'], '''package main

import (
	"net/http"

	"golang.org/x/net/http2"
)

func main() {
	s := &http.Server{Addr: "127.0.0.1:0"}
	if err := http2.ConfigureServer(s, &http2.Server{}); err != nil {
		panic(err)
	}
	panic(s.ListenAndServeTLS("cert.pem", "key.pem"))
}
'''),
}
SITES = {
    'google.golang.org/grpc': {'google.golang.org/grpc.(*Server).handleStream',
                               'google.golang.org/grpc/internal/transport.(*http2Server).WriteStatus',
                               'google.golang.org/grpc/internal/transport.(*http2Server).writeStatus'},
    'golang.org/x/net': {'net/http.serverHandler.ServeHTTP', 'golang.org/x/net/http2.(*responseWriter).handlerDone'},
}
CONFIG = {
    'google.golang.org/grpc': ['grpc_stream_inner', 'grpc_stream_method', 'grpc_status_proto', 'grpc_proto_code'],
    'golang.org/x/net': ['xnet_writer_state', 'xnet_state_req', 'xnet_state_status', 'xnet_state_bytes'],
}


def build_module(module, version, program, flags):
    path = tmp_dir() / f'{module.replace("/", "_")}-{version}-{len(flags)}'
    path.mkdir(exist_ok=True)
    (path / 'main.go').write_text(program)
    (path / 'go.mod').write_text(f'module gosonde.example/m\n\ngo 1.24\n\nrequire {module} v{version}\n')
    env = dict(os.environ, GOTOOLCHAIN='local', GOFLAGS='-mod=mod', CGO_ENABLED='0', GOWORK='off')
    r = subprocess.run([go_command('newest'), 'build', '-o', 'm', *flags, '.'], cwd=path, env=env, capture_output=True,
                       text=True)
    if r.returncode:
        raise Skip(f'{module} v{version} cannot be built here: {r.stderr[-300:]}')
    return path / 'm'


def check_module(module, version):
    """Sites, and the same offsets from the program's DWARF and, without that, from the table."""
    def test():
        program = MODULES[module][1]
        path = build_module(module, version, program, [])
        bare = build_module(module, version, program, ['-ldflags=-s -w'])
        p, q = plan(path, '--want', 4), plan(bare, '--want', 4)
        listing, data = Listing(go_command('newest'), path, False), path.read_bytes()
        sites = [s for s in p['sites'] if s['program'] < UPROBES]
        wrong = [f'{s["function"]}: {why}' for s in sites for why in [check_site(listing, data, s)] if why]
        placed = SITES[module] & {s['function'] for s in sites}
        tap.ok(not wrong and len(placed) == 2, f'{module} v{version}: sites', *wrong, placed)
        keys = CONFIG[module]
        tap.equal({k: q['config'][k] for k in keys}, {k: p['config'][k] for k in keys},
                  f'{module} v{version}: the table has the offsets of the DWARF')
        tap.ok(p['config'][keys[-1]] > 0 and not q['refused'], f'{module} v{version}: known', q['refused'])
    test.__name__ = f'{module.split("/")[-1]}_{version}'
    return test


# --- a running process -------------------------------------------------------------------------------

def exe_bias(pid, path):
    """Where the program is loaded, less where it wants to be."""
    data = path.read_bytes()
    at, size, count = struct.unpack_from('<Q', data, 32) + struct.unpack_from('<HH', data, 54)
    loads = [struct.unpack_from('<IIQQ', data, at + n * size) for n in range(count)]
    wanted = next(vaddr for kind, _, offset, vaddr in loads if kind == 1 and offset == 0)
    for line in open(f'/proc/{pid}/maps'):
        parts = line.split()
        if len(parts) > 5 and parts[5] == str(path) and parts[2] == '00000000':
            return int(parts[0].split('-')[0], 16) - wanted
    raise AssertionError(f'{path} is not mapped')


def live(variant):
    def test():
        path = target_path('states', 'newest', variant)
        p = start([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdout.readline()
        from_file = plan(path)
        tap.equal(plan(path, pid=p.pid), from_file, f'{variant}: the process has the code of its file')

        site = next(s for s in from_file['sites'] if s['function'] == 'runtime.gcMarkTermination')
        addr = site['addr'] + exe_bias(p.pid, path)
        os.kill(p.pid, signal.SIGSTOP)
        wait_for(lambda: open(f'/proc/{p.pid}/stat').read().rpartition(')')[2].split()[0] == 'T', 10, 'stop')
        with open(f'/proc/{p.pid}/mem', 'r+b', buffering=0) as mem:
            mem.seek(addr)
            was = mem.read(1)
            for byte, accepted, what in ((b'\xcc', True, 'a breakpoint in it is accepted'),
                                         (b'\x50', False, 'other code is refused')):
                mem.seek(addr)
                mem.write(byte)
                got = plan(path, pid=p.pid)
                placed = any(s['function'] == site['function'] for s in got['sites'])
                why = [r['why'] for r in got['refused'] if r['function'] == site['function']]
                tap.ok(placed == accepted and bool(why) != accepted and (accepted or 'other code' in why[0]),
                       f'{variant}: {what}', got['refused'])
            mem.seek(addr)
            mem.write(was)
        tap.equal(plan(path, pid=p.pid), from_file, f'{variant}: as before')
        p.kill()
        p.wait()
    test.__name__ = f'live_{variant}'
    return test


# --- phases of collections -----------------------------------------------------------------------------

COLLECTOR = '''package main

import (
	"runtime"
	"time"
)

var keep [][]byte

func main() {
	for i := 0; ; i++ {
		for j := 0; j < 200; j++ {
			keep = append(keep, make([]byte, 20000))
		}
		if len(keep) > 2000 {
			keep = nil
		}
		if i%4 == 0 {
			runtime.GC()
		}
		time.Sleep(5 * time.Millisecond)
	}
}
'''
# enum gs_wire_runtime_kind, one letter each; assists (8, 9) fall in between.
LETTERS = {1: 's', 2: 'r', 3: 'B', 4: 'M', 5: 'D', 6: 'E', 7: 'W'}


def phases(release):
    """Each phase of a collection is seen once per cycle, in the order of the runtime's sources; as many cycles
    as the runtime itself counts."""
    def test():
        path = tmp_dir() / f'collector-{release}'
        path.mkdir()
        (path / 'main.go').write_text(COLLECTOR)
        (path / 'go.mod').write_text('module gosonde.example/collector\n\ngo 1.19\n')
        run_checked([go_command(release), 'build', '-o', 'collector', '.'], cwd=path,
                    env=dict(os.environ, GOTOOLCHAIN='local', GOFLAGS='', GOWORK='off'))
        trace = open(path / 'trace', 'w+')
        p = start([path / 'collector'], env=dict(os.environ, GODEBUG='gctrace=1'), stderr=trace,
                  stdout=subprocess.DEVNULL)
        count = lambda: open(trace.name).read().count('\ngc ')
        wait_for(lambda: count() > 3, 30, 'collections')
        at_start = count()
        dump = start([SESSION_DUMP, '--want', 16, '--seconds', 60, '--print', p.pid], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE, text=True)
        ready = dump.stdout.readline()
        if 'ready' not in ready:
            p.kill()
            raise Skip(f'no probes here: {dump.communicate()[1][-300:]}')
        before = count()
        wait_for(lambda: count() > before + 40, 60, 'collections')
        counted = count() - before
        dump.send_signal(signal.SIGINT)
        out, errors = dump.communicate(timeout=60)
        most = count() - at_start
        p.kill()
        p.wait()
        lost = json.loads(out.splitlines()[-1])['ring_full']
        tap.ok(sum(lost) == 0, f'{release}: nothing of it was lost', str(lost))
        # The dump prints in the order of arrival.
        seen = sorted((int(m.group(1)), int(m.group(2)), int(m.group(3)))
                      for m in re.finditer(r'^(\d+)\.(\d+) runtime .* what (\d+) ', out, re.M))
        text = ''.join(LETTERS[kind] for _, _, kind in seen if kind in LETTERS)
        # Other stops of the world (s, r) may stand anywhere outside of the two of the collection.
        cycles = re.sub(r'BsMr(sr)*sDWrE', 'C', text)
        inner = cycles[cycles.find('C'):cycles.rfind('C') + 1]
        tap.ok(inner.count('C') >= 30 and set(inner) <= set('Csr'), f'{release}: phases stand in order', text[:400])
        # Collections go on while probes come and go.
        tap.ok(0.8 * counted - 4 <= inner.count('C') <= most + 1,
               f'{release}: as many collections as the runtime counts', f'{inner.count("C")} of {counted} to {most}', errors)
    test.__name__ = f'phases_{release}'
    return test


def names():
    check_names(target_path('shop', 'newest', 'default'))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--release', action='append')
    p.add_argument('--variant', action='append')
    p.add_argument('--all', action='store_true', help='every release')
    p.add_argument('--no-live', action='store_true')
    p.add_argument('--modules', action='store_true', help='only gRPC and golang.org/x/net; needs the module proxy')
    a = p.parse_args()
    if a.modules:
        tap.run(*[check_module(m, v) for m, (versions, _) in MODULES.items() for v in versions])
    releases = a.release or ['newest']
    if a.all:
        releases = run_checked([ROOT / 'tools' / 'go_toolchain', '--list']).split()
    tests = [check_release(r, v) for r in releases for v in a.variant or VARIANTS]
    if not a.no_live:
        tests += [names, live('default'), live('pie'), phases('newest'), phases('1.19')]
    tap.run(*tests)


if __name__ == '__main__':
    main()
