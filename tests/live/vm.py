# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Other kernels: boots a Debian kernel package under QEMU (no KVM: nested KVM hangs on some hosts) with an
initramfs of busybox, gosonde and programs to watch, runs a shell script as root in it and returns what
the script printed and the files it left in /out.

Only memory is used unless a disk is asked for; no network beyond loopback. A kernel is downloaded once into the test cache.
"""
import base64
import gzip
import io
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tarfile

from harness import CACHE, GOSONDE, Skip

INIT = r'''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /out /run /var/tmp /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox mount -t tmpfs tmp /var/tmp
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root TERM=dumb
ip link set lo up
echo 1 >/proc/sys/kernel/printk
echo; echo VM-BEGIN
sh /script 2>&1
echo "VM-END $?"
cd /out && tar cz . 2>/dev/null | base64
echo VM-FILES-END
poweroff -f
'''


def _packages():
    """Kernel series -> package name, as the configured archive has them."""
    text = subprocess.run(['apt-cache', 'search', '--names-only', '^linux-image-[0-9].*-cloud-amd64$'],
                          capture_output=True, text=True).stdout
    found = {}
    for name in re.findall(r'^(linux-image-(\d+\.\d+)\S*-cloud-amd64) ', text, re.M):
        found.setdefault(name[1], []).append(name[0])
    key = lambda n: [int(x) for x in re.findall(r'\d+', n)]
    return {series: max(names, key=key) for series, names in found.items()}


def kernel(series):
    """Path of the vmlinuz of a kernel series ("6.1"), downloaded if need be."""
    for tool in ('qemu-system-x86_64', 'busybox', 'dpkg-deb', 'apt-get'):
        if not shutil.which(tool):
            raise Skip(f'{tool} is not installed')
    cache = CACHE / 'kernels'
    have = sorted(cache.glob(f'vmlinuz-{series}.*'))
    if have:
        return have[-1]
    package = _packages().get(series)
    if not package:
        raise Skip(f'the package archive has no kernel {series}')
    work = cache / f'get-{series}'
    work.mkdir(parents=True, exist_ok=True)
    r = subprocess.run(['apt-get', 'download', '-q', package], cwd=work, capture_output=True, text=True)
    debs = list(work.glob('*.deb'))
    if not debs:
        raise Skip(f'cannot download {package}: {r.stderr.strip()[-200:]}')
    subprocess.run(['dpkg-deb', '-x', debs[0], work], check=True)
    image = next(work.glob('boot/vmlinuz-*'))
    kept = cache / image.name
    shutil.copy(image, kept)
    shutil.rmtree(work)
    return kept


def _libraries(program):
    """Shared libraries of a dynamic program, the interpreter included."""
    text = subprocess.run(['ldd', str(program)], capture_output=True, text=True).stdout
    return re.findall(r'(/\S+) \(0x', text)


class _Cpio:
    """The "newc" format that kernels unpack (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.out = io.BytesIO()
        self.dirs = {'.', ''}
        self.n = 0

    def _entry(self, name, mode, data=b''):
        self.n += 1
        name = name.encode() + b'\0'
        fields = (self.n, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b'070701' + b''.join(b'%08X' % f for f in fields)
        self.out.write(head + name)
        self.out.write(b'\0' * (-self.out.tell() % 4))
        self.out.write(data)
        self.out.write(b'\0' * (-self.out.tell() % 4))

    def folder(self, path):
        path = path.strip('/')
        if path not in self.dirs:
            self.folder(os.path.dirname(path))
            self.dirs.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode=0o755):
        self.folder(os.path.dirname(path.strip('/')))
        self._entry(path.strip('/'), stat.S_IFREG | mode, data)

    def program(self, path, source):
        """A program and the libraries it needs."""
        self.file(path, pathlib.Path(source).read_bytes())
        for lib in _libraries(source):
            if lib not in self.dirs:
                self.dirs.add(lib)
                self.file(lib, pathlib.Path(lib).read_bytes())

    def bytes(self):
        self._entry('TRAILER!!!', 0)
        return gzip.compress(self.out.getvalue(), 1)


class Result:
    def __init__(self, console):
        self.console = console
        m = re.search(r'^VM-BEGIN\r?\n(.*?)^VM-END (\d+)', console, re.M | re.S)
        self.output = m.group(1).replace('\r', '') if m else ''
        self.status = int(m.group(2)) if m else None
        self.files = {}
        m = re.search(r'^VM-END \d+\r?\n(.*?)^VM-FILES-END', console, re.M | re.S)
        if m:
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(m.group(1))), mode='r:gz') as tar:
                for member in tar:
                    if member.isfile():
                        self.files[member.name.removeprefix('./')] = tar.extractfile(member).read()


def run(series, script, programs, timeout=300, memory_mb=1536, cpus=2, nodes=1, disk_mb=0):
    """Run @script in a kernel of @series. @programs: {path in the machine: path here}. Memory and CPUs are divided among NUMA
    @nodes. An empty disk of @disk_mb is /dev/nvme0n1: what else there is for disks is in modules, which are left out."""
    image = kernel(series)
    cpio = _Cpio()
    cpio.folder('out')
    cpio.file('init', INIT.encode())
    cpio.file('script', script.encode())
    cpio.program('bin/busybox', shutil.which('busybox'))
    cpio.program('bin/gosonde', GOSONDE)
    if shutil.which('setpriv'):
        cpio.program('usr/bin/setpriv', shutil.which('setpriv'))
    for there, here in programs.items():
        cpio.program(there, here)
    ram = CACHE / f'initramfs-{series}-{os.getpid()}.gz'
    disk = CACHE / f'disk-{series}-{os.getpid()}'
    ram.write_bytes(cpio.bytes())
    more = []
    for i in range(nodes if nodes > 1 else 0):
        first, last = i * cpus // nodes, (i + 1) * cpus // nodes - 1
        more += ['-object', f'memory-backend-ram,id=node{i},size={memory_mb // nodes}M',
                 '-numa', f'node,nodeid={i},cpus={first}-{last},memdev=node{i}']
    if disk_mb:
        with open(disk, 'wb') as f:
            f.truncate(disk_mb << 20)
        more += ['-drive', f'file={disk},if=none,id=disk,format=raw', '-device', 'nvme,drive=disk,serial=1']
    try:
        r = subprocess.run(
            ['qemu-system-x86_64', '-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', str(cpus), '-m', str(memory_mb),
             *more, '-kernel', str(image), '-initrd', str(ram), '-nographic', '-no-reboot',
             '-append', 'console=ttyS0 quiet panic=-1 mitigations=off'],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace', timeout=timeout)
        return Result(r.stdout)
    except subprocess.TimeoutExpired as e:
        return Result((e.stdout or b'').decode(errors='replace') if isinstance(e.stdout, bytes) else e.stdout or '')
    finally:
        ram.unlink()
        disk.unlink(missing_ok=True)
