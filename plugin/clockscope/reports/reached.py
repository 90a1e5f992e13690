# SPDX-License-Identifier: MIT
"""Which functions ran, for people and as JSON (schemas/xref.schema.json)."""

from collections.abc import Sequence
from typing import Any

from clockscope.model import changes_made
from clockscope.model.reach import HOLDS
from clockscope.reports import xref
from clockscope.reports.path import TEXT_LIMIT, compared, way
from clockscope.reports.table import Cell, Column, file_line, render
from clockscope.base.ui import Ui, counted, cut, one_line

Record = dict[str, Any]
"""An object of schemas/xref.schema.json."""

_NAMES_SHOWN = 4
_REACHED_STYLES = {"yes": "green", "no": "red", "unknown": "yellow"}


def format_reached(answer: Record, form: str, ui: Ui, file: str, without_kernel: bool) -> str:
    """`without_kernel`: its ELF file was not at hand."""
    if form == "json":
        return xref.as_json(answer)
    functions = answer["functions"]
    columns = [Column("function"), Column("reached"), Column("why")]
    header, *rows = render(columns, [_reached_row(function) for function in functions], ui.colour)
    lines = [file_line(file, ui), "", *changes_made.lines(answer["interventions"]), header]
    for row, function in zip(rows, functions):
        lines += [row, *(f"    {_branch(branch)}" for branch in function["skipped_by"])]
        # Further up, who did not run either says nothing new.
        told = [caller for caller in function["callers"] if not caller["through"] or caller["reached"] == "yes"]
        lines += [f"    {_caller(caller)}" for caller in told]
    if without_kernel and any(function["reached"] != "yes" for function in functions):
        lines += ["", "--elf names the kernel: then all callers of what was not reached are looked at."]
    return "\n".join(lines) + "\n"


def _reached_row(function: Record) -> list[Cell | str]:
    reached = function["reached"]
    evidence = function["evidence"] + (f" {function['times']} times" if function["times"] > 1 else "")
    inlined = f"inlined into {_few(function['inlined'])}" if function["inlined"] else ""
    said = [inlined if evidence == "inlined" else evidence.replace("inlined", inlined, 1)]
    said += [inlined] * (inlined not in said[0]) + [function["reason"]]
    return [
        one_line(function["function"]),
        Cell(reached, _REACHED_STYLES[reached]),
        one_line("; ".join(filter(None, said))),
    ]


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _branch(branch: Record) -> str:
    text = f": {cut(one_line(branch['text'].strip()), TEXT_LIMIT)}" if branch["text"] else ""
    went = f"{_way(branch)} ({counted(branch['times'], 'time')})"
    held = f", {compared(branch)}" if compared(branch) else ""
    where = f" at {one_line(branch['source'])}" if branch["source"] else ""
    return f"{_through(branch)}{one_line(branch['caller'])}{where}{text}{went}{held}"


def _way(branch: Record) -> str:
    """The condition's truth, or what the jump did."""
    if branch["condition"] is not None:
        return f" {way(branch)}"
    if branch["taken"] is None:
        return f": {one_line(branch['instruction'])} went elsewhere, or did not come back"
    return f": {one_line(branch['instruction'])}, {way(branch)}"


def _through(item: Record) -> str:
    """ "through lapic_boot_init: ", of what stands further up than who calls the function itself."""
    return f"through {' -> '.join(map(one_line, item['through']))}: " if item["through"] else ""


def _caller(caller: Record) -> str:
    if caller["how"] == HOLDS:
        return f"{_through(caller)}{one_line(caller['function'])} {HOLDS}"
    ran = {"yes": "ran", "no": "was not reached", "unknown": "is not known to have run"}[caller["reached"]]
    why = f"; {caller['why']}" if caller["why"] else ""
    return f"{_through(caller)}{one_line(caller['function'])} {caller['how']}, and {ran}{why}"
