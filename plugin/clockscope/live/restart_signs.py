# SPDX-License-Identifier: MIT
"""Does the guest boot again? A trace is one boot: by a reset, a triple fault, a panic or kexec another one begins.

No stub tells of it, so it is told by what any stub shows:

- The kernel enters its early function again, which it runs once a boot.
- The guest stands, all its processors are back where no kernel runs (low addresses, highest privilege), and the kernel
  is gone from memory.
- Another kernel's build id, or banner, is in memory (kexec, or another choice of the boot loader's).
- Only where the early function cannot be watched: a processor's TSC has gone back. The kernel may write it.
"""

from collections.abc import Callable
from typing import Protocol

RESTARTED = "your guest restarted"
ANOTHER = f"{RESTARTED}, and runs another kernel now"


class Identity(Protocol):
    """Who knows the kernel that was there."""

    def still(self) -> bool | None:
        """See identity.KernelCheck."""


class Signs:
    """What was seen of one boot, and whether what is seen now belongs to it."""

    def __init__(self, identity: Identity, *, replay: bool) -> None:
        self.begun: bool | None = None
        """Whether the kernel has come past its early function; None where that is not known."""
        self.watched = False
        """Whether its entry is seen."""
        self._identity = identity
        self._replay = replay
        self._tsc: dict[int, int] = {}  # by processor, its last
        self._icount: int | None = None  # of a replay, when it entered: it may be run backwards

    def entered(self, icount: int | None) -> bool:
        """The kernel enters its early function; whether that is another boot. `icount`: what a replay has executed."""
        again, self.begun = bool(self.begun), True
        before, self._icount = self._icount, icount
        if not self._replay:
            return again
        return again and icount is not None and before is not None and icount > before

    def at_event(self, cpu: int, tsc: int | None) -> str:
        """What an event tells: that the guest restarted, and how; empty where it did not."""
        self.begun = True
        if self._identity.still() is False:
            return ANOTHER
        before = self._tsc.get(cpu)
        if tsc is None:
            return ""
        self._tsc[cpu] = tsc
        went_back = before is not None and tsc < before
        return f"{RESTARTED}: its TSC began anew" if went_back and not self.watched else ""

    def at_stop(self, in_firmware: Callable[[], bool]) -> str:
        """The same, where the guest stands for the user. `in_firmware`: whether all processors are where no kernel runs."""
        if not self.begun:
            return ""
        still = self._identity.still()
        if still is False:
            return ANOTHER
        return f"{RESTARTED}: its kernel is gone" if still is None and in_firmware() else ""
