#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""src/image against readelf, llvm-readobj and Go's own tools, on real binaries.

usage: test_image_real.py IMAGE_PRINT IMAGE_SAMPLES

Builds small Go programs for each platform and link mode (where a Go toolchain is on PATH), takes
some of the system's C programs, and compares what image_print says about sections, segments,
symbols, ids, libraries and the entry point with what the other tools say about the same file.
The images of the image builder are shown to the same tools, so that builder and reader cannot be
wrong in the same way. TAP on stdout.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

IMAGE_PRINT, IMAGE_SAMPLES = sys.argv[1:3]
READ, WRITE, EXEC, NOBITS, COMPRESSED = 1, 2, 4, 8, 16

PROGRAM = """package main

import "fmt"

type generic[T any] struct{ v T }

func (g *generic[T]) method() T { return g.v }

func main() {
	g := &generic[map[string]int]{}
	fmt.Println("hello", g.method())
}
"""
CGO_PROGRAM = PROGRAM.replace('import "fmt"', '// static int f(void) { return 1; }\nimport "C"\n'
                              'import "fmt"').replace('"hello"', '"hello", int(C.f())')

# name, source, environment, arguments of go build
BUILDS = [
    ("linux-amd64", "plain", {"GOARCH": "amd64"}, []),
    ("linux-amd64-stripped", "plain", {"GOARCH": "amd64"}, ["-ldflags=-s -w"]),
    ("linux-amd64-pie", "plain", {"GOARCH": "amd64"}, ["-buildmode=pie"]),
    ("linux-arm64", "plain", {"GOARCH": "arm64"}, []),
    ("linux-arm64-pie", "plain", {"GOARCH": "arm64"}, ["-buildmode=pie"]),
    ("freebsd-amd64", "plain", {"GOOS": "freebsd", "GOARCH": "amd64"}, []),
    ("windows-amd64.exe", "plain", {"GOOS": "windows", "GOARCH": "amd64"}, []),
    ("windows-arm64.exe", "plain", {"GOOS": "windows", "GOARCH": "arm64"}, []),
    ("windows-amd64-stripped.exe", "plain", {"GOOS": "windows", "GOARCH": "amd64"},
     ["-ldflags=-s -w"]),
    ("darwin-amd64", "plain", {"GOOS": "darwin", "GOARCH": "amd64"}, []),
    ("darwin-arm64", "plain", {"GOOS": "darwin", "GOARCH": "arm64"}, []),
    ("darwin-arm64-stripped", "plain", {"GOOS": "darwin", "GOARCH": "arm64"}, ["-ldflags=-s -w"]),
    ("linux-external", "cgo", {"CGO_ENABLED": "1"}, ["-ldflags=-linkmode=external"]),
    ("linux-external-pie", "cgo", {"CGO_ENABLED": "1"},
     ["-buildmode=pie", "-ldflags=-linkmode=external"]),
    ("linux-external-static", "cgo", {"CGO_ENABLED": "1"},
     ["-ldflags=-linkmode=external -extldflags=-static"]),
]
SYSTEM = ["/bin/ls", "/usr/bin/readelf", "/lib64/ld-linux-x86-64.so.2",
          "/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"]


def run(*args, **kwargs):
    return subprocess.run(args, check=True, capture_output=True, **kwargs).stdout.decode(
        "utf-8", errors="surrogateescape")


class Ours:
    """image_print's lines."""

    def __init__(self, path):
        self.info, self.sections, self.segments, self.needed = {}, [], [], []
        self.symbols, self.build_id, self.go_note = [], None, None
        for line in run(IMAGE_PRINT, path).split("\n"):
            part = line.split("\t")
            if part[0] == "info":
                self.info[part[1]] = part[2]
            elif part[0] == "section":
                self.sections.append((part[1], *(int(x, 0) for x in part[2:])))
            elif part[0] == "segment":
                self.segments.append(tuple(int(x, 0) for x in part[1:]))
            elif part[0] == "symbol":
                self.symbols.append((part[1], int(part[2], 0), int(part[3], 0), part[4] == "1"))
            elif part[0] == "needed":
                self.needed.append(part[1])
            elif part[0] in ("build_id", "go_note"):
                setattr(self, part[0], part[1])
        self.flags = dict(f.split("=") for f in self.info["flags"].split())


def same(what, ours, theirs):
    """Differences as text, first few only."""
    if ours == theirs:
        return []
    if isinstance(ours, list):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            if a != b:
                return [f"{what} {i}: {a} but they say {b}"]
        return [f"{what}: {len(ours)}, but they say {len(theirs)}"]
    return [f"{what}: {ours} but they say {theirs}"]


def check_elf(path, ours):
    out = run("readelf", "-W", "-h", "-S", "-l", "-d", "-n", path)
    bad = same("entry", int(ours.info["entry"], 0),
               int(re.search(r"Entry point address: +(\S+)", out)[1], 16))
    sections = []
    for m in re.finditer(r"^  \[ *\d+\] (.*?) +(\S+) +([0-9a-f]{16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) "
                         r"[0-9a-f]+ ([ WAXMSILOGTCxoEDlpR]*?) +\d+ +\d+ +\d+$", out, re.M):
        name, kind, addr, off, size, letters = m.groups()
        flags = (READ if "A" in letters else 0) | (WRITE if "W" in letters else 0) | \
            (EXEC if "X" in letters else 0) | (COMPRESSED if "C" in letters else 0)
        nobits = kind in ("NOBITS", "NULL")
        sections.append((name, int(addr, 16), int(size, 16), int(off, 16),
                         0 if nobits else int(size, 16), flags | (NOBITS if nobits else 0)))
    if sections:
        sections[0] = ("", 0, 0, 0, 0, NOBITS)  # holds a count when numbering is extended
    bad += same("section", ours.sections, sections)
    segments = []
    for m in re.finditer(r"^  LOAD +(\S+) (\S+) \S+ (\S+) (\S+) (.{3})", out, re.M):
        off, addr, filesz, memsz = (int(x, 16) for x in m.groups()[:4])
        prot = sum(bit for letter, bit in (("R", READ), ("W", WRITE), ("E", EXEC))
                   if letter in m[5])
        segments.append((addr, memsz, off, filesz, prot))
    bad += same("segment", ours.segments, segments)
    bad += same("needed", ours.needed, re.findall(r"\(NEEDED\) +Shared library: \[(.*)\]", out))
    m = re.search(r"Build ID: ([0-9a-f]+)", out)
    bad += same("build id", ours.build_id, m[1] if m else None)
    m = re.search(r"program interpreter: (.*)\]", out)
    bad += same("interpreter", ours.info["interp"], m[1] if m else "-")
    names = [s[0] for s in sections]
    bad += same("symtab", ours.flags["symtab"], str(int(".symtab" in names)))
    bad += same("dwarf", ours.flags["dwarf"], str(int(".debug_info" in names)))
    return bad + check_elf_symbols(path, ours)


def check_elf_symbols(path, ours):
    dynamic, static, table = [], [], None
    for line in run("readelf", "-W", "-s", path).split("\n"):
        if line.startswith("Symbol table '.dynsym'") or line.startswith("Symbol table for image"):
            table = dynamic
        elif line.startswith("Symbol table"):
            table = static
        m = re.match(r" *\d+: ([0-9a-f]+) +(\w+) (\S+) +\S+ +\S+ +(?:\[.*?\] +)?(\S+)(?: (.*))?$",
                     line)
        if not m or m[4] == "UND" or m[3] in ("FILE", "SECTION") or not m[5]:
            continue
        # readelf appends versions; they are not part of the name
        name = re.sub(r"@.*?( \(\d+\))?$", "", m[5]) if table is dynamic else m[5]
        table.append((name, int(m[1], 16), int(m[2], 0), m[3] in ("FUNC", "IFUNC")))
    return same("symbol", ours.symbols, static + dynamic)


def readobj(path, *what):
    return run("llvm-readobj", *what, path)


def blocks(text, kind):
    """Fields of each `Kind { … }` of llvm-readobj."""
    for body in re.findall(r"^  %s \{\n(.*?)^  \}" % kind, text, re.M | re.S):
        yield dict(re.findall(r"^    (\w+): (.*?)(?: \(.*\))?$", body, re.M)), body


def check_pe(path, ours):
    head = readobj(path, "--file-headers", "--needed-libs")
    number = lambda name: int(re.search(r" %s: (\S+)" % name, head)[1].strip("()"), 0)
    base = number("ImageBase")
    bad = same("machine", int(ours.info["machine"], 0),
               int(re.search(r"Machine: \w+ \((\w+)\)", head)[1], 16))
    bad += same("base", int(ours.info["base"], 0), base)
    bad += same("entry", int(ours.info["entry"], 0), base + number("AddressOfEntryPoint"))
    bad += same("pie", ours.flags["pie"], str(int("DYNAMIC_BASE" in head)))
    bad += same("signed", ours.flags["signed"], str(int(number("CertificateTableSize") > 0)))
    sections = []
    for f, body in blocks(readobj(path, "--sections"), "Section"):
        size, raw = int(f["VirtualSize"], 0), int(f["RawDataSize"], 0)
        off, flags = int(f["PointerToRawData"], 0), 0
        for name, bit in (("MEM_READ", READ), ("MEM_WRITE", WRITE), ("MEM_EXECUTE", EXEC)):
            flags |= bit if "IMAGE_SCN_" + name in body else 0
        filesz = min(size, raw) if off else 0
        flags |= (0 if filesz else NOBITS) | (COMPRESSED if f["Name"].startswith(".zd") else 0)
        sections.append((f["Name"], base + int(f["VirtualAddress"], 0), size, off, filesz, flags))
    bad += same("section", ours.sections, sections)
    libs = re.search(r"NeededLibraries \[\n(.*?)\]", head, re.S)[1].split()
    bad += same("needed", sorted(ours.needed), sorted(libs))
    bad += same("segment", ours.segments, [(s[1], s[2], s[3], s[4], s[5] & 7) for s in sections])
    symbols = []
    for f, body in blocks(readobj(path, "--symbols"), "Symbol"):
        section = f["Section"].split(" (")[0]
        if "StorageClass: File" in body or section in ("IMAGE_SYM_UNDEFINED", "IMAGE_SYM_DEBUG"):
            continue
        m = re.search(r"Section: .* \((\d+)\)\n", body)  # names may repeat
        symbols.append((f["Name"], int(f["Value"]) + (sections[int(m[1]) - 1][1] if m else 0)))
    return bad + same("symbol", [s[:2] for s in ours.symbols], symbols)


def check_macho(path, ours):
    sections = []
    for f, body in blocks(readobj(path, "--sections"), "Section"):
        name = "%s,%s" % (f["Segment"].split(" (")[0], f["Name"].split(" (")[0])
        size, zero = int(f["Size"], 0), "ZeroFill" in body
        sections.append((name, int(f["Address"], 0), size, int(f["Offset"], 0),
                         0 if zero else size, zero, "SomeInstructions" in body))
    bad = same("section", [s[:5] + (bool(s[5] & NOBITS), bool(s[5] & EXEC)) for s in ours.sections],
               sections)
    segments = []
    dump = run("llvm-objdump", "--macho", "--private-headers", path)
    for part in dump.split("Load command")[1:]:
        f = dict(re.findall(r"^ +(\w+) (\S+)", part, re.M))
        if f["cmd"] == "LC_SEGMENT_64":
            prot = sum(bit for letter, bit in (("r", READ), ("w", WRITE), ("x", EXEC))
                       if letter in f["initprot"])
            vmsize, filesz = int(f["vmsize"], 0), int(f["filesize"], 0)
            segments.append((int(f["vmaddr"], 0), vmsize, int(f["fileoff"], 0),
                             min(vmsize, filesz), prot))
        elif f["cmd"] == "LC_UUID":
            bad += same("uuid", ours.build_id, f["uuid"].replace("-", "").lower())
        elif f["cmd"] == "LC_LOAD_DYLINKER":
            bad += same("interpreter", ours.info["interp"], f["name"])
        elif f["cmd"] == "LC_MAIN":
            text = [s[0] for s in segments if s[4] & EXEC][0]
            bad += same("entry", int(ours.info["entry"], 0), text + int(f["entryoff"], 0))
    bad += same("segment", ours.segments, segments)
    bad += same("needed", ours.needed, re.findall(r"name (\S+) \(offset 24\)", re.sub(
        r"LC_ID_DYLIB.*?name \S+", "", dump, flags=re.S)))
    bad += same("pie", ours.flags["pie"], str(int(re.search(r"\bPIE\b", dump) is not None)))
    symbols = [(f["Name"].rsplit(" (", 1)[0], int(f["Value"], 0))
               for f, body in blocks(readobj(path, "--symbols"), "Symbol")
               if re.search(r"Type: (Section|Abs)", body)]
    return bad + same("symbol", [s[:2] for s in ours.symbols], symbols)


def check_go(path, ours):
    """What Go says: the build id, and the addresses of functions (debug/elf, debug/pe, debug/macho
    behind go tool nm)."""
    bad = []
    if ours.go_note is not None:
        bad += same("Go build id", ours.go_note, run("go", "tool", "buildid", path).strip())
    if ours.flags["symtab"] == "0":
        return bad
    strip = "_" if ours.info["format"] == "3" else ""
    mine = {(n[len(strip):] if n.startswith(strip) else n, a) for n, a, _, _ in ours.symbols}
    for line in run("go", "tool", "nm", path).split("\n"):
        m = re.match(r" *([0-9a-f]+) [Tt] (.*)", line)
        if m and (m[2], int(m[1], 16)) not in mine and (m[2][len(strip):], int(m[1], 16)) \
                not in mine:
            return bad + [f"go tool nm knows {m[2]} at {m[1]}"]
    return bad


def check_sample_lines(path, base):
    """go tool addr2line on a built pclntab: places of gs_build_go_sample()."""
    want = {0x20: "main.init.0 /src/main.go:5", 0x40: "main.init.0 /src/util.go:7",
            0x6c: "main.main /src/main.go:12", 0x78: "main.main /src/util.go:31",
            0xa8: "main.(*T).Method /src/main.go:40", 0xd0: "main.T.Method <autogenerated>:1"}
    out = run("go", "tool", "addr2line", path,
              input="\n".join(hex(base + off) for off in want).encode()).split("\n")
    return same("addr2line", [f"{f} {l}" for f, l in zip(out[0::2], out[1::2])],
                list(want.values()))


CHECKS = {"1": check_elf, "2": check_pe, "3": check_macho}


class Tap:
    def __init__(self):
        self.n, self.failed = 0, 0

    def result(self, name, bad):
        self.n += 1
        self.failed += bool(bad)
        print(f"{'not ok' if bad else 'ok'} {self.n} - {name}")
        for line in bad:
            print(f"#   {line}")
        sys.stdout.flush()

    def skip(self, name, why):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {why}")

    def guarded(self, name, check):
        try:
            self.result(name, check())
        except subprocess.CalledProcessError as e:
            self.result(name, [f"{e.cmd}: {e.stderr.decode(errors='replace')[:500]}"])
        except (KeyError, TypeError, ValueError, IndexError) as e:
            self.result(name, [f"cannot read what the other tool printed: {e!r}"])


def compare(path, go):
    ours = Ours(path)
    bad = CHECKS[ours.info["format"]](path, ours)
    return bad + (check_go(path, ours) if go else [])


def test_samples(tap, tmp, go):
    directory = os.path.join(tmp, "samples")
    run(IMAGE_SAMPLES, directory)
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if name in ("macho-fat", "elf-no-sections", "elf-core"):
            continue  # the other tools show all slices; need section headers; warn about cores
        tap.guarded(f"built image {name}", lambda: compare(path, False))
        if go and name.startswith("go1."):
            base = {"1": 0x401000, "2": 0x140001000, "3": 0x100001000}[Ours(path).info["format"]]
            tap.guarded(f"pclntab of {name} by go tool addr2line",
                        lambda: check_sample_lines(path, base))


def test_builds(tap, tmp):
    for kind, text in (("plain", PROGRAM), ("cgo", CGO_PROGRAM)):
        os.mkdir(os.path.join(tmp, kind))
        with open(os.path.join(tmp, kind, "main.go"), "w", encoding="utf-8") as f:
            f.write(text)
        with open(os.path.join(tmp, kind, "go.mod"), "w", encoding="utf-8") as f:
            f.write("module example.com/real\n\ngo 1.19\n")
    for name, kind, env, args in BUILDS:
        if kind == "cgo" and not shutil.which("gcc"):
            tap.skip(name, "no C compiler for cgo")
            continue
        path = os.path.join(tmp, name)

        def check():
            run("go", "build", *args, "-o", path, ".", cwd=os.path.join(tmp, kind),
                env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", **env})
            return compare(path, True)
        tap.guarded(name, check)
        if os.path.exists(path):
            os.unlink(path)


def main():
    tap = Tap()
    missing = [t for t in ("readelf", "llvm-readobj", "llvm-objdump") if not shutil.which(t)]
    if missing:
        print(f"1..0 # SKIP {', '.join(missing)} not installed")
        return 0
    go = shutil.which("go") is not None
    with tempfile.TemporaryDirectory(prefix="gosonde-real-") as tmp:
        test_samples(tap, tmp, go)
        if go:
            test_builds(tap, tmp)
        else:
            tap.skip("Go binaries", "no Go toolchain on PATH")
    for path in SYSTEM:
        if os.path.exists(path):
            tap.guarded(path, lambda: compare(path, False))
    print(f"1..{tap.n}")
    return tap.failed > 0


sys.exit(main())
