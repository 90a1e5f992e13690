# SPDX-License-Identifier: MIT
"""Sourced in GDB: each read of a reference clock looks slow, as where a hypervisor emulates it far away.

tsc_read_refs() compares t2 - t1 with a limit, and takes no sample above it. Not so at the first calibration of all,
which would fail altogether.
"""

import os

import gdb

gdb.execute(f"source {os.path.dirname(os.path.realpath(__file__))}/changes.py")
Intervention(find("tsc_read_refs", r"cmp +%rbx,%rdx"), assign("$rdx = 0x7fffffff"), "tsc_khz != 0")  # noqa: F821
