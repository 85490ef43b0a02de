#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Programs with C in them: goroutines inside C calls, callbacks from C into Go, and code from a plugin."""
import exact
from harness import Target, tap, target_path


def cgo_default():
    exact.run('cgo', target_path('cgo'))


def cgo_stripped_newest():
    exact.run('cgo newest stripped', target_path('cgo', 'newest', 'stripped'))


def plugin():
    exact.run('plugin', target_path('plugin'))


tap.run(cgo_default, cgo_stripped_newest, plugin)
