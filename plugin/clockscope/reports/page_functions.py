# SPDX-License-Identifier: MIT
"""The traced functions as the page shows them: a drawing and the calls for each guest, what differs marked in both."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clockscope.model import changes_made
from clockscope.model.comparison_paths import base_name
from clockscope.base.errors import UserError
from clockscope.reports import annotated, cfg, diff, graphviz, path
from clockscope.reports.page_guest import TEXT_LIMIT, Guest, shown

Record = dict[str, Any]
Progress = Callable[[int, int, str], None]

_ROWS_MAX = 50
# A graph that takes longer is too large to look at.
_LAYOUT_SECONDS = 20.0
# Several drawings stand on one page: names that Graphviz gives in each would not be unique.
_NAMES = re.compile(r' id="[^"]*"')


def describe(guests: Sequence[Guest], difference: Record | None, progress: Progress) -> list[Record]:
    """Each function of either guest, its parts together; those whose decisions differ come first."""
    parted = _divergences(difference)
    names = {base_name(function["function"]) for guest in guests for function in guest.functions}
    order = sorted(names, key=lambda name: (name not in parted, name))
    result = []
    for done, name in enumerate(order):
        progress(done, len(order), f"drawing {shown(name)}")
        sides = [_side(guest, name, parted.get(name, ())) for guest in guests]
        result.append({"name": shown(name), "differs": name in parted, "sides": sides})
    progress(len(order), len(order), "drawn")
    return result


def _divergences(difference: Record | None) -> Mapping[str, Sequence[Record]]:
    """The decisions that differ, by the function's name."""
    found: dict[str, list[Record]] = {}
    for item in difference["functions"]["differ"] if difference else ():
        if item["divergence"]:
            found.setdefault(base_name(item["function"]), []).append(item["divergence"])
    return found


def _side(guest: Guest, name: str, divergences: Sequence[Record]) -> Record:
    marks = _marks(guest, [divergence[guest.letter.lower()] for divergence in divergences])
    parts = [
        _part(guest, function, graph, marks)
        for function, graph in zip(guest.functions, guest.graphs, strict=True)
        if base_name(function["function"]) == name
    ]
    return {"letter": guest.letter, "parts": parts, "count": sum(part["count"] for part in parts)}


def _part(guest: Guest, function: Record, graph: Record, marks: Mapping[str, str]) -> Record:
    calls = function["invocations"]
    return {
        "name": shown(function["function"]),
        "source": shown(function["source"], TEXT_LIMIT),
        "note": shown(function["note"], TEXT_LIMIT),
        "count": len(calls),
        "calls": [_call(guest, call) for call in calls[:_ROWS_MAX]],
        "more": max(len(calls) - _ROWS_MAX, 0),
        "code": [_code(section) for section in annotated.sections(function)],
        **_drawing(graph, marks),
    }


def _code(section: Record) -> Record:
    """Lines of source, each with how often it ran; it keeps its indentation."""
    return {
        "file": shown(section["file"], TEXT_LIMIT),
        "lines": [
            {
                "state": {"": "none", annotated.NEVER: "never", "?": "perhaps"}.get(line["count"], "ran"),
                **{name: shown(str(line[name]), TEXT_LIMIT) for name in ("count", "line", "text", "note")},
            }
            for line in section["lines"]
        ],
    }


def _call(guest: Guest, call: Record) -> Record:
    return {
        "target": f"{guest.letter}-{call['seq']}",
        "n": call["n"],
        "ms": guest.clock(call),
        "cpu": call["cpu"],
        "caller": shown(call["caller"]),
        "outcome": path.outcome(call),
    }


def _marks(guest: Guest, parted: Sequence[Record]) -> Mapping[str, str]:
    """Words by the address of an instruction: where something was changed, and where the guests parted."""
    marks = {one["address"]: shown(f"changed: {changes_made.name(one)}") for one in guest.timeline["interventions"]}
    for side in parted:
        said = f"the decision that differs: {diff.taken(side)}"
        marks[side["address"]] = "; ".join(filter(None, (said, marks.get(side["address"]))))
    return marks


def _drawing(graph: Record, marks: Mapping[str, str]) -> Record:
    try:
        return {"svg": _inline(graphviz.svg(cfg.dot(graph, marks), _LAYOUT_SECONDS)), "why": ""}
    except UserError as error:
        return {"svg": None, "why": str(error)}


def _inline(svg: str) -> Markup:
    """A drawing without its prologue. Graphviz escapes the texts, and DOT was written with each of them quoted."""
    return Markup(_NAMES.sub("", svg[svg.index("<svg") :]))
