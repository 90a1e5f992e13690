# SPDX-License-Identifier: MIT
"""What time it is in the guest of a replay.

While the guest executes, QEMU's virtual clock goes on by 1 << shift ns an instruction. While it idles, the clock goes on by as much
as the boot that was recorded had waited (QEMU, accel/tcg/icount-common.c: qemu_icount_bias), of which the instruction count
says nothing. The machine's own clocks go by the virtual clock, too, and QEMU's monitor reads them without a hand in the guest:
the PM timer, always running, of 24 bits, so round in 4.7 s (ACPI specification, 4.8.3.3), and, once the kernel has enabled it,
the HPET's main counter (IA-PC HPET specification, 2.3.7). Both only where QEMU says that they are.
"""

import re
from collections.abc import Callable

from clockscope._core import RefusedError

_PM_HZ = 3_579_545
_PM_ROUND = 1 << 24
_HPET_NS = 10  # of QEMU's (hw/timer/hpet.c: HPET_CLK_PERIOD)
_REGION = r"^\s*([0-9a-f]{16})-[0-9a-f]{16} \(prio -?\d+, i/o\): %s\s*$"
_FIRST_PORT = 0x100  # below are the ISA bus's own; a PM timer there has no address from the firmware yet
_NOISE_NS = 1000  # between a clock of 280 ns a tick and instructions of, say, 128 ns


class ReplayClock:
    """Tells the time by instructions, and what went by beside them."""

    def __init__(self, monitor: Callable[[str], str], shift: int) -> None:
        """`monitor`: has QEMU's monitor carry out a command, and gives what it prints; RefusedError where there is none."""
        self._monitor = monitor
        self._shift = shift
        self._pm_port: int | None = None
        self._hpet_base: int | None = None
        self._idle = 0  # ns so far, beside instructions
        self._before: tuple[int, int | None, int | None] | None = None  # executed ns, PM ticks, HPET ns

    def ns(self, instructions: int) -> int:
        """The guest's time at an instruction count: since its start, less what it idled before the first of these calls."""
        executed = instructions << self._shift
        if self._before is None:
            self._find_clocks()
        now = executed, self._pm_ticks(), self._hpet_ns()
        if self._before is not None and executed >= self._before[0]:
            self._idle += self._idled(self._before, now)
        self._before = now
        return executed + self._idle

    @property
    def source(self) -> str:
        """By what the time is told, for the trace."""
        clocks = ["the PM timer"] * (self._pm_port is not None) + ["the HPET"] * (self._hpet_base is not None)
        return (
            f"instructions and {' and '.join(clocks)}" if clocks else "instructions alone, without the time of idling"
        )

    def _idled(self, before: tuple[int, int | None, int | None], now: tuple[int, int | None, int | None]) -> int:
        """How many ns went by between two readings beside the executed instructions."""
        executed = now[0] - before[0]
        # A counter that stands is not enabled yet, one that is less was set anew.
        coarse = now[2] - before[2] - executed if before[2] and now[2] and now[2] > before[2] else None
        found = coarse or 0
        if before[1] is not None and now[1] is not None:
            part = ((now[1] - before[1]) % _PM_ROUND) * 1_000_000_000 // _PM_HZ
            round_ns = _PM_ROUND * 1_000_000_000 // _PM_HZ
            found = (part - executed + _NOISE_NS) % round_ns - _NOISE_NS
            if coarse is not None:
                found += round((coarse - found) / round_ns) * round_ns
        return found if found > _NOISE_NS else 0

    def _find_clocks(self) -> None:
        """Ask QEMU where it has which, rather than to read what may be something else."""
        said = self._ask("info mtree")
        port, self._hpet_base = self._address(said, "acpi-tmr"), self._address(said, "hpet")
        self._pm_port = port if port is not None and port >= _FIRST_PORT else None

    @staticmethod
    def _address(said: str, region: str) -> int | None:
        found = re.search(_REGION % region, said, re.MULTILINE)
        return int(found[1], 16) if found else None

    def _pm_ticks(self) -> int | None:
        if self._pm_port is None:
            return None
        ticks = self._number(f"i /1w {self._pm_port:#x}")
        return ticks if ticks is not None and ticks < _PM_ROUND else None

    def _hpet_ns(self) -> int | None:
        if self._hpet_base is None:
            return None
        counter = self._number(f"xp /1gx {self._hpet_base + 0xf0:#x}")
        return None if counter is None else counter * _HPET_NS

    def _number(self, command: str) -> int | None:
        found = re.search(r"[:=] 0x([0-9a-f]{1,16})\s*$", self._ask(command))
        return int(found[1], 16) if found else None

    def _ask(self, command: str) -> str:
        try:
            return self._monitor(command)
        except RefusedError:
            return ""
