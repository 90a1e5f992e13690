# SPDX-License-Identifier: MIT
"""Two traces compared, as schemas/diff.schema.json describes it: what the guests are told, clocks, events, decisions."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from clockscope.model import (
    absence,
    changes_made,
    comparison_late,
    comparison_log,
    comparison_paths,
    disturbed,
    late,
    told,
)
from clockscope.model.axis import Axis
from clockscope.model.conclusion import conclude
from clockscope.model.source_text import Source
from clockscope._core import Trace

Record = dict[str, Any]
Progress = Callable[[int, int, str], None]

DEFAULT_PPM = 1000.0

# What a recording says of itself or of this machine, not of the guest.
_NOT_COMPARED = ("elf",)
# Measured by the guest, so never twice the same: compared like frequencies. max_cycles and max_idle_ns follow from
# the frequency.
_MEASURED = re.compile(r"(?:_hz|_khz|mhz|_ns|cycles|period|_?delta|per_interrupt)$")
# Not compared: quotes of the other values, places in memory, and counts that depend on when one looks.
_IGNORED = re.compile(
    r"(?:^message|^inferred$|_address|^address|^attempt|^loops|^guest_tsc|^" + "$|^".join(disturbed.KEPT) + "$)$"
)
_FIELDS = ("rating", "quality", "frequency_hz", "mask", "flags", "registered", "selected", "current", "lost")
# Two sequences of so many events take difflib seconds in the worst case.
_EVENTS_MAX = 4000


def compare(
    a: Trace,
    b: Trace,
    ppm: float = DEFAULT_PPM,
    progress: Progress = lambda done, total, what: None,
    sources: Sequence[Source] = (),
) -> Record:
    """Compare two traces, which must be two objects. Frequencies within `ppm` parts in a million are the same.
    `sources`: where the text of A's and of B's source is, if not in the traces."""
    timelines = comparison_log.comparable(late.with_clocks(a.timeline()), late.with_clocks(b.timeline()))
    functions = comparison_paths.compare(a, b, progress, sources)
    axes = Axis(timelines[0], a), Axis(timelines[1], b)
    result: Record = {
        "ppm": ppm,
        "damage": [timeline["damage"] for timeline in timelines],
        "complete": [timeline["complete"] for timeline in timelines],
        "mode": [timeline["provenance"].get("stub.mode", "") for timeline in timelines],
        "interventions": {"a": changes_made.of(a), "b": changes_made.of(b)},
        "disturbed": {"a": disturbed.of(timelines[0]), "b": disturbed.of(timelines[1])},
        "guest": [*_guest(timelines[0], timelines[1]), *told.differences(a, b)],
        "clocks": _clocks(timelines[0]["clocks"], timelines[1]["clocks"], ppm),
        "events": _events(timelines[0]["events"], timelines[1]["events"], ppm, axes),
        "systems": [{key: timeline["guest"].get(key, "") for key in ("os", "release")} for timeline in timelines],
        "first_divergence": functions.pop("first_divergence"),
        "functions": functions,
    }
    comparison_late.leave_out(result, timelines)
    for key, other in (("only_a", timelines[1]), ("only_b", timelines[0])):
        for event in result["events"][key]:
            event["unknown"] = absence.why(other["coverage"], event["rule"])
    for divergence in _divergences(result):
        for side, axis in zip("ab", axes):
            divergence[side]["when"] = axis.said(divergence[side])
        divergence["clocks"] = sorted(_clocks_behind(divergence["function"], timelines))
    return {
        "same": _is_same(result),
        **result,
        "conclusion": conclude(result, lambda name, kinds: _clocks_behind(name, timelines, kinds)),
    }


def status(result: Record) -> int:
    """A program's exit status: 0 the same, 1 different, 2 trouble."""
    if any(damage is not None for damage in result["damage"]):
        return 2
    return 0 if result["same"] else 1


def _divergences(result: Record) -> Iterator[Record]:
    if result["first_divergence"]:
        yield result["first_divergence"]
    yield from (item["divergence"] for item in result["functions"]["differ"] if item["divergence"])


def _is_same(result: Record) -> bool:
    parts = [result["guest"]]
    for section in ("clocks", "events", "functions"):
        parts += [result[section][key] for key in ("only_a", "only_b", "differ")]
    return not any(parts)


def _guest(a: Record, b: Record) -> Iterator[Record]:
    names = [name for name in dict.fromkeys([*a["guest"], *b["guest"]]) if name not in _NOT_COMPARED]
    for name in names:
        here, there = a["guest"].get(name), b["guest"].get(name)
        if here != there and here is not None and there is not None:
            yield {"what": name.replace("_", " "), "a": here, "b": there}


def _clocks_behind(function: str, timelines: Iterable[Record], kinds: Sequence[str] = ()) -> set[str]:
    """The clocks that were registered or lost in calls of a function, on either side; or had events of these kinds."""
    name = comparison_paths.base_name(function)
    return {
        event["clock"]
        for timeline in timelines
        for event in timeline["events"]
        if event["clock"] and (event["what"] in kinds if kinds else event["what"].startswith("clock."))
        if any(comparison_paths.base_name(frame["function"]) == name for frame in event["backtrace"])
    }


# ---------------------------------------------------------------- clocks


def _clocks(a: Sequence[Record], b: Sequence[Record], ppm: float) -> Record:
    here = {(clock["name"], clock["kind"]): clock for clock in a}
    there = {(clock["name"], clock["kind"]): clock for clock in b}
    both = [key for key in here if key in there and _is_known(here[key]) == _is_known(there[key])]
    return {
        "only_a": [_clock(clock) for key, clock in here.items() if key not in both and _is_known(clock)],
        "only_b": [_clock(clock) for key, clock in there.items() if key not in both and _is_known(clock)],
        "differ": [item for key in both for item in _clock_values(here[key], there[key], ppm)],
    }


def _is_known(clock: Record) -> bool:
    """Whether the kernel ever had it; a frequency alone does not make a clock."""
    return clock["registered"] is not None or clock["selected"] is not None


def _clock(clock: Record) -> Record:
    return {key: clock[key] for key in ("name", "kind", "rating", "quality", "frequency_hz", "current")}


def _clock_values(a: Record, b: Record, ppm: float) -> Iterator[Record]:
    for field in _FIELDS:
        here, there = _plain(field, a[field]), _plain(field, b[field])
        # That a clock was not lost is known.
        if not _is_equal(field, here, there, ppm) or (field == "lost" and here != there):
            yield {"name": a["name"], "kind": a["kind"], "what": field, "a": here, "b": there}


def _plain(field: str, value: Any) -> Any:
    """A moment as whether there was one: two boots never happen at the same time."""
    if field == "lost":
        return value and value["reason"]
    return value is not None if field in ("registered", "selected") else value


def _is_equal(name: str, a: Any, b: Any, ppm: float) -> bool:
    """What could not be read, or is not told by this kernel, is no difference."""
    if a == b or a is None or b is None or _IGNORED.search(name):
        return True
    if not _MEASURED.search(name):
        return False
    here, there = _number(a), _number(b)
    if here is None or there is None:
        return False
    return abs(here - there) * 1e6 <= ppm * max(abs(here), abs(there))


def _number(value: Any) -> float | None:
    """A number, or the text that a kernel prints of one ("2903.998")."""
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d{1,15}(\.\d{1,15})?", value) else None


# ---------------------------------------------------------------- events


def _events(a: Sequence[Record], b: Sequence[Record], ppm: float, axes: tuple[Axis, Axis]) -> Record:
    result: Record = {"only_a": [], "only_b": [], "differ": []}
    chain = 0
    for here, there in _align(a, b):
        if here is None or there is None:
            event = {**_event(here or there or {}, axes[here is None]), "chain": chain}
            result["only_b" if here is None else "only_a"].append(event)
            continue
        chain += 1
        if values := list(_event_values(here["values"], there["values"], ppm)):
            result["differ"].append({**_event(here, axes[0]), "seq": [here["seq"], there["seq"]], "values": values})
    return result


def _event(event: Record, axis: Axis) -> Record:
    return {**{key: event[key] for key in ("seq", "run_ns", "what", "clock", "rule")}, "when": axis.text(event)}


def _event_values(a: Mapping[str, Any], b: Mapping[str, Any], ppm: float) -> Iterator[Record]:
    for name in dict.fromkeys([*a, *b]):
        if not _is_equal(name, a.get(name), b.get(name), ppm):
            yield {"name": name, "a": a.get(name), "b": b.get(name)}


def _align(a: Sequence[Record], b: Sequence[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """The events in order, those that are the same on both sides together."""
    keys_a, keys_b = [_key(event) for event in a], [_key(event) for event in b]
    for tag, low_a, high_a, low_b, high_b in _operations(keys_a, keys_b):
        if tag == "equal":
            yield from zip(a[low_a:high_a], b[low_b:high_b])
        else:
            yield from ((event, None) for event in a[low_a:high_a])
            yield from ((None, event) for event in b[low_b:high_b])


def _key(event: Record) -> tuple[str, ...]:
    return event["what"], event["clock"] or "", event["rule"]


def _operations(a: Sequence[object], b: Sequence[object]) -> Iterator[tuple[str, int, int, int, int]]:
    """As difflib's opcodes. What is alike at both ends is not asked of it, and what is too long is taken as a whole."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    end_a, end_b = len(a) - tail, len(b) - tail
    yield "equal", 0, head, 0, head
    if max(end_a, end_b) - head <= _EVENTS_MAX:
        matcher = difflib.SequenceMatcher(None, a[head:end_a], b[head:end_b], autojunk=False)
        for tag, low_a, high_a, low_b, high_b in matcher.get_opcodes():
            yield tag, low_a + head, high_a + head, low_b + head, high_b + head
    else:
        yield "replace", head, end_a, head, end_b
    yield "equal", end_a, len(a), end_b, len(b)
