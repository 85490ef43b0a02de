# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Go programs that nobody here wrote, fetched once into the cache: from Debian packages (unpacked, not
installed, so that no service starts), from npm packages, and built from the Go module proxy."""
import os
import shutil
import subprocess
import tarfile

from harness import CACHE, Skip, go_command, have


def _run(argv, **kw):
    return subprocess.run(argv, capture_output=True, text=True, **kw)


def debian(package, path):
    """The file @path of a Debian package, for this machine's CPU."""
    where = CACHE / 'debian' / package
    program = where / path
    if program.exists():
        return program
    if not have('apt-get') or not have('dpkg-deb'):
        raise Skip(f'no apt-get, so no Debian package {package}')
    tmp = CACHE / 'debian' / f'.{package}.{os.getpid()}'
    tmp.mkdir(parents=True, exist_ok=True)
    try:
        r = _run(['apt-get', 'download', package], cwd=tmp)
        if r.returncode and os.geteuid() == 0:
            _run(['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300', 'update'])
            r = _run(['apt-get', 'download', package], cwd=tmp)
        if r.returncode:
            raise Skip(f'apt-get cannot download {package}: {r.stderr.strip().splitlines()[-1:]}')
        (deb,) = tmp.glob('*.deb')
        r = _run(['dpkg-deb', '-x', deb.name, 'root'], cwd=tmp)
        if r.returncode:
            raise AssertionError(f'dpkg-deb -x {deb.name}: {r.stderr}')
        shutil.rmtree(where, ignore_errors=True)
        (tmp / 'root').rename(where)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return program


def npm(package, path):
    """The file @path of an npm package."""
    where = CACHE / 'npm' / package.replace('/', '_')
    program = where / 'package' / path
    if program.exists():
        return program
    if not have('npm'):
        raise Skip(f'no npm, so no package {package}')
    where.mkdir(parents=True, exist_ok=True)
    r = _run(['npm', 'pack', '--silent', package], cwd=where)
    if r.returncode:
        raise Skip(f'npm cannot fetch {package}: {r.stderr.strip().splitlines()[-1:]}')
    (archive,) = where.glob('*.tgz')
    with tarfile.open(archive) as t:
        t.extractall(where)
    archive.unlink()
    return program


def go_build(package, module, version, name, *flags):
    """A program built from the Go module proxy. `go install` takes the versions that its authors chose, but
    refuses programs whose go.mod has replace lines; those are built from a module of our own."""
    where = CACHE / 'go' / f'{name}-{version}'
    program = where / name
    if program.exists():
        return program
    source = where / 'module'
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    env = dict(os.environ, GOFLAGS='', GOTOOLCHAIN='auto', GOWORK='off', GOBIN=str(where))
    r = _run([go_command(), 'install', *flags, f'{package}@{version}'], env=env, cwd=source)
    if r.returncode == 0 and program.exists():
        return program
    env['GOFLAGS'] = '-mod=mod'
    for command in (['mod', 'init', 'build'], ['get', f'{module}@{version}'],
                    ['build', '-o', str(program), *flags, package]):
        r = _run([go_command(), *command], env=env, cwd=source)
        if r.returncode:
            raise Skip(f'go {" ".join(command)}: {r.stderr.strip()[-300:]}')
    return program
