# SPDX-License-Identifier: MIT
"""The traced functions as the page shows them: a drawing and the calls for each guest, what differs marked in both."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clockscope import interventions
from clockscope.diff_paths import base_name
from clockscope.errors import UserError
from clockscope.reports import cfg, diff, graphviz, path, values
from clockscope.reports.page_guest import Guest, shown

Record = dict[str, Any]
Progress = Callable[[int, int, str], None]

_ROWS_MAX = 50
# A graph that takes longer is too large to look at.
_LAYOUT_SECONDS = 20.0
# Several drawings stand on one page: names that Graphviz gives in each would not be unique.
_NAMES = re.compile(r' id="[^"]*"')


def describe(guests: Sequence[Guest], difference: Record | None, progress: Progress) -> list[Record]:
    """Each function of either guest; those whose decisions differ come first."""
    diverging = _divergences(difference)
    names = dict.fromkeys(function["function"] for guest in guests for function in guest.functions)
    order = sorted(names, key=lambda name: (base_name(name) not in diverging, name))
    result = []
    for done, name in enumerate(order):
        progress(done, len(order), f"drawing {shown(name)}")
        sides = [_side(guest, name, diverging.get(base_name(name))) for guest in guests]
        result.append({"name": shown(name), "differs": base_name(name) in diverging, "sides": sides})
    progress(len(order), len(order), "drawn")
    return result


def _divergences(difference: Record | None) -> Mapping[str, Record]:
    """The decision that differs, by the function's name."""
    items = difference["functions"]["differ"] if difference else []
    return {base_name(item["function"]): item["divergence"] for item in items if item["divergence"]}


def _side(guest: Guest, name: str, divergence: Record | None) -> Record:
    own = divergence[guest.letter.lower()] if divergence else None
    functions = [function for function in guest.functions if function["function"] == name]
    graphs = [graph for graph in guest.graphs if graph["function"] == name]
    calls = [call for function in functions for call in function["invocations"]]
    return {
        "letter": guest.letter,
        "traced": bool(functions),
        "source": shown(functions[0]["source"], 160) if functions else "",
        "note": shown(functions[0]["note"], 160) if functions else "",
        "count": len(calls),
        "calls": [_call(guest, call) for call in calls[:_ROWS_MAX]],
        "more": max(len(calls) - _ROWS_MAX, 0),
        "drawings": list(_drawings(graphs, _marks(guest, own))),
    }


def _call(guest: Guest, call: Record) -> Record:
    return {
        "target": f"{guest.letter}-{call['seq']}",
        "n": call["n"],
        "ms": values.milliseconds(call["run_ns"]),
        "cpu": call["cpu"],
        "caller": shown(call["caller"]),
        "outcome": path.outcome(call),
    }


def _marks(guest: Guest, own: Record | None) -> Mapping[str, str]:
    """Words by the address of an instruction: where something was changed, and where the guests parted."""
    marks = {one["address"]: shown(f"changed: {interventions.name(one)}") for one in guest.timeline["interventions"]}
    if own:
        parted = f"the decision that differs: {diff.taken(own['taken'])}"
        marks[own["address"]] = "; ".join(filter(None, (parted, marks.get(own["address"]))))
    return marks


def _drawings(graphs: Sequence[Record], marks: Mapping[str, str]) -> Iterator[Record]:
    for graph in graphs:
        try:
            yield {"svg": _inline(graphviz.svg(cfg.dot(graph, marks), _LAYOUT_SECONDS)), "why": ""}
        except UserError as error:
            yield {"svg": None, "why": str(error)}


def _inline(svg: str) -> Markup:
    """A drawing without its prologue. Graphviz escapes the texts, and DOT was written with each of them quoted."""
    return Markup(_NAMES.sub("", svg[svg.index("<svg") :]))  # nosec: see above
