# SPDX-License-Identifier: MIT
"""A trace in Perfetto's format (https://perfetto.dev): tracks with slices that nest, and instants.

A vCPU's track has the calls of traced functions as slices, and events and interventions as instants. A call that does
not nest with those around it, for it slept while others ran, goes to a track of its task below that of its vCPU; so
does one whose end was not seen. Each clock has a track: while it is registered and, within, while it is in use; an instant
where it was lost. A clock that is calibrated has one more, with a slice for each try. Two guests are two processes.

Times are the guest's own, by the clock that all readers use (model.axis); since Perfetto knows none before 0, they are
counted from the first that is told, if that is negative, and `time_ns` of each has what other readers tell.
schemas/perfetto.proto has the messages.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clockscope.model import axis, lanes
from clockscope.model.axis import Axis
from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.exports.protobuf import Schema, framed
from clockscope.exports.stream import Progress, Record, Write, stream
from clockscope.model.paths import source
from clockscope.reports.text import guest_name
from clockscope.reports.values import words
from clockscope.base.ui import cut, one_line

Values = Mapping[str, int | str | None]

_SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "perfetto.proto"
_PACKET = 1  # the field of a Trace
_GUEST = 1  # the track that all others stand below
_TRACKS_MAX = 1000
_PIECE = 1000  # packets that are written together
_NAME_MAX = 200
_TEXT_MAX = 4000

_EVENTS = "SELECT seq, run_ns, cpu, what, rule, clock, function, file, line FROM event"
_VALUES = "SELECT name, number, is_unsigned, text FROM event_value WHERE event = ? ORDER BY ordinal"
_CALLS = (
    "SELECT i.id, i.seq, i.end_seq, i.run_ns, i.end_run_ns, i.cpu, i.task, i.caller_name, i.returned, i.value, f.name,"
    " f.file, f.line FROM invocation i JOIN function f ON f.id = i.function"
)
_USES = (
    "SELECT u.seq, u.run_ns, u.cpu, u.was, u.became, i.option, i.function, i.file, i.line"
    " FROM intervention_use u JOIN intervention i ON i.number = u.intervention"
)
_SIZE = """
SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM invocation) AS rows,
    max(coalesce((SELECT max(run_ns) FROM event), 0),
        coalesce((SELECT max(max(run_ns, coalesce(end_run_ns, 0))) FROM invocation), 0)) AS end_ns"""


def export(traces: Sequence[Trace], write: Write, progress: Progress) -> None:
    """One guest, or two beside each other."""
    axes = [axis.of_trace(trace) for trace in traces]
    timelines = [trace.timeline() for trace in traces]
    begin = min((lanes.arrange(one, [], [], when).begin for one, when in zip(timelines, axes)), default=0.0)
    earliest = min([round(begin * 1e6), *(_first_call(trace, when) for trace, when in zip(traces, axes)), 0])
    sizes = [trace.rows(_SIZE)[0] for trace in traces]
    total = sum(size["rows"] for size in sizes)
    done = 0
    for number, trace in enumerate(traces):
        meta = trace.meta()
        title = guest_name({"os": meta.get("guest.os", ""), "release": meta.get("guest.release", "")})
        letter = f"{'AB'[number]}: " if len(traces) > 1 else ""
        tracks = _Tracks(write, letter + title, number, axes[number], earliest)
        end_ns = sizes[number]["end_ns"]
        for part in (_write_calls(trace, tracks, end_ns), _write_events(trace, tracks, end_ns)):
            for done, _ in enumerate(part, done + 1):
                progress(done, total, "exporting")
        _write_clocks(timelines[number], tracks)
        for use in stream(trace, _USES, ["seq"]):
            values = {"was": use["was"], "became": use["became"], **_place(use)}
            tracks.instant(tracks.cpu(use["cpu"]), tracks.when(use), use["option"], "intervention", values)
        tracks.flush()


def _first_call(trace: Trace, when: Axis) -> int:
    return min((when.whole(call) for call in trace.rows(f"{_CALLS} ORDER BY i.seq LIMIT 1")), default=0)


class _Tracks:
    """The tracks of one guest, and what is on them."""

    def __init__(self, write: Write, title: str, number: int, when: Axis, earliest: int) -> None:
        self._write = write
        self.axis = when
        self._earliest = earliest
        self._first = _GUEST + number * (_TRACKS_MAX + 1)  # the track that all others of this guest stand below
        self._schema = Schema(_SCHEMA)
        self._piece: list[bytes] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._now: dict[int, int] = {}  # of each track with slices: they begin and end in order, whatever a trace says
        guest = {"pid": number + 1, "process_name": title}
        first = {} if number else {"sequence_flags": 1}
        self._put(**first, track_descriptor=dict(uuid=self._first, name=title, process=guest))

    def when(self, moment: Record) -> int:
        """When something was, in ns by the guest's own clock."""
        return self.axis.whole(moment)

    def at(self, run_ns: int) -> int:
        return round(1e6 * self.axis.at(run_ns))

    def of(self, name: str, parent: int | None = None) -> int:
        """The track of this name, which is made where there is none."""
        parent = self._first if parent is None else parent
        name = cut(one_line(name), _NAME_MAX)
        number = self._numbers.get((name, parent))
        if number is None:
            if len(self._numbers) >= _TRACKS_MAX:
                raise UserError(f"this trace needs more than {_TRACKS_MAX} tracks: no recording of a boot does")
            number = self._numbers[name, parent] = self._first + 1 + len(self._numbers)
            self._put(track_descriptor=dict(uuid=number, name=name, parent_uuid=parent))
        return number

    def cpu(self, number: int) -> int:
        return self.of(f"vCPU {number if number >= 0 else '?'}")

    def begin(self, track: int, ns: int, name: str, category: str, values: Values) -> None:
        ns = self._in_order(track, ns)
        self._event(track, ns, "TYPE_SLICE_BEGIN", **self._said(name, category, {**values, "time_ns": ns}))

    def end(self, track: int, ns: int) -> None:
        """End the innermost slice that is open on a track."""
        self._event(track, self._in_order(track, ns), "TYPE_SLICE_END")

    def instant(self, track: int, ns: int, name: str, category: str, values: Values) -> None:
        self._event(track, ns, "TYPE_INSTANT", **self._said(name, category, {**values, "time_ns": ns}))

    def flush(self) -> None:
        self._write(b"".join(self._piece))
        self._piece.clear()

    def _in_order(self, track: int, ns: int) -> int:
        self._now[track] = max(ns, self._now.get(track, ns))
        return self._now[track]

    def _event(self, track: int, ns: int, kind: str, **said: object) -> None:
        self._put(timestamp=max(ns - self._earliest, 0), track_event=dict(type=kind, track_uuid=track, **said))

    def _said(self, name: str, category: str, values: Values) -> dict[str, object]:
        annotations = [self._annotation(cut(one_line(key), _NAME_MAX), value) for key, value in values.items()]
        title, kind = cut(one_line(name), _NAME_MAX), cut(one_line(category), _NAME_MAX)
        return dict(name=title, categories=[kind], debug_annotations=annotations)

    def _annotation(self, name: str, value: int | str | None) -> dict[str, object]:
        if isinstance(value, int):
            return {"name": name, "uint_value" if value >= 1 << 63 else "int_value": value}
        text = "unreadable" if value is None else cut(one_line(value), _TEXT_MAX)
        return {"name": name, "string_value": text}

    def _put(self, **fields: object) -> None:
        # A Trace is a sequence of Traces: it may be written in pieces.
        packet = self._schema.encode("TracePacket", {"trusted_packet_sequence_id": 1, **fields})
        self._piece.append(framed(_PACKET, packet))
        if len(self._piece) >= _PIECE:
            self.flush()


def _place(row: Record) -> Values:
    return {"function": row["function"], "source": source(row["file"], row["line"])}


# ---------------------------------------------------------------- calls


@dataclass
class _Lane:
    """A track, and when the slices end that are open on it, the innermost last: (seq, ns)."""

    track: int
    open: list[tuple[float, int]] = field(default_factory=list)


def _write_calls(trace: Trace, tracks: _Tracks, end_ns: int) -> Iterator[None]:
    """Slices for all calls, in the order in which they began; one step a call."""
    found: dict[int, _Lane] = {}
    for call in stream(trace, _CALLS, ["seq", "id"]):
        end_run = end_ns if call["end_seq"] is None else call["end_run_ns"] or 0
        ends = (math.inf if call["end_seq"] is None else call["end_seq"], tracks.at(end_run))
        lane = next(lane for lane in _lanes(call, tracks, found) if _fits(lane, call["seq"], ends[0], tracks))
        lane.open.append(ends)
        tracks.begin(lane.track, tracks.when(call), call["name"], "call", _call_values(call))
        yield
    for lane in found.values():
        _close(lane, math.inf, tracks)


def _lanes(call: Record, tracks: _Tracks, found: dict[int, _Lane]) -> Iterator[_Lane]:
    """Where a call may go: its vCPU's track, then one of its task, and more of those."""
    cpu = tracks.cpu(call["cpu"])
    if call["end_seq"] is not None:
        yield found.setdefault(cpu, _Lane(cpu))
    task = cut(one_line(call["task"].rstrip("\0")), _NAME_MAX // 2) or "task not known"
    for number in range(1, _TRACKS_MAX + 1):
        name = f"vCPU {call['cpu']}: {task}" + (f" ({number})" if number > 1 else "")
        track = tracks.of(name, cpu)
        yield found.setdefault(track, _Lane(track))


def _fits(lane: _Lane, seq: int, end_seq: float, tracks: _Tracks) -> bool:
    """Whether a call nests with those that are open, once the ended ones are closed."""
    _close(lane, seq, tracks)
    return not lane.open or end_seq <= lane.open[-1][0]


def _close(lane: _Lane, seq: float, tracks: _Tracks) -> None:
    while lane.open and lane.open[-1][0] <= seq:
        tracks.end(lane.track, lane.open.pop()[1])


def _call_values(call: Record) -> Values:
    value = call["value"]
    shown = {} if value is None else {"value": value % (1 << 64)}
    place = source(call["file"], call["line"])
    return {"seq": call["seq"], "source": place, "caller": call["caller_name"], "returned": call["returned"], **shown}


# ---------------------------------------------------------------- events


def _write_events(trace: Trace, tracks: _Tracks, end_ns: int) -> Iterator[None]:
    """Instants for all events, and a slice from the start of each try to calibrate a clock; one step an event."""
    under_way: dict[str, int] = {}  # tracks
    for event in stream(trace, _EVENTS, ["seq"]):
        values = {value["name"]: _value(value) for value in trace.rows(_VALUES, [event["seq"]])}
        clock = cut(one_line(event["clock"] or str(values.get("name") or "")), _NAME_MAX // 2)
        title = f"{words(event['what'])} {clock}".strip()
        said = {"seq": event["seq"], "rule": event["rule"], **_place(event), **values}
        now = tracks.when(event)
        tracks.instant(tracks.cpu(event["cpu"]), now, title, event["what"], said)
        if event["what"] in lanes.ENDS and clock in under_way:
            tracks.end(under_way.pop(clock), now)
        if event["what"] in lanes.BEGINS and clock not in under_way:
            under_way[clock] = tracks.of(f"calibration of {clock}")
            tracks.begin(under_way[clock], now, title, "calibration", said)
        yield
    for track in under_way.values():
        tracks.end(track, tracks.at(end_ns))


# ---------------------------------------------------------------- clocks

_STATES = {"registered": "registered", "selected": "in use"}


def _write_clocks(content: Record, tracks: _Tracks) -> None:
    """The lanes that the page draws: a clock while it is registered and in use, and where it was lost."""
    arranged = lanes.arrange(content, [], [], tracks.axis)
    named = [f"{lane['title']} (event device)" if lane["device"] else lane["title"] for lane in arranged.lanes]
    events = {event["seq"]: event for event in content["events"]}
    for number, lane in enumerate(arranged.lanes):
        if lane["kind"] == "clock":
            spans = [span for span in arranged.spans if span["lane"] == number and span["kind"] in _STATES]
            _write_spans(f"clock {named[number]}", spans, tracks)
    for seq, number in arranged.marks:
        event = events[seq]
        if arranged.lanes[number]["kind"] == "clock" and event["what"] in lanes.LOST:
            said: Values = {"seq": seq, "function": event["function"], "source": event["source"]}
            track = tracks.of(f"clock {named[number]}")
            tracks.instant(track, tracks.when(event), f"lost: {words(event['what'])}", event["what"], said)


def _write_spans(name: str, spans: Sequence[Record], tracks: _Tracks) -> None:
    """Slices that nest; those that do not, for each vCPU chooses its own event device, have tracks of their own."""
    piles: list[list[Record]] = []
    for span in sorted(spans, key=lambda span: (span["from"], -span["to"])):
        pile = next((pile for pile in piles if _nests(span, pile)), None)
        if pile is None:
            pile = []
            piles.append(pile)
        pile.append(span)
    first = tracks.of(name)
    for number, pile in enumerate(piles):
        track = tracks.of(f"{name} ({number + 1})", first) if number else first
        open_spans: list[Record] = []
        for span in pile:
            while open_spans and open_spans[-1]["to"] <= span["from"]:
                tracks.end(track, round(1e6 * open_spans.pop()["to"]))
            open_spans.append(span)
            said = {"seq": span["seq"]}
            tracks.begin(track, round(1e6 * span["from"]), _STATES[span["kind"]], f"clock.{span['kind']}", said)
        for span in reversed(open_spans):
            tracks.end(track, round(1e6 * span["to"]))


def _nests(span: Record, pile: Sequence[Record]) -> bool:
    """Whether it lies within each of the others that it meets. They begin before it."""
    return all(other["to"] <= span["from"] or span["to"] <= other["to"] for other in pile)


def _value(row: Record) -> int | str | None:
    number: int | None = row["number"]
    if number is None:
        text: str | None = row["text"]
        return text
    return number + (1 << 64) * bool(row["is_unsigned"])
