# SPDX-License-Identifier: MIT
"""Does the guest's TSC stand still while the guest is stopped? Where it runs on, a stop within a calibration falsifies
it: how much at most is said with the result."""

import time
from collections.abc import Callable, Iterable

from clockscope._core import Error, RefusedError, Relay

# The two reads themselves let a guest under TCG run for a moment, the longer the busier the machine. No processor's
# TSC is slower than a fifth of a GHz, so a longer wait tells the two apart.
_RUNS_ON = 0.2  # ticks a nanosecond
_WAITS = (0.02, 0.2, 1.0)  # seconds


def tsc_runs_on(relay: Relay, places: Iterable[int]) -> bool | None:
    """Whether the TSC goes on while the guest is stopped; None where that cannot be measured. `places`: where the
    guest's kernel may hold an rdtsc, of which some may be patched."""
    for rdtsc in places:
        try:
            return _runs_on(relay, rdtsc)
        except RefusedError:
            continue
        except Error:
            return None
    return None


def _runs_on(relay: Relay, rdtsc: int) -> bool:
    rate = 0.0
    for wait in _WAITS:
        ticks, elapsed_ns = relay.measure_tsc(rdtsc, wait)
        rate = ticks / max(elapsed_ns, 1)
        if rate < _RUNS_ON / 4:
            break
    return rate >= _RUNS_ON


class Spans:
    """Measures, for each span of the profile, how long the guest stood within it."""

    def __init__(self, spans: Iterable[tuple[str, str]], now: Callable[[], int] = time.monotonic_ns) -> None:
        """`spans`: rules whose events begin and end one."""
        self._begins: dict[str, list[str]] = {}
        for begin, end in spans:
            self._begins.setdefault(end, []).append(begin)
        self._now = now
        self._seen: dict[str, tuple[int, int]] = {}

    def note(self, rule: str, run_ns: int) -> int | None:
        """An event of a rule; where it ends a span that was begun, the bound of its error in parts per million."""
        now = self._now()
        begun = [self._seen[begin] for begin in self._begins.get(rule, ()) if begin in self._seen]
        self._seen[rule] = (run_ns, now)
        if not begun:
            return None
        began_run, began = max(begun)
        ran = run_ns - began_run
        stood = max(0, now - began - ran)
        return -(-stood * 1_000_000 // ran) if ran > 0 else None
