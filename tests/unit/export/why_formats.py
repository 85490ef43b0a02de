#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""why of scripted events, as text (exact) and as JSON (read by Python, its sums checked).

  why_formats.py WHY_PRINT
"""
import json
import subprocess
import sys

PRINT = sys.argv[1]

CLASSES = set('''cpu_user cpu_kernel runqueue_go runqueue_kernel mutex rwmutex chan select waitgroup cond sleep
net_read net_write net_dial net_accept file_io futex dns fault_minor fault_major reclaim gc_assist stw cgo
unknown'''.split())

LEDGER = '''
object 0x1000 app.ledger
0 run 2 tid=2
0 run 1 tid=1
1ms begin 1 tid=1 call=http1 method=POST path=/checkout peer=10.0.0.9:40000
2ms park 1 tid=1 reason=sync.Mutex.Lock object=0x1004 stack=sync.(*Mutex).Lock@mutex.go:90<example.com/app/store.(*Ledger).Append@/src/store/ledger.go:41<example.com/app.checkout@/src/main.go:10
99ms off 2 tid=2 since=1ms wake=99ms syscall=74 flags=syscall fd=3 mode=0100600 name=ledger.db stack=syscall.fsync<os.(*File).Sync<example.com/app/store.(*Ledger).flush@/src/store/ledger.go:77<example.com/app/store.(*Ledger).Append@/src/store/ledger.go:45<example.com/app.checkout@/src/main.go:10 kstack=k:io_schedule<k:fsync
100ms ready 1 waker=2 stack=sync.(*Mutex).Unlock<example.com/app/store.(*Ledger).Append@/src/store/ledger.go:50<example.com/app.checkout@/src/main.go:10
101ms run 1 tid=1
102ms end 1 tid=1 call=http1 status=200 pattern="POST /checkout"
'''

OTHERS = '''
200ms begin 1 tid=1 call=http1 method=GET path=/user/77
201ms park 1 tid=1 reason="IO wait" io=r fd=9 mode=0140600 peer=10.0.0.5:5432 stack=net.(*conn).Read<github.com/lib/pq.(*conn).recv@conn.go:9<example.com/app.query@/src/db.go:3
250ms ready 1 flags=netpoll
250ms run 1 tid=1
251ms end 1 tid=1 call=http1 status=500
300ms begin 1 tid=1 call=http1 method=GET path=/user/78
301ms off 1 tid=1 since=300500us wake=300700us syscall=0 flags=syscall fd=5 mode=010600 stack=example.com/app.pipe[...]
310ms end 1 tid=1 call=http1 status=200
400ms begin 1 tid=1 call=http1 method=GET path=/hang\x1b[31m
500ms gauge goroutines=2
600ms end 7 call=http1 status=200
'''.replace('\\x1b', '\x1b')

WANT = '''\
example.com/app (PID 4711, go1.26.1), watched for 599 ms: 3 requests, p50 51.0 ms, p90 101 ms, p99 101 ms, max 101 ms

NOTHING STANDS OUT: only few requests took 10.0 ms or longer.
Where the time of all requests went:
    60 %   97.0 ms  fsync of ledger.db in store.(*Ledger).flush ledger.go:77, on POST /checkout
                   97.0 ms of it came as: waited for mutex app.ledger in store.(*Ledger).Append ledger.go:41
    30 %   49.0 ms  waited for data from postgres at 10.0.0.5:5432 in pq.(*conn).recv conn.go:9, called by app.query db.go:3, on GET /user/{id}
   8.3 %   13.5 ms  ran on a CPU

   COUNT       p50       p90       p99       max  ROUTE  time went to
       1    101 ms    101 ms    101 ms    101 ms  POST /checkout  mutex 97 %
       2   10.0 ms   51.0 ms   51.0 ms   51.0 ms  GET /user/{id} (1 failed)  net_read 80 %, cpu_user 19 %

SLOWEST
POST /checkout  101 ms  goroutine 1  status 200  from 10.0.0.9:40000
   share      time   typical  (of the route: 101 ms, goroutine 1)
    97 %   98.0 ms   98.0 ms  waited for mutex app.ledger in store.(*Ledger).Append ledger.go:41
                              held by goroutine 2, meanwhile:
                          99 %   97.0 ms  fsync of ledger.db in store.(*Ledger).flush ledger.go:77
                                 1.00 ms  in 1 smaller piece
   2.0 %   2.00 ms   2.00 ms  ran on a CPU
           1.00 ms            in 1 smaller piece

GET /user/{id}  51.0 ms  goroutine 1  status 500
   share      time   typical  (of the route: 10.0 ms, goroutine 1)
    96 %   49.0 ms      0 ns  waited for data from postgres at 10.0.0.5:5432 in pq.(*conn).recv conn.go:9, called by app.query db.go:3
   3.9 %   2.00 ms   9.50 ms  ran on a CPU

GET /user/{id}  10.0 ms  goroutine 1  status 200
   share      time   typical  (of the route: 10.0 ms, goroutine 1)
    95 %   9.50 ms   9.50 ms  ran on a CPU
   3.0 %    300 us    300 us  waited for a CPU
   2.0 %    200 us    200 us  read of a pipe in app.pipe[...]

STILL GOING ON: 1, longest first
GET /hang\\x1b[31m  200 ms  goroutine 1  still going on
   100 %    200 ms  unknown: on a CPU, or in a system call since it was last seen

1 request not measured: begun before watching did
'''

HEALTHY = '''
0 run 1 tid=1
1ms begin 1 tid=1 call=http1 method=GET path=/
2ms end 1 tid=1 call=http1 status=200
'''

tests = 0
failed = False


def check(ok, name, detail=''):
    global tests, failed
    tests += 1
    print(f'{"ok" if ok else "not ok"} {tests} - {name}')
    if not ok:
        failed = True
        print('\n'.join('# ' + line for line in str(detail).splitlines()))


def run(script, *args):
    return subprocess.run([PRINT, *args], input=script.encode(), check=True, capture_output=True).stdout.decode()


def same_text(got, want, name):
    diff = [f'got  {a!r}\nwant {b!r}' for a, b in zip(got.splitlines() + [''] * 99, want.splitlines()) if a != b]
    check(got == want, name, '\n'.join(diff) or 'other length:\n' + got)


def sums(request):
    return abs(sum(request['classes'].values()) - request['duration_seconds']) < 1e-12


def trees(blame):
    for b in blame:
        yield b
        yield from trees(b['cause'])


def check_json():
    why = json.loads(run(LEDGER + OTHERS, 'json'))
    check(list(why)[0] == 'schema' and why['schema'] == 'gosonde.why/1', 'the schema comes first', list(why))
    requests = why['slowest'] + why['unfinished'] + [r['typical'] for r in why['routes']]
    check(all(map(sums, requests)), 'classes sum up to the duration', requests)
    used = {c for r in requests for c in r['classes']} | {c['class'] for c in why['causes']}
    check(used <= CLASSES, 'only classes that are known', used)
    slowest = why['slowest'][0]
    mutex = slowest['blame'][0]
    check(mutex['class'] == 'mutex' and mutex['object'] == '0x1000' and mutex['object_name'] == 'app.ledger'
          and mutex['holder']['id'] == 2 and mutex['seconds'] == 0.098, 'the lock and its holder', mutex)
    fsync = mutex['cause'][0]
    check(fsync['syscall'] == 'fsync' and fsync['file'] == {'type': 'file', 'name': 'ledger.db'}
          and fsync['where']['line'] == 77 and fsync['kernel_frames'][0] == {'function': 'io_schedule', 'kernel': True}
          and fsync['holder'] is None, 'the root cause', fsync)
    check(all(0 <= b['share'] <= 1 for r in requests for b in trees(r['blame'])), 'shares are shares')
    peer = why['slowest'][1]['blame'][0]
    check(peer['peer'] == {'family': 'inet', 'address': '10.0.0.5', 'port': 5432} and peer['protocol'] == 'postgres',
          'a peer', peer)
    check(why['routes'][1]['count'] == 2 and why['routes'][1]['failed'] == 1, 'routes', why['routes'])
    check(why['requests']['begun_before'] == 1 and why['requests']['unfinished'] == 1, 'what was not measured', why['requests'])
    check([i['what'] for i in why['incomplete']] == ['requests_begun_before'], 'what is missing', why['incomplete'])
    check(set(why['overhead']) >= {'target_cpu_share', 'probes'}, 'the overhead', why['overhead'])
    check(run(LEDGER + OTHERS, 'json') == run(LEDGER + OTHERS, 'json'), 'the same again')


def check_text():
    same_text(run(LEDGER + OTHERS, 'text'), WANT, 'the text')
    narrow = run(LEDGER + OTHERS, 'text', '60').splitlines()
    check(max(map(len, narrow)) == 60 and any(line.endswith('…') for line in narrow), 'cut to the width of a terminal', narrow)
    healthy = run(HEALTHY, 'text')
    check('NOTHING STANDS OUT: none of the requests took 10.0 ms or longer.' in healthy, 'a healthy program', healthy)
    check('No requests ended while watching.' in run('1ms gauge goroutines=1\n', 'text'), 'nothing at all')
    check('FIRST CAUSE' not in healthy, 'it is accused of nothing', healthy)
    sick = run(many(), 'text')
    check('FIRST CAUSE of the 4 slow requests (200 ms together): the slowest tenth of each route, from 10.0 ms\n'
          '   100 %    200 ms  slept in app.nap\n' in sick, 'and one that is not', sick)


def many():
    """Four slow requests of the same cause."""
    lines = ['0 run 1 tid=1']
    for t in range(1, 401, 100):
        lines += [f'{t}ms begin 1 tid=1 call=http1 method=GET path=/', f'{t}ms park 1 tid=1 reason=sleep stack=time.Sleep<app.nap',
                  f'{t + 50}ms ready 1', f'{t + 50}ms run 1 tid=1', f'{t + 50}ms end 1 tid=1 call=http1 status=200']
    return '\n'.join(lines) + '\n'


check_text()
check_json()
print(f'1..{tests}')
sys.exit(failed)
