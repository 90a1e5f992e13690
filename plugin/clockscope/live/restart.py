# SPDX-License-Identifier: MIT
"""The watch for another boot of a guest that is being recorded (see restart_signs.py for what tells of one)."""

import os
from collections.abc import Callable

from clockscope.gdbside import console, frames, own_breakpoints, values
from clockscope.kernel.elffile import ElfFile
from clockscope.kernel.identity import KernelCheck
from clockscope.live.repeats import Repeats
from clockscope.live.restart_signs import Signs
from clockscope.profiles.profile import Profile

_LOW = 1 << 47  # kernels run in the upper half


class RestartWatch:
    """Tells when a guest boots again."""

    def __init__(
        self,
        check: KernelCheck,
        offset: int,
        run_ns: Callable[[], int],
        instructions: Callable[[], int | None],
        *,
        replay: bool,
    ) -> None:
        """`run_ns`: how long the guest has run; `instructions`: how many a replay has executed."""
        self._signs = Signs(check, replay=replay)
        self._check = check
        self._offset = offset
        self._instructions = instructions
        self._repeats = Repeats(run_ns)
        self._probe: own_breakpoints.Probe | None = None
        self._elsewhere: own_breakpoints.Access | None = None

    def plant(self, call: Callable[[frames.Stop], bool]) -> None:
        """Have `call` called where a boot begins that is not the one that is under way; True keeps the guest there."""
        if self._check.start is None:
            return

        def hit(stop: frames.Stop) -> bool:
            return not self._repeats.again(stop) and self._signs.entered(self._instructions()) and call(stop)

        try:
            self._probe = own_breakpoints.Probe(self._check.start + self._offset, hit)
            self._signs.watched = True
        except console.Error:
            self._probe = None  # the other signs remain

    def await_elsewhere(self, slot: int, call: Callable[[frames.Stop], bool]) -> None:
        """Have `call` called as well where a boot maps itself, and the kernel of this one is gone: it lies elsewhere. `slot`:
        see relocation.slot()."""

        def hit(stop: frames.Stop) -> bool:
            return self._check.still() is not True and call(stop)

        if self._elsewhere is None:
            self._elsewhere = own_breakpoints.Access(slot, hit)

    def is_under_way(self, elf: ElfFile, profile: Profile | None) -> None:
        """The kernel is in the guest's memory: look whether it has come past its early function."""
        self._signs.begun = begun(elf, profile)

    @property
    def begun(self) -> bool:
        """Whether the kernel is known to have come past its early function."""
        return bool(self._signs.begun)

    def stands_at_start(self, stop: frames.Stop) -> None:
        """The guest stands where its boot begins, and is not to be told of that again."""
        self._repeats.keep(stop)
        self._signs.entered(self._instructions())

    def lift(self) -> None:
        for probe in (self._probe, self._elsewhere):
            if probe is not None:
                probe.remove()
        self._probe = self._elsewhere = None

    def at_event(self, cpu: int, tsc: int | None) -> str:
        return self._signs.at_event(cpu, tsc)

    def at_stop(self) -> str:
        return self._signs.at_stop(lambda: frames.all_in_firmware(_LOW))


def begun(elf: ElfFile, profile: Profile | None) -> bool | None:
    """Whether the kernel in the guest's memory has come past its early function, as the profile tells it."""
    for expression in profile.begun if profile else ():
        value = values.evaluate(expression) if values.are_known(expression, elf.__contains__) else None
        if isinstance(value, int):
            return value != 0
    return None


def numbered(path: str, number: int) -> str:
    """The name of another boot's trace: boot.trace, boot-2.trace."""
    stem, extension = os.path.splitext(path)
    return f"{stem}-{number}{extension}"
