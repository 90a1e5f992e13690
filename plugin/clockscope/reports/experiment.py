# SPDX-License-Identifier: MIT
"""What an experiment has changed, in plain words."""

from collections.abc import Iterator
from typing import Any

from clockscope.model import changes_made
from clockscope.reports import diff, values
from clockscope.reports.table import styled
from clockscope.base.ui import Ui, cut, one_line

Record = dict[str, Any]
"""An object of schemas/experiment.schema.json."""


def experiment(result: Record, ui: Ui) -> str:
    lines = [
        f"A, the baseline:   {one_line(result['baseline'])}",
        f"B, the experiment: {one_line(result['experiment'])}",
        styled(f"With {'; '.join(map(_made, result['interventions']))}:", "bold", ui.colour),
        *("  " + line for line in _changes(result)),
    ]
    first = result["diff"]["first_divergence"]
    if first is not None:
        lines += ["", styled("The first decision that differs", "bold", ui.colour), *diff.divergence_lines(first, ui)]
    lines += ["", f"All that differs: clock diff {one_line(result['baseline'])} {one_line(result['experiment'])}"]
    return "\n".join(lines) + "\n"


def _made(one: Record) -> str:
    return f"{changes_made.name(one)} ({changes_made.how_often(one)})"


def _changes(result: Record) -> Iterator[str]:
    compared = result["diff"]
    for letter, complete in zip("AB", compared["complete"]):
        if not complete:
            yield f"{letter}'s recording did not end in order: what would have come later is not known"
    for side in "ab":
        for one in compared["disturbed"][side]:
            yield f"in {side.upper()}, {cut(one_line(one['said']), 160)}"
    if compared["same"]:
        yield "nothing changed"
    clocks = [*_clocks(compared["clocks"]), *_active(*result["active"])]
    yield from clocks if clocks or compared["same"] else ["the clocks are the same"]
    for name in result["diagnoses"]["gone"]:
        yield f"the diagnosis {one_line(name)} no longer fires"
    for name in result["diagnoses"]["come"]:
        yield f"the diagnosis {one_line(name)} fires now"


def _clocks(clocks: Record) -> Iterator[str]:
    for clock in clocks["only_b"]:
        yield f"{_name(clock)} registers{_details(clock)}"
    for clock in clocks["only_a"]:
        yield f"{_name(clock)} does not register any more"
    for item in clocks["differ"]:
        if item["what"] != "current":
            before, after = diff.value(item["what"], item["a"]), diff.value(item["what"], item["b"])
            yield f"{_name(item)}, {diff.label(item['what'])}: {before}, now {after}"


def _name(clock: Record) -> str:
    return cut(one_line(clock["name"]), 48)


def _details(clock: Record) -> str:
    known = {key: clock[key] for key in ("rating", "quality", "frequency_hz") if clock[key] is not None}
    return f" ({values.describe(known)})" if known else ""


def _active(before: Record, after: Record) -> Iterator[str]:
    for kind in dict.fromkeys([*before, *after]):
        here, there = before.get(kind, "none"), after.get(kind, "none")
        if here != there:
            yield f"the {one_line(kind)} in use at the end is {one_line(there)}, not {one_line(here)}"
