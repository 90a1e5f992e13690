# SPDX-License-Identifier: MIT
"""What a guest itself says of the frequencies that it measured, whichever kernel it is."""

import re

from model import calibrated

_PRINTED = {
    "TSC, calibrated": re.compile(r"tsc: Detected ([\d.]+) MHz (?:processor|TSC)"),
    "TSC, refined": re.compile(r"tsc: Refined TSC clocksource calibration: ([\d.]+) MHz"),
    "LAPIC": re.compile(r"lapic: calibrated ([\d.]+) MHz|host bus clock speed is (\d+\.\d+) MHz"),
}


def frequencies(log: str) -> dict[str, float]:
    """What a guest printed of the frequencies that it had measured, in MHz."""
    found = {what: hertz / 1e6 for what, hertz in calibrated(log).items()}
    for what, pattern in _PRINTED.items():
        if match := pattern.search(log):
            found[what] = float(next(filter(None, match.groups())))
    return found
