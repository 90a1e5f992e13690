# SPDX-License-Identifier: MIT
"""The timeline for people: a line an event, then the clocks, then what was expected and not seen."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from clockscope._core import Trace
from clockscope.model import absence, changes_made, disturbed, late
from clockscope.model.axis import Axis
from clockscope.profiles import reading
from clockscope.reports import event_rows, late as late_report, values
from clockscope.reports.table import Cell, Column, file_line, fold, length, render, styled
from clockscope.base.ui import Ui, counted, cut, one_line, prose_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
    ClockColumn = tuple[str, Any, Callable[[Record, "Clock"], str]]
else:
    Record = dict
"""An object of schemas/timeline.schema.json."""

_DETAILS_LIMIT = 80
_NAME_LIMIT = 48
_HANG = 4
_SAID_LIMIT, _SAID_MAX = 160, 20  # of what is said of disturbed values
_SYSTEMS = {"linux": "Linux", "netbsd": "NetBSD", "freebsd": "FreeBSD"}


class Options:
    """How the events are shown: `columns` are names of event_rows.COLUMNS."""

    def __init__(self, *, backtrace: bool = False, wide: bool = False, columns: Sequence[str] = ()) -> None:
        self.backtrace, self.wide, self.columns = backtrace, wide, columns


def timeline(content: Record, ui: Ui, options: Options = Options(), *, file: str, under_way: bool = False) -> str:
    """`content` as schemas/timeline.schema.json describes it; `under_way`: it is being recorded."""
    time = Clock(content)
    sections = [
        [file_line(file, ui), *fold(_head(content, time, under_way, ui), ui.width, _HANG)],
        _events(content, time, options, ui),
        *(fold(section, ui.width, 2 * _HANG) for section in _late(content, ui)),
        *_clocks(content["clocks"], time, ui),
        *(fold(section, ui.width, 2 * _HANG) for section in _absent(content["never_reached"], time, ui)),
        *(fold(section, ui.width, 2 * _HANG) for section in _counters(content["counters"], time, ui)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


class Clock:
    """When things happened, as this boot is told of."""

    def __init__(self, content: Record, trace: Trace | None = None) -> None:
        self.axis = Axis(content, trace)
        self.name = self.axis.name
        self.unit = self.axis.unit
        self.is_log = self.axis.is_log
        self._never = {kind: absence.never(content, f"{kind}.registered") for kind in ("clock", "device")}
        self._before = late.names(content.get("late"))

    def unregistered(self, clock: Record) -> str:
        """Of one that no event tells to have been registered."""
        if clock["name"] in self._before:
            return "before"
        return self._never["device" if clock["kind"] == "event device" else "clock"]

    def __call__(self, moment: Record) -> str:
        return self.axis.text(moment)

    def milliseconds(self, moment: Record) -> str:
        """The same as a number in ms."""
        if self.axis.unit == "ms":
            return self.axis.text(moment)
        about = "~" * (self.axis.ns(moment) is None)
        return about + values.milliseconds(round(1e6 * self.axis.of(moment)))


def _head(content: Record, time: Clock, under_way: bool, ui: Ui) -> list[str]:
    name = guest_name(content["guest"])
    registered = [clock["kind"] == "event device" for clock in content["clocks"] if clock["registered"] is not None]
    devices = sum(registered)
    clocks = counted(len(registered) - devices, "clock") + (
        f" and {counted(devices, 'event device')}" if devices else ""
    )
    lines = [
        name,
        f"{counted(len(content['events']), 'event')}, {clocks} registered; times in {time.unit}: {time.name}",
    ]
    if time.is_log:
        lines.append("from a log: nothing is known beyond what the kernel printed")
    lines += late_report.lines(content["late"])
    if content["complete"]:
        early = content["provenance"].get("plan.ended") == "early"
        later = "; the boot's end was not seen, and what came later is not known" if early else ""
        lines.append("complete: " + one_line(content["end_reason"]) + later)
    elif under_way:
        lines.append(styled("being recorded: more may follow", "yellow", ui.colour))
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


def _name(text: str | None) -> str:
    return cut(one_line(text or ""), _NAME_LIMIT)


def _events(content: Record, time: Clock, options: Options, ui: Ui) -> list[str]:
    events = content["events"]
    if not events:
        return ["No events."]
    words = reading.of(content["guest"])
    (header, *rows) = event_rows.lines(events, time.axis, words, ui, columns=options.columns, wide=options.wide)
    if not options.backtrace:
        return [line for row in (header, *rows) for line in row]
    return [*header, *(line for row, event in zip(rows, events) for line in (*row, *_frames(event)))]


def _frames(event: Record) -> Iterator[str]:
    message = event["values"].get("message")
    if isinstance(message, str):
        yield f'      "{one_line(message)}"'
    for level, frame in enumerate(event["backtrace"]):
        source = one_line(frame["source"])
        inlined = " (inlined)" if frame["inlined"] else ""
        yield f"      #{level:<2} {one_line(frame['function'])}" + (f" at {source}" if source else "") + inlined


def _late(content: Record, ui: Ui) -> Iterator[list[str]]:
    if content["late"] is not None:
        yield from late_report.sections(content["late"], content["guest"], ui)


def _clocks(clocks: Sequence[Record], time: Clock, ui: Ui) -> Iterator[list[str]]:
    for kind in dict.fromkeys(clock["kind"] for clock in clocks):
        same = by_rating(clock for clock in clocks if clock["kind"] == kind)
        shown = [column for column in CLOCK_COLUMNS if any(column[2](clock, time) for clock in same)]
        lines = _indented(_clock_table(same, shown, time, ui))
        if ui.width and max(map(length, lines)) > ui.width:
            narrow = [column for column in shown if column[0] not in _HISTORY]
            lines = _indented(_clock_table(same, [*narrow, ("state", "left", _state)], time, ui))
        title = styled(f"{_name(kind).capitalize()}s", "bold", ui.colour)
        yield [title, *fold(lines, ui.width, 2 * _HANG)]


def _clock_table(clocks: Sequence[Record], shown: "Sequence[ClockColumn]", time: Clock, ui: Ui) -> list[str]:
    rows = [[get(clock, time) or "-" for _, _, get in shown] for clock in clocks]
    return render([Column(name, justify) for name, justify, _ in shown], rows, ui.colour)


def by_rating(clocks: Iterable[Record]) -> list[Record]:
    """As the kernel's sysfs lists them: the one in use first, then the best rated."""
    return sorted(clocks, key=lambda clock: (not clock["current"], -_rank(clock)))


def _rank(clock: Record) -> float:
    rank = clock["rating"] if clock["rating"] is not None else clock["quality"]
    return float("-inf") if rank is None else float(rank)


def _registered(clock: Record, time: Clock) -> str:
    return time(clock["registered"]) if clock["registered"] else time.unregistered(clock)


def _selected(clock: Record, time: Clock) -> str:
    moments = [time(moment) for moment in clock["selections"]]
    if len(moments) > 3:
        moments = [moments[0], f"… ({len(moments) - 2} more)", moments[-1]]
    return ", again ".join(moments) + (", in use" if clock["current"] else "")


def _lost(clock: Record, time: Clock) -> str:
    lost = clock["lost"]
    return f"{time(lost)}: {cut(one_line(lost['reason']), _DETAILS_LIMIT)}" if lost else ""


def _state(clock: Record, time: Clock) -> str:
    """What became of it last, where there is no room for all."""
    if clock["current"]:
        return f"in use since {time(clock['selections'][-1])}"
    if clock["lost"]:
        gone = clock["lost"]["reason"] == "unregistered"
        return f"unregistered {time(clock['lost'])}" if gone else f"lost {_lost(clock, time)}"
    if clock["selections"]:
        return f"was in use, since {time(clock['selections'][-1])}"
    return (
        f"registered {time(clock['registered'])}"
        if clock["registered"]
        else f"registered: {time.unregistered(clock) or '-'}"
    )


def _frequency(clock: Record) -> str:
    said = values.frequency(clock["frequency_hz"]) if clock["frequency_hz"] else ""
    return said + disturbed.mark(clock.get("disturbed", False)) if said else ""


def _number(key: str) -> Callable[[Record, Clock], str]:
    return lambda clock, _: "" if clock[key] is None else str(clock[key])


_HISTORY = ("registered", "selected", "lost")
# Header, alignment, content: "" where there is none. A column that no clock fills is left out.
CLOCK_COLUMNS: "list[ClockColumn]" = [
    ("name", "left", lambda clock, _: _name(clock["name"])),
    ("rating", "right", _number("rating")),
    ("quality", "right", _number("quality")),
    ("frequency", "right", lambda clock, _: _frequency(clock)),
    ("mask", "right", lambda clock, _: "" if clock["mask"] is None else values.mask(clock["mask"])),
    ("registered", "right", _registered),
    ("selected", "left", _selected),
    ("lost", "left", _lost),
]


def _indented(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]


def absent_row(item: Record, time: Clock) -> list[str]:
    """What was looked for and not seen: rule, kind, where, and what that says."""

    def moment(run_ns: int) -> str:
        return time.axis.said({"seq": None, "run_ns": run_ns}).removeprefix("at ")

    said = one_line(absence.said(item, moment))
    return [_name(item["rule"]), values.words(item["what"]), _name(item["function"]), said]


def _absent(expectations: Sequence[Record], time: Clock, ui: Ui) -> Iterator[list[str]]:
    for title, items in absence.grouped(expectations):
        lines = render([Column("")] * 4, [absent_row(item, time) for item in items], ui.colour, header=False)
        yield [styled(title, "bold", ui.colour), *_indented(lines)]


def _counters(counters: Sequence[Record], time: Clock, ui: Ui) -> Iterator[list[str]]:
    reached = [counter for counter in counters if counter["hits"]]
    never = [_name(counter["function"]) for counter in counters if not counter["hits"]]
    if reached:
        columns = [
            Column("function"),
            Column("calls", "right"),
            Column(f"first{' ms' * (time.unit == 'ms')}", "right"),
            Column("cpu", "right"),
        ]
        lines = render(columns, [_counter(counter, time) for counter in reached], ui.colour)
        yield [styled("Functions reached", "bold", ui.colour), *_indented(lines)]
    if never:
        import textwrap  # slow to import

        folded = textwrap.wrap(", ".join(never), prose_width(ui, 2), break_long_words=False, break_on_hyphens=False)
        yield [styled("Functions never reached", "bold", ui.colour), *_indented(folded)]


def _counter(counter: Record, time: Clock) -> list[Cell | str]:
    first, cpu = counter["first_run_ns"], counter["first_cpu"]
    return [
        _name(counter["function"]),
        str(counter["hits"]),
        "-" if first is None else time({"seq": None, "run_ns": first, "icount": counter["first_icount"]}),
        "-" if cpu is None else str(cpu),
    ]
