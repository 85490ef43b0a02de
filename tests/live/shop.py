# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The example shop with some of its troubles, under load of its own."""
import json
import subprocess
import tempfile
import urllib.request

from harness import start, target_path, wait_for


class Shop:
    def __init__(self, *troubles, load=60, release='host', variant='default', more=()):
        self.log = tempfile.NamedTemporaryFile(mode='r')
        argv = [target_path('shop', release, variant), '-addr', '127.0.0.1:0', '-load', str(load), *more]
        if troubles:
            argv += ['-trouble', ','.join(troubles)]
        self.process = start(argv, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_for(lambda: 'listening' in open(self.log.name).read(), 20, 'the shop to listen')
        self.url = open(self.log.name).read().split('listening on ')[1].split()[0]
        self.pid = self.process.pid

    def truth(self):
        return json.load(urllib.request.urlopen(self.url + '/debug/truth', timeout=20))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
