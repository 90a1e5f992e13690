# SPDX-License-Identifier: MIT
"""The axis of time of a boot."""

import bisect
from collections.abc import Sequence

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than a timeline to print
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict


class Axis:
    """Milliseconds of the guest's run time; of its own time where that is exactly known of every event."""

    def __init__(self, events: Sequence[Record]) -> None:
        exact = bool(events) and all(event["guest_ns"] is not None for event in events)
        self.key = "guest_ns" if exact else "run_ns"
        self._points: list[tuple[int, int]] = []
        if exact:
            self._points = [(event["run_ns"], event["guest_ns"]) for event in events]

    def of(self, moment: Record) -> float:
        """When an event, or a moment of a clock, was."""
        return float(moment[self.key]) / 1e6

    def at(self, run_ns: int) -> float:
        """When the guest had run so long; between two events of exact time, by proportion."""
        if not self._points:
            return run_ns / 1e6
        right = bisect.bisect_left(self._points, (run_ns, 0))
        (run_a, own_a), (run_b, own_b) = (
            self._points[max(right - 1, 0)],
            self._points[min(right, len(self._points) - 1)],
        )
        share = (run_ns - run_a) / (run_b - run_a) if run_b > run_a else 0.0
        return (own_a + share * (own_b - own_a)) / 1e6
