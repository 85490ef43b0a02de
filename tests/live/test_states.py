#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Every goroutine of the states program equals what the runtime says: test_states.py RELEASE VARIANT"""
import sys

import exact
from harness import tap, target_path

release, variant = sys.argv[1:3]


def states():
    exact.run(f'go {release} {variant}', target_path('states', release, variant))


tap.run(states)
