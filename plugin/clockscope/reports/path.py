# SPDX-License-Identifier: MIT
"""The paths of traced functions for people: each invocation's decisions, those alike folded into one."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from clockscope.model import changes_made
from clockscope.model.axis import Axis
from clockscope.reports.table import Column, file_line, fitted, render, styled
from clockscope.base.ui import Ui, counted, cut, one_line

Record = dict[str, Any]
"""An object of schemas/path.schema.json."""

TEXT_LIMIT = 64
_ROUNDS_SHOWN = 4
_RESULTS_SHOWN = 3
_CALLS_MAX = 12
_COLUMNS = [Column("source"), Column("text"), Column("branch"), Column("went to"), Column("values")]


Source = Callable[[Record, Ui], Iterator[str]]
"""Prints the source of a function."""


def paths(
    functions: Sequence[Record], changed: Sequence[Record], axis: Axis, ui: Ui, file: str, source: Source | None = None
) -> str:
    """`changed`: the interventions of the recording. `source`: used where that of a function is at hand."""
    sections = [
        [file_line(file, ui), *changes_made.lines(changed)],
        *(list(_function(function, axis, ui, source)) for function in functions),
    ]
    return "\n\n".join("\n".join(fitted(section, ui)) for section in sections if section) + "\n"


def _function(function: Record, axis: Axis, ui: Ui, source: Source | None) -> Iterator[str]:
    count = len(function["invocations"])
    times = "never called" if not count else "called once" if count == 1 else f"called {count} times"
    times += "; ".join(["", *map(_inlined, function["inlined"])])
    yield styled(f"{one_line(function['function'])}  {one_line(function['source'])}  {times}", "bold", ui.colour)
    if function["note"]:
        yield "  " + one_line(function["note"])
    annotated = source is not None and function["annotated"] and count
    if annotated and source is not None:
        yield from _calls(function["invocations"], axis, ui)
        yield from source(function, ui)
        return
    for group in _alike(function["invocations"]):
        yield ""
        yield from _heads(group, axis, ui)
        table = decisions(group[0])
        yield from ("      " + line for line in render(_COLUMNS, table, ui.colour, header=False)) if table else ()
    yield from _never_reached(function["never_reached"]) if count else ()


def _inlined(copy: Record) -> str:
    ran = (
        ""
        if copy["times"] is None
        else f", where it ran {_times(copy['times'])}"
        if copy["times"]
        else ", where it did not run"
    )
    return f"inlined into {one_line(copy['within'])}{ran}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _alike(invocations: Sequence[Record]) -> Iterator[list[Record]]:
    """Consecutive invocations that decided the same and returned the same."""
    group: list[Record] = []
    for invocation in invocations:
        if group and _shape(group[0]) != _shape(invocation):
            yield group
            group = []
        group.append(invocation)
    if group:
        yield group


def _shape(invocation: Record) -> tuple[object, ...]:
    value = invocation["value"]
    windows = [(one["from"], one["tries_min"], one["tries_max"]) for one in invocation["windows"]]
    return (
        invocation["blocks"],
        [(decision["address"], decision["taken"], decision["forced"]) for decision in invocation["decisions"]],
        [(choice["address"], choice["held"]) for choice in invocation["choices"]],
        [(one["option"], one["became"]) for one in invocation["interventions"]],
        windows,
        invocation["returned"],
        # Two results of a counter differ; success and the kernel's all-ones failure are what matters.
        None if value is None else value in (0, (1 << 64) - 1) and value,
    )


def _calls(invocations: Sequence[Record], axis: Axis, ui: Ui) -> Iterator[str]:
    """Who called it when, and what came of it, those alike folded; then what the source does not show."""
    groups = list(_alike(invocations))
    for group in groups[:_CALLS_MAX]:
        yield from _heads(group, axis, ui)
        first = group[0]
        rows = [_window(one) for one in first["windows"]] + [_gap(one) for one in first["gaps"]]
        rows += [_intervention(one) for one in first["interventions"] if not one["in_decisions"]]
        yield from (f"      {place}  {what}" for place, what, *_ in rows)
    if len(groups) > _CALLS_MAX:
        yield f"  … and {len(groups) - _CALLS_MAX} more, which went other ways; --branches has all"


def _heads(group: Sequence[Record], axis: Axis, ui: Ui) -> Iterator[str]:
    first = group[0]
    number = f"#{first['n']}" if len(group) == 1 else f"#{first['n']} to #{group[-1]['n']}"
    when = f"{axis.said(first)}, cpu {first['cpu']}"
    task = f", task {one_line(first['task'])}" if first["task"] else ""
    yield f"  {number}  {when}{task}, from {one_line(first['caller'])}: {_results(group)}"
    if len(group) > 1:
        gap = axis.span(first, group[-1], len(group) - 1)
        same = "the same" if len({one["value"] for one in group}) == 1 else "the same way"
        yield f"      {len(group)} times {same}, {gap} apart on average"
    if not first["consistent"]:
        yield styled("      its stops fit no path through the code: only what fits is shown", "red", ui.colour)


def _results(group: Sequence[Record]) -> str:
    """What came of calls that went the same way."""
    found = list(dict.fromkeys(one["value"] for one in group))
    if len(found) == 1:
        return outcome(group[0])
    shown = ", ".join(f"{value:#x}" for value in found[:_RESULTS_SHOWN] if value is not None)
    return f"returned {len(found)} different values, {shown}{', …' if len(found) > _RESULTS_SHOWN else ''}"


def range_of_calls(numbers: Sequence[int]) -> str:
    """ "#1, #3 to #5": in order."""
    pieces: list[list[int]] = []
    for number in numbers:
        if pieces and number == pieces[-1][1] + 1:
            pieces[-1][1] = number
        else:
            pieces.append([number, number])
    shown = [f"#{first}" if first == last else f"#{first} to #{last}" for first, last in pieces[:_CALLS_MAX]]
    return ", ".join(shown) + (", …" if len(pieces) > _CALLS_MAX else "")


def outcome(invocation: Record) -> str:
    if invocation["returned"] == "yes":
        value = invocation["value"]
        meaning = " (all ones)" if value == (1 << 64) - 1 else ""
        return f"returned {value:#x}{meaning}" if value is not None else "returned"
    return "left by a tail call" if invocation["returned"] == "tail call" else "its return was not seen"


def decisions(invocation: Record) -> list[list[str]]:
    """Decisions, gaps, windows and interventions in the order of the path: source, text, branch, where it went, values. A
    block's jump comes after what it has of cmov and setcc."""
    rows: list[tuple[int, list[str]]] = [(one["step"], _choice(one)) for one in invocation["choices"]]
    rows += list(_rounds(invocation["decisions"]))
    rows += [(gap["step"], _gap(gap)) for gap in invocation["gaps"]]
    rows += [(one["step"], _window(one)) for one in invocation["windows"]]
    rows += [(one["step"], _intervention(one)) for one in invocation["interventions"] if not one["in_decisions"]]
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _rounds(made: Sequence[Record]) -> Iterator[tuple[int, list[str]]]:
    """Decisions with their steps; of a loop that a single branch keeps going round, the first and the last."""
    for _, group in itertools.groupby(made, lambda one: (one["address"], one["taken"], one["forced"])):
        alike = list(group)
        if len(alike) <= _ROUNDS_SHOWN:
            yield from ((one["step"], _decision(one)) for one in alike)
            continue
        yield alike[0]["step"], _decision(alike[0])
        yield alike[1]["step"], ["", f"… {len(alike) - 2} times the same", "", "", ""]
        yield alike[-1]["step"], _decision(alike[-1])


def _decision(decision: Record) -> list[str]:
    return [
        *_place(decision),
        f"{_decided(decision)}{' forced' * decision['forced']}",
        "→ " + (short(decision["to"]) or "?"),
        compared(decision),
    ]


def _choice(choice: Record) -> list[str]:
    did = ("not moved", "moved") if choice["instruction"].startswith("cmov") else ("set to 0", "set to 1")
    held = "not known" if choice["held"] is None else did[choice["held"]]
    return [*_place(choice), f"{held} ({_mnemonic(choice)})", "", ""]


def _place(shown: Record) -> list[str]:
    text = shown["text"] or (f"in {shown['inlined']}" if shown["inlined"] else "")
    return [short(shown["source"]) or shown["address"], cut(one_line(text.strip()), TEXT_LIMIT)]


def way(decision: Record) -> str:
    """Whether the source's condition was true; of one that is not known, what the jump did."""
    if decision["condition"] is not None:
        return "true" if decision["condition"] else "false"
    return "jump taken" if decision["taken"] else "jump not taken"


def _decided(decision: Record) -> str:
    return way(decision) + (f" ({_mnemonic(decision)})" if decision["condition"] is None else "")


def _mnemonic(shown: Record) -> str:
    return one_line(shown["instruction"].split(" ")[0])


def compared(decision: Record) -> str:
    """ "count (%ecx)=0x5, limit (8(%rsp))": what was compared, by the source's names where they are known. What memory held
    is not."""
    held = {f"%{name}": f"={value:#x}" for name, value in decision["values"].items()}
    names = decision["variables"]
    shown = [*held, *(operand for operand in names if not operand.startswith("%"))]
    return ", ".join(one_line(f"{names[one]} ({one})" if one in names else one) + held.get(one, "") for one in shown)


def _window(window: Record) -> list[str]:
    low, high, inside = window["tries_min"], window["tries_max"], window["stops_inside"]
    tries = f"{low}" if low == high else f"{low} to {high}" if high is not None else f"at least {low}"
    rounds = f", {tries} tr{'y' if tries == '1' else 'ies'}" if window["polls"] or high != 1 else ""
    stops = f"{counted(inside, 'stop')} inside" if inside else "no stop inside"
    return [short(window["lines"]) or window["from"], f"… timing window, {stops}{rounds}", "", "", ""]


def _intervention(one: Record) -> list[str]:
    times = "" if one["times"] == 1 else f", {one['times']} times"
    jump = "jump " if one["kind"] == "force" else ""
    what = f"… {changes_made.name(one)}: {jump}{one_line(one['was'])} → {one_line(one['became'])}{times}"
    return [short(one["source"]) or "?", what, "", "", ""]


def _gap(gap: Record) -> list[str]:
    seen = f": at least {counted(gap['at_least'], 'time')} before the probe was lifted" if gap["at_least"] else ""
    return [short(gap["lines"]) or "?", f"… not determined{seen}", "", "", ""]


def short(place: str) -> str:
    """A source position without its folders."""
    return one_line(PurePosixPath(place).name) if place else ""


def _never_reached(lines: Sequence[Record]) -> Iterator[str]:
    certain = [line for line in lines if line["certain"]]
    if not certain:
        return
    yield ""
    yield "  never reached: " + ", ".join(_ranges([line["source"] for line in certain]))


def _ranges(places: Sequence[str]) -> Iterator[str]:
    """ "tsc.c:272-279": consecutive lines of a file in one piece."""
    pieces: list[tuple[str, int, int]] = []
    for place in places:
        file, _, number = short(place).rpartition(":")
        line = int(number)
        if pieces and pieces[-1][0] == file and line <= pieces[-1][2] + 1:
            pieces[-1] = (file, pieces[-1][1], line)
        else:
            pieces.append((file, line, line))
    for file, first, last in pieces:
        yield f"{file}:{first}" if first == last else f"{file}:{first}-{last}"
