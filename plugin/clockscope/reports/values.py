# SPDX-License-Identifier: MIT
"""Numbers of clocks in the words of the field. Everything that a guest said comes out escaped and on one line."""

from collections.abc import Iterator, Mapping

from clockscope.model import disturbed
from clockscope.model.axis import milliseconds as milliseconds
from clockscope.profiles.reading import Words
from clockscope.base.ui import one_line

Value = int | str | None

# What a clock is known by comes first; the rest follows in the profile's order.
_FIRST = ("rating", "quality", "frequency_hz", "frequency_khz", "mhz", "mask", "flags")
# Told by other columns: the clock's name, and the kernel's line that the values were read from.
_ELSEWHERE = ("name", "kind", "message")
# Told together: "0 → 62500000".
_CHANGE = ("old", "new")
# They follow from the frequency; and whom the kernel called tells who did it.
_MINOR = ("max_cycles", "max_idle_ns", "initcall", "work")
_NO_INTERRUPT = (-1, (1 << 32) - 1, (1 << 64) - 1)


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


def describe(values: Mapping[str, Value], *, what: str = "", words: Words | None = None, all: bool = True) -> str:
    """An event's values on one line, with their units. `what`: the event's kind, by which `words` name bits; `all`: those
    as well that follow from others."""
    return ", ".join(pieces(values, what=what, words=words, all=all))


def pieces(values: Mapping[str, Value], *, what: str = "", words: Words | None = None, all: bool = True) -> list[str]:
    """The same, value by value."""
    kept = values if all else {name: value for name, value in values.items() if name not in _MINOR}
    return list(_describe(kept, what, words))


def _describe(values: Mapping[str, Value], what: str, known: Words | None) -> Iterator[str]:
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
        yield bits(what, name, values[name], known) or _unknown(what, name, values[name]) or _one(name, values[name])
    if not names and isinstance(message := values.get("message"), str):
        yield f'"{one_line(message)}"'


def _unknown(what: str, name: str, value: Value) -> str:
    """A device that is registered before its frequency was measured has none: "0 Hz" is no frequency."""
    return "frequency not known yet" if what.startswith("device.") and name == "frequency_hz" and value == 0 else ""


def bits(what: str, name: str, value: Value, known: Words | None) -> str:
    """A value's bits by name: "CONTINUOUS|MUST_VERIFY"; empty where it has none."""
    said = known.bits(what, name, value) if known is not None and isinstance(value, int) else None
    return said or ""


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
    if (name == "mask" or name.endswith("_mask")) and (number := _mask_of(value)) is not None:
        return f"{_prefix(name.removesuffix('mask').removesuffix('_'))}{mask(number)}"
    if name == "irq" and value in _NO_INTERRUPT:
        return "no irq"
    if isinstance(value, str):
        return f"{value} MHz" if name == "mhz" and value.isascii() and value.isprintable() else _text(label, value)
    if name == "error_bound_ppm":
        return f"≤{value} ppm error: the guest stood within it"
    if name in ("flags", "features") or name.endswith("_address"):
        return f"{label} {value:#x}"
    for suffix, scale in (("_hz", 1), ("_khz", 1000), ("mhz", 1_000_000)):
        if name.endswith(suffix):
            return f"{_prefix(name.removesuffix(suffix), 'frequency')}{frequency(value * scale)}"
    if name.endswith("_ns"):
        return f"{_prefix(name.removesuffix('_ns'))}{milliseconds(value)} ms"
    return f"{label} {value}"


def _mask_of(value: int | str) -> int | None:
    """A mask as a number, which a kernel prints in hexadecimal."""
    if isinstance(value, int):
        return value
    try:
        return int(value, 16) if len(value) <= 18 else None
    except ValueError:
        return None


def _bare(value: Value) -> str:
    return "unreadable" if value is None else one_line(str(value))


def _prefix(name: str, silent: str = "") -> str:
    return "" if name in ("", silent) else one_line(name).replace("_", " ") + " "


def _text(label: str, value: str) -> str:
    return one_line(value) if label == "reason" else f"{label} {one_line(value)}"
