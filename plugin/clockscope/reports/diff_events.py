# SPDX-License-Identifier: MIT
"""The events that differ, for people: what follows from one cause is one row, and what only came in another order is told so."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from clockscope.reports import values
from clockscope.base.ui import cut, one_line

Record = dict[str, Any]
"""An event of schemas/diff.schema.json."""
Row = tuple[int, list[str]]
"""A row with what it is sorted by."""

_TEXT_LIMIT = 72
_FOLLOWING_MAX = 12
_SAME_RATIO = 0.002  # values that follow from one frequency differ by the same factor, but for rounding


def rows(events: Record, pair: Callable[[Record, str], str]) -> list[list[str]]:
    """Kind, clock, what differs and when. `pair` says a value that differs, of an event's kind."""
    moved, only = _moved(events)
    found: list[Row] = []
    for key, letter in (("only_a", "A"), ("only_b", "B")):
        for chain in _chains(only[key]):
            found.append((chain[0]["run_ns"], _chain(chain, letter)))
    found += [
        (event["run_ns"], [_what(event), _clock(event), f"in another order, {_at(event)} in A"]) for event in moved
    ]
    found += _differing(events["differ"], pair)
    return [row for _, row in sorted(found, key=lambda row: row[0])]


def _key(event: Record) -> tuple[str, str | None, str]:
    return event["what"], event["clock"], event["rule"]


def _moved(events: Record) -> tuple[list[Record], dict[str, list[Record]]]:
    """What both have, at another place, and what one alone has."""
    there = Counter(_key(event) for event in events["only_b"])
    moved, left = [], {"only_a": list[Record](), "only_b": list[Record]()}
    for event in events["only_a"]:
        if there[_key(event)] > 0:
            there[_key(event)] -= 1
            moved.append(event)
        else:
            left["only_a"].append(event)
    for event in reversed(events["only_b"]):
        if there[_key(event)] > 0:
            there[_key(event)] -= 1
            left["only_b"].insert(0, event)
    return moved, left


def _family(event: Record) -> str:
    """tsc-early makes room for tsc."""
    return (event["clock"] or "").split("-")[0].lower()


def _chains(events: Sequence[Record]) -> Iterator[list[Record]]:
    """Events of one clock's that follow one another, with none between that both sides have."""
    chains: dict[tuple[int, str, str], list[Record]] = {}
    for event in events:
        chains.setdefault((event["chain"], _family(event) or str(event["seq"]), event["unknown"]), []).append(event)
    yield from chains.values()


def _chain(chain: Sequence[Record], letter: str) -> list[str]:
    first, *others = chain
    counted = Counter((_what(event), _clock(event)) for event in chain)
    times = counted.pop((_what(first), _clock(first)))
    other, why = "B" if letter == "A" else "A", cut(one_line(first["unknown"]), _TEXT_LIMIT)
    said = f"only in {letter}" + (f"; not known in {other}: {why}" if why else "")
    said += f", {times} times" if times > 1 else ""
    following = [
        f"{what}{'' if clock == _clock(first) else ' ' + clock}{f' {count} times' if count > 1 else ''}"
        for (what, clock), count in counted.items()
    ]
    if following:
        more = ", …" if len(following) > _FOLLOWING_MAX else ""
        said += f", and what followed: {', '.join(following[:_FOLLOWING_MAX])}{more}"
    return [_what(first), _clock(first), f"{said}, {_span(chain) if others else _at(first)}"]


def _differing(events: Sequence[Record], pair: Callable[[Record, str], str]) -> Iterator[Row]:
    """Values that differ by the same factor as a clock's before follow from those."""
    causes: list[tuple[str, float, Record, list[Record], list[str]]] = []
    for event in events:
        ratio = _ratio(event["values"])
        cause = next((one for one in causes if ratio and one[0] == _family(event) and _is_same(one[1], ratio)), None)
        said = "; ".join(pair(item, event["what"]) for item in event["values"])
        if cause:
            cause[3].append(event)
            continue
        alike = next((one for one in causes if _key(one[2]) == _key(event) and one[4] == [said]), None)
        if alike:
            alike[3].append(event)
            continue
        causes.append((_family(event), ratio or 0.0, event, [], [said]))
    for _, _, event, following, (said,) in causes:
        yield event["run_ns"], [_what(event), _clock(event), f"{said}{_so_too(event, following)}, {_at(event)}"]


def _so_too(event: Record, following: Sequence[Record]) -> str:
    names = Counter("again" if _key(one) == _key(event) else f"{_what(one)} {_clock(one)}".strip() for one in following)
    shown = [f"{name} {count} times" if count > 1 else name for name, count in names.items()][:_FOLLOWING_MAX]
    return f" (and so {', '.join(shown)})" if shown else ""


def _ratio(differing: Sequence[Record]) -> float | None:
    """The one factor that all values of an event differ by."""
    ratios = [
        _number(item["b"]) / _number(item["a"]) for item in differing if _number(item["a"]) and _number(item["b"])
    ]
    if not ratios or len(ratios) < len(differing):
        return None
    return ratios[0] if all(_is_same(ratios[0], one) for one in ratios) and not _is_same(ratios[0], 1.0) else None


def _number(value: Any) -> float:
    try:
        return 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _is_same(one: float, other: float) -> bool:
    """A period is a frequency's inverse."""
    return any(abs(one - ratio) <= _SAME_RATIO * abs(one) for ratio in (other, 1 / other if other else 0.0))


def _what(event: Record) -> str:
    return cut(values.words(event["what"]), _TEXT_LIMIT)


def _clock(event: Record) -> str:
    return cut(one_line(event["clock"] or ""), _TEXT_LIMIT)


def _unit(event: Record) -> str:
    return "" if event["when"].startswith("[") else " ms"


def _at(event: Record) -> str:
    return f"at {event['when']}{_unit(event)}"


def _span(events: Sequence[Record]) -> str:
    return f"from {events[0]['when']} to {events[-1]['when']}{_unit(events[-1])}"
