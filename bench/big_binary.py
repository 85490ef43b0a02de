# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A large stripped Go program, generated: many packages of many functions, as real large servers have,
so that text, line tables and function tables all grow, not just embedded data."""
import os
import pathlib
import shutil

import harness

# Measured with Go 1.26: bytes of stripped binary per generated function, and of what is imported.
BYTES_PER_FUNCTION = 1560
BYTES_BASE = 7_000_000
PER_PACKAGE = 500

FUNCTION = '''
//go:noinline
func (s *State{k}) Handle{i}(name string, values []int64, m map[string]int64) (int64, error) {{
	if len(values) < {n} {{
		return {i}, fmt.Errorf("%s: need %d values, got %d", name, {n}, len(values))
	}}
	total := int64({i})
	for j, v := range values {{
		switch {{
		case v%{p} == 0:
			total += m[name] * v
		case v > int64(j):
			m[name+s.name] = total
			s.seen = append(s.seen, total^v)
		default:
			r, err := s.Handle{prev}(name, values[j:], m)
			if err != nil {{
				return r, fmt.Errorf("handle {i} of %s: %w", s.name, err)
			}}
			total -= r
		}}
	}}
	if text := strings.TrimSpace(name); text != "" {{
		s.name = text + strconv.Itoa(int(total))
	}}
	return total, nil
}}
'''


def package(where, k):
    where.mkdir(parents=True)
    text = [f'package p{k}\n\nimport (\n\t"fmt"\n\t"strconv"\n\t"strings"\n)\n\n'
            f'type State{k} struct {{\n\tname string\n\tseen []int64\n}}\n']
    for i in range(PER_PACKAGE):
        text.append(FUNCTION.format(k=k, i=i, prev=i - 1 if i else PER_PACKAGE - 1, n=i % 7 + 1, p=i % 13 + 2))
    table = ', '.join(f's.Handle{i}' for i in range(PER_PACKAGE))
    text.append(f'\n// All keeps every method alive.\nfunc All(s *State{k}) []func(string, []int64, map[string]int64) '
                f'(int64, error) {{\n\treturn []func(string, []int64, map[string]int64) (int64, error){{{table}}}\n}}\n')
    (where / 'p.go').write_text(''.join(text))


def build(work, megabytes):
    """Return the path of the program, made once; it prints a line when it is up, then blocks."""
    path = pathlib.Path(work) / f'big-{megabytes}'
    if path.exists():
        return path
    source = pathlib.Path(work) / 'big-source'
    shutil.rmtree(source, ignore_errors=True)
    n = max(1, (megabytes * 1_000_000 - BYTES_BASE) // BYTES_PER_FUNCTION // PER_PACKAGE + 1)
    for k in range(n):
        package(source / f'p{k}', k)
    imports = ''.join(f'\t"big/p{k}"\n' for k in range(n))
    uses = ''.join(f'\tn += len(p{k}.All(&p{k}.State{k}{{}}))\n' for k in range(n))
    (source / 'main.go').write_text(
        f'package main\n\nimport (\n\t"fmt"\n\t"net/http"\n{imports})\n\nfunc main() {{\n\tn := 0\n{uses}'
        '\tfor i := 0; i < 100; i++ {\n\t\tgo http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", 0), nil)\n\t}\n'
        '\tfmt.Println("up", n)\n\tselect {}\n}\n')
    (source / 'go.mod').write_text('module big\n\ngo 1.19\n')
    print(f'bench: building a program of {megabytes} MB, once; takes some minutes …', flush=True)
    env = dict(os.environ, CGO_ENABLED='0', GOFLAGS='', GOTOOLCHAIN='local')
    harness.run_checked([harness.go_command(), 'build', '-ldflags=-s -w', '-o', str(path) + '.tmp', '.'],
                        cwd=source, env=env)
    os.rename(str(path) + '.tmp', path)
    shutil.rmtree(source)
    return path
