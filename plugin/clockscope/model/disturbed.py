# SPDX-License-Identifier: MIT
"""Which calibrated values of a boot were measured while it was stopped in, and by how much they may be off."""

from collections.abc import Iterator, Mapping, Sequence

from clockscope._core import Trace
from clockscope.model import changes_made, late
from clockscope.model.axis import Axis
from clockscope.model.doer import doer
from clockscope.model.hertz import frequency as frequency
from clockscope.profiles import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict

KEPT = ("stood_ns", "stops", "lost_cycles", "error_bound_ppm", "disturbed", "not_known")
"""The values of an event that tell of it (live/observer.py)."""

_YES, _NO = "yes", "no"
_CALIBRATED = ("calibration.finished", "frequency.detected")


def state(values: Mapping[str, object]) -> bool | None:
    """Whether an event's value is disturbed; None where that is not known, and where nothing is said of it."""
    return {_YES: True, _NO: False}.get(str(values.get("disturbed")))


def sentence(clock: str, values: Record, kept: Record) -> str:
    """What is to be said of a value; not for one that is undisturbed."""
    hertz = frequency(values)
    said = f"{clock} {hertz / 1e6:.3f} MHz" if hertz is not None else clock
    return f"{said}: {measure(kept)}"


def measure(kept: Record) -> str:
    """How far a value may be off, in words."""
    bound, stood = kept.get("error_bound_ppm"), kept.get("stood_ns")
    times = f", your guest stood {stood / 1e6:.3f} ms meanwhile" if isinstance(stood, int) else ""
    if state(kept):
        return f"DISTURBED by up to {bound} ppm{times}"
    if kept.get("disturbed") is None:
        return "whether it was disturbed was not recorded"
    limit = f" (by up to {bound} ppm)" if isinstance(bound, int) else ""
    return f"perhaps disturbed{limit}: {kept.get('not_known') or 'that could not be measured'}{times}"


def of(timeline: Record) -> list[Record]:
    """The calibrated values that are disturbed, or may be, in the order of their events."""
    return list(_found(timeline["events"]))


def _found(events: Sequence[Record]) -> Iterator[Record]:
    for event in events:
        values = event["values"]
        if values.get("disturbed") is None or state(values) is False:
            continue
        bound = values.get("error_bound_ppm")
        yield {
            "seq": event["seq"],
            "rule": event["rule"],
            "clock": event["clock"],
            "frequency_hz": frequency(values),
            "error_bound_ppm": bound if isinstance(bound, int) else None,
            "certain": state(values) is True,
            "said": sentence(str(event["clock"] or event["rule"]), values, values),
        }


def timeline(trace: Trace) -> Record:
    """A trace's timeline as schemas/timeline.schema.json describes it: with what was changed, and what was disturbed."""
    content = changes_made.timeline(trace)
    found = of(content)
    marked = [{**clock, "disturbed": _of_clock(clock, content["events"])} for clock in content["clocks"]]
    begun = {"late": late.of(content["provenance"])}
    return {**content, **_when_and_who(content), **begun, "clocks": marked, "disturbed": found}


def _when_and_who(content: Record) -> Record:
    """The events with their place on the one axis of time, and with who did what they tell."""
    axis, words = Axis(content), reading.of(content["guest"])
    events = [{**event, "time_ns": axis.ns(event), "by": doer(event, words)} for event in content["events"]]
    return {"events": events, "time": axis.name}


def _of_clock(clock: Record, events: Sequence[Record]) -> bool | None:
    """Whether a clock's frequency is disturbed, as the last calibration of it says; None: perhaps."""
    told = [
        event["values"]
        for event in events
        if event["what"] in _CALIBRATED and family(str(event["clock"])) == family(str(clock["name"]))
    ]
    return state(told[-1]) if told and told[-1].get("disturbed") is not None else False


def marks(found: Sequence[Record], clock: str) -> str:
    """What is said behind a clock's frequency, if one of these is of it."""
    same = [one for one in found if one["clock"] and family(one["clock"]) == family(clock)]
    return mark(True if same[-1]["certain"] else None) if same else ""


def mark(disturbed: bool | None) -> str:
    return {True: " (disturbed)", None: " (perhaps disturbed)"}.get(disturbed, "")


def family(clock: str) -> str:
    """Clocks that share a frequency: "tsc-early" is the TSC."""
    return clock.lower().split("-")[0]
