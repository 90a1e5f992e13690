# SPDX-License-Identifier: MIT
"""Numbers of clocks in the words of the field. Everything that a guest said comes out escaped and on one line."""

from collections.abc import Iterator, Mapping

from clockscope.model import disturbed
from clockscope.base.ui import one_line

Value = int | str | None

# What a clock is known by comes first; the rest follows in the profile's order.
_FIRST = ("rating", "quality", "frequency_hz", "frequency_khz", "mhz", "mask", "flags")
# Told by other columns: the clock's name, and the kernel's line that the values were read from.
_ELSEWHERE = ("name", "kind", "message")
# Told together: "0 → 62500000".
_CHANGE = ("old", "new")


def milliseconds(ns: int) -> str:
    """Exact to the microsecond, rounded towards zero: "1234.567"."""
    if ns < 0:
        return "-" + milliseconds(-ns)
    return f"{ns // 1_000_000}.{ns // 1000 % 1000:03d}"


def frequency(hz: int) -> str:
    if hz >= 1_000_000:
        return f"{hz / 1e6:.3f} MHz"
    return f"{hz / 1e3:.3f} kHz" if hz >= 10_000 else f"{hz} Hz"


def mask(value: int) -> str:
    """ "32 bits" for a mask of so many ones from the right, otherwise hexadecimal."""
    whole = value > 0 and value & (value + 1) == 0
    return f"{value.bit_length()} bits" if whole else f"{value:#x}"


def words(what: str) -> str:
    """An event's kind as words: "clock.registered" is "clock registered"."""
    return one_line(what).removeprefix("x-").replace(".", " ").replace("_", " ")


def describe(values: Mapping[str, Value]) -> str:
    """An event's values on one line, with their units."""
    return ", ".join(_describe(values))


def _describe(values: Mapping[str, Value]) -> Iterator[str]:
    kept = dict(values)
    if "disturbed" in values:
        yield from _disturbed(values)
        kept = {name: value for name, value in values.items() if name not in disturbed.KEPT}
    values = kept
    names = [name for name in _FIRST if name in values]
    names += [name for name in values if name not in _FIRST and name not in _ELSEWHERE]
    if values.keys() >= set(_CHANGE):
        yield " → ".join(_bare(values[name]) for name in _CHANGE)
        names = [name for name in names if name not in _CHANGE]
    for name in names:
        yield _one(name, values[name])
    if not names and isinstance(message := values.get("message"), str):
        yield f'"{one_line(message)}"'


def _disturbed(values: Mapping[str, Value]) -> Iterator[str]:
    bound = values.get("error_bound_ppm")
    by = f" by up to {bound} ppm" if isinstance(bound, int) else ""
    state = disturbed.state(values)
    if state is not False:
        yield f"{'DISTURBED' if state else 'perhaps disturbed'}{by}"


def _one(name: str, value: Value) -> str:
    label = one_line(name).replace("_", " ")
    if value is None:
        return f"{label} unreadable"
    if isinstance(value, str):
        return f"{value} MHz" if name == "mhz" and value.isascii() and value.isprintable() else _text(label, value)
    if name == "mask":
        return mask(value)
    if name == "error_bound_ppm":
        return f"≤{value} ppm error: the guest stood within it"
    if name == "flags" or name.endswith("_address"):
        return f"{label} {value:#x}"
    for suffix, scale in (("_hz", 1), ("_khz", 1000), ("mhz", 1_000_000)):
        if name.endswith(suffix):
            return f"{_prefix(name.removesuffix(suffix), 'frequency')}{frequency(value * scale)}"
    if name.endswith("_ns"):
        return f"{_prefix(name.removesuffix('_ns'))}{milliseconds(value)} ms"
    return f"{label} {value}"


def _bare(value: Value) -> str:
    return "unreadable" if value is None else one_line(str(value))


def _prefix(name: str, silent: str = "") -> str:
    return "" if name in ("", silent) else one_line(name).replace("_", " ") + " "


def _text(label: str, value: str) -> str:
    return one_line(value) if label == "reason" else f"{label} {one_line(value)}"
