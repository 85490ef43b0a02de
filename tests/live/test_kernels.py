# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The stream lens, mem and leaks on other kernels, with and without the capabilities they like: Debian kernels under QEMU.

    test_kernels.py SERIES...    such as 6.1 (no uprobe_multi) and 6.12; 6.12/numa: a machine of two nodes that swaps

In each: gosonde watches the shop with a planted trouble; as root; with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE only; and
as a user without any capability. What cannot work has to say so in clear words and still give what can be had.
"""
import json
import re
import sys

import vm
from harness import tap, target_path

SCRIPT = r'''
/bin/shop -addr 127.0.0.1:0 -load 6 -paths '/checkout?add=1' -ledger-hold 100ms -trouble ledger >/tmp/shop.log 2>&1 </dev/null &
shop=$!
for i in 1 2 3 4 5 6 7 8 9 10; do grep -q listening /tmp/shop.log && break; sleep 1; done
sleep 3
run() { # NAME COMMAND...
	name=$1; shift
	"$@" >/out/$name.out 2>/out/$name.err
	echo $? >/out/$name.code
}
caps() { # CAPABILITIES COMMAND...
	list=$1; shift
	/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set "-all,$list" --inh-caps "-all,$list" --ambient-caps "-all,$list" "$@"
}
run root gosonde why $shop -d 8s --max-overhead 0 --format json
run dry gosonde why $shop --dry-run
run caps caps +bpf,+perfmon,+sys_ptrace,+dac_read_search gosonde why $shop -d 8s --max-overhead 0 --format json
run trace gosonde trace $shop -d 3s --max-overhead 0 -o /tmp/t.trace
/bin/shop -addr 127.0.0.1:0 -load 1 -trouble ledger >/tmp/shop2.log 2>&1 </dev/null &
sleep 1
run user caps +sys_ptrace,+dac_read_search gosonde why $shop -d 10s --format json
run nobody /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set -all gosonde why $shop -d 3s
kill $shop
/bin/shop -addr 127.0.0.1:0 -load 6 -trouble mmap,leak >/tmp/shop3.log 2>&1 </dev/null &
shop=$!
sleep 4
run mem gosonde mem $shop --watch 8s --format json
run mem_user caps +sys_ptrace,+dac_read_search gosonde mem $shop --watch 4s --format json
run leaks caps +sys_ptrace,+dac_read_search gosonde leaks $shop --format json
mkfifo /tmp/commands
/bin/memory_watch_c -mb 4 </tmp/commands >/tmp/memory.log 2>&1 &
loader=$!
exec 3>/tmp/commands
for i in 1 2 3 4 5 6 7 8 9 10; do grep -q ready /tmp/memory.log && break; sleep 1; done
(sleep 6; echo dlopen >&3; echo large >&3) &
run loader gosonde mem $loader --watch 10s --format json
uname -r >/out/release
kill -0 $shop && echo alive >/out/alive
wc -c </tmp/t.trace >/out/trace_bytes
'''


# One program runs on the CPU of the second node, another one is swapped out for the most part.
NUMA_SCRIPT = r'''
mkswap /dev/nvme0n1 >/dev/null && swapon /dev/nvme0n1 || echo no swap
mkdir -p /cg && mount -t cgroup2 cgroup2 /cg && echo +memory >/cg/cgroup.subtree_control
mkdir /cg/swapped
start() { # NAME COMMAND...
	name=$1; shift
	mkfifo /tmp/$name.in
	sleep 1000 >/tmp/$name.in &
	"$@" </tmp/$name.in >/tmp/$name.log 2>&1 &
	pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do grep -q pid /tmp/$name.log && break; sleep 1; done
}
look() { # NAME: the kernel's numbers before and after ours
	grep -h . /proc/$pid/numa_maps >/out/$1.numa_before
	cat /proc/$pid/smaps_rollup >/out/$1.rollup_before
	gosonde mem $pid --numa --format json >/out/$1.out 2>/out/$1.err
	echo $? >/out/$1.code
	cat /proc/$pid/smaps_rollup >/out/$1.rollup_after
	grep -h . /proc/$pid/numa_maps >/out/$1.numa_after
	gosonde mem $pid --numa >/out/$1.text
}
start node1 taskset 2 /bin/memory -mode loaded -mb 96
look node1
start swapped sh -c 'echo $$ >/cg/swapped/cgroup.procs; exec /bin/memory -mode anonymous -mb 96'
echo 64M >/cg/swapped/memory.reclaim
look swapped
uname -r >/out/release
'''


def text(r, name):
    return r.files.get(name, b'').decode(errors='replace').strip()


def document(r, name):
    try:
        return json.loads(r.files.get(name + '.out', b''))
    except ValueError:
        return None


def names_the_ledger(d):
    return d is not None and any('Ledger' in json.dumps(c) for c in d.get('causes', [])[:3])


def answers(series, r, name, what, least=10):
    d = document(r, name)
    if tap.ok(d and text(r, name + '.code') in ('0', '4'), f'{series}: {what}: why answers', text(r, name + '.code'), text(r, name + '.err')[-900:]):
        tap.ok(d['requests']['count'] >= least, f'{series}: {what}: requests are seen', d['requests'], text(r, name + '.err')[-900:])
        tap.ok(names_the_ledger(d), f'{series}: {what}: the planted trouble is named', *map(json.dumps, d.get('causes', [])[:3]))


def memory(series, r):
    for name, who, knows in (('mem', 'root', True), ('mem_user', 'without BPF', False)):
        d = document(r, name)
        if not tap.ok(d and text(r, name + '.code') in ('0', '4'), f'{series}: {who}: mem answers', text(r, name + '.code'), text(r, name + '.err')[-900:]):
            continue
        total = sum(c['resident_bytes'] for c in d['classes'])
        tap.equal(total, d['rss_bytes'], f'{series}: {who}: classes add up to the RSS')
        grown = {g['class']: g for g in d['growth']}
        tap.ok(grown.get('anonymous', {'bytes': 0})['bytes'] > 0, f'{series}: {who}: anonymous memory grew', json.dumps(d['growth'])[:600])
        if knows:
            tap.ok('store.(*Cache).load' in json.dumps(grown.get('anonymous')), f'{series}: {who}: who mapped it is named',
                   json.dumps(d['growth'])[:900], text(r, name + '.err')[-600:])
    d = document(r, 'leaks')
    tap.ok(d and text(r, 'leaks.code') == '10' and '(*auditor).report' in json.dumps(d['findings']),
           f'{series}: without BPF: leaks finds what was planted', text(r, 'leaks.code'), text(r, 'leaks.err')[-600:])


def loading(series, r):
    """A uprobe in the C library, and stacks that go on from C to Go."""
    d = document(r, 'loader')
    if not tap.ok(d and text(r, 'loader.code') in ('0', '4'), f'{series}: mem of a program with C answers', text(r, 'loader.code'), text(r, 'loader.err')[-900:]):
        return
    growers = [g for c in d['growth'] for g in c['growers']]
    for function, what in (('main.openCodec', 'dlopen'), ('main.loadImages', 'mmap')):
        tap.ok(any(g['what'] == what and any(f['function'] == function for f in g['frames']) for g in growers),
               f'{series}: {what} of {function}', json.dumps(growers)[:1500], text(r, 'loader.err')[-600:])


def kernel(series):
    def on_kernel():
        r = vm.run(series, SCRIPT, {'/bin/shop': target_path('shop'), '/bin/memory_watch_c': target_path('memory_watch_c')},
                   timeout=400)
        if not tap.ok(r.status is not None, f'{series}: the machine came up and ran the script', r.console[-1500:]):
            return
        tap.ok(text(r, 'release').startswith(series + '.'), f'{series}: the kernel is {text(r, "release")}')
        answers(series, r, 'root', 'root')
        tap.equal(text(r, 'trace.code') in ('0', '4'), True, f'{series}: trace works', text(r, 'trace.err')[-600:])
        multi = series != '6.1'
        said = text(r, 'caps.err')
        if multi:
            answers(series, r, 'caps', 'without CAP_SYS_ADMIN')
        else:
            tap.ok('CAP_SYS_ADMIN' in said, f'{series}: without uprobe_multi it says that CAP_SYS_ADMIN is needed', said[-900:])
            answers(series, r, 'caps', 'reduced to snapshots', 1)
        said = text(r, 'user.err')
        tap.ok('CAP_BPF' in said, f'{series}: without CAP_BPF it says so', said[-900:])
        answers(series, r, 'user', 'without BPF', 1)
        tap.equal(text(r, 'nobody.code'), '3', f'{series}: a stranger is refused with exit code 3', text(r, 'nobody.err')[-600:])
        memory(series, r)
        loading(series, r)
        tap.equal(text(r, 'alive'), 'alive', f'{series}: the target lives')
    on_kernel.__name__ = f'kernel {series}'
    return on_kernel


def node_bytes(numa_maps):
    """Bytes by node that numa_maps has: N0=7 kernelpagesize_kB=4."""
    nodes = {}
    for line in numa_maps.splitlines():
        size = re.search(r'kernelpagesize_kB=(\d+)', line)
        for node, pages in re.findall(r' N(\d+)=(\d+)', line):
            nodes[int(node)] = nodes.get(int(node), 0) + int(pages) * int(size[1]) * 1024
    return nodes


def numa(series):
    def look(r, name):
        d = document(r, name)
        tap.ok(d and text(r, name + '.code') == '0', f'{series}: {name}: mem answers', text(r, name + '.code'), text(r, name + '.err')[-600:])
        if not d:
            return None
        total = sum(c['resident_bytes'] for c in d['classes'])
        tap.equal(total, d['rss_bytes'], f'{series}: {name}: classes add up to the RSS')
        kernel = [node_bytes(text(r, f'{name}.numa_{when}')) for when in ('before', 'after')]
        mine = {n['node']: n['bytes'] for n in d['numa']}
        tap.ok(len(mine) == 2 and all(abs(mine[n] - kernel[0].get(n, 0)) <= abs(kernel[1].get(n, 0) - kernel[0].get(n, 0)) + (256 << 10)
                                      for n in mine), f'{series}: {name}: bytes of each node are those of numa_maps', mine, kernel)
        swap = [int(re.search(r'^Swap: +(\d+) kB', text(r, f'{name}.rollup_{when}'), re.M)[1]) * 1024 for when in ('before', 'after')]
        ours = sum(c['swap_bytes'] for c in d['classes'])
        tap.ok(min(swap) - (64 << 10) <= ours <= max(swap) + (64 << 10), f'{series}: {name}: swapped as smaps says', ours, swap)
        tap.ok('NUMA: node ' in text(r, f'{name}.text'), f'{series}: {name}: the text has the nodes', text(r, f'{name}.text')[-600:])
        return d, mine, swap

    def numa_and_swap():
        r = vm.run(series, NUMA_SCRIPT, {'/bin/memory': target_path('memory')}, timeout=300, nodes=2, disk_mb=256)
        if not tap.ok(r.status is not None, f'{series}: the machine came up and ran the script', r.console[-1500:]):
            return
        found = look(r, 'node1')
        if found:
            tap.ok(found[1][1] >= 64 << 20, f'{series}: what runs on the second node has its memory there', found[1])
        found = look(r, 'swapped')
        if found:
            d, _, swap = found
            tap.ok(min(swap) >= 32 << 20, f'{series}: half of it is swapped out', swap, r.output[-600:])
            anon = next(c for c in d['classes'] if c['name'] == 'anonymous')
            tap.ok(anon['swap_bytes'] >= 0.9 * d['swap_bytes'] - (4 << 20) and anon['swap_bytes'] + anon['resident_bytes'] >= 90 << 20,
                   f'{series}: by class', anon, d['swap_bytes'])
            tap.ok('swapped out' in text(r, 'swapped.text'), f'{series}: the text says so', text(r, 'swapped.text')[:600])
    return numa_and_swap


tap.run(*(numa(s.removesuffix('/numa')) if s.endswith('/numa') else kernel(s) for s in sys.argv[1:]))
