# go.mod, go.sum, vendor/modules.txt and a binary: agree, or who disagrees about what.
$ gosonde inspect --module $FIXTURES/good
| Module example.com/shop in <FIXTURES>/good: 3 required, 4 sums, 5 vendored
|   ok   go.mod, go.sum, vendor/modules.txt agree
$ gosonde inspect --module $FIXTURES/good $SAMPLES/server | sed -n '/^Module e/,$p'
| Module example.com/shop in <FIXTURES>/good: 3 required, 4 sums, 5 vendored
|   ok   go.mod, go.sum, vendor/modules.txt and the binary agree
$ gosonde inspect --module $FIXTURES/bad
| Module example.com/other in <FIXTURES>/bad: 5 required, 5 sums, 5 vendored
|   fail example.com/nosum: go.mod requires v1.0.0 and excludes it
|   fail example.com/twice: go.sum has two hashes for v1.0.0 (lines 3 and 4)
|   fail example.com/log: go.sum has no hash of the go.mod of example.com/log v1.2.4
|   fail example.com/nosum: go.sum has no entry for example.com/nosum v1.0.0
|   warn example.com/onlymod: go.sum has no hash of the content of example.com/onlymod v1.0.0: it cannot be compiled in
|   fail example.com/log: go.mod requires v1.2.4, vendor/modules.txt has v1.2.3
|   fail example.com/nosum: v1.0.0 is required in go.mod, but not in vendor/modules.txt
|   fail example.com/onlymod: v1.0.0 is required in go.mod, but not marked as explicit in vendor/modules.txt
|   fail example.com/twice: v1.0.0 is required in go.mod, but not in vendor/modules.txt
|   fail example.com/old: replaced by ../old in go.mod, by example.com/new v0.2.0 in vendor/modules.txt
|   fail example.com/stranger: marked as explicit in vendor/modules.txt, but not required in go.mod
|   fail example.com/ghost: replaced by ./ghost in vendor/modules.txt, but not in go.mod
? 1
$ gosonde inspect --module $FIXTURES/bad $SAMPLES/server | sed -n '/^Module e/,$p' | grep binary
|   fail example.com/shop: the binary's main module; go.mod is of example.com/other
|   fail example.com/log: the binary has v1.2.3, go.mod requires v1.2.4
|   fail example.com/log: go.sum has no hash of example.com/log v1.2.3, which is in the binary
|   fail example.com/old: replaced by ../old in go.mod, by example.com/new v0.2.0 in the binary
|   fail example.com/old: go.sum has no hash of example.com/new v0.2.0, which is in the binary
$ gosonde inspect --module $FIXTURES/good --format json
| {"schema":"gosonde.inspect/1","module_check":{"directory":"<FIXTURES>/good","module":"example.com/shop","go":"1.25","toolchain":"go1.25.3","required":3,"has_gosum":true,"has_vendor":true,"agree":true,"findings":[],"findings_dropped":0}}
$ gosonde inspect --module $FIXTURES
! gosonde inspect: there is no go.mod in <FIXTURES>
? 3
$ gosonde inspect --module $FIXTURES/nowhere
! gosonde inspect: there is no go.mod in <FIXTURES>/nowhere
? 3
$ mkdir m; printf 'module x\nrequire (\n  a v1\n' > m/go.mod; gosonde inspect --module m
! gosonde inspect: go.mod:3: a block has no closing parenthesis
? 3
$ printf 'module x\nrequire a\n' > m/go.mod; gosonde inspect --module m
! gosonde inspect: go.mod:2: expected a module path and a version
? 3
$ printf 'module x\n' > m/go.mod; printf 'a b\n' > m/go.sum; gosonde inspect --module m
! gosonde inspect: go.sum:1: expected a module path, a version and a hash
? 3
$ printf 'module "x\n' > m/go.mod; gosonde inspect --module m
! gosonde inspect: go.mod:1: a quoted word has no end
? 3
