# SPDX-License-Identifier: MIT
"""What a kernel that was up had of clocks when its recording began, for people."""

from collections.abc import Iterator

from clockscope.model import late
from clockscope.profiles import reading
from clockscope.reports import values
from clockscope.reports.table import Cell, Column, render, styled
from clockscope.base.ui import Ui, cut, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict

_NAME_LIMIT = 48
_MODES = ("periodic", "one-shot")


def sections(found: Record, guest: Record, ui: Ui) -> Iterator[list[str]]:
    """`found` as late.of() gives it; `guest` as a timeline has it."""
    words = reading.of(guest)
    clocks = [_clock(one, found["current"], words) for one in found["clocks"] if one["name"]]
    if clocks:
        columns = [
            ("name", "left"),
            ("rating", "right"),
            ("quality", "right"),
            ("frequency", "right"),
            ("mask", "right"),
        ]
        yield _table("Clocks when the recording began", [*columns, ("flags", "left"), ("state", "left")], clocks, ui)
    devices = [_device(one, words) for one in found["devices"] if one["name"]]
    if devices:
        columns = [("cpu", "right"), ("name", "left"), ("rating", "right"), ("frequency", "right")]
        yield _table(
            "Event devices when the recording began", [*columns, ("features", "left"), ("mode", "left")], devices, ui
        )
    if found["values"]:
        said = values.describe(
            {name: one_line(str(value)) if isinstance(value, str) else value for name, value in found["values"].items()}
        )
        yield [styled("Values when the recording began", "bold", ui.colour), "  " + said]


def _table(title: str, columns: "list[tuple[str, Any]]", rows: list[list[str]], ui: Ui) -> list[str]:
    """Without the columns that no row fills."""
    shown = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    cells: "list[list[Cell | str]]" = [[row[number] or "-" for number in shown] for row in rows]
    lines = render([Column(*columns[number]) for number in shown], cells, ui.colour)
    return [styled(title, "bold", ui.colour), *("  " + line for line in lines)]


def _clock(one: Record, current: str | None, words: reading.Words) -> list[str]:
    state = ["in use"] * (one["name"] == current) + ["watched by the watchdog"] * bool(one["watched"])
    flags = "" if one["flags"] is None else words.bits("clock", "flags", one["flags"]) or f"{one['flags']:#x}"
    mask = "" if one["mask"] is None else values.mask(one["mask"])
    return [
        _name(one["name"]),
        _number(one["rating"]),
        _number(one["quality"]),
        _hertz(one),
        mask,
        flags,
        ", ".join(state),
    ]


def _device(one: Record, words: reading.Words) -> list[str]:
    features = one["features"]
    named = "" if features is None else words.bits("device", "features", features) or f"{features:#x}"
    mode = _MODES[one["mode"]] if one["mode"] in (0, 1) else _number(one["mode"])
    return [_number(one["cpu"]), _name(one["name"]), _number(one["rating"]), _hertz(one), named, mode]


def _hertz(one: Record) -> str:
    return values.frequency(one["frequency_hz"]) if one["frequency_hz"] else ""


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _name(text: str) -> str:
    return cut(one_line(text), _NAME_LIMIT)


def lines(found: Record | None, lead: str = "") -> Iterator[str]:
    """That a recording began late; none where it did not."""
    yield from (lead + one_line(said) for said in late.said(found)) if found else ()
