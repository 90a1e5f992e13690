# SPDX-License-Identifier: MIT
"""One guest as the page's program draws it: the timeline, its events in words, the calls of traced functions."""

from collections.abc import Iterator
from clockscope.base.ui import cut
from typing import Any

from clockscope.model import changes_made, lanes
from clockscope.profiles import reading
from clockscope.profiles.reading import Words
from clockscope.reports import path, text, values
from clockscope.reports.page_guest import LONGEST, TEXT_LIMIT, Guest, shown

Record = dict[str, Any]

# Of so many calls of a function the page tells each decision; `path` tells those of all.
_CALLS_MAX = 200
# JavaScript's numbers are exact up to here.
_EXACT_MAX = (1 << 53) - 1


def data(guest: Guest) -> Record:
    """What the page's program reads. Each event is told twice: as --format json does, and in words."""
    clock = guest.clock
    axis, kernel = clock.axis, reading.of(guest.timeline["guest"])
    arranged = lanes.arrange(guest.timeline, guest.functions, guest.changes, axis)
    return {
        "letter": guest.letter,
        "name": shown(text.guest_name(guest.timeline["guest"])),
        "timeline": exact(guest.timeline),
        "places": [axis.of(event) for event in guest.timeline["events"]],
        "words": [_words(event, clock, kernel) for event in guest.timeline["events"]],
        "changes": [_change(change, clock) for change in guest.changes],
        "lanes": [{**lane, "title": shown(lane["title"])} for lane in arranged.lanes],
        "left_out": arranged.left_out,
        "spans": [{**span, "note": shown(span["note"])} for span in arranged.spans],
        "marks": arranged.marks,
        "begin": arranged.begin,
        "end": arranged.end,
        "calls": {str(call["seq"]): call for function in guest.functions for call in _calls(function, clock)},
        "sources": guest.sources,
    }


def _words(event: Record, clock: text.Clock, kernel: Words) -> Record:
    return {
        "ms": clock.milliseconds(event),
        "what": shown(values.words(event["what"])),
        "clock": shown(event["clock"]),
        "values": shown(values.describe(event["values"], what=event["what"], words=kernel, all=False), TEXT_LIMIT),
        "where": _where(event.get("by") or event),
    }


def _where(place: Record) -> str:
    return shown(f"{shown(place['function'])} {path.short(place['source'])}".strip(), TEXT_LIMIT)


def _change(change: Record, clock: text.Clock) -> Record:
    return {
        "seq": change["seq"],
        "at": clock.axis.of(change),
        "ms": clock.milliseconds(change),
        "cpu": change["cpu"],
        "what": shown(changes_made.name(change), TEXT_LIMIT),
        "values": shown(f"{change['was']} → {change['became']}", TEXT_LIMIT),
        "where": _where(change),
    }


def _calls(function: Record, clock: text.Clock) -> Iterator[Record]:
    for call in function["invocations"]:
        rows = path.decisions(call) if call["n"] <= _CALLS_MAX else []
        yield {
            "seq": call["seq"],
            "n": call["n"],
            "ms": clock.milliseconds(call),
            "cpu": call["cpu"],
            "function": shown(function["function"]),
            "source": shown(function["source"], TEXT_LIMIT),
            "caller": shown(call["caller"]),
            "task": shown(call["task"]),
            "outcome": path.outcome(call),
            "whole": call["complete"] and call["consistent"],
            "rows": [[shown(cell, TEXT_LIMIT) for cell in row] for row in rows],
            "left_out": len(call["decisions"]) if not rows else 0,
        }


def exact(value: Any) -> Any:
    """JSON that a browser reads without loss: numbers that it would round become text, texts without end are cut."""
    if isinstance(value, dict):
        return {exact(str(key)): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, str):
        return cut(value, LONGEST)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_MAX:
        return str(value)
    return value
