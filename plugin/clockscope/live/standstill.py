# SPDX-License-Identifier: MIT
"""Does the guest's TSC stand still while the guest is stopped, and how far does one stop move it on?"""

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


def runs_on_by(read: Callable[[], int], lost: int, seconds: float) -> float:
    """Cycles a nanosecond by which the TSC goes on while the guest stands; 0 where it stands still. `lost`: what two reads
    right behind each other differ by in this time; only where that is much is it looked at longer."""
    if lost < _RUNS_ON * seconds * 1e9:
        return 0.0
    began, before = time.monotonic_ns(), read()
    time.sleep(_WAITS[1])
    went_on, elapsed = read() - before - lost, time.monotonic_ns() - began
    rate = went_on / elapsed
    return rate if rate >= _RUNS_ON else 0.0
