# SPDX-License-Identifier: MIT
"""Clockscope for GDB: `source plugin/clockscope.py`, then `clock`. Sourcing it again changes nothing."""

import os
import sys

import gdb

_NEEDED = (3, 11)  # the limited API that the extension is built for


def _load() -> None:
    if sys.version_info < _NEEDED:
        found = ".".join(str(part) for part in sys.version_info[:2])
        raise gdb.GdbError(f"clockscope: this GDB has Python {found}; 3.11 or newer is needed")
    folder = os.path.dirname(os.path.realpath(__file__))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        from clockscope.front import frontend

        frontend.register()
    except ImportError as error:
        from clockscope.base import places

        raise gdb.GdbError(f"clockscope: {places.why_not(error)}")


try:
    _load()
except gdb.GdbError as problem:
    # Raised from a sourced file, it would come with a traceback.
    gdb.write(f"{problem}\n", gdb.STDERR)
