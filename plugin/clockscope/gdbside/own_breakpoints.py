# SPDX-License-Identifier: MIT
"""Internal breakpoints and watchpoints that let the guest go on."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

from collections.abc import Callable
from functools import partial

import gdb

from clockscope._core import true_if_interrupted
from clockscope.gdbside.frames import Stop
from clockscope.gdbside.happenings import asking, at_next_stop, in_probe


def _stays(hit: Callable[[Stop], bool]) -> bool:
    """Whether the guest stays where it was hit: for the user too, where Ctrl-C came while an event was being read."""
    try:
        with asking():
            return hit(Stop())
    except KeyboardInterrupt:
        return True
    except gdb.error:
        if gdb.selected_inferior().connection is not None:
            raise
        return True  # the connection was lost meanwhile: GDB says so itself


class _Own(gdb.Breakpoint):
    """One of clockscope's own."""

    def remove(self) -> None:
        """In the midst of a probe GDB may still use it: then it is only switched off, and goes when the guest stands."""
        if not self.is_valid():
            return
        if in_probe():
            self.stop = true_if_interrupted(bool)  # no
            self.enabled = False
            at_next_stop(self._delete)
        else:
            self.delete()

    def _delete(self) -> None:
        if self.is_valid():
            self.delete()


class Probe(_Own):
    """An internal breakpoint. `hit` is called at each stop; the guest goes on unless it returns True.

    A hardware one, as a rule: whoever loads the kernel overwrites software breakpoints, and early text is not mapped.
    """

    def __init__(self, address: int, hit: Callable[[Stop], bool], *, hardware: bool = True) -> None:
        kind = gdb.BP_HARDWARE_BREAKPOINT if hardware else gdb.BP_BREAKPOINT
        super().__init__(f"*{address:#x}", type=kind, internal=True)
        self.silent = True
        # No method: an interrupt that is due would be raised before its first line, and GDB print it.
        self.stop = true_if_interrupted(partial(_stays, hit))

    def switch(self, on: bool) -> None:
        if self.enabled != on:
            self.enabled = on


class _Unequal(gdb.Function):
    """$clockscope_unequal(): an even number that it has not said before."""

    name = "clockscope_unequal"

    def __init__(self) -> None:
        super().__init__(self.name)
        self._said = 0

    def invoke(self) -> int:
        self._said += 2
        return self._said


class Watchpoint(_Own):
    """An internal hardware watchpoint. `hit` is called behind each write; the guest goes on unless it returns True.

    GDB keeps to itself a write that leaves the value as it was, so it watches an expression that always changes.
    `!` is the operator that lets GDB (13.1) use a hardware watchpoint where the variable cannot be read yet: others
    make a new value before they read. Raises Error where only single steps would do.
    """

    _TYPES = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}
    _unequal: _Unequal | None = None

    def __init__(self, address: int, size: int, hit: Callable[[Stop], bool]) -> None:
        Watchpoint._unequal = Watchpoint._unequal or _Unequal()
        text = f"${_Unequal.name}() + !*({self._TYPES[size]} *){address:#x}"
        super().__init__(text, type=gdb.BP_WATCHPOINT, wp_class=gdb.WP_WRITE, internal=True)
        self.silent = True
        # No method: an interrupt that is due would be raised before its first line, and GDB print it.
        self.stop = true_if_interrupted(partial(_stays, hit))
        if self.type != gdb.BP_HARDWARE_WATCHPOINT:
            self.delete()
            raise gdb.error("no hardware watchpoint")


class Access(_Own):
    """An internal hardware watchpoint behind each access, be it a read. Raises Error where only single steps would do; where
    the stub has none, the guest's resume does."""

    def __init__(self, address: int, hit: Callable[[Stop], bool]) -> None:
        text = f"!*(unsigned long *){address:#x}"  # `!`: as in Watchpoint
        super().__init__(text, type=gdb.BP_WATCHPOINT, wp_class=gdb.WP_ACCESS, internal=True)
        self.silent = True
        self.stop = true_if_interrupted(partial(_stays, hit))
