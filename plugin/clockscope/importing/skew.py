# SPDX-License-Identifier: MIT
"""How far apart two clocks were found to be, where a kernel printed no more than what their counters read. Pure."""

from collections.abc import Mapping

Value = int | str | None

# Cycles a second of clocks that always have the same, as struct clocksource of the kernel has them.
_FIXED = {"acpi_pm": 3_579_545, "kvm-clock": 10**9, "xen": 10**9, "hyperv_clocksource_tsc_page": 10**7}


def frequency(max_cycles: int, max_idle_ns: int) -> float | None:
    """A clocksource's cycles a second, by the line that registers it: from 4.1 on, clocks_calc_max_nsecs() tells half the
    time of max_cycles, and takes 11% more cycles a second (clocksource_max_adjustment()) for a margin."""
    return 0.89 * max_cycles / (2 * max_idle_ns) * 1e9 if max_cycles > 0 and max_idle_ns > 0 else None


def sizes(values: Mapping[str, Value], clock: str | None, known: Mapping[str, float]) -> dict[str, Value]:
    """The interval by the watchdog and by the clock, and the skew, as far as they follow from what is told."""
    found: dict[str, Value] = {}
    watchdog = values.get("watchdog")
    for name, who, prefix in (("interval_ns", watchdog, "wd"), ("clock_ns", clock, "cs")):
        told = values.get(name)
        if isinstance(told, int):
            continue
        cycles = _passed(values, prefix)
        hz = _FIXED.get(str(who)) or known.get(str(who))
        if cycles is not None and hz:
            found[name] = round(cycles / hz * 1e9)
    both = {**values, **found}
    interval, own = both.get("interval_ns"), both.get("clock_ns")
    if not isinstance(both.get("skew_ns"), int) and isinstance(interval, int) and isinstance(own, int):
        found["skew_ns"] = own - interval
    if "interval_ns" in found or "clock_ns" in found:
        found["inferred"] = "from the counters' readings"
    return found


def _passed(values: Mapping[str, Value], prefix: str) -> int | None:
    """The cycles between two readings of a counter that wraps."""
    numbers = [_hexadecimal(values.get(f"{prefix}_{part}")) for part in ("now", "last", "mask")]
    if numbers[0] is None or numbers[1] is None or numbers[2] is None:
        return None
    cycles = (numbers[0] - numbers[1]) & numbers[2]
    return cycles - (1 << 64) if cycles >> 63 else cycles  # it went back


def _hexadecimal(value: Value) -> int | None:
    """What the kernel printed by %llx; digits alone were taken for a decimal number."""
    try:
        return None if value is None else int(str(value), 16)
    except ValueError:
        return None
