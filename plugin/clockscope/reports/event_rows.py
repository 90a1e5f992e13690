# SPDX-License-Identifier: MIT
"""The events of a timeline for people, at any width: a line each where there is room, and never a folded word."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from clockscope.base.errors import UserError
from clockscope.base.ui import Ui, cut, one_line
from clockscope.model import disturbed
from clockscope.model.axis import Axis, milliseconds
from clockscope.model.doer import doer
from clockscope.profiles.reading import Words
from clockscope.reports import values
from clockscope.reports.table import Cell, Column, fold, length, render, styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Record = dict[str, Any]
    Justify = Literal["left", "right"]
else:
    Record = dict

DETAILS_LIMIT = 160
NAME_LIMIT = 48
_HANG = 17  # under the event's first word, and a bit
_VALUES = {True: "red", None: "yellow"}  # by whether they are disturbed
STYLES = {
    "clock.selected": "green",
    "device.selected": "green",
    "clock.unstable": "red",
    "clock.rejected": "red",
    "calibration.refused": "red",
    "calibration.retried": "yellow",
}


class Shown:
    """What the cells of one timeline are made with, and how much of a text there is room for."""

    def __init__(self, axis: Axis, words: Words, whole: bool) -> None:
        self.axis = axis
        self.words = words
        self._whole = whole

    def name(self, text: str | None) -> str:
        return self.text(text, NAME_LIMIT)

    def text(self, text: str | None, limit: int) -> str:
        """A text of the guest's on one line; where nobody looks at a terminal, all of it."""
        return one_line(text or "") if self._whole else cut(one_line(text or ""), limit)

    def details(self, event: Record, *, all: bool = False) -> str:
        said = values.describe(event["values"], what=event["what"], words=self.words, all=all)
        return said if self._whole else cut(said, DETAILS_LIMIT)

    def place(self, function: str, source: str) -> str:
        """A function with its source line; the folder is left to --backtrace."""
        file = "" if source.endswith(":0") else source.rpartition("/")[2]
        return f"{self.name(function)} {self.name(file)}".strip()

    def doer(self, event: Record) -> str:
        """Its function; "" where what is known of it acts for others."""
        function = self.who(event)["function"]
        return "" if self.words.is_through(function) else self.name(function)

    def who(self, event: Record) -> Record:
        """Who did it; where that is not known, the function that the guest was in."""
        return doer(event, self.words) or {"function": event["function"], "source": event["source"]}


Get = Callable[[Record, Shown], "Cell | str"]


def _what(event: Record, shown: Shown) -> Cell:
    return Cell(shown.text(values.words(event["what"]), NAME_LIMIT), STYLES.get(event["what"], ""))


def _values(event: Record, shown: Shown) -> Cell:
    return Cell(shown.details(event), _VALUES.get(_state(event), ""))


def _all_values(event: Record, shown: Shown) -> Cell:
    return Cell(shown.details(event, all=True), _VALUES.get(_state(event), ""))


def _state(event: Record) -> bool | None:
    return disturbed.state(event["values"]) if "disturbed" in event["values"] else False


def _value(*names: str) -> Get:
    """The first of these values that an event has."""

    def get(event: Record, shown: Shown) -> str:
        name = next((name for name in names if name in event["values"]), None)
        if name is None:
            return ""
        said = values.describe({name: event["values"][name]}, what=event["what"], words=shown.words)
        return shown.text(said.removeprefix(f"{name} "), NAME_LIMIT)

    return get


def _frequency(event: Record, _shown: Shown) -> str:
    hertz = disturbed.frequency(event["values"])
    return "" if hertz is None else values.frequency(hertz)


def _where(event: Record, shown: Shown) -> str:
    return shown.place(**shown.who(event))


def _cpu(event: Record, _shown: Shown) -> str:
    return str(event["cpu"]) if event["cpu"] >= 0 else "?"


COLUMNS: Mapping[str, "tuple[str, Justify, Get]"] = {
    "time": ("time", "left", lambda event, shown: shown.axis.text(event)),
    "run": ("run ms", "right", lambda event, _: milliseconds(event["run_ns"])),
    "tsc": ("TSC", "right", lambda event, _: "-" if event["tsc"] is None else str(event["tsc"])),
    "seq": ("seq", "right", lambda event, _: str(event["seq"])),
    "cpu": ("cpu", "right", _cpu),
    "event": ("event", "left", _what),
    "clock": ("clock", "left", lambda event, shown: Cell(shown.name(event["clock"]), "bold")),
    "values": ("values", "left", _values),
    "all-values": ("values", "left", _all_values),
    "rating": ("rating", "right", _value("rating", "quality")),
    "frequency": ("frequency", "right", _frequency),
    "bits": ("bits", "right", _value("mask")),
    "flags": ("flags", "left", _value("flags", "features")),
    "where": ("where", "left", _where),
    "by": ("by", "left", lambda event, shown: shown.doer(event)),
    "site": ("stopped at", "left", lambda event, shown: shown.place(event["function"], event["source"])),
    "rule": ("rule", "left", lambda event, shown: shown.name(event["rule"])),
}
"""By the name that --columns takes: header, alignment, content."""

_WIDE = ("time", "run", "cpu", "event", "clock", "all-values", "where", "site")


def chosen(names: str) -> list[str]:
    """The columns that --columns names."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in COLUMNS:
            from difflib import get_close_matches  # slow to import

            close = get_close_matches(name, COLUMNS, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"--columns: no column {one_line(name)}{meant} There are: {', '.join(COLUMNS)}")
    return wanted


def lines(
    events: Sequence[Record], axis: Axis, words: Words, ui: Ui, *, columns: Sequence[str] = (), wide: bool = False
) -> list[list[str]]:
    """The header, then the lines of each event: one where the width allows, or where `columns` or `wide` ask for it."""
    shown = Shown(axis, words, whole=not ui.width)
    names = list(columns) or (list(_WIDE) if wide else _default(events))
    table = _table(events, names, shown, ui)
    if columns or wide or not ui.width or max(map(length, table)) <= ui.width:
        return [[line] for line in table]
    return _narrow(events, shown, ui)


def _default(events: Sequence[Record]) -> list[str]:
    """A column that tells nothing is left out."""
    cpus = {event["cpu"] for event in events}
    return [name for name in ("time", "cpu", "event", "clock", "values", "where") if name != "cpu" or len(cpus) > 1]


def _table(events: Sequence[Record], names: Sequence[str], shown: Shown, ui: Ui) -> list[str]:
    kinds = [COLUMNS[name] for name in names]
    columns = [_column(header, justify, shown) for header, justify, _ in kinds]
    return render(
        columns, [[get(event, shown) for *_, get in kinds] for event in events], ui.colour, whole=not ui.width
    )


def _column(header: str, justify: "Justify", shown: Shown) -> Column:
    is_number = header == "time" and shown.axis.unit == "ms"
    return Column("ms", "right") if is_number else Column(header, justify)


def _narrow(events: Sequence[Record], shown: Shown, ui: Ui) -> list[list[str]]:
    """When, what and which clock in columns; its values behind them, and what has no room below."""
    head, *rows = _table(events, _default(events)[:-2], shown, ui)
    width = max(map(length, (head, *rows)))
    told = [list(_pieces(event, shown)) for event in events]
    header = f"{head}{' ' * (width - length(head))}  {styled('values, and who did it', 'bold', ui.colour)}"
    return [
        fold([header], ui.width, _HANG),
        *(_packed(row, width, pieces, event, ui) for row, pieces, event in zip(rows, told, events)),
    ]


def _pieces(event: Record, shown: Shown) -> Iterator[str]:
    said = values.pieces(event["values"], what=event["what"], words=shown.words, all=False)
    yield from (cut(piece, DETAILS_LIMIT) for piece in said)
    if who := shown.doer(event):
        yield f"by {who}"


def _packed(row: str, width: int, pieces: Sequence[str], event: Record, ui: Ui) -> list[str]:
    """A row with as many values as there is room for, the others below."""
    found: list[str] = []
    line, text = row + " " * (width - length(row)) + "  ", ""
    style = _VALUES.get(_state(event), "")
    for number, piece in enumerate(pieces):
        piece += "," * (number < len(pieces) - 1)
        if (
            text
            and length(line) + len(text) + 1 + len(piece) > ui.width
            or (not text and not found and length(line) + len(piece) > ui.width)
        ):
            found.append(line + styled(text, style, ui.colour))
            line, text = " " * _HANG, ""
        text += " " * bool(text) + piece
    found.append(line + styled(text, style, ui.colour))
    return fold([one.rstrip() for one in found], ui.width, _HANG)
