# SPDX-License-Identifier: MIT
"""A boot as lanes on one axis of time: a lane a clock and a vCPU, spans for what lasts, marks for events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clockscope.model.axis import Axis

Record = dict[str, Any]

# A page has room for so many; what a hostile trace has more of is counted, not drawn.
LANES_MAX = 64

_DEVICE = "event device"
_LOST = ("clock.unstable", "clock.unregistered")
LOST = (*_LOST, "clock.rejected")
BEGINS = ("calibration.started", "calibration.retried")
ENDS = {"calibration.finished": "finished", "calibration.refused": "refused", "calibration.retried": "retried"}


@dataclass
class Lanes:
    """`marks` are (seq, lane) of events and of what was changed in the guest; `spans` name by `seq` what began them."""

    lanes: list[Record] = field(default_factory=list)
    spans: list[Record] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    begin: float = 0.0
    end: float = 0.0
    left_out: int = 0


def arrange(content: Record, functions: Sequence[Record], changes: Sequence[Record], axis: Axis | None = None) -> Lanes:
    """The lanes of a timeline (schemas/timeline.schema.json), of the calls that were traced (path.schema.json), and of what
    was changed meanwhile (interventions.moments())."""
    axis = axis or Axis(content)
    calls = [(function["function"], call) for function in functions for call in function["invocations"]]
    calls.sort(key=lambda item: int(item[1]["seq"]))
    result = Lanes()
    result.begin, result.end = _range(axis, content["events"], [*changes, *(call for _, call in calls)])
    clocks = _clock_lanes(content["clocks"], result)
    cpus = _cpu_lanes([*content["events"], *changes, *(call for _, call in calls)], result)
    finder = _Finder(content["clocks"], clocks)
    for event in content["events"]:
        places = (finder.lane(event), cpus.get(event["cpu"]))
        result.marks += [(event["seq"], lane) for lane in places if lane is not None]
    result.marks += [(change["seq"], cpus[change["cpu"]]) for change in changes if change["cpu"] in cpus]
    result.spans += _lives(content["events"], finder, axis, result.end)
    result.spans += _calibrations(content["events"], finder, axis, result.end)
    result.spans += _calls(calls, cpus, axis)
    return result


def _range(axis: Axis, events: Sequence[Record], others: Sequence[Record]) -> tuple[float, float]:
    moments = [axis.of(event) for event in [*events, *others]]
    moments += [axis.at(other["end_run_ns"]) for other in others if other.get("end_run_ns") is not None]
    return min(moments, default=0.0), max(moments, default=0.0)


def _clock_lanes(clocks: Sequence[Record], result: Lanes) -> list[int | None]:
    """A lane for each clock, in the timeline's order; None where there is no room."""
    for clock in clocks[:LANES_MAX]:
        result.lanes.append({"kind": "clock", "title": clock["name"], "device": clock["kind"] == _DEVICE})
    result.left_out += max(len(clocks) - LANES_MAX, 0)
    return [number if number < LANES_MAX else None for number in range(len(clocks))]


def _cpu_lanes(items: Iterable[Record], result: Lanes) -> dict[int, int]:
    cpus = sorted({item["cpu"] for item in items})
    first = len(result.lanes)
    result.lanes += [
        {"kind": "cpu", "title": f"vCPU {cpu if cpu >= 0 else '?'}", "device": False} for cpu in cpus[:LANES_MAX]
    ]
    result.left_out += max(len(cpus) - LANES_MAX, 0)
    return {cpu: first + number for number, cpu in enumerate(cpus[:LANES_MAX])}


class _Finder:
    """The clock that an event is about, as the core's clock model finds it."""

    def __init__(self, clocks: Sequence[Record], lanes: Sequence[int | None]) -> None:
        self._by_name: dict[str, list[tuple[bool, int | None]]] = {}
        for clock, lane in zip(clocks, lanes, strict=True):
            self._by_name.setdefault(clock["name"], []).append((clock["kind"] == _DEVICE, lane))

    def lane(self, event: Record) -> int | None:
        found = self._by_name.get(str(event["clock"] or event["values"].get("name") or ""), [])
        if event["what"].startswith(("clock.", "device.")):
            found = [item for item in found if item[0] == event["what"].startswith("device.")]
        return found[0][1] if found else None


def _span(kind: str, lane: int, begin: float, end: float, seq: int, note: str = "") -> Record:
    return {"kind": kind, "lane": lane, "from": begin, "to": max(begin, end), "seq": seq, "note": note}


def _lives(events: Iterable[Record], finder: _Finder, axis: Axis, end: float) -> Iterator[Record]:
    """From a clock's registration to its loss; from its selection to that of another. An event device is a vCPU's own."""
    registered: dict[int, tuple[float, int]] = {}
    selected: dict[object, tuple[int, float, int]] = {}

    def close(user: object, now: float) -> Iterator[Record]:
        lane, begin, seq = selected.pop(user)
        yield _span("selected", lane, begin, now, seq)

    for event in events:
        lane, now = finder.lane(event), axis.of(event)
        if lane is None:
            continue
        if event["what"] in ("clock.registered", "device.registered"):
            registered.setdefault(lane, (now, event["seq"]))
        elif event["what"] in ("clock.selected", "device.selected"):
            user = event["cpu"] if event["what"].startswith("device.") else "all"
            if user in selected:
                yield from close(user, now)
            selected[user] = (lane, now, event["seq"])
        elif event["what"] in _LOST:
            if lane in registered:
                begin, seq = registered.pop(lane)
                yield _span("registered", lane, begin, now, seq)
            for user in [user for user, (chosen, _, _) in selected.items() if chosen == lane]:
                yield from close(user, now)
    for lane, (begin, seq) in registered.items():
        yield _span("registered", lane, begin, end, seq)
    for user in list(selected):
        yield from close(user, end)


def _calibrations(events: Iterable[Record], finder: _Finder, axis: Axis, end: float) -> Iterator[Record]:
    """From the start of each try to what became of it."""
    under_way: dict[int, tuple[float, int]] = {}
    for event in events:
        lane, now = finder.lane(event), axis.of(event)
        if lane is None:
            continue
        if event["what"] in ENDS and lane in under_way:
            begin, seq = under_way.pop(lane)
            yield _span("calibration", lane, begin, now, seq, ENDS[event["what"]])
        if event["what"] in BEGINS:
            under_way[lane] = (now, event["seq"])
    for lane, (begin, seq) in under_way.items():
        yield _span("calibration", lane, begin, end, seq, "its end was not seen")


def _calls(calls: Sequence[tuple[str, Record]], cpus: Mapping[int, int], axis: Axis) -> Iterator[Record]:
    """Calls of traced functions; `depth` is how many others were under way on that vCPU."""
    under_way: dict[int, list[float]] = {}
    for function, call in calls:
        lane = cpus.get(call["cpu"])
        if lane is None:
            continue
        begin = axis.of(call)
        end = begin if call["end_run_ns"] is None else axis.at(call["end_run_ns"])
        others = [until for until in under_way.get(lane, []) if until > begin]
        under_way[lane] = [*others, end]
        yield {**_span("call", lane, begin, end, call["seq"], function), "depth": len(others)}
