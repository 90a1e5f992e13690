# SPDX-License-Identifier: MIT
"""The frequency that an event tells."""

from collections.abc import Mapping

_UNITS = (("frequency_hz", 1), ("frequency_khz", 1000), ("mhz", 1_000_000))


def frequency(values: Mapping[str, object]) -> int | None:
    """In Hz; None where it tells none."""
    for name, scale in _UNITS:
        value = values.get(name)
        try:
            if isinstance(value, int | float | str):
                return round(float(value) * scale)
        except (ValueError, OverflowError):
            continue
    return None
