# SPDX-License-Identifier: MIT
"""Answers to static questions, for people and as JSON (schemas/xref.schema.json). `reached` has its own file."""

from collections.abc import Sequence

from clockscope.reports.table import Column, render, styled
from clockscope.base.ui import Ui, one_line

TYPE_CHECKING = False  # what types need takes longer to import than most answers to be given
if TYPE_CHECKING:
    import argparse
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict
"""An object of schemas/xref.schema.json."""

VARIABLE_HELP = "NAME, FILE:NAME, NAME.field[2].field, NAME+0x18 or 0xADDRESS"
_UNNAMED = "(no symbol)"


def add_arguments(parser: "argparse.ArgumentParser", subject: str, subject_help: str) -> None:
    """What all static questions take."""
    parser.add_argument("elf", metavar="ELF", nargs="?", help="the kernel with its symbols; in GDB, its symbol file")
    parser.add_argument(subject, metavar=subject.upper(), help=subject_help)
    parser.add_argument("--format", choices=["json", "text"], default="text", help="text (the default) or json")


def as_json(answer: Record) -> str:
    import json  # slow to import

    return json.dumps(answer, indent=2) + "\n"


def format_accesses(answer: Record, kind: str, form: str, ui: Ui) -> str:
    """`kind` is "writers" or "readers"."""
    if form == "json":
        return as_json(answer)
    lines = [
        styled(one_line(answer["variable"]), "bold", ui.colour)
        + f": {answer['size']} byte{'' if answer['size'] == 1 else 's'} at {answer['variable_address']}"
    ]
    if not answer["complete"]:
        lines.append(
            "This kernel has no relocations: accesses to a per-CPU variable by register plus offset, and most places"
            " that take its address, cannot be told from other numbers, and are not listed."
        )
    lines += ["", *_section(kind.capitalize(), answer[kind], ui)]
    lines += ["", *_section("Address taken", answer["address_taken"], ui)]
    return "\n".join(lines) + "\n"


def format_callers(answer: Record, form: str, ui: Ui) -> str:
    if form == "json":
        return as_json(answer)
    where = f" at {answer['function_address']}" if answer["function_address"] else ": only inlined, it has no symbol"
    lines = [styled(one_line(answer["function"]), "bold", ui.colour) + where]
    lines += ["", *_section("Callers", answer["callers"], ui)]
    if answer["inlined"]:
        lines += ["", *_section("Inlined", answer["inlined"], ui)]
    lines += ["", *_section("Address stored", answer["address_taken"], ui)]
    lines += ["", *_paths(answer["paths"], ui)]
    if answer["pathless"]:
        lines += ["", *_pathless(answer["pathless"], ui)]
    return "\n".join(lines) + "\n"


def _section(title: str, sites: Sequence[Record], ui: Ui) -> list[str]:
    head = styled(f"{title}: {len(sites) or 'none'}", "bold", ui.colour)
    if not sites:
        return [head]
    rows = [_row(site) for site in sites]
    columns = [Column("")] * len(rows[0])
    return [head, *(f"  {line}" for line in render(columns, rows, ui.colour, header=False))]


def _row(site: Record) -> list[str]:
    if "within" in site:
        return [site["address"], f"into {one_line(site['within'])}", one_line(site["source"])]
    if "section" in site:
        return [site["address"], one_line(site["object"]) or _UNNAMED, one_line(site["section"]), _pointer(site)]
    what = f"{one_line(site['instruction'])}  # {one_line(site['target'])}" + (" indexed" if site["indexed"] else "")
    what += ", may write" if site.get("perhaps") else ""
    return [site["address"], one_line(site["symbol"]) or _UNNAMED, one_line(site["source"]), what]


def _pointer(site: Record) -> str:
    return f"pointer to {one_line(site['target'])}"


def _paths(paths: Sequence[Sequence[Record]], ui: Ui) -> list[str]:
    if not paths:
        return [styled("Paths: none; no calls and no stored addresses lead to it", "bold", ui.colour)]
    guessed = any(step["by_pointer"] for path in paths for step in path)
    head = "Shortest paths" + (" (~> through a stored address: a call is possible, not certain)" if guessed else "")
    return [styled(head, "bold", ui.colour), *(f"  {_path(path)}" for path in paths)]


def _path(path: Sequence[Record]) -> str:
    first, *rest = path
    arrows = ("~>" if step["by_pointer"] else "->" for step in rest)
    return one_line(first["symbol"]) + "".join(
        f" {arrow} {one_line(step['symbol'])}{' (inlined)' if step.get('inlined') else ''}"
        for arrow, step in zip(arrows, rest)
    )


def _pathless(callers: Sequence[Record], ui: Ui) -> list[str]:
    rows = [[one_line(one["caller"]), one["why"]] for one in callers]
    head = styled("No path to these callers", "bold", ui.colour)
    return [head, *(f"  {line}" for line in render([Column("")] * 2, rows, ui.colour, header=False))]
