# SPDX-License-Identifier: MIT
"""One guest as the page tells of it: all that is known of it, and the texts of the template."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

from clockscope.model import absence, changes_made, diagnosing, disturbed, flow_graph, late, paths, told
from clockscope._core import FormatError, Trace
from clockscope.model.source_text import Source
from clockscope.reports import cpuid, diagnose, text
from clockscope.base.ui import cut, one_line

Record = dict[str, Any]
T = TypeVar("T")

_NAME_LIMIT = 64
TEXT_LIMIT = 160
_EVIDENCE_MAX = 12
_CHANGES_MAX = 2000
LONGEST = 2000
"""Longer texts are shortened, whatever they are: nobody reads them, and every browser must draw them."""


@dataclass(frozen=True)
class Guest:
    """What the verbs say of one trace, as their --format json does."""

    letter: str
    file: str
    trace: Trace
    timeline: Record
    diagnosis: Record | None  # None: the trace is damaged, and nobody knows
    functions: Sequence[Record]
    graphs: Sequence[Record]
    told: Record
    changes: Sequence[Record]  # each time that something was changed in the guest
    clock: text.Clock
    sources: Mapping[str, str]  # the text of each source line that an event or its backtrace names


def read(letter: str, file: str, trace: Trace, rules: Sequence[diagnosing.Rule], source: Source | None = None) -> Guest:
    """All there is; of a damaged trace, what can still be read. `source`: where the text is that the trace does not hold."""
    timeline = disturbed.timeline(trace)

    def left(make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except FormatError as error:
            timeline["damage"] = timeline["damage"] or str(error)
            timeline["complete"] = False
            return otherwise

    untraced: tuple[list[Record], list[Record]] = ([], [])
    functions, graphs = left(lambda: _traced(trace, source), untraced)
    return Guest(
        letter,
        file,
        trace,
        timeline,
        left(lambda: diagnosing.examine(file, trace, rules), None),
        functions,
        graphs,
        left(lambda: cpuid.content(told.of_trace(trace, told.BEGIN), None), {"leaves": [], "msrs": [], "refused": []}),
        left(lambda: changes_made.moments(trace, _CHANGES_MAX), []),
        left(lambda: PageClock(timeline, trace), PageClock(timeline)),
        left(lambda: _sources(trace), {}),
    )


class PageClock(text.Clock):
    """A page tells times as numbers, in ms, for its axis has them so."""

    def __call__(self, moment: Record) -> str:
        return self.milliseconds(moment)


def _traced(trace: Trace, source: Source | None) -> tuple[list[Record], list[Record]]:
    """The traced functions with their calls, and their graphs, in the same order."""
    if not trace.rows("SELECT 1 FROM function LIMIT 1"):
        return [], []
    return paths.functions(trace, None, source), flow_graph.from_trace(trace, "*")


def _sources(trace: Trace) -> Mapping[str, str]:
    return {
        shown(f"{row['file']}:{row['line']}", LONGEST): shown(row["text"].strip(), TEXT_LIMIT)
        for row in trace.rows(
            "SELECT s.file, s.line, s.text FROM source s JOIN"
            " (SELECT file, line FROM event UNION SELECT file, line FROM frame) USING (file, line)"
        )
    }


def shown(value: str | None, limit: int = _NAME_LIMIT) -> str:
    return cut(one_line(value or ""), limit)


def describe(guest: Guest) -> Record:
    """Everything is text, escaped for a terminal and short; the template escapes it for HTML."""
    content = guest.timeline
    clock = guest.clock
    return {
        "letter": guest.letter,
        "file": shown(guest.file, TEXT_LIMIT),
        "base": shown(PurePath(guest.file).name),
        "name": shown(text.guest_name(content["guest"])),
        "time": clock.name,
        "facts": list(_facts(content)),
        "warnings": list(_warnings(content, clock)),
        "interventions": [_intervention(guest, one) for one in content["interventions"]],
        "examined": guest.diagnosis is not None,
        "findings": [_finding(guest, finding) for finding in guest.diagnosis["findings"]] if guest.diagnosis else [],
        "clocks": list(_clock_tables(content["clocks"], clock)),
        "told": guest.told,
        "absent": list(_absent(content["never_reached"], clock)),
        "counters": [
            {**counter, "function": shown(counter["function"]), "first": _first(counter, clock)}
            for counter in content["counters"]
        ],
        "provenance": [
            (shown(key), shown(value, TEXT_LIMIT))
            for key, value in {**content["guest"], **content["provenance"]}.items()
            if value
        ],
    }


def _first(counter: Record, clock: text.Clock) -> str:
    moment = {"seq": None, "run_ns": counter["first_run_ns"], "icount": counter["first_icount"]}
    return "" if moment["run_ns"] is None else clock(moment)


def _facts(content: Record) -> Iterator[tuple[str, str]]:
    clocks = content["clocks"]
    used = [shown(clock["name"]) for clock in clocks if clock["current"] and clock["kind"] != "event device"]
    devices = [shown(clock["name"]) for clock in clocks if clock["current"] and clock["kind"] == "event device"]
    yield "events", str(len(content["events"]))
    registered = [clock for clock in clocks if clock["registered"] is not None]
    yield "clocks registered", str(sum(clock["kind"] != "event device" for clock in registered))
    yield "clock in use at the end", ", ".join(used) or "none"
    yield "event device at the end", ", ".join(devices) or "none"


def _intervention(guest: Guest, one: Record) -> Record:
    return {
        "option": shown(changes_made.name(one), TEXT_LIMIT),
        "function": shown(one["function"]),
        "source": shown(one["source"], TEXT_LIMIT),
        "often": changes_made.how_often(one),
        "target": "" if one["first_seq"] is None else f"{guest.letter}-{one['first_seq']}",
    }


def _warnings(content: Record, clock: text.Clock) -> Iterator[str]:
    if clock.is_log:
        yield "This is a log, not a recording: nothing is known beyond what the kernel printed."
    if content["damage"] is not None:
        yield f"This trace is damaged, and not all of it could be read: {shown(content['damage'], TEXT_LIMIT)}"
    elif not content["complete"]:
        yield f"This recording is incomplete: {shown(content['end_reason'], TEXT_LIMIT)}"
    for said in late.said(content["late"]) if content["late"] else ():
        yield shown(f"This recording was {said}.", TEXT_LIMIT)
    for one in content["disturbed"][:_CHANGES_MAX]:
        yield shown(f"{one['said']}.", TEXT_LIMIT)
    if content["provenance"].get("stub.tsc_while_stopped") == "runs on":
        yield "The guest's TSC ran on while it stood: what it measured against it has an error, told as error_bound_ppm."


def _finding(guest: Guest, finding: Record) -> Record:
    rows = list(diagnose.grouped(finding["evidence"]))
    return {
        "rule": finding["rule"],
        "symptom": shown(finding["symptom"], 10 * TEXT_LIMIT),
        "cause": shown(finding["cause"], 10 * TEXT_LIMIT),
        "try": [shown(remedy, 10 * TEXT_LIMIT) for remedy in finding["try"]],
        "references": finding["references"],
        "evidence": [_evidence(guest, row) for row in rows[:_EVIDENCE_MAX]],
        "more": max(len(rows) - _EVIDENCE_MAX, 0),
    }


def _evidence(guest: Guest, row: Record) -> Record:
    return {
        "target": target(guest, row["seq"]),
        "ms": guest.clock(row) if row["seq"] else "",
        "place": shown(row["place"], TEXT_LIMIT),
        "said": shown(diagnose.how_often(row, guest.clock.axis) + row["said"], TEXT_LIMIT),
    }


def target(guest: Guest, seq: int) -> str:
    """The name of the event or call on the page that `seq` belongs to; empty where it is neither's."""
    try:
        rows = guest.trace.rows(
            "SELECT seq FROM event WHERE seq = ?1 UNION ALL SELECT seq FROM invocation WHERE seq = ?1 UNION ALL"
            " SELECT i.seq FROM decision d JOIN invocation i ON i.id = d.invocation WHERE d.stop = ?1 LIMIT 1",
            [seq],
        )
    except FormatError:
        return ""  # damage, of which read() has told: the page does without the link
    return f"{guest.letter}-{rows[0]['seq']}" if rows else ""


def _clock_tables(clocks: Sequence[Record], clock: text.Clock) -> Iterator[Record]:
    for kind in dict.fromkeys(item["kind"] for item in clocks):
        same = [item for item in clocks if item["kind"] == kind]
        same = text.by_rating(same)
        columns = [column for column in text.CLOCK_COLUMNS if any(column[2](item, clock) for item in same)]
        yield {
            "title": f"{shown(kind).capitalize()}s",
            "headers": [(name, justify) for name, justify, _ in columns],
            "rows": [
                {"current": item["current"], "cells": [(get(item, clock), justify) for _, justify, get in columns]}
                for item in same
            ],
        }


def _absent(expectations: Sequence[Record], clock: text.Clock) -> Iterator[Record]:
    for title, items in absence.grouped(expectations):
        yield {
            "title": title,
            "rows": [[shown(cell, TEXT_LIMIT) for cell in text.absent_row(item, clock)] for item in items],
        }
