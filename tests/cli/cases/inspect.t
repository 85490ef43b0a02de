# What a binary says, and the traps. The machine that runs this may be amd64 or arm64, so the check
# "native" is left out.
$ gosonde inspect $SAMPLES/server | grep -v native
| <SAMPLES>/server: ELF, linux/amd64, go1.25.3: * (glob)
|   package        example.com/shop/cmd/server
|   module         example.com/shop (devel)
|   revision       git 0123456789abcdef of 2026-01-02T03:04:05Z, modified
|   Go build id    abc/def/ghi/jkl
|   GNU build id   0102030405060708090a0b0c0d0e0f10
|   linking        static
|   symbols        Go function table (7 functions, layout of Go 1.20, 924 B), symbol table
|   size           6.1 KiB
|
| Settings
|   -buildmode=exe
|   -compiler=gc
|   -trimpath=true
|   CGO_ENABLED=0
|   GOARCH=amd64
|   GOOS=linux
|   vcs=git
|   vcs.revision=0123456789abcdef
|   vcs.time=2026-01-02T03:04:05Z
|   vcs.modified=true
|
| Modules (2)
|   example.com/log v1.2.3 h1:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG=
|   example.com/old v0.1.0
|     => example.com/new v0.2.0 h1:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq=
|
| Checks
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|                               cannot show variables
|   warn vcs                    built from a modified tree: revision
|                               0123456789abcdef is not all that is in it
|   ok   machine_matches_goarch both amd64
|   ok   format_matches_goos    elf for linux
|   ok   release_supported      Go 1.25
|   ok   buildinfo              present
|   ok   pclntab                7 functions
|   ok   stripped               has a symbol table
|   ok   unwind_data            Go's own tables
|   ok   fips                   not a FIPS build
|   ok   race_detector          off
|   ok   optimised              yes
|   ok   pgo                    no profile was used
|   ok   trimpath               paths of the build machine are removed
|   ok   cgo                    not used
|   ok   godebug                defaults of its own release
$ gosonde inspect $SAMPLES/stripped | grep -v native
| <SAMPLES>/stripped: ELF, linux/amd64, go1.21.0 X:nocoverageredesign: * (glob)
|   package        example.com/shop/cmd/server
|   module         example.com/shop (devel)
|   Go build id    abc/def/ghi/jkl
|   GNU build id   0102030405060708090a0b0c0d0e0f10
|   linking        static-pie
|   symbols        Go function table (7 functions, layout of Go 1.20, 924 B)
|   size           6.6 KiB
|
| Settings
|   CGO_ENABLED=0
|   GOARCH=amd64
|   GOOS=linux
|
| Checks
|   warn stripped               no symbol table: gosonde reads the Go function
|                               table instead, other tools show addresses
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|                               cannot show variables
|   ok   machine_matches_goarch both amd64
|   ok   format_matches_goos    elf for linux
|   ok   release_supported      Go 1.21
|   ok   buildinfo              present
|   ok   pclntab                7 functions
|   ok   unwind_data            Go's own tables
|   ok   fips                   not a FIPS build
|   ok   race_detector          off
|   ok   optimised              yes
|   ok   pgo                    no profile was used
|   ok   vcs                    no revision recorded
|   ok   trimpath               no: file names are paths of the build machine
|   ok   cgo                    not used
|   ok   godebug                defaults of its own release
$ gosonde inspect $SAMPLES/race | grep -E 'warn|fail'
| <SAMPLES>/race: ELF, linux/amd64, go1.24.1: * (glob)
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|   warn race_detector          race detector on: 5 to 10 times the memory and
|   warn optimised              built with -N -l (for a debugger): slow code
|   warn godebug                not as its release behaves by default: 1 setting,
$ gosonde inspect $SAMPLES/arm64 | grep -vE 'native|host|emulator'
| <SAMPLES>/arm64: ELF, linux/arm64, go1.27.0: * (glob)
|   package        example.com/shop/cmd/server
|   module         example.com/shop (devel)
|   Go build id    abc/def/ghi/jkl
|   GNU build id   0102030405060708090a0b0c0d0e0f10
|   linking        static
|   symbols        Go function table (7 functions, layout of Go 1.26, 924 B), symbol table
|   size           5.8 KiB
|
| Settings
|   GOARCH=arm64
|   GOOS=linux
|
| Checks
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|                               cannot show variables
|   ok   machine_matches_goarch both arm64
|   ok   format_matches_goos    elf for linux
|   ok   release_supported      Go 1.27
|   ok   buildinfo              present
|   ok   pclntab                7 functions
|   ok   stripped               has a symbol table
|   ok   unwind_data            Go's own tables
|   ok   fips                   not a FIPS build
|   ok   race_detector          off
|   ok   optimised              yes
|   ok   pgo                    no profile was used
|   ok   vcs                    no revision recorded
|   ok   trimpath               no: file names are paths of the build machine
|   ok   cgo                    not used
|   ok   godebug                defaults of its own release
$ gosonde inspect $SAMPLES/trap.exe | grep -v native
| <SAMPLES>/trap.exe: PE, windows/arm64, go1.23.5: * (glob)
|   package        example.com/shop/cmd/server
|   module         example.com/shop (devel)
|   UUID           0102030405060708090a0b0c0d0e0f10
|   linking        static
|   symbols        Go function table (7 functions, layout of Go 1.20), symbol table
|   size           6.9 KiB
|
| Settings
|   GOARCH=arm64
|   GOOS=windows
|
| Checks
|   fail machine_matches_goarch built with GOARCH=arm64, but the pe header says
|                               amd64: the system will run it as amd64 code
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|                               cannot show variables
|   warn unwind_data            no .pdata for 240 bytes of code: exceptions,
|                               debuggers and profilers cannot unwind on Windows
|   warn signed                 not signed
|   ok   format_matches_goos    pe for windows
|   ok   release_supported      Go 1.23
|   ok   buildinfo              present
|   ok   pclntab                7 functions
|   ok   stripped               has a symbol table
|   ok   fips                   not a FIPS build
|   ok   race_detector          off
|   ok   optimised              yes
|   ok   pgo                    no profile was used
|   ok   vcs                    no revision recorded
|   ok   trimpath               no: file names are paths of the build machine
|   ok   cgo                    not used
|   ok   godebug                defaults of its own release
$ gosonde inspect --strict $SAMPLES/trap.exe > /dev/null
? 1
$ gosonde inspect $SAMPLES/windows.exe | grep -E 'warn|fail|PE' | grep -v native
| <SAMPLES>/windows.exe: PE, windows/arm64, go1.26.1: * (glob)
|   warn debug_info             no DWARF (-ldflags=-w or stripped): debuggers
|   warn unwind_data            no .pdata for 240 bytes of code: exceptions,
|   warn signed                 not signed
$ gosonde inspect --strict $SAMPLES/windows.exe > /dev/null
$ gosonde inspect $SAMPLES/darwin | grep -E 'fail|Mach'
| <SAMPLES>/darwin: Mach-O, darwin/arm64, go1.26.1: * (glob)
|   fail signed                 not signed: macOS on arm64 kills unsigned
$ gosonde inspect $SAMPLES/darwin-signed | grep signed
| <SAMPLES>/darwin-signed: Mach-O, darwin/arm64, go1.26.1: * (glob)
|   ok   signed                 carries a signature (not verified)
$ gosonde inspect $SAMPLES/future | grep release
|   warn release_supported      Go 1.99 is newer than the newest known release,
|   ok   godebug                defaults of its own release
$ gosonde inspect $SAMPLES/garbled | grep -E 'release_|ELF'
| <SAMPLES>/garbled: ELF, linux/amd64, unknown: * (glob)
|   warn release_supported      unknown is no version gosonde can read: dump and
# Nothing from the file reaches the terminal unescaped.
$ gosonde inspect $SAMPLES/hostile | head -12
| <SAMPLES>/hostile: ELF, linux/amd64, go1.25.0: * (glob)
|   package        example.com/\x1b[31mred
|   module         example.com/a\xff\xe2\x80\xaeb v1.0.0\x1b]0;x\x07
|   Go build id    abc/def/ghi/jkl
|   GNU build id   0102030405060708090a0b0c0d0e0f10
|   linking        static
|   symbols        Go function table (7 functions, layout of Go 1.20, 924 B), symbol table
|   size           5.8 KiB
|
| Settings
|   -ldflags=-X main.v=\x1b[2J
|   CGO_ENABLED=0
$ gosonde inspect --format json $SAMPLES/hostile | python3 -c 'import json,sys; print(ascii(json.load(sys.stdin)["main_module"]))'
| {'path': 'example.com/a\ufffd\u202eb', 'version': 'v1.0.0\x1b]0;x\x07', 'sum': None, 'replace': None}
$ gosonde inspect --format json $SAMPLES/server | python3 -m json.tool | grep -v "this host"
| {
|     "schema": "gosonde.inspect/1",
|     "name": "<SAMPLES>/server",
|     "format": "elf",
|     "machine": "amd64",
|     "goos": "linux",
|     "goarch": "amd64",
|     "go_version": "go1.25.3",
|     "path": "example.com/shop/cmd/server",
|     "main_module": {
|         "path": "example.com/shop",
|         "version": "(devel)",
|         "sum": null,
|         "replace": null
|     },
|     "modules": [
|         {
|             "path": "example.com/log",
|             "version": "v1.2.3",
|             "sum": "h1:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG=",
|             "replace": null
|         },
|         {
|             "path": "example.com/old",
|             "version": "v0.1.0",
|             "sum": null,
|             "replace": {
|                 "path": "example.com/new",
|                 "version": "v0.2.0",
|                 "sum": "h1:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq="
|             }
|         }
|     ],
|     "settings": {
|         "-buildmode": "exe",
|         "-compiler": "gc",
|         "-trimpath": "true",
|         "CGO_ENABLED": "0",
|         "GOARCH": "amd64",
|         "GOOS": "linux",
|         "vcs": "git",
|         "vcs.revision": "0123456789abcdef",
|         "vcs.time": "2026-01-02T03:04:05Z",
|         "vcs.modified": "true"
|     },
|     "vcs": {
|         "system": "git",
|         "revision": "0123456789abcdef",
|         "time": "2026-01-02T03:04:05Z",
|         "modified": true
|     },
|     "build_id": "abc/def/ghi/jkl",
|     "image_id": "0102030405060708090a0b0c0d0e0f10",
|     "size_bytes": 6288,
|     "sha256": null,
|     "stripped": false,
|     "pie": false,
|     "static": true,
|     "cgo": false,
|     "linking": "static",
|     "needed": [],
|     "pclntab": {
|         "layout": "1.20",
|         "functions": 7,
|         "size_bytes": 924
|     },
|     "symbol_sources": [
|         "pclntab",
|         "symtab"
|     ],
|     "checks": [
|         {
|             "name": "machine_matches_goarch",
|             "verdict": "ok",
|             "detail": "both amd64"
|         },
|         {
|             "name": "format_matches_goos",
|             "verdict": "ok",
|             "detail": "elf for linux"
|         },
|         {
|             "name": "native",
|             "verdict": "ok",
|         },
|         {
|             "name": "release_supported",
|             "verdict": "ok",
|             "detail": "Go 1.25"
|         },
|         {
|             "name": "buildinfo",
|             "verdict": "ok",
|             "detail": "present"
|         },
|         {
|             "name": "pclntab",
|             "verdict": "ok",
|             "detail": "7 functions"
|         },
|         {
|             "name": "stripped",
|             "verdict": "ok",
|             "detail": "has a symbol table"
|         },
|         {
|             "name": "debug_info",
|             "verdict": "warn",
|             "detail": "no DWARF (-ldflags=-w or stripped): debuggers cannot show variables"
|         },
|         {
|             "name": "unwind_data",
|             "verdict": "ok",
|             "detail": "Go's own tables"
|         },
|         {
|             "name": "fips",
|             "verdict": "ok",
|             "detail": "not a FIPS build"
|         },
|         {
|             "name": "race_detector",
|             "verdict": "ok",
|             "detail": "off"
|         },
|         {
|             "name": "optimised",
|             "verdict": "ok",
|             "detail": "yes"
|         },
|         {
|             "name": "pgo",
|             "verdict": "ok",
|             "detail": "no profile was used"
|         },
|         {
|             "name": "vcs",
|             "verdict": "warn",
|             "detail": "built from a modified tree: revision 0123456789abcdef is not all that is in it"
|         },
|         {
|             "name": "trimpath",
|             "verdict": "ok",
|             "detail": "paths of the build machine are removed"
|         },
|         {
|             "name": "cgo",
|             "verdict": "ok",
|             "detail": "not used"
|         },
|         {
|             "name": "godebug",
|             "verdict": "ok",
|             "detail": "defaults of its own release"
|         }
|     ]
| }
# The first line counts what stands below, the worst is first, and JSON says the same in its own order.
$ for f in server race trap.exe darwin garbled; do gosonde inspect $SAMPLES/$f > text; gosonde inspect -f json $SAMPLES/$f > json; python3 -c 'import collections, json, re; t = open("text").read(); v = collections.Counter(c["verdict"] for c in json.load(open("json"))["checks"]); said = ", ".join(f"{v[k]} {k}" for k in ("fail", "warn") if v[k]); got = re.findall(r"^  (ok|warn|fail) ", t, re.M); print(t.split("\n")[0].endswith(": " + said), got == ["fail"] * v["fail"] + ["warn"] * v["warn"] + ["ok"] * v["ok"])'; done
| True True
| True True
| True True
| True True
| True True
# Lists are wrapped, and JSON has them whole.
$ gosonde inspect $SAMPLES/old | sed -n '/  DefaultGODEBUG=/,/CGO/p'
|   DefaultGODEBUG=allowmultiplevcs=1,asynctimerchan=1,containermaxprocs=0,
|     cryptocustomrand=1,decoratemappings=0,gotypesalias=0,httplaxcontentlength=1,
|     httpmuxgo121=1,panicnil=1
|   CGO_ENABLED=0
$ gosonde inspect -f json $SAMPLES/old | python3 -c 'import json, sys; print(json.load(sys.stdin)["settings"]["DefaultGODEBUG"])'
| allowmultiplevcs=1,asynctimerchan=1,containermaxprocs=0,cryptocustomrand=1,decoratemappings=0,gotypesalias=0,httplaxcontentlength=1,httpmuxgo121=1,panicnil=1
# Digests.
$ gosonde inspect --sha256 "$(sha256sum < $SAMPLES/server | cut -c-64)" $SAMPLES/server | grep -c SHA-256
| 1
$ gosonde inspect --sha256 "sha256:$(sha256sum < $SAMPLES/server | cut -c-64 | tr a-f A-F)" $SAMPLES/server | grep -c SHA-256
| 1
$ gosonde inspect --sha256 0000000000000000000000000000000000000000000000000000000000000000 $SAMPLES/truncated
! gosonde inspect: <SAMPLES>/truncated has SHA-256 7a7f6372d0fb9179957982d644f9f332a3470f1b551c0af15f66776c24fdec03, not 0000000000000000000000000000000000000000000000000000000000000000: it is damaged or another file
? 1
$ gosonde inspect --sha256 0000000000000000000000000000000000000000000000000000000000000000 --format json $SAMPLES/server
| {"schema":"gosonde.error/1","error":{"code":"mismatch","message":"<SAMPLES>/server has SHA-256 bfb8676b017b8f43b510277740e91ebfa1b05f046f4b45dc250bc38b277002d7, not 0000000000000000000000000000000000000000000000000000000000000000: it is damaged or another file","exit_code":1}}
? 1
$ gosonde inspect --sha256 123 $SAMPLES/server
! gosonde inspect: --sha256: "123" is no SHA-256: it has 64 hex digits
? 2
$ gosonde inspect --sha256 123
! gosonde inspect: no target: expected a file or a PID, or --module DIR
? 2
