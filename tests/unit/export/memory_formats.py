#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Read the results of mem that mem_print writes back with readers that are not ours.

  memory_formats.py MEM_PRINT               text, JSON, folded, HTML and its script (under node, if there is one)
  memory_formats.py MEM_PRINT GO_FINDER     profiles with `go tool pprof`; GO_FINDER prints where Go is
"""
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
SCRIPT_JS = pathlib.Path(__file__).resolve().parents[3] / 'src' / 'export' / 'memory_treemap.js'
ELEMENTS = (pathlib.Path(__file__).parent / 'page_elements.js').read_text(encoding='utf-8')
MB = 1 << 20
RSS = (190 + 48 + 5 + 14 + 3 + 1) * MB + MB // 2 + 1
WORLDS = ('shop', 'core', 'empty', 'hostile', 'many')
NASTY = re.compile(r'[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]')


def result(fmt, world, *args):
    p = subprocess.run([PRINT, fmt, world, *args], check=True, capture_output=True)
    assert not p.stderr, p.stderr
    return p.stdout


# --- text --------------------------------------------------------------------------------------------

def text(world, *args, fmt='text'):
    out = result(fmt, world, *args).decode('utf-8')
    assert out.endswith('\n') and not NASTY.search(out), NASTY.search(out)
    return out


def rows(out):
    """{words: (resident, share)} of the table of classes."""
    found = {}
    for line in out.splitlines():
        m = re.fullmatch(r' *([\d.]+ \w+|-) +(?:\d+ +|- +)?([\d.]+) %.*  (?:read|derived|estimated) +(.*)', line)
        if m:
            found[m[3]] = (m[1], float(m[2]))
    return found


def test_text():
    out = text('shop')
    lines = out.splitlines()
    assert lines[0].startswith('example.org/shop (PID 4711, go1.26.10): 262 MiB resident'), lines[0]
    assert lines[2].startswith('RSS grew 124 MiB in 60 s'), 'the verdict comes first'
    assert lines[3].strip() == 'unix.Mmap syscall.go:12' and lines[4].strip() == 'cache.(*Cache[...]).load cache.go:88'
    assert 'runtime.goexit' not in out
    found = rows(out)
    assert list(found.values())[0] == ('190 MiB', 72.7) and len(found) == 8, found
    assert abs(sum(share for _, share in found.values()) - 100) < 0.5
    assert found['Go heap address space never used'] == ('-', 0)
    assert 'goroutine stacks in use' not in out
    item = next(l for l in lines if 'rw-p 64 MiB' in l)
    assert re.fullmatch(r' *180 MiB +46080 +192 MiB +64\.0 MiB +rw-p 64 MiB \(3\)', item), item
    assert '/opt/shop/price.so (4), loaded 3 times' in out
    assert 'Go heap: goal 64.0 MiB, GOGC 100, no memory limit, 12 collections, the last 3.20 s ago' in out
    assert 'behind by 2.0 MiB' in out and 'GOGC lets it keep a tenth more' in out
    assert 'NUMA: node 0 200 MiB (76 %), node 1' in out
    assert '30.0 MiB  main.readOrder order.go:33  (1000 objects)' in out
    assert '10.0 MiB  cache.(*Cache[...]).load cache.go:88  (1 object)' in out
    assert '█' not in out and '\033' not in out


def table(out):
    """Lines of the table of classes, without its title."""
    return out.split('RESIDENT   PAGES', 1)[1].split('\n\n')[0].splitlines()[1:]


def test_text_columns():
    """Each line has its pages, as JSON counts them, and is not wider than 100 columns; HUGE is there when it is needed."""
    pages = {c['words']: c['pages'] for c in doc('shop')['classes']}
    out = text('shop')
    found = {m[3]: int(m[1].replace('-', '0')) for m in
             (re.match(r' *\S+(?: \w+)? +(\d+|-) +[\d.]+ %.*(read|derived|estimated) +(.*?)(?: \(512.*)?$', l) for l in table(out)) if m}
    assert len(found) == 8 and all(pages[k] == v for k, v in found.items()), found
    assert '    HUGE  KNOWN' in out and max(map(len, table(out))) <= 100
    many = text('many')
    assert 'HUGE' not in many and max(map(len, table(many))) <= 90


def test_text_growth():
    out = text('shop')
    growth = out[out.index('GROWTH in 60.0 s: +124 MiB (138 MiB to 262 MiB)'):]
    assert re.search(r'\+120 MiB  anonymous mappings.*\n +\+120 MiB  mmap, 30 calls, last by goroutine 34\n +unix\.Mmap',
                     growth), growth
    assert 'free Go heap pages' not in growth.split('RESIDENT')[0] and '-1.0 MiB  in 1 other class' in growth
    assert 'Go allocations, 6 times, estimated' in growth and 'dlopen' not in growth
    everything = text('shop', 'all')
    assert '-1.0 MiB  free Go heap pages' in everything
    assert re.search(r'\n +shared libraries in use\n +dlopen libz\.so\.1\S+, 1 call\n', everything), everything
    assert re.search(r'\n +-1\.0 MiB  madvise MADV_DONTNEED by runtime\.sysUnused for the background scavenger, '
                     r'3 calls over 3\.0 MiB\n', everything), everything
    assert 'GROWTH' not in text('core')


def test_text_all():
    out = text('shop', 'all')
    assert 'goroutine stacks in use' in out and 'runtime.goexit' in out and 'rw-p 4 KiB' in out
    assert '/memory/classes/heap/objects:bytes' in out
    sites = text('shop', 'sites=1')
    assert 'json.Unmarshal decode.go:7' in sites.split('ALLOCATED BY')[1] and 'and 1 more' in sites


def test_text_on_a_terminal():
    plain = text('shop')
    bars = text('shop', 'bars')
    assert '███████▎' in bars
    for width in (40, 80, 133):
        for line in text('shop', 'bars', f'width={width}').splitlines():
            assert len(line) <= width, line
    coloured = result('text', 'shop', 'colour').decode()
    assert re.sub(r'\033\[[0-9;]*m', '', coloured) == plain
    assert coloured.count('\033[0m') == len(re.findall(r'\033\[(?!0m)', coloured))


def test_text_of_a_core():
    out = text('core')
    assert 'a core file, which does not tell what was resident' in out and 'RESIDENT' not in out
    assert re.search(r'200 MiB +75\.8 %', out) and 'GOGC off, memory limit 256 MiB' in out
    assert 'ago' not in out and 'Scavenger' not in out


def test_text_of_objects():
    out = text('shop', fmt='objects-text')
    assert '1100 live objects, 11.0 MiB (the types of 90.9 % are known); walked in 41.0 ms' in out
    assert 'PATH from a root\n  goroutine 24 (main.main)\n    main.cache  0x600000  map[string]*main.Order\n' in out
    assert re.search(r'8\.0 MiB +72\.7 % +1000 +9\.0 MiB +main\.Order\n', out)
    assert re.search(r'1\.0 MiB +9\.1 % +20 +2\.0 MiB +goroutine 42 in main\.readOrder order\.go:33\n', out)
    assert re.search(r'2\.0 MiB +18\.2 % +100 +several of them\n', out)
    assert '? 96 bytes, pointers\n(which code allocates most, of known type or not: gosonde mem --sites)\n' in out


def test_text_of_others():
    assert text('empty').count('\n') == 1
    hostile = text('hostile', 'all', 'sites=9')
    assert '\\x1b[2J' in hostile
    for world in ('hostile', 'empty'):
        text(world, fmt='objects-text')


# --- JSON --------------------------------------------------------------------------------------------

def doc(world, *args, fmt='json'):
    out = result(fmt, world, *args).decode('utf-8')
    d = json.loads(out)
    assert list(d)[0] == 'schema'
    if 'pretty' not in args:
        assert out.count('\n') == 1 and out.endswith('\n')
    return d


def test_json():
    d = doc('shop')
    assert d['schema'] == 'gosonde.mem/1' and d['process']['pid'] == 4711
    assert d['rss_bytes'] == RSS == sum(c['resident_bytes'] for c in d['classes'])
    assert all(x['pages'] == x['resident_bytes'] // 4096 for x in d['classes'] + d['items'])
    assert len(d['classes']) == 33 and d['classes'][0]['name'] == 'anonymous'
    assert [c['resident_bytes'] for c in d['classes']] == sorted((c['resident_bytes'] for c in d['classes']), reverse=True)
    heap = next(c for c in d['classes'] if c['name'] == 'heap_live')
    assert (heap['bytes'], heap['how'], heap['words']) == (48 * MB, 'derived', 'Go objects that were live at the last GC')
    v = d['verdict'][0]
    assert v['class'] == 'anonymous' and v['bytes'] == 120 * MB and v['frames'][1]['line'] == 88
    assert v['frames'][1]['function'] == 'example.org/shop/cache.(*Cache[...]).load' and v['advice']
    assert d['verdict'][1]['advice'] is None and d['verdict'][1]['frames'] == []
    g = {g['class']: g for g in d['growth']}
    assert g['anonymous']['bytes'] == 120 * MB and g['heap_free']['bytes'] == -MB
    assert [f['function'] for f in g['anonymous']['by']][:1] == ['golang.org/x/sys/unix.Mmap']
    assert g['anonymous']['growers'][0]['goroutine_id'] == 34 and g['heap_new']['growers'][0]['goroutine_id'] is None
    assert g['libraries']['bytes'] == 0 and g['libraries']['by'] == []
    back = g['heap_free']['growers'][0]
    assert [back[k] for k in ('what', 'detail', 'runtime', 'cause', 'bytes', 'asked_bytes')] == [
        'madvise', 'MADV_DONTNEED', 'runtime.sysUnused', 'the background scavenger', -MB, 3 * MB]
    assert g['anonymous']['growers'][0]['asked_bytes'] is None and g['anonymous']['growers'][0]['runtime'] is None
    assert d['watched_seconds'] == 60 and d['rss_before_bytes'] == RSS - 124 * MB
    assert d['heap'] == {'goal_bytes': 64 * MB, 'gc_percent': 100, 'memory_limit_bytes': None, 'gc_count': 12,
                         'last_gc_ago_seconds': 3.2}
    assert d['scavenger']['memory_limit_goal_bytes'] is None and d['scavenger']['behind_bytes'] == 2 * MB
    assert d['metrics']['/memory/classes/total:bytes'] == 99 * MB
    assert sum(n['bytes'] for n in d['numa']) == RSS
    assert [s['bytes'] for s in d['sites']] == [30 * MB, 10 * MB]
    assert d['items'][3]['note'] == 'loaded 3 times' and d['items'][0]['start'] == '0x7f0000000000'
    assert d['incomplete'][0]['what'] == 'pages_unreadable'
    assert doc('shop', 'pretty') == d


def test_json_units():
    """Keys with numbers of bytes and times say so."""
    for d in (doc('shop'), doc('shop', fmt='objects-json')):
        def walk(x, path):
            for k, v in x.items() if isinstance(x, dict) else enumerate(x):
                if isinstance(v, (dict, list)):
                    walk(v, path + [k])
                elif isinstance(v, int) and v >= MB and 'metrics' not in path:
                    assert k in ('bytes',) or k.endswith('_bytes'), (path, k)
        walk(d, [])


def test_json_of_a_core():
    d = doc('core')
    assert d['kernel_view'] is False and d['rss_bytes'] is None
    assert all(c['resident_bytes'] is None and c['pages'] is None for c in d['classes'])
    assert d['classes'][0]['bytes'] == 200 * MB and d['heap']['memory_limit_bytes'] == 256 * MB
    assert d['cgroup_limit_bytes'] is None and d['scavenger'] is None and d['watched_seconds'] is None


def test_json_of_others():
    assert doc('empty')['verdict'] == [] and doc('empty', fmt='objects-json')['types'] == []
    d = doc('hostile')
    assert d['process']['service'].startswith('</script>') and '\x1b[2J' in d['process']['service']
    assert {g['class'] for g in d['growth']} >= {'anonymous', 'heap_free', 'heap_live'}
    doc('hostile', fmt='objects-json')


def test_json_objects():
    d = doc('shop', fmt='objects-json')
    assert d['schema'] == 'gosonde.mem.objects/1' and d['walk_seconds'] == 0.041
    assert d['types'][0] == {'name': 'main.Order', 'how': 'header', 'objects': 1000, 'bytes': 8 * MB,
                             'retained_bytes': 9 * MB}
    assert d['types'][1]['retained_bytes'] is None and d['roots'][0]['reached_bytes'] == 8 * MB
    assert d['types'][2]['how'] is None and d['roots'][1]['frame']['function'] == 'main.readOrder'
    assert d['roots'][0]['frame'] is None and d['roots'][0]['goroutine_id'] is None
    assert d['path'][0] == {'what': 'goroutine 24 (main.main)', 'address': None, 'type': None}
    assert d['path'][2] == {'what': '[3]', 'address': '0xc000010000', 'type': '*main.Order'}


# --- folded ------------------------------------------------------------------------------------------

def folded(world):
    found = []
    for line in result('folded', world).decode('utf-8').splitlines():
        m = re.fullmatch(r'([^ ;]+(?:;[^ ;]+)*) ([1-9][0-9]*)', line)
        assert m and not NASTY.search(line), line
        found.append((m[1], int(m[2])))
    return found


def test_folded():
    lines = folded('shop')
    assert sum(v for _, v in lines) == RSS
    d = dict(lines)
    assert d['heap_live;main.readOrder;encoding/json.Unmarshal'] == 30 * MB and d['heap_live'] == 8 * MB
    assert d[r'anonymous;rw-p\x2064\x20MiB'] == 180 * MB
    assert d['anonymous'] == 2 * MB - 4096 and d['plugins;/opt/shop/price.so'] == MB // 2
    of_core = dict(folded('core'))
    assert sum(of_core.values()) == 264 * MB, 'sites that say too much count in proportion'
    assert of_core['heap_live;main.readOrder;encoding/json.Unmarshal'] == 48 * MB
    assert folded('empty') == []
    assert sum(v for k, v in folded('hostile') if k.startswith('files')) == 4 * MB
    assert len(folded('many')) == 5000


# --- HTML --------------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.scripts, self.tags, self.where = [], [], None
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.where = tag
        if tag == 'script':
            self.scripts.append('')

    def handle_endtag(self, tag):
        self.where = None

    def handle_data(self, data):
        if self.where == 'script':
            self.scripts[-1] += data


def treemap(world):
    source = result('html', world).decode('utf-8')
    page = Page(source)
    assert len(page.scripts) == 2, f'{len(page.scripts)} scripts'
    assert not NASTY.search(source)
    policy = [a['content'] for t, a in page.tags if t == 'meta' and a.get('http-equiv') == 'Content-Security-Policy']
    assert policy and policy[0].startswith("default-src 'none'")
    for tag, attrs in page.tags:
        assert not {'src', 'href', 'onclick', 'onload', 'style', 'action'} & set(attrs), (tag, attrs)
        assert tag not in ('link', 'img', 'iframe', 'object', 'embed', 'base', 'form'), tag
    assert not re.search(r'innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|fetch\(|XMLHttp|import\(', source)
    assert page.scripts[1].strip() == SCRIPT_JS.read_text().strip()
    return json.loads(page.scripts[0])


def test_html():
    d = treemap('shop')
    assert d['title'] == 'example.org/shop' and '262 MiB resident' in d['about'] and d['resident']
    assert [sum(c['weights'][0] for c in d['classes']), d['classes'][0]['weights']] == [RSS, [190 * MB, 204 * MB, 64 * MB]]
    assert d['classes'][0]['parts'][0]['name'] == 'rw-p 64 MiB (3)'
    site = next(c for c in d['classes'] if c['name'] == 'heap_live')['parts'][0]
    assert site['name'] == 'main.readOrder order.go:33' and site['frames'][0] == 'json.Unmarshal decode.go:7'
    assert d['verdict'][0]['advice'] and d['verdict'][0]['frames'][1] == 'cache.(*Cache[...]).load cache.go:88'
    assert d['growth'][0]['bytes'] == 120 * MB and len(d['incomplete']) == 1
    for c in d['classes']:
        for i in range(3):
            assert sum(p['weights'][i] for p in c['parts']) <= c['weights'][i]
    assert len(treemap('many')['classes'][0]['parts']) == 400
    for world in WORLDS:
        treemap(world)


NODE = shutil.which('node')
NO_NODE = 'no node on PATH; the page was checked, its script not run'


def node(program, world):
    with tempfile.NamedTemporaryFile('w', suffix='.js') as js:
        js.write(program)
        js.flush()
        return json.loads(subprocess.run([NODE, js.name, str(SCRIPT_JS)], input=json.dumps(treemap(world)).encode(),
                                         check=True, capture_output=True).stdout)


JS = r'''
const f = require(process.argv[2]);
const result = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const nodes = f.makeNodes(result, 0), W = 1000, H = 600;
const rects = f.squarify([6, 6, 4, 3, 2, 2, 1], 0, 0, 600, 400);
const boxes = f.layout(nodes, 0, W, H, 0);
const of = (name) => nodes.findIndex((n) => n.name === name);
const box = (name) => boxes.find((b) => b.index === of(name));
const inside = (a, b) => a.x >= b.x - 1e-6 && a.y >= b.y - 1e-6 && a.x + a.w <= b.x + b.w + 1e-6 && a.y + a.h <= b.y + b.h + 1e-6;
const apart = (a, b) => a.x + a.w <= b.x + 1e-6 || b.x + b.w <= a.x + 1e-6 || a.y + a.h <= b.y + 1e-6 || b.y + b.h <= a.y + 1e-6;
const top = boxes.filter((b) => nodes[b.index].parent === 0);
console.log(JSON.stringify({
  total: nodes[0].value, sums: nodes.every((n) => !n.children.length || n.children.reduce((a, i) => a + nodes[i].value, 0) === n.value),
  areas: rects.map((r) => Math.round(r.w * r.h)), ratio: Math.max(...rects.map((r) => Math.max(r.w / r.h, r.h / r.w))),
  apart: rects.every((a, i) => rects.every((b, k) => i === k || apart(a, b))),
  within: rects.every((r) => inside(r, { x: 0, y: 0, w: 600, h: 400 })),
  nested: boxes.every((b) => nodes[b.index].parent === 0 || !boxes.some((p) => p.index === nodes[b.index].parent) ||
    inside(b, boxes.find((p) => p.index === nodes[b.index].parent))),
  exact: top.every((b) => Math.abs(b.w * b.h / (W * H) - nodes[b.index].value / nodes[0].value) < 1e-9),
  largest: nodes[top[0].index].name, parts: nodes[of('rw-p 64 MiB (3)')].parent === of(nodes[top[0].index].name),
  rest: nodes.filter((n) => n.name === 'the rest').length,
  zoomed: f.layout(nodes, top[0].index, W, H, 0).map((b) => nodes[b.index].name),
  ways: ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown', 'x'].map((k) => f.neighbour([
    { x: 0, y: 0, w: 10, h: 10 }, { x: 10, y: 0, w: 10, h: 10 }, { x: 0, y: 10, w: 10, h: 10 }], 0, k)),
  bytes: [f.formatBytes(0), f.formatBytes(1023), f.formatBytes(1.5 * 1048576), f.formatBytes(212 * 1048576), f.formatBytes(-4096)],
  share: [f.formatShare(1, 4), f.formatShare(1, 0)], fit: [f.fit('abcdef', 6), f.fit('abcdef', 5), f.fit('abcdef', 3)],
  text: f.describe(nodes, of('main.readOrder order.go:33')),
  odd: [f.squarify([], 0, 0, 1, 1).length, f.squarify([1, 1], 0, 0, 0, 0).length, f.makeNodes({ classes: [] }, 0).length],
  address: f.makeNodes(result, 1)[0].value,
}));
'''


def test_treemap_script():
    if not NODE:
        return NO_NODE
    r = node(JS, 'shop')
    assert r['total'] == RSS and r['sums'] and r['address'] == 320 * MB, r
    assert r['areas'] == [60000, 60000, 40000, 30000, 20000, 20000, 10000] and r['ratio'] < 3, r
    assert r['apart'] and r['within'] and r['nested'] and r['exact'] and r['parts'], r
    assert r['largest'] == 'anonymous mappings outside of the Go runtime' and r['rest'] == 3
    assert r['zoomed'][0] == r['largest'] and 'the rest' in r['zoomed'] and len(r['zoomed']) == 5, r['zoomed']
    assert r['ways'] == [1, 0, 0, 2, 0], r['ways']
    assert r['bytes'] == ['0 B', '1023 B', '1.5 MiB', '212 MiB', '-4.0 KiB'] and r['share'] == ['25.0 %', '–']
    assert r['fit'] == ['abcdef', 'abcd…', ''] and r['odd'] == [0, 2, 1]
    assert r['text'] == 'main.readOrder order.go:33 — 30.0 MiB, 11.5 % of all, 62.5 % of Go objects that were live ' \
        'at the last GC (derived)', r['text']


# A page of as much as the script uses: it draws, zooms, moves by keys and changes sizes.
JS_PAGE = ELEMENTS + r'''
const ids = {};
for (const id of ['result', 'map', 'info', 'sizes', 'out', 'title', 'about', 'legend', 'verdict', 'growth', 'classes', 'incomplete'])
  ids[id] = new Element(id);
new Element('div').appendChild(ids.map).parentNode.clientWidth = 1200;
ids.result.textContent = fs.readFileSync(0, 'utf8');
const document = Object.assign(new Element('document'), {
  getElementById: (id) => ids[id], createElementNS: (ns, tag) => new Element(tag), createElement: (tag) => new Element(tag),
});
const window = Object.assign(new Element('window'), { innerHeight: 900 });
vm.runInNewContext(fs.readFileSync(process.argv[2], 'utf8'), { document, window });
const boxes = () => ids.map.children.map((g) => ({ title: g.children[0].textContent, label: g.attributes['aria-label'], g,
  text: g.children.filter((c) => c.tag === 'text').map((c) => c.textContent).join('') }));
const named = (name) => boxes().find((b) => b.title.startsWith(name));
const key = (g, k) => ids.map.on.keydown({ key: k, target: g, preventDefault() {} });
const out = { title: document.title, about: ids.about.textContent, first: boxes().length, verdict: ids.verdict.textContent,
  legend: ids.legend.children.length, rows: ids.classes.children.length, growth: ids.growth.textContent,
  incomplete: ids.incomplete.textContent, sizes: ids.sizes.children.map((b) => b.textContent) };
out.tabs = boxes().filter((b) => b.g.attributes.tabindex === '0').length;
out.labels = boxes().every((b) => b.label === b.title);
if (ids.sizes.children.length === 3 && named('main.readOrder')) {
  ids.map.on.mouseover({ target: named('main.readOrder').g.children[1] });
  out.hover = ids.info.textContent;
  key(boxes()[0].g, 'ArrowRight');
  out.moved = document.activeElement.attributes['aria-label'];
  key(named('Go objects that were live').g, 'Enter');
  out.entered = boxes().map((b) => b.title.split(' — ')[0]);
  document.on.keydown({ key: 'Escape' });
  out.back = boxes().length;
  ids.map.on.click({ target: named('rw-p 64 MiB').g.children[1] });
  out.clicked = boxes()[0].title.split(' — ')[0];
  ids.out.on.click();
  ids.sizes.children[1].on.click();
  out.address = [named('anonymous').title.split(' — ')[1], ids.sizes.children.map((b) => b.attributes['aria-pressed'])];
}
console.log(JSON.stringify(out));
'''


def test_treemap_page():
    if not NODE:
        return NO_NODE
    r = node(JS_PAGE, 'shop')
    assert r['title'] == 'memory of example.org/shop' and r['labels'] and r['tabs'] == 1
    assert r['verdict'].startswith('RSS grew 124 MiB') and '→ Unmap' in r['verdict']
    assert r['first'] > 10 and r['rows'] == 9 and '+120 MiB' in r['growth'] and 'pages_unreadable' in r['incomplete']
    assert r['sizes'] == ['resident', 'address space', 'huge pages']
    assert r['hover'].startswith('main.readOrder order.go:33 — 30.0 MiB') and 'json.Unmarshal decode.go:7' in r['hover']
    assert r['moved'] and r['entered'][0] == 'Go objects that were live at the last GC' and len(r['entered']) == 4
    assert r['back'] == r['first'] and r['clicked'] == 'anonymous mappings outside of the Go runtime'
    assert r['address'] == ['204 MiB, 63.8 % of all, (read)'.replace(', (', ' ('), ['false', 'true', 'false']], r['address']
    for world in WORLDS:
        node(JS_PAGE, world)


# --- pprof -------------------------------------------------------------------------------------------

def pprof(go, data, *args):
    with tempfile.NamedTemporaryFile(suffix='.pb.gz') as f:
        f.write(data)
        f.flush()
        return subprocess.run([go, 'tool', 'pprof', *args, f.name], check=True, capture_output=True,
                              env={'PATH': '/usr/bin:/bin', 'HOME': tempfile.gettempdir(), 'GOTOOLCHAIN': 'local',
                                   'PPROF_NO_BROWSER': '1'}).stdout.decode('utf-8')


def raw(go, fmt, world):
    """(sample types, {outermost;…;innermost: values}, all text)"""
    out = pprof(go, result(fmt, world), '-raw')
    samples, rest = out.split('Samples:\n')[1].split('Locations\n')
    types, *lines = samples.splitlines()
    names = {}
    for line in rest.split('Mappings\n')[0].splitlines():
        m = re.fullmatch(r'\s+(\d+): 0x[0-9a-f]+ (?:M=\d+ )?(.*?) \S*:\d+:\d+ s=.*', line)
        if m:
            names[int(m[1])] = m[2]
    found = {}
    for line in lines:
        m = re.fullmatch(r'\s*([-\d\s]+): ([\d ]*)', line)
        if m:
            path = ';'.join(names.get(int(i), '?') for i in reversed(m[2].split()))
            found[path] = [a + int(b) for a, b in zip(found.get(path, [0] * 9), m[1].split())]
    return [t.split('[')[0] for t in types.split()], found, out


def test_go_tool_pprof(go):
    types, found, out = raw(go, 'pprof', 'shop')
    assert types == ['inuse_space/bytes'] and sum(v[0] for v in found.values()) == RSS
    assert found['heap_live;main.readOrder;encoding/json.Unmarshal'] == [30 * MB] and found['heap_live'] == [8 * MB]
    assert found['anonymous;rw-p 64 MiB'] == [180 * MB] and found['plugins;/opt/shop/price.so'] == [MB // 2], found
    assert 'incomplete: pages_unreadable' in out or 'pages_unreadable' in pprof(go, result('pprof', 'shop'), '-comments')
    top = pprof(go, result('pprof', 'shop'), '-top', '-cum')
    assert 'Type: inuse_space' in top and re.search(r'190MB 72\.66% *anonymous', top), top
    assert re.search(r'40MB 15\.30% *main\.|30MB 11\.47% *main\.readOrder', top), top
    tags = pprof(go, result('pprof', 'shop'), '-tags')
    assert 'how: Total' in tags and 'estimated' in tags
    assert sum(v[0] for v in raw(go, 'pprof', 'core')[1].values()) == 264 * MB
    for world in WORLDS:
        pprof(go, result('pprof', world), '-raw')


def test_go_tool_pprof_objects(go):
    types, found, _ = raw(go, 'objects-pprof', 'shop')
    assert types == ['inuse_objects/count', 'inuse_space/bytes', 'retained_objects/count', 'retained_space/bytes',
                     'retained_by_type/bytes', 'reached_by_root/bytes'], types
    assert found['main.Order'] == [1000, 8 * MB, 0, 0, 9 * MB, 0], found
    assert found['main.cache'] == [0, 0, 900, 7 * MB, 0, 8 * MB], found
    assert found['goroutine 42;main.readOrder'] == [0, 0, 20, MB, 0, 2 * MB]
    total = [sum(v[i] for v in found.values()) for i in range(4)]
    assert total == [1100, 11 * MB, 1100, 11 * MB], total
    assert 'Type: inuse_space' in pprof(go, result('objects-pprof', 'shop'), '-top')
    for world in ('hostile', 'empty'):
        pprof(go, result('objects-pprof', world), '-raw')


if __name__ == '__main__':
    sys.exit(tap_main.main(globals()))
