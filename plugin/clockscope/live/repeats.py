# SPDX-License-Identifier: MIT
"""Stops that GDB is told of twice.

QEMU (seen with 7.2) may end a single step before it has executed anything, when the local APIC wants to be polled. GDB,
which steps to get off a breakpoint, then takes that for another hit.
"""

from collections.abc import Callable

from clockscope.gdbside.frames import Stop

# A guest that stops twice in this time with all registers equal has not run in between.
_STEP_NS = 50_000_000


class Repeats:
    """Tells a stop that is the last one once more."""

    def __init__(self, run_ns: Callable[[], int]) -> None:
        """`run_ns`: how long the guest has run."""
        self._run_ns = run_ns
        self._last: tuple[object, int] = (None, 0)  # the last stop's state, and the guest's run time then

    def keep(self, stop: Stop) -> None:
        """What the guest looks like, now that it will go on."""
        self._last = ((stop.thread, stop.registers()), self._run_ns())

    def again(self, stop: Stop) -> bool:
        before = self._last
        self.keep(stop)
        return self._last[0] == before[0] and self._last[1] - before[1] < _STEP_NS
