# SPDX-License-Identifier: MIT
"""Sourced in GDB: what changes a guest while it boots, so that it fails in a way that is to be recorded.

With breakpoints of GDB's own, not by `clock record --force` and its like: a trace is not to know its guest's fault.
"""

import re
from collections.abc import Callable

import gdb


class Intervention(gdb.Breakpoint):
    """Does something to the stopped guest each time it comes by, and lets it go on."""

    def __init__(self, where: str, action: Callable[[], None], condition: str | None = None) -> None:
        super().__init__(where, gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self.condition = condition
        self._action = action

    def stop(self) -> bool:
        self._action()
        return False


def find(function: str, pattern: str, number: int = 1) -> str:
    """The address, as a location, of the so manieth instruction of a function that matches. By the symbol file: the
    kernel is not in memory yet."""
    gdb.execute("set trust-readonly-sections on")
    lines = gdb.execute(f"disassemble {function}", to_string=True).splitlines()
    gdb.execute("set trust-readonly-sections off")
    found = [line.split()[0] for line in lines if re.search(pattern, line)]
    return f"*{found[number - 1]}"


def assign(*assignments: str) -> Callable[[], None]:
    """An action: GDB's `set var` of each."""

    def act() -> None:
        for assignment in assignments:
            gdb.execute(f"set var {assignment}")

    return act


def leave(value: int, *assignments: str) -> Callable[[], None]:
    """An action at a function's entry: go to a return instruction, with a value. (Not to its caller: a breakpoint that
    waits there would not be seen.)"""
    return assign(*assignments, "$rip = (long)&__x86_return_thunk", f"$rax = {value}")
