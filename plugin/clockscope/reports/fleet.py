# SPDX-License-Identifier: MIT
"""A fleet's boots for people: groups of those that are alike, and what sets each apart from the largest."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from clockscope.base.ui import Ui, counted, cut, one_line, prose_width
from clockscope.model.comparison import DEFAULT_PPM
from clockscope.reports import values
from clockscope.reports.table import Cell, Column, render, styled

Record = dict[str, Any]
"""An object of schemas/fleet.schema.json."""

_TEXT_MAX = 300
_NAMED_MAX = 3
_APART = DEFAULT_PPM / 1e6
_FACTS = (("release", "kernel"), ("hypervisor", "hypervisor"), ("cpu", "CPU"))


def table(result: Record, name: str, ui: Ui) -> str:
    return "\n".join(_table(result, name, ui)) + "\n"


def _table(result: Record, name: str, ui: Ui) -> Iterator[str]:
    yield _head(result, name, ui)
    for group in result["shown"]:
        yield ""
        yield from _folded(_alike(group), "", ui, "bold")
        yield from _details(group, ui)
    yield from _left(result)


def _head(result: Record, name: str, ui: Ui) -> str:
    groups = counted(result["groups"], "group")
    return (
        styled(one_line(name), "bold", ui.colour)
        + f": {counted(result['boots'], 'boot')}, {groups} of those that are alike"
    )


def _left(result: Record) -> Iterator[str]:
    if result["groups"] > len(result["shown"]):
        yield ""
        yield f"… and {counted(result['groups'] - len(result['shown']), 'smaller group')}"


def _alike(group: Record) -> str:
    many = group["boots"] != 1
    return f"{counted(group['boots'], 'boot')}{' alike' if many else ''}: {_state(group)}"


def _state(group: Record) -> str:
    said = f"{_cut(group['current'])} in use" if group["current"] else "no clock was seen chosen"
    return said + ("" if group["whole"] else "; not seen to their end")


def _details(group: Record, ui: Ui) -> Iterator[str]:
    lost = [name for name, _, _, state in group["clocks"] if state == "lost"]
    there = [name for name, kind, _, state in group["clocks"] if state != "lost" and kind != "event device"]
    devices = [name for name, kind, _, state in group["clocks"] if state != "lost" and kind == "event device"]
    lines = [("clocks", there), ("lost", lost), ("devices", devices), ("found", group["findings"])]
    for title, names in lines:
        if names:
            yield from _folded(f"{title}: {', '.join(map(_cut, names))}", "  ", ui)
    for key, title in _FACTS:
        if said := _spread(group[key]):
            yield from _folded(f"{title}: {said}", "  ", ui)


def _spread(found: Mapping[str, int]) -> str:
    """ "6.1.0 (400), 6.12.0 (12)" """
    names = [(value or "not known", count) for value, count in found.items()]
    if len(names) == 1:
        return _cut(names[0][0])
    shown = ", ".join(f"{_cut(value)} ({count})" for value, count in names[:_NAMED_MAX])
    return shown + (f" and {len(names) - _NAMED_MAX} others" if len(names) > _NAMED_MAX else "")


def boots(rows: Iterator[tuple[Any, ...]], contents: Mapping[str, Record], ui: Ui) -> Iterator[str]:
    """A line a boot, a piece of the table at a time: there may be more than memory holds."""
    columns = [Column(one) for one in ("recorded", "in use", "found", "kernel", "hypervisor", "CPU", "trace")]
    piece: list[list[str | Cell]] = []
    header = True
    for recorded, alike, release, hypervisor, cpu, file in rows:
        group = contents.get(str(alike), {"current": "", "findings": []})
        said = [recorded, group["current"], ", ".join(group["findings"]), release, hypervisor, cpu, file]
        piece.append([_cut(str(one)) or "-" for one in said])
        if len(piece) == 1000:
            yield from render(columns, piece, ui.colour, header=header)
            piece, header = [], False
    if piece or header:
        yield from render(columns, piece, ui.colour, header=header)


# ---------------------------------------------------------------- what sets them apart


def difference(result: Record, name: str, ui: Ui) -> str:
    return "\n".join(_difference(result, name, ui)) + "\n"


def _difference(result: Record, name: str, ui: Ui) -> Iterator[str]:
    yield _head(result, name, ui)
    for number, group in enumerate(result["shown"]):
        yield ""
        if not number:
            yield from _folded(_alike(group), "", ui, "bold")
            yield from _details(group, ui)
        else:
            yield from _group(group, result["shown"][0], ui)
    yield from _left(result)


def _group(group: Record, main: Record, ui: Ui) -> Iterator[str]:
    apart = "; ".join(_cut(one) for one in group["apart"]) or "have another kind of clock"
    yield from _folded(f"{counted(group['boots'], 'boot')}: {apart}", "", ui, "bold")
    for one in group["common"]:
        yield from _folded(common(one), "  ", ui)
    yield from _folded(decision(group), "  ", ui)
    for name, (low, high) in group["frequencies"].items():
        before = main["frequencies"].get(name)
        if before and (high < before[0] * (1 - _APART) or low > before[1] * (1 + _APART)):
            said = f"{_cut(name)}: {_range(low, high)}, in the others {_range(*before)}"
            yield from _folded(said, "  ", ui)


def common(one: Record) -> str:
    """ "all on the CPU GenuineIntel …, on which no other boot is" """
    verb = "is" if one["others"] == 1 else "are"
    others = f"as {verb} {counted(one['others'], 'other boot')}" if one["others"] else "on which no other boot is"
    return f"all on the {one['fact']} {_cut(one['value'])}, {others}"


def decision(group: Record) -> str:
    one = group["decision"]
    if one is None:
        return f"no differing decision is known: {_cut(group['not_compared'])}"
    text = f" `{_cut(one['text'].strip())}`" if one["text"] else ""
    place = _cut(one["place"]).rpartition("/")[2]
    return f"first differing decision {place}{text} in {_cut(one['function'])}: {_cut(one['way'])}, in the others {_cut(one['first'])}"


def _range(low: int, high: int) -> str:
    return values.frequency(low) if low == high else f"{values.frequency(low)} to {values.frequency(high)}"


def _folded(text: str, lead: str, ui: Ui, style: str = "") -> Iterator[str]:
    pieces = textwrap.wrap(text, prose_width(ui, len(lead) + 2), break_on_hyphens=False) if ui.width else [text]
    for number, piece in enumerate(pieces):
        yield lead + "  " * (number > 0) + styled(piece, style, ui.colour)


def _cut(text: str) -> str:
    return cut(one_line(text), _TEXT_MAX)
