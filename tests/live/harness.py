# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What the live tests share: TAP output, target programs, running gosonde, and readers of the formats in
which the Go runtime itself tells of goroutines, which are the truth here.

A live test is a program that prints TAP. Expectations come from the Go runtime (runtime.Stack, pprof),
the kernel or another tool, never from gosonde's own code.
"""
import atexit
import gzip
import json
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('GOSONDE_BUILD', ROOT / 'build'))
GOSONDE = os.environ.get('GOSONDE', str(BUILD / 'gosonde'))
CACHE = pathlib.Path(os.environ.get('GOSONDE_TEST_CACHE', ROOT / '.cache' / 'live'))

# Exit codes of gosonde.
OK, FAILED, USAGE, TARGET, INCOMPLETE = 0, 1, 2, 3, 4


# --- TAP ---------------------------------------------------------------------------------------------

class Skip(Exception):
    """Raised by a test that cannot run here; the text is the reason."""


class Tap:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def ok(self, good, name, *details):
        """One test point. Details are printed if it failed."""
        self.n += 1
        name = name.replace('#', '\\#').replace('\n', ' ')
        print(f'{"" if good else "not "}ok {self.n} - {name}', flush=True)
        if not good:
            self.failed += 1
            for d in details[:12]:
                self.note(d)
            if len(details) > 12:
                self.note(f'… and {len(details) - 12} more')
        return good

    def equal(self, got, want, name, *details):
        return self.ok(got == want, name, f'got:  {got!r}', f'want: {want!r}', *details)

    def skip(self, name, reason):
        self.n += 1
        print(f'ok {self.n} - {name} # SKIP {reason}', flush=True)

    def note(self, text):
        for line in str(text).splitlines()[:40]:
            print(f'# {line[:400]}', flush=True)

    def run(self, *functions):
        """Run test functions; an exception is a failed test, Skip a skipped one. Ends the program."""
        for f in functions:
            name = f.__name__.replace('_', ' ')
            start = time.monotonic()
            try:
                f()
            except Skip as s:
                self.skip(name, str(s))
            except Exception:
                self.ok(False, f'{name}: exception', traceback.format_exc())
            self.note(f'{name}: {time.monotonic() - start:.1f} s')
        print(f'1..{self.n}')
        sys.exit(1 if self.failed else 0)


tap = Tap()


# --- processes ---------------------------------------------------------------------------------------

_tmp = None


def tmp_dir():
    global _tmp
    if _tmp is None:
        _tmp = tempfile.mkdtemp(prefix='gosonde-live-')
        os.chmod(_tmp, 0o755)
        atexit.register(shutil.rmtree, _tmp, ignore_errors=True)
    return pathlib.Path(_tmp)


_children = []


def _end_children():
    for p in _children:
        if p.poll() is None:
            p.kill()
            p.wait()


atexit.register(_end_children)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def start(argv, **kw):
    """Popen that does not outlive the test."""
    p = subprocess.Popen([str(a) for a in argv], **kw)
    _children.append(p)
    return p


class Result:
    def __init__(self, argv, code, out, err, seconds, usage=None):
        self.argv, self.code, self.out, self.err = argv, code, out, err
        self.seconds, self.usage = seconds, usage

    @property
    def text(self):
        return self.out.decode('utf-8', 'surrogateescape')

    @property
    def errors(self):
        return self.err.decode('utf-8', 'replace')

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f'$ {" ".join(map(str, self.argv))}\nexit {self.code} after {self.seconds:.2f} s\n'
                f'stderr: {self.errors[-1500:]}\nstdout: {self.text[:600]}')


def gosonde(*args, timeout=60, prefix=(), program=GOSONDE, **kw):
    """Run gosonde to its end."""
    argv = [*map(str, prefix), str(program), *map(str, args)]
    begin = time.monotonic()
    p = start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise AssertionError(f'gosonde did not end within {timeout} s: {argv}\n{err[-2000:]}')
    finally:
        _children.remove(p)
    return Result(argv, p.returncode, out, err, time.monotonic() - begin)


def run_checked(argv, **kw):
    """Run a tool that the test needs; its failure is the test's."""
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kw)
    if r.returncode:
        raise AssertionError(f'{" ".join(map(str, argv))}: exit {r.returncode}\n{r.stdout[-1500:]}{r.stderr[-1500:]}')
    return r.stdout


def go_command(release='host'):
    return run_checked([ROOT / 'tools' / 'go_toolchain', release]).strip()


def have(command):
    return shutil.which(command) is not None


# --- target programs ---------------------------------------------------------------------------------

def target_path(name, release='host', variant='default'):
    """Build a target program if need be and return its path."""
    out = CACHE / 'targets'
    lines = run_checked([ROOT / 'tools' / 'build_targets', out, release, variant, name]).split()
    return pathlib.Path(lines[-1])


class Target:
    """A running target program of tests/targets, spoken to over its stdin and stdout."""

    def __init__(self, path, *args, env=None, cwd=None, prefix=(), timeout=120, preexec=None):
        environment = dict(os.environ, GOTRACEBACK='single')
        environment.update(env or {})
        self.argv = [*prefix, str(path), *map(str, args)]
        # A file, not a pipe: a traceback on stderr may be larger than a pipe holds.
        self.stderr = tempfile.TemporaryFile()
        self.process = start(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
                             env=environment, cwd=cwd, bufsize=0, preexec_fn=preexec)
        self.buffer = b''
        self.ready = self.read_line(timeout)
        self.pid = self.ready['pid']
        self.exe = str(path)
        self.minor = int(re.match(r'go1\.(\d+)', self.ready['go']).group(1))

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
            raise AssertionError(f'{self.argv}: no answer in time')
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        if not data:
            raise AssertionError(f'{self.argv}: ended, status {self.process.wait()}\n{self.errors()[-2000:]}')
        self.buffer += data

    def read_line(self, timeout=60):
        deadline = time.monotonic() + timeout
        while b'\n' not in self.buffer:
            self._fill(deadline)
        line, self.buffer = self.buffer.split(b'\n', 1)
        return json.loads(line)

    def command(self, name, timeout=60):
        """Return the answer's JSON, with the raw bytes under the key "raw" if there are any."""
        self.process.stdin.write(name.encode() + b'\n')
        answer = self.read_line(timeout)
        if 'error' in answer:
            raise AssertionError(f'{self.argv}: {name}: {answer["error"]}')
        deadline = time.monotonic() + timeout
        for key, size in list(answer.items()):
            if key.endswith('_bytes') and key == name.split()[0].split('-')[0] + '_bytes':
                while len(self.buffer) < size:
                    self._fill(deadline)
                answer['raw'], self.buffer = self.buffer[:size], self.buffer[size:]
        return answer

    def stack(self, command='stack'):
        return self.mark_cut(parse_traceback(self.command(command)['raw'].decode('utf-8', 'surrogateescape')))

    def mark_cut(self, traces):
        """Up to Go 1.20 a traceback ends after 100 frames, hidden ones counted in, without a word."""
        for t in traces.values():
            if self.minor < 21 and len(t.frames) >= 90 and t.elided is None:
                t.elided = (len(t.frames), None)
        return traces

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode('utf-8', 'replace')

    def end_by(self, number):
        """Send a signal, wait for the end, and return the traceback that the runtime printed."""
        self.process.send_signal(number)
        self.process.wait(120)
        return self.mark_cut(parse_traceback(self.errors(), repeated=True))

    def roles(self):
        """What the program says of its goroutines, by id."""
        return {g['id']: g for g in self.ready['goroutines']}

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Let it end by itself; the exit status is its own verdict."""
        if self.alive():
            try:
                self.process.stdin.write(b'exit\n')
                self.process.stdin.close()
            except OSError:
                pass
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'{self.argv}: did not exit')

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
            self.process.wait()
        elif self.alive():
            status = self.stop()
            tap.ok(status == 0, f'{pathlib.Path(self.exe).name}: the target ends well by itself', f'status {status}')


# --- Go's traceback text -----------------------------------------------------------------------------

HEADER = re.compile(r'^goroutine (\d+)(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]*)\](.*):$')
PLACE = re.compile(r'^\t(.*):(\d+)(?: \+(0x[0-9a-f]+))?(?: fp=.*)?$')
CREATED = re.compile(r'^created by (.*?)(?: in goroutine (\d+))?$')
ELIDED = re.compile(r'^\.\.\.(additional|\d+) frames elided\.\.\.$')


class Frame:
    __slots__ = ('function', 'args', 'file', 'line', 'offset')

    def __init__(self, function, args, file, line, offset):
        self.function, self.args, self.file, self.line, self.offset = function, args, file, line, offset

    def key(self, args=False):
        return (self.function, self.args if args else None, self.file, self.line, self.offset)

    def __repr__(self):
        return f'{self.function}({self.args}) {self.file}:{self.line} {self.offset}'


class Trace:
    """One goroutine of a traceback."""

    def __init__(self, id, header, tail):
        parts = header.split(', ')
        self.id = id
        self.tail = tail.strip()  # labels, since Go 1.26
        self.reason = parts[0].replace(' (scan)', '')
        self.minutes = 0
        self.locked = False
        self.others = []
        for p in parts[1:]:
            m = re.match(r'^(\d+) minutes$', p)
            if m:
                self.minutes = int(m.group(1))
            elif p == 'locked to thread':
                self.locked = True
            else:
                self.others.append(p)
        self.frames = []
        self.elided = None  # (index of the frame after the gap, number or None)
        self.created = None
        self.parent = 0

    def same_frames(self, other, args=False):
        """None if equal, else what differs. One side may have left frames out."""
        if self.elided is not None and other.elided is None:
            return other.same_frames(self, args)
        mine, theirs = [f.key(args) for f in self.frames], [f.key(args) for f in other.frames]
        if other.elided is not None and self.elided is None:
            at, number = other.elided
            tail = len(theirs) - at
            if number is not None and len(mine) != len(theirs) + number:
                return f'{len(mine)} frames instead of {len(theirs)} + {number}'
            if len(mine) < len(theirs):
                return f'{len(mine)} frames instead of more than {len(theirs)}'
            mine = mine[:at] + (mine[-tail:] if tail else [])
        for i, (a, b) in enumerate(zip(mine, theirs)):
            if a != b:
                return f'frame {i}: {a} instead of {b}'
        if len(mine) != len(theirs):
            longer = (mine if len(mine) > len(theirs) else theirs)[min(len(mine), len(theirs))]
            return f'{len(mine)} frames instead of {len(theirs)}, first only on one side: {longer}'
        a, b = self.created, other.created
        if (a is None) != (b is None) or a is not None and a.key()[0::2] != b.key()[0::2]:
            return f'created by {a} instead of {b}'
        if self.parent != other.parent:
            return f'created in goroutine {self.parent} instead of {other.parent}'
        return None


def split_call(line):
    """`main.(*T[...]).f.func1(0x1, {0x2, ...})` into name and arguments."""
    if not line.endswith(')'):
        return line, ''
    depth = 0
    for i in range(len(line) - 1, -1, -1):
        if line[i] == ')':
            depth += 1
        elif line[i] == '(':
            depth -= 1
            if depth == 0:
                return line[:i], line[i + 1:-1]
    return line, ''


def parse_traceback(text, repeated=False):
    """Return {id: Trace} of a traceback as runtime.Stack writes it. That of a crash may have goroutines
    @repeated, because each thread tells of its own; the first one counts."""
    result, current, pending = {}, None, None
    for line in text.split('\n'):
        m = HEADER.match(line)
        if m:
            current = Trace(int(m.group(1)), m.group(2), m.group(3))
            if current.id == 0:
                continue  # a thread's scheduler stack, in tracebacks of a crash
            if current.id in result:
                if repeated:
                    continue
                raise AssertionError(f'goroutine {current.id} stands twice in the dump')
            result[current.id] = current
            pending = None
            continue
        if current is None or not line:
            if not line:
                current = None
            continue
        place, elided = PLACE.match(line), ELIDED.match(line)
        if elided:
            number = elided.group(1)
            current.elided = (len(current.frames), None if number == 'additional' else int(number))
        elif place and pending is not None:
            finish_frame(current, pending, place)
            pending = None
        else:
            pending = line
    return result


def finish_frame(trace, line, place):
    created = CREATED.match(line)
    file, number, offset = place.group(1), int(place.group(2)), place.group(3)
    if created:
        trace.created = Frame(created.group(1), '', file, number, offset)
        trace.parent = int(created.group(2) or 0)
    else:
        function, args = split_call(line)
        trace.frames.append(Frame(function, args, file, number, offset))


# --- profile.proto -----------------------------------------------------------------------------------

def _varint(data, pos):
    value = shift = 0
    while True:
        b = data[pos]
        pos += 1
        value |= (b & 0x7f) << shift
        if b < 0x80:
            return value, pos
        shift += 7


def _fields(data):
    """Yield (number, value) of a protobuf message: int for varints, bytes for the rest."""
    pos = 0
    while pos < len(data):
        tag, pos = _varint(data, pos)
        kind = tag & 7
        if kind == 0:
            value, pos = _varint(data, pos)
        elif kind == 2:
            size, pos = _varint(data, pos)
            value, pos = data[pos:pos + size], pos + size
            if len(value) != size:
                raise AssertionError('protobuf field is longer than its message')
        else:
            size = {1: 8, 5: 4}[kind]
            value, pos = data[pos:pos + size], pos + size
        yield tag >> 3, value


def _numbers(value):
    if isinstance(value, int):
        return [value]
    out, pos = [], 0
    while pos < len(value):
        v, pos = _varint(value, pos)
        out.append(v)
    return out


class Profile:
    """samples: list of (values, [(function, file, line)…] innermost first, labels)."""

    def __init__(self, data):
        if data[:2] == b'\x1f\x8b':
            data = gzip.decompress(data)
        raw = {}
        for number, value in _fields(data):
            raw.setdefault(number, []).append(value)
        self.strings = [s.decode('utf-8', 'surrogateescape') for s in raw.get(6, [])]
        self.sample_types = [self._pair(v) for v in raw.get(1, [])]
        functions = {}
        for v in raw.get(5, []):
            f = dict(_fields(v))
            functions[f[1]] = (self.strings[f.get(2, 0)], self.strings[f.get(4, 0)])
        locations = {}
        for v in raw.get(4, []):
            lines, address, id = [], 0, 0
            for number, value in _fields(v):
                if number == 1:
                    id = value
                elif number == 3:
                    address = value
                elif number == 4:
                    line = dict(_fields(value))
                    lines.append((*functions[line.get(1, 0)], line.get(2, 0)))
            locations[id] = (address, lines)
        self.locations = locations
        self.mappings = len(raw.get(3, []))
        self.samples = [self._sample(v) for v in raw.get(2, [])]

    def _pair(self, value):
        f = dict(_fields(value))
        return self.strings[f.get(1, 0)], self.strings[f.get(2, 0)]

    def _sample(self, value):
        values, stack, labels = [], [], {}
        for number, v in _fields(value):
            if number == 1:
                for id in _numbers(v):
                    stack += self.locations[id][1]
            elif number == 2:
                values += _numbers(v)
            elif number == 3:
                f = dict(_fields(v))
                labels[self.strings[f.get(1, 0)]] = self.strings[f[2]] if 2 in f else f.get(3, 0)
        return values, stack, labels


# --- rights and limits -------------------------------------------------------------------------------

def unlimited_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class CorePattern:
    """Cores as plain files in the working directory, for as long as the block lasts."""

    PATH = pathlib.Path('/proc/sys/kernel/core_pattern')

    def __enter__(self):
        self.saved = self.PATH.read_text()
        if '/' not in self.saved and '|' not in self.saved:
            self.saved = None
            return self
        try:
            self.PATH.write_text('core\n')
        except OSError as e:
            self.saved = None
            raise Skip(f'core_pattern pipes cores away and cannot be changed here: {e.strerror}')
        return self

    def __exit__(self, *_):
        if self.saved is not None:
            self.PATH.write_text(self.saved)


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'{what}: not within {seconds} s')
