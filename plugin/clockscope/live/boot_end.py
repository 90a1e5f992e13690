# SPDX-License-Identifier: MIT
"""Has the boot come to its end? Not while a clock is being calibrated, nor while what a boot should show is to come."""

from collections.abc import Sequence

from clockscope.gdbside import memory
from clockscope.kernel.event_sites import Expectation
from clockscope.live.event_engine import Observation
from clockscope.live.tally import Tally

PATIENCE = 6
"""So many times the silence that is idleness is waited for what is under way."""

_ENDS = ("calibration.finished", "calibration.refused", "clock.registered", "clock.rejected", "clock.unstable")


class BootEnd:
    """What is still to come in one boot."""

    def __init__(self, expectations: Sequence[Expectation], tally: Tally) -> None:
        self._expected = [one for one in expectations if one.expected and one.status == "planted"]
        self._measured = {
            one.rule for one in expectations if one.what in ("calibration.finished", "calibration.refused")
        }
        self._tally = tally
        self._open: dict[str, str] = {}  # clocks by their family, whose calibration has begun

    def take(self, observation: Observation) -> None:
        clock = observation.clock or ""
        if observation.rule.what == "calibration.started":
            self._open[_family(clock)] = clock
        elif observation.rule.what in _ENDS:
            self._open.pop(_family(clock), None)

    def measuring(self) -> str:
        """What is being calibrated, in words; empty where nothing is."""
        if self._open:
            return f"the calibration of {', '.join(self._open.values()) or 'a clock'} is under way"
        calls = [rule for rule in self._measured if self._tally.unfinished[rule] > 0]
        return f"a calibration is under way ({min(calls)})" if calls else ""

    def outstanding(self) -> str:
        """What a boot should show and has not, in words; empty where nothing is missing."""
        rules = [one.rule for one in self._expected if not self._tally.reached[one.rule]]
        return f"{', '.join(rules)} has not happened yet" if rules else ""

    def to_come(self) -> str:
        """Why a guest that is silent is not idle; empty where it is. It must stand."""
        return self.measuring() or ("" if memory.halted() else self.outstanding())

    def seen(self) -> bool:
        """Whether all that a boot should show was seen, so that its end was."""
        return bool(self._expected) and not self.measuring() and not self.outstanding()


def _family(clock: str) -> str:
    return clock.lower().split("-")[0]
