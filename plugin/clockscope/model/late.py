# SPDX-License-Identifier: MIT
"""A recording that began when the guest's kernel was up: since when it is known, and what the kernel had by then."""

from collections.abc import Iterator, Mapping, Sequence

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than a timeline to print
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict

BEGAN, LATE, SNAPSHOT = "plan.began", "late", "late.snapshot"
"""Keys of `meta`, and the value of the first."""

DEVICES, WATCHED = "event device", "watched clocksource"
_SHOWN_MAX = 256  # entries of a list: a trace is untrusted
_CLOCK = {"name": str, "rating": int, "quality": int, "frequency_hz": int, "mask": int, "flags": int}
_DEVICE = {"name": str, "cpu": int, "rating": int, "frequency_hz": int, "features": int, "mode": int}


def of(meta: Mapping[str, str]) -> Record | None:
    """As schemas/timeline.schema.json describes `late`; None for a recording that did not begin late."""
    if meta.get(BEGAN) != LATE:
        return None
    found = _parsed(meta.get(SNAPSHOT, ""))
    lists = _dict(found.get("lists"))
    watched = [str(one.get("name", "")) for one in _list(lists.get(WATCHED))] if WATCHED in lists else None
    current = found.get("current")
    values = {
        str(key): value for key, value in _dict(found.get("values")).items() if _is(value, int) or _is(value, str)
    }
    return {
        "since_boot_ns": found["since_boot_ns"] if _is(found.get("since_boot_ns"), int) else None,
        "current": current if _is(current, str) else None,
        "clocks": [
            {"kind": kind, **_only(one, _CLOCK), "watched": None if watched is None else one.get("name") in watched}
            for kind in lists
            if kind not in (DEVICES, WATCHED)
            for one in _list(lists[kind])
        ],
        "devices": [_only(one, _DEVICE) for one in _list(lists.get(DEVICES))],
        "values": values,
        "doubts": [one for one in found.get("doubts", ()) if _is(one, str)] if _is(found.get("doubts"), list) else [],
    }


def _parsed(text: str) -> Record:
    import json  # slow to import, and seldom needed

    try:
        return _dict(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _is(value: object, kind: type) -> bool:
    """A truth value is no number here, nor is what has more than 64 bits."""
    if isinstance(value, int):
        return kind is int and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 64
    return isinstance(value, kind)


def _dict(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Record]:
    return [one for one in value[:_SHOWN_MAX] if isinstance(one, dict)] if isinstance(value, list) else []


def _only(entry: Record, fields: Mapping[str, type]) -> Record:
    return {name: entry[name] if _is(entry.get(name), kind) else None for name, kind in fields.items()}


def names(found: Record | None) -> set[str]:
    """The clocks and devices that were there when the recording began."""
    return {one["name"] for key in ("clocks", "devices") for one in found[key] if one["name"]} if found else set()


def said(found: Record) -> Iterator[str]:
    """That it began late, in words."""
    up = found["since_boot_ns"]
    since = f"when its kernel had been up for {up / 1e9:.3f} s" if up else "when its kernel was up already"
    yield f"begun late: {since}; what was before is not known"
    yield from found["doubts"]


def with_clocks(timeline: Record) -> Record:
    """A timeline whose clocks are also those of the snapshot: as if each had been registered before its first event."""
    found = of(timeline["provenance"])
    if found is None:
        return timeline
    known = {clock["name"]: clock for clock in timeline["clocks"]}
    before = [_clock(one, found, known.get(one["name"])) for one in found["clocks"] if one["name"]]
    before += [_device(one, known.get(one["name"])) for one in {one["name"]: one for one in found["devices"]}.values()]
    there = {clock["name"] for clock in before}
    return {**timeline, "clocks": [*before, *(clock for clock in timeline["clocks"] if clock["name"] not in there)]}


_BEFORE = {"seq": None, "run_ns": 0, "guest_ns": None}


def _clock(one: Record, found: Record, known: Record | None) -> Record:
    blank: Record = {"lost": None, "selections": [], "selected": None}
    later = known or blank
    chosen = _BEFORE if one["name"] == found["current"] else None
    return {
        **blank,
        **later,
        **{key: one[key] for key in ("name", "kind", "rating", "quality", "frequency_hz", "mask", "flags")},
        "registered": later.get("registered") or _BEFORE,
        "selected": later.get("selected") or chosen,
        "current": later["current"] if known and later.get("selected") else chosen is not None,
    }


def _device(one: Record, known: Record | None) -> Record:
    return {
        **_clock({**dict.fromkeys(_CLOCK), "kind": DEVICES, **one, "mask": None}, {"current": one["name"]}, known),
    }
