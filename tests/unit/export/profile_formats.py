#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Read the profiles of profile_print back with readers that are not ours.

  profile_formats.py PROFILE_PRINT               folded, speedscope, HTML and its script (under node, if there is one)
  profile_formats.py PROFILE_PRINT GO_FINDER     profiles with `go tool pprof`; GO_FINDER prints where Go is
"""
import collections
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import tap_main

PRINT = sys.argv[1]
SCRIPT_JS = pathlib.Path(__file__).resolve().parents[3] / 'src' / 'export' / 'profile_flame.js'
ELEMENTS = (pathlib.Path(__file__).parent / 'page_elements.js').read_text(encoding='utf-8')

# 5: 30 ms on CPU, 20 of them in hot; waits 40 ms for a mutex, 5 for a turn, 12 in fsync, 3 for a CPU.
# 6: sleeps 50 ms.
SCRIPT = '''
0      run    5 tid=10
10ms   sample 5 tid=10 period=10ms stack=main.hot@/src/a.go:3<main.main@/src/a.go:9<runtime.goexit
20ms   sample 5 tid=10 period=10ms stack=main.hot@/src/a.go:4<main.main@/src/a.go:9<runtime.goexit
30ms   sample 5 tid=10 period=10ms stack=syscall.Syscall@/go/s.s:1<main.main@/src/a.go:10 kstack=k:vfs_read<k:ksys_read
40ms   park   5 tid=10 reason=sync.Mutex.Lock stack=h:runtime.gopark<sync.(*Mutex).Lock@/go/m.go:7<main.lock@/src/a.go:20<main.main@/src/a.go:11
80ms   ready  5 waker=6 stack=main.unlock
85ms   run    5 tid=10
100ms  off    5 tid=10 since=85ms wake=97ms syscall=74 flags=syscall stack=syscall.Syscall@/go/s.s:1<main.save@/src/a.go:30<main.main@/src/a.go:12 kstack=k:schedule<k:do_fsync
100ms  park   6 reason=sleep stack=h:runtime.gopark<time.Sleep<main.nap
150ms  run    6
label  5 route /cart
label  5 goid mine
'''
MS = 1000000


def profile(fmt, kind, *args, script=SCRIPT):
    return subprocess.run([PRINT, fmt, kind, *args], input=script.encode(), check=True, capture_output=True).stdout


def folded(kind, *args):
    out = profile('folded', kind, *args).decode('ascii')
    lines = out.splitlines()
    assert lines == sorted(lines), lines
    found = {}
    for line in lines:
        m = re.fullmatch(r'([^ ;]+(?:;[^ ;]+)*) ([1-9][0-9]*)', line)
        assert m, line
        assert m[1] not in found
        found[m[1]] = int(m[2])
    return found


# --- folded ------------------------------------------------------------------------------------------

def test_folded_lines():
    assert folded('cpu') == {
        'main.main;main.hot': 20 * MS,
        'main.main;syscall.Syscall;ksys_read_[k];vfs_read_[k]': 10 * MS,
    }
    assert folded('off_cpu') == {
        'main.main;main.lock;sync.(*Mutex).Lock;[mutex]': 40 * MS,
        'main.main;main.lock;sync.(*Mutex).Lock;[runqueue_go]': 5 * MS,
        'main.main;main.save;syscall.Syscall;do_fsync_[k];schedule_[k];[file_io]': 12 * MS,
        'main.main;main.save;syscall.Syscall;do_fsync_[k];schedule_[k];[runqueue_kernel]': 3 * MS,
        'main.nap;time.Sleep;[sleep]': 50 * MS,
    }
    assert folded('wall') == {**folded('cpu'), **folded('off_cpu')}


def test_folded_groups():
    by_goroutine = folded('wall', 'goroutine')
    assert sum(v for k, v in by_goroutine.items() if k.startswith('goroutine_5;')) == 90 * MS
    assert by_goroutine['goroutine_6;main.nap;time.Sleep;[sleep]'] == 50 * MS
    labelled = folded('wall', 'labels')
    assert labelled['route=/cart;goid=mine;main.main;main.hot'] == 20 * MS
    assert labelled['main.nap;time.Sleep;[sleep]'] == 50 * MS
    whole = folded('off_cpu', 'all-frames')
    assert whole['main.nap;time.Sleep;runtime.gopark;[sleep]'] == 50 * MS
    assert folded('cpu', 'all-frames')['runtime.goexit;main.main;main.hot'] == 20 * MS


def test_folded_when_full():
    full = folded('off_cpu', 'limit=2')
    assert sum(full.values()) == sum(folded('off_cpu').values())
    assert full['(other);[sleep]'] == 50 * MS


def test_folded_hostile_names():
    lines = profile('folded', 'wall', 'hostile', 'labels', 'goroutine').decode('utf-8').splitlines()
    assert len(lines) == 3, lines
    for line in lines:
        assert re.fullmatch(r'[^ ;]+(;[^ ;]+)* [1-9][0-9]*', line), line
        assert not re.search(r'[\x00-\x1f\x7f\u202e]', line)
        assert 'main.F[...]' in line and '[incomplete]' in line


# --- speedscope --------------------------------------------------------------------------------------

def check_speedscope(d):
    """What www.speedscope.app/file-format-schema.json asks of a file of sampled profiles."""
    assert d['$schema'] == 'https://www.speedscope.app/file-format-schema.json'
    assert set(d) <= {'$schema', 'shared', 'profiles', 'name', 'activeProfileIndex', 'exporter'}
    assert isinstance(d['name'], str) and isinstance(d['exporter'], str)
    assert 0 <= d['activeProfileIndex'] < len(d['profiles'])
    assert set(d['shared']) == {'frames'}
    for f in d['shared']['frames']:
        assert set(f) <= {'name', 'file', 'line', 'col'} and isinstance(f['name'], str)
    for p in d['profiles']:
        assert set(p) == {'type', 'name', 'unit', 'startValue', 'endValue', 'samples', 'weights'}
        assert p['type'] == 'sampled' and p['unit'] == 'nanoseconds'
        assert len(p['samples']) == len(p['weights'])
        assert all(isinstance(w, int) and w >= 0 for w in p['weights'])
        assert p['endValue'] - p['startValue'] == sum(p['weights'])
        for s in p['samples']:
            assert s and all(isinstance(i, int) and 0 <= i < len(d['shared']['frames']) for i in s)


def speedscope(kind, *args):
    d = json.loads(profile('speedscope', kind, *args))
    check_speedscope(d)
    return d


def stacks(d, p):
    names = [f['name'] for f in d['shared']['frames']]
    out = collections.Counter()
    for s, w in zip(p['samples'], p['weights']):
        out[';'.join(names[i] for i in s).replace(' [kernel]', '_[k]')] += w
    return dict(out)


def test_speedscope():
    for kind in ('cpu', 'off_cpu'):
        d = speedscope(kind)
        assert [p['name'] for p in d['profiles']] == [{'cpu': 'on CPU', 'off_cpu': 'off CPU'}[kind]]
        assert stacks(d, d['profiles'][0]) == folded(kind)
    d = speedscope('wall')
    assert [p['name'] for p in d['profiles']] == ['wall', 'on CPU', 'off CPU']
    assert [stacks(d, p) for p in d['profiles']] == [folded('wall'), folded('cpu'), folded('off_cpu')]
    files = {f['name']: f.get('file') for f in d['shared']['frames']}
    assert files['main.hot'] == '/src/a.go' and files['[mutex]'] is None
    check_speedscope(json.loads(profile('speedscope', 'wall', script='')))


def test_speedscope_hostile_names():
    d = speedscope('wall', 'hostile', 'labels', 'goroutine')
    for f in d['shared']['frames']:
        assert not re.search('[\x00-\x1f\x7f\u202e]', f['name'] + f.get('file', '')), f


# --- flame graph -------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    """The page's structure as a browser's parser sees it."""
    VOID = {'meta', 'input', 'br', 'link'}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.scripts, self.addresses = collections.Counter(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f'not closed: {self.open}'

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.addresses += [v for k, v in attrs if k in ('src', 'href', 'action', 'data')]
        if tag == 'script':
            self.scripts.append([dict(attrs), ''])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f'</{tag}> in {self.open}'
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script':
            self.scripts[-1][1] += data


def flame(kind, *args, script=SCRIPT):
    text = profile('flame', kind, *args, script=script).decode('utf-8')
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>')
    assert not page.addresses, f'loads {page.addresses}'
    assert not re.search(r'url\(|@import|fetch\(|XMLHttp', text)
    assert page.tags['script'] == 2, page.tags
    (data, json_text), (code, js) = page.scripts
    assert data == {'type': 'application/json', 'id': 'profile'} and code == {}
    assert js.strip() == SCRIPT_JS.read_text().strip()
    return json.loads(json_text)


def flame_stacks(d):
    """Time of each stack itself, by its functions; also checks that the nodes are a tree that adds up."""
    assert len(d['names']) == len(d['kinds']) and len(d['nodes']) % 3 == 0
    path, own = [], {}
    for depth, name, ns in zip(*[iter(d['nodes'])] * 3):
        assert depth <= len(path) and ns > 0
        del path[depth:]
        path.append(d['names'][name] + ('_[k]' if d['kinds'][name] == 2 else ''))
        key = ';'.join(path)
        assert key not in own
        own[key] = ns
        if depth:
            above = ';'.join(path[:-1])
            own[above] -= ns
            assert own[above] >= 0
    assert sum(own.values()) <= d['total']
    return {k.replace('goroutine ', 'goroutine_'): v for k, v in own.items() if v}


def test_flame_data():
    for kind in ('cpu', 'off_cpu', 'wall'):
        for args in ((), ('goroutine',), ('all-frames',)):
            d = flame(kind, *args)
            assert flame_stacks(d) == folded(kind, *args)
            assert d['total'] == sum(folded(kind, *args).values())
    kinds = dict(zip(d['names'], d['kinds']))
    assert kinds['main.hot'] == 0 and kinds['runtime.gopark'] == 1 and kinds['vfs_read'] == 2 and kinds['[mutex]'] == 4
    assert flame('wall', script='')['nodes'] == []


def test_flame_hostile_names():
    d = flame('wall', 'hostile', 'labels', 'goroutine')
    assert '</script><script>alert(1)</script>' in d['names']
    for n in d['names'] + [d['title'], d['about']]:
        assert not re.search('[\x00-\x1f\x7f\u202e]', n), n


def test_flame_is_bounded():
    text = profile('flame', 'cpu', 'wide=8000')
    assert len(text) < 1 << 20, len(text)
    d = flame('cpu', 'wide=8000')
    nodes = len(d['nodes']) // 3
    total = 8000 * 8001 // 2 * 1000
    assert d['total'] == total
    # of main.f(i) with i + 1 µs those stay that have a 40000th of all
    assert nodes == 101 + sum((i + 1) * 1000 >= total // 40000 for i in range(8000)), nodes


JS = r'''
const f = require(process.argv[2]);
const d = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const nodes = f.makeNodes(d);
const zoom = nodes.findIndex((n) => n.name === 'main.main');
const at = (boxes, name) => boxes.find((b) => nodes[b.index].name === name);
console.log(JSON.stringify({
  n: nodes.length,
  root: nodes[0],
  inside: nodes.every((n) => n.parent < 0 || (n.start >= nodes[n.parent].start &&
                      n.start + n.total <= nodes[n.parent].start + nodes[n.parent].total)),
  boxes: f.visible(nodes, 0, 1400, 0.3).length,
  wide: f.visible(nodes, 0, 1400, 500).length,
  zoomed: f.visible(nodes, zoom, 900, 0.3).map((b) => [nodes[b.index].name, Math.round(b.w), b.dim]),
  mutex: f.search(nodes, 'mutex').total,
  nested: f.search(nodes, 'main|hot').total,
  none: f.search(nodes, '').found.size,
  bad: f.search(nodes, '(*Mutex').total,
  upper: f.search(nodes, 'VFS_READ').total,
  times: [f.formatTime(0), f.formatTime(999), f.formatTime(1500), f.formatTime(41e6), f.formatTime(1234567890123)],
  share: [f.formatShare(1, 4), f.formatShare(1, 0)],
  fit: [f.fit('a/b/c.Function', 20), f.fit('a/b/c.Function', 10), f.fit('a/b/c.Function', 5), f.fit('abcdef', 3)],
  colours: [f.colour(0, 'x') === f.colour(0, 'x'), new Set([0, 1, 2, 3, 4, 5].map((k) => f.colour(k, 'x'))).size],
  text: f.describe(nodes, at(f.visible(nodes, 0, 1, 0), 'main.hot').index, zoom),
}));
'''


def test_flame_script():
    node = shutil.which('node')
    if not node:
        return 'no node on PATH; the page was checked, its script not run'
    with tempfile.NamedTemporaryFile('w', suffix='.js') as js:
        js.write(JS)
        js.flush()
        data = json.dumps(flame('wall')).encode()
        out = subprocess.run([node, js.name, str(SCRIPT_JS)], input=data, check=True, capture_output=True).stdout
    r = json.loads(out)
    assert r['root']['total'] == 140 * MS and r['root']['depth'] == 0 and r['inside']
    assert r['boxes'] == r['n'] == 1 + len(flame('wall')['nodes']) // 3
    assert r['wide'] == 5, r['wide']  # all, main.main 900 px, main.nap, Sleep, [sleep] 500 px each
    zoomed = {n: (w, dim) for n, w, dim in r['zoomed']}
    assert zoomed['all'] == (900, True) and zoomed['main.main'] == (900, False)
    assert zoomed['main.hot'] == (200, False) and 'main.nap' not in zoomed
    assert r['mutex'] == 45 * MS and r['nested'] == 140 * MS and r['none'] == 0
    assert r['bad'] == 45 * MS and r['upper'] == 10 * MS
    assert r['times'] == ['0 ns', '999 ns', '1.50 µs', '41.0 ms', '1235 s'], r['times']
    assert r['share'] == ['25.00 %', '–']
    assert r['fit'] == ['a/b/c.Function', 'c.Function', 'c.Fu…', ''], r['fit']
    assert r['colours'] == [True, 6]
    assert r['text'] == 'main.hot — 20.0 ms, 14.29 % of all, 22.22 % of what is shown, 22.22 % of its caller', r['text']


# A page of as much as the script uses: it draws, zooms, searches and turns over.
JS_PAGE = ELEMENTS + r'''
const ids = {};
for (const id of ['profile', 'graph', 'info', 'search', 'result', 'reset', 'turn', 'title', 'about', 'legend'])
  ids[id] = new Element(id);
new Element('main').appendChild(ids.graph).parentNode.clientWidth = 1400;
ids.profile.textContent = fs.readFileSync(0, 'utf8');
ids.search.value = '';
const document = Object.assign(new Element('document'), {
  getElementById: (id) => ids[id], createElementNS: (ns, tag) => new Element(tag),
  createElement: (tag) => new Element(tag), body: { scrollHeight: 1 },
});
const window = Object.assign(new Element('window'), { scrollTo() {} });
vm.runInNewContext(fs.readFileSync(process.argv[2], 'utf8'), { document, window });
const boxes = () => ids.graph.children.map((g) => ({
  text: g.children.filter((c) => c.tag === 'text').map((c) => c.textContent).join(''),
  title: g.children[0].textContent, rect: g.children[1].attributes, g,
}));
const named = (name) => boxes().find((b) => b.title.startsWith(name + ' '));
const out = { title: document.title, about: ids.about.textContent, first: boxes().length, legend: ids.legend.textContent };
out.hot = [named('main.hot').rect.width, named('main.hot').text];
out.flame = Number(named('all').rect.y) > Number(named('main.main').rect.y);
ids.turn.on.click();
out.icicle = Number(named('all').rect.y) < Number(named('main.main').rect.y);
ids.graph.on.click({ target: named('main.main').g.children[1] });
out.zoomed = [ids.info.textContent, named('main.main').rect.width, !named('main.nap')];
ids.graph.on.mouseover({ target: named('main.hot').g.children[0] });
out.hover = ids.info.textContent;
document.on.keydown({ key: '/', preventDefault() {} });
out.focus = document.activeElement === ids.search;
ids.search.value = 'mutex';
ids.search.on.input();
out.search = [ids.result.textContent, boxes().filter((b) => b.rect.fill === '#d050ff').length];
document.on.keydown({ key: 'Escape' });
out.last = [boxes().length, ids.search.value, ids.result.textContent];
console.log(JSON.stringify(out));
'''


def test_flame_page():
    node = shutil.which('node')
    if not node:
        return 'no node on PATH; the page was checked, its script not run'
    with tempfile.NamedTemporaryFile('w', suffix='.js') as js:
        js.write(JS_PAGE)
        js.flush()
        run = [node, js.name, str(SCRIPT_JS)]
        data = json.dumps(flame('wall')).encode()
        r = json.loads(subprocess.run(run, input=data, check=True, capture_output=True).stdout)
        for args, script in ((('hostile', 'labels', 'goroutine'), ''), (('wide=8000',), '')):
            data = json.dumps(flame('cpu', *args, script=script)).encode()
            try:
                subprocess.run(run, input=data, check=True, capture_output=True)
            except subprocess.CalledProcessError as e:
                assert b'named(' in e.stderr, e.stderr  # drawn; there is no main.hot to look at
    assert r['first'] == 1 + len(flame('wall')['nodes']) // 3 and r['last'] == [r['first'], '', '']
    assert 'wall' in r['title'] and 'PID' in r['about'] and r['legend'] == 'Gokernelwaiting', r
    assert r['hot'] == ['199.50', 'main.hot'] and r['flame'] and r['icicle'], r
    assert r['zoomed'] == ['main.main — 90.0 ms, 64.29 % of all', '1399.50', True], r
    assert r['hover'].startswith('main.hot — 20.0 ms, 14.29 % of all, 22.22 % of what is shown'), r
    assert r['focus'] and r['search'][0] == '32.14 % match' and r['search'][1] >= 2, r


# --- pprof -------------------------------------------------------------------------------------------

def pprof(go, data, *args):
    with tempfile.NamedTemporaryFile(suffix='.pb.gz') as f:
        f.write(data)
        f.flush()
        return subprocess.run([go, 'tool', 'pprof', *args, f.name], check=True, capture_output=True,
                              env={'PATH': '/usr/bin:/bin', 'HOME': tempfile.gettempdir(), 'GOTOOLCHAIN': 'local',
                                   'PPROF_NO_BROWSER': '1'}).stdout.decode('utf-8')


def raw(go, kind, *args):
    """(sample types, [(values, locations, {label: value})], {location: [function]}, {location: mapping})"""
    text = pprof(go, profile('pprof', kind, *args), '-raw')
    head, rest = text.split('Samples:\n')
    samples, rest = rest.split('Locations\n')
    types, *lines = samples.splitlines()
    found = []
    for line in lines:
        m = re.fullmatch(r'\s*([-\d\s]+): ([\d ]*)', line)
        if m:
            found.append(([int(v) for v in m[1].split()], [int(v) for v in m[2].split()], {}))
        else:
            for k, v in re.findall(r'(\S+?):\[([^\]]*)\]', line):
                found[-1][2][k] = v
    functions, mappings, last = {}, {}, 0
    for line in rest.split('Mappings\n')[0].splitlines():
        m = re.fullmatch(r'\s+(\d+): (0x[0-9a-f]+) (?:M=(\d+) )?(\S+) (\S+) s=.*', line)
        assert m, line
        functions[int(m[1])] = [m[4]]
        mappings[int(m[1])] = m[3]
    return types.split(), found, functions, mappings, head + rest


def as_folded(parsed, index):
    _, samples, functions, mappings, _ = parsed
    out = collections.Counter()
    for values, ids, labels in samples:
        names = [functions[i][0] + ('_[k]' if mappings[i] == '2' else '') for i in reversed(ids)]
        names = [n for n in names if n != 'runtime.gopark']
        if labels.get('wait_class', 'on_cpu') != 'on_cpu':
            names.append(f'[{labels["wait_class"]}]')
        out[';'.join(names)] += values[index]
    return {k: v for k, v in out.items() if v}


def test_go_tool_pprof(go):
    parsed = raw(go, 'cpu')
    assert parsed[0] == ['samples/count', 'cpu/nanoseconds'], parsed[0]
    assert as_folded(parsed, 1) == folded('cpu')
    assert sum(s[0][0] for s in parsed[1]) == 3
    assert 'Period: 10000000' in parsed[4] and 'PeriodType: cpu nanoseconds' in parsed[4]
    assert 'Duration: 2s' in parsed[4] or 'Duration: 2' in parsed[4], parsed[4]
    assert '[kernel]' in parsed[4]
    parsed = raw(go, 'off_cpu')
    assert parsed[0] == ['contentions/count', 'delay/nanoseconds'], parsed[0]
    assert as_folded(parsed, 1) == folded('off_cpu')
    parsed = raw(go, 'wall')
    assert [t.split('[')[0] for t in parsed[0]] == ['samples/count', 'cpu/nanoseconds', 'contentions/count',
                                                     'delay/nanoseconds', 'wall/nanoseconds'], parsed[0]
    assert parsed[0][4].endswith('[dflt]')
    for index, kind in ((1, 'cpu'), (3, 'off_cpu'), (4, 'wall')):
        assert as_folded(parsed, index) == folded(kind)


def test_go_tool_pprof_labels(go):
    _, samples, _, _, _ = raw(go, 'wall', 'goroutine', 'labels')
    of = collections.defaultdict(int)
    for values, _, labels in samples:
        of[labels['goid']] += values[4]
        if labels['goid'] == '5':
            assert labels['route'] == '/cart' and labels['label:goid'] == 'mine', labels
        else:
            assert 'route' not in labels
    assert of == {'5': 90 * MS, '6': 50 * MS}, of
    tags = pprof(go, profile('pprof', 'wall', 'goroutine'), '-tags')
    assert 'wait_class: Total' in tags and 'goid: Total' in tags
    focused = pprof(go, profile('pprof', 'wall'), '-top', '-tagfocus=wait_class=mutex')
    assert 'main.lock' in focused and '40ms' in focused and 'main.nap' not in focused, focused


def test_go_tool_pprof_top(go):
    top = pprof(go, profile('pprof', 'off_cpu'), '-top', '-cum')
    assert re.search(r'of 110ms total', top) or 'Total samples = 110ms' in top, top
    assert re.search(r'60ms 54\.55%.*main\.main', top), top
    pprof(go, profile('pprof', 'cpu', script=''), '-top')
    pprof(go, profile('pprof', 'wall', 'hostile', 'labels', 'goroutine'), '-raw')


if __name__ == '__main__':
    sys.exit(tap_main.main(globals()))
