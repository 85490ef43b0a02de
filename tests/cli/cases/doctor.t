# What is found depends on the machine; that it can be said does not.
$ gosonde doctor --format json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(list(d)); print(sorted({f["group"] for f in d["features"]})); print(all(f["title"] and f["costs"] and f["remedy"] and f["available"] in (True, False, None) for f in d["features"])); print([c["name"] for c in d["commands"]], all(c["works"] in ("yes", "partly", "no") for c in d["commands"]))'
| ['schema', 'host', 'features', 'go', 'commands']
| ['privileges', 'settings', 'snapshot', 'stream']
| True
| ['inspect', 'ps', 'dump', 'dump --stop', 'top', 'live events', 'why', 'trace', 'record'] True
$ gosonde doctor | grep -vE '^  (ok|no|\?|yes|part) |^        (without it|to get it):|^ {20}|^gosonde'
|
| Privileges
|
| Settings of the kernel
|
| Snapshot lens: reading memory
|
| Stream lens: live events
|
| Go releases
|   1.19 to 1.27  by tables made from these releases; the target's own DWARF wins
|   newer         nearest table, proved on the live data, and said so
|   older         refused (inspect reads Go 1.18 too)
|
| What works
$ gosonde doctor | awk '/^  no/ { n++ } /without it:/ { w++ } /to get it:/ { g++ } END { print (w >= n - 1 && w == g) ? "each has its cost and its remedy" : n " " w " " g }'
| each has its cost and its remedy
$ gosonde doctor | awk 'length > 110' | wc -l
| 0
