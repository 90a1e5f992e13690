# SPDX-License-Identifier: MIT
"""The timeline for people: a line an event, then the clocks, then what was expected and not seen."""

from collections.abc import Callable, Iterator, Sequence

from clockscope.model import changes_made, disturbed
from clockscope.model.axis import Axis
from clockscope.reports import values
from clockscope.reports.table import Cell, Column, render, styled
from clockscope.base.ui import Ui, cut, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict
"""An object of schemas/timeline.schema.json."""

_DETAILS_LIMIT = 80
_NAME_LIMIT = 48
_SAID_LIMIT, _SAID_MAX = 160, 20  # of what is said of disturbed values
_VALUES = {True: "red", None: "yellow"}  # by whether they are disturbed
_STYLES = {
    "clock.selected": "green",
    "device.selected": "green",
    "clock.unstable": "red",
    "clock.rejected": "red",
    "calibration.refused": "red",
    "calibration.retried": "yellow",
}
_SYSTEMS = {"linux": "Linux", "netbsd": "NetBSD", "freebsd": "FreeBSD"}
_LOG_TIMES = {"kernel": "the kernel's own stamps", "time of day": "when the line was kept, since the first"}
ABSENT = {
    "planted": "Expected, never seen",
    "missing": "Not in this kernel",
    "refused": "Could not be watched",
}


def timeline(content: Record, ui: Ui, *, backtrace: bool = False) -> str:
    """`content` as schemas/timeline.schema.json describes it."""
    time = Clock(content)
    sections = [
        _head(content, time, ui),
        _events(content, time, backtrace, ui),
        *_clocks(content["clocks"], time, ui),
        *_absent(content["never_reached"], time, ui),
        *_counters(content["counters"], ui),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


class Clock:
    """When things happened: the guest's own time where it is exactly known of all, else the time that it ran."""

    def __init__(self, content: Record) -> None:
        said = content["provenance"]
        self._key = Axis(content["events"]).key
        self.name = "exact guest time" if self._key == "guest_ns" else "guest run time, stops excluded"
        self.is_log = said.get("stub.mode") == "log"
        if self.is_log:
            self.name = _LOG_TIMES.get(said.get("log.times", ""), "not known, only their order")
        self.never = "not told" if self.is_log else "never"
        """Of what no event tells."""
        self._known = not self.is_log or said.get("log.times") in _LOG_TIMES

    def __call__(self, moment: Record) -> str:
        return values.milliseconds(moment[self._key]) if self._known else "?"


def _head(content: Record, time: Clock, ui: Ui) -> list[str]:
    name = guest_name(content["guest"])
    registered = [clock["kind"] == "event device" for clock in content["clocks"] if clock["registered"] is not None]
    devices = sum(registered)
    clocks = _count(len(registered) - devices, "clock") + (f" and {_count(devices, 'event device')}" if devices else "")
    lines = [
        styled(name, "bold", ui.colour),
        f"{_count(len(content['events']), 'event')}, {clocks} registered; times in ms: {time.name}",
    ]
    if time.is_log:
        lines.append("from a log: nothing is known beyond what the kernel printed")
    if content["complete"]:
        lines.append("complete: " + one_line(content["end_reason"]))
    else:
        lines.append(styled("INCOMPLETE: " + one_line(content["end_reason"]), "red", ui.colour))
    lines += changes_made.lines(content["interventions"])
    said = [cut(one_line(one["said"]), _SAID_LIMIT) for one in disturbed.of(content)[:_SAID_MAX]]
    lines += [styled(line, "red", ui.colour) for line in said]
    if content["damage"] is not None:
        lines.append(styled("DAMAGED: " + one_line(content["damage"]), "red", ui.colour))
    return lines


def guest_name(guest: Record) -> str:
    """ "Linux 6.1.0-56-cloud-amd64" """
    system = _SYSTEMS.get(guest["os"], guest["os"])
    return " ".join(_name(part) for part in (system, guest["release"]) if part) or "unknown guest"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _name(text: str | None) -> str:
    return cut(one_line(text or ""), _NAME_LIMIT)


def _where(function: str, source: str) -> str:
    """A function with its source line; the folder is left to --backtrace."""
    return f"{_name(function)} {_name(source.rpartition('/')[2])}".strip()


def _events(content: Record, time: Clock, backtrace: bool, ui: Ui) -> list[str]:
    events = content["events"]
    if not events:
        return ["No events."]
    cells = [_event(event, time) for event in events]
    columns = [Column("ms", "right"), Column("cpu", "right"), Column("event"), Column("clock"), Column("values")]
    own = _times_by_tsc(content)
    if any(own):
        columns.insert(1, Column("by its TSC", "right"))
        for row, moment in zip(cells, own):
            row.insert(1, moment or "-")
    lines = render([*columns, Column("where")], cells, ui.colour)
    if not backtrace:
        return lines
    header, *rows = lines
    return [header, *(line for row, event in zip(rows, events) for line in (row, *_frames(event)))]


def _times_by_tsc(content: Record) -> list[str]:
    """When each event was by the guest's own TSC, at the frequency that the kernel takes it to have; "" where that is
    not known."""
    known = {clock["name"].lower(): clock["frequency_hz"] for clock in content["clocks"]}
    frequency = known.get("tsc") or known.get("tsc-early")
    return [
        values.milliseconds(event["tsc"] * 1_000_000_000 // frequency) if frequency and event["tsc"] is not None else ""
        for event in content["events"]
    ]


def _event(event: Record, time: Clock) -> list[Cell | str]:
    return [
        time(event),
        str(event["cpu"]) if event["cpu"] >= 0 else "?",
        Cell(cut(values.words(event["what"]), _NAME_LIMIT), _STYLES.get(event["what"], "")),
        Cell(_name(event["clock"]), "bold"),
        Cell(cut(values.describe(event["values"]), _DETAILS_LIMIT), _VALUES.get(_state(event), "")),
        _where(event["function"], event["source"]),
    ]


def _state(event: Record) -> bool | None:
    return disturbed.state(event["values"]) if "disturbed" in event["values"] else False


def _frames(event: Record) -> Iterator[str]:
    message = event["values"].get("message")
    if isinstance(message, str):
        yield f'      "{one_line(message)}"'
    for level, frame in enumerate(event["backtrace"]):
        source = one_line(frame["source"])
        inlined = " (inlined)" if frame["inlined"] else ""
        yield f"      #{level:<2} {one_line(frame['function'])}" + (f" at {source}" if source else "") + inlined


def _clocks(clocks: Sequence[Record], time: Clock, ui: Ui) -> Iterator[list[str]]:
    for kind in dict.fromkeys(clock["kind"] for clock in clocks):
        same = [clock for clock in clocks if clock["kind"] == kind]
        shown = [column for column in CLOCK_COLUMNS if any(column[2](clock, time) for clock in same)]
        rows = [[get(clock, time) or "-" for _, _, get in shown] for clock in same]
        title = styled(f"{_name(kind).capitalize()}s", "bold", ui.colour)
        yield [title, *_indented(render([Column(name, justify) for name, justify, _ in shown], rows, ui.colour))]


def _selected(clock: Record, time: Clock) -> str:
    moments = [time(moment) for moment in clock["selections"]]
    if len(moments) > 3:
        moments = [moments[0], f"… ({len(moments) - 2} more)", moments[-1]]
    return ", again ".join(moments) + (", in use" if clock["current"] else "")


def _lost(clock: Record, time: Clock) -> str:
    lost = clock["lost"]
    return f"{time(lost)}: {cut(one_line(lost['reason']), _DETAILS_LIMIT)}" if lost else ""


def _frequency(clock: Record) -> str:
    said = values.frequency(clock["frequency_hz"]) if clock["frequency_hz"] else ""
    return said + disturbed.mark(clock.get("disturbed", False)) if said else ""


def _number(key: str) -> Callable[[Record, Clock], str]:
    return lambda clock, _: "" if clock[key] is None else str(clock[key])


# Header, alignment, content: "" where there is none. A column that no clock fills is left out.
CLOCK_COLUMNS: list[tuple[str, "Any", Callable[[Record, Clock], str]]] = [
    ("name", "left", lambda clock, _: _name(clock["name"])),
    ("rating", "right", _number("rating")),
    ("quality", "right", _number("quality")),
    ("frequency", "right", lambda clock, _: _frequency(clock)),
    ("mask", "right", lambda clock, _: "" if clock["mask"] is None else values.mask(clock["mask"])),
    ("registered", "right", lambda clock, time: time(clock["registered"]) if clock["registered"] else time.never),
    ("selected", "left", _selected),
    ("lost", "left", _lost),
]


def _indented(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]


def absent(is_log: bool) -> dict[str, str]:
    """By their status, what is said above the events that were expected. A log may lack what happened."""
    return {**ABSENT, "planted": "Expected, not in the log"} if is_log else ABSENT


def _absent(expectations: Sequence[Record], time: Clock, ui: Ui) -> Iterator[list[str]]:
    for status, title in absent(time.is_log).items():
        rows = [
            [_name(item["rule"]), values.words(item["what"]), _name(item["function"]), one_line(item["note"])]
            for item in expectations
            if item["status"] == status
        ]
        if rows:
            lines = render([Column("")] * 4, rows, ui.colour, header=False)
            yield [styled(title, "bold", ui.colour), *_indented(lines)]


def _counters(counters: Sequence[Record], ui: Ui) -> Iterator[list[str]]:
    reached = [counter for counter in counters if counter["hits"]]
    never = [_name(counter["function"]) for counter in counters if not counter["hits"]]
    if reached:
        columns = [Column("function"), Column("calls", "right"), Column("first ms", "right"), Column("cpu", "right")]
        lines = render(columns, [_counter(counter) for counter in reached], ui.colour)
        yield [styled("Functions reached", "bold", ui.colour), *_indented(lines)]
    if never:
        import textwrap  # slow to import

        folded = textwrap.wrap(", ".join(never), max(ui.width - 2, 40), break_long_words=False, break_on_hyphens=False)
        yield [styled("Functions never reached", "bold", ui.colour), *_indented(folded)]


def _counter(counter: Record) -> list[Cell | str]:
    first, cpu = counter["first_run_ns"], counter["first_cpu"]
    return [
        _name(counter["function"]),
        str(counter["hits"]),
        "-" if first is None else values.milliseconds(first),
        "-" if cpu is None else str(cpu),
    ]
