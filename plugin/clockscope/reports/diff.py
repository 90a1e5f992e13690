# SPDX-License-Identifier: MIT
"""A diff for people: first what differs at a glance, then where the two first decided differently."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from clockscope.model import changes_made, disturbed
from clockscope.model.conclusion import names_of
from clockscope.profiles import reading
from clockscope.profiles.reading import Words
from clockscope.reports import diff_events, values
from clockscope.reports.path import compared, short, way
from clockscope.reports.table import Cell, Column, fitted, render, styled
from clockscope.base.ui import Ui, counted, cut, one_line, prose_width

Record = dict[str, Any]
"""An object of schemas/diff.schema.json."""

_TEXT_LIMIT = 72
_SHOWN_MAX = 40  # rows of a kind; --format json has all
_ALL_ONES = (1 << 64) - 1


def difference(result: Record, files: tuple[str, str], ui: Ui) -> str:
    sections = [
        _head(result, files, ui),
        _guest(result["guest"], ui),
        _clocks(result, ui),
        _events(result, ui),
        *_divergences(result, ui),
        _others(result, ui),
        _functions(result["functions"], ui),
    ]
    return "\n\n".join("\n".join(fitted(section, ui)) for section in sections if section) + "\n"


def _head(result: Record, files: tuple[str, str], ui: Ui) -> list[str]:
    lines = [f"A: {one_line(files[0])}", f"B: {one_line(files[1])}"]
    for letter, complete, damage, mode in zip("AB", result["complete"], result["damage"], result["mode"]):
        if mode == "log":
            lines.append(f"{letter} is from a log: compared is what its kernel prints")
        if damage is not None:
            lines.append(styled(f"{letter} is DAMAGED: {one_line(damage)}", "red", ui.colour))
        elif not complete:
            lines.append(styled(f"{letter} is incomplete: its recording did not end in order", "yellow", ui.colour))
    for side in "ab":
        lines += [f"{side.upper()}: {one_line(said)}" for said in result["late"][side]]
    for side in "ab":
        lines += changes_made.lines(result["interventions"][side], f"{side.upper()}: ")
    for side in "ab":
        said = [cut(one_line(one["said"]), 2 * _TEXT_LIMIT) for one in result["disturbed"][side][:_SHOWN_MAX]]
        lines += [styled(f"{side.upper()}: {line}", "red", ui.colour) for line in said]
    if result["same"]:
        compared = result["functions"]["compared"]
        lines.append(
            f"No difference: frequencies within {result['ppm']:g} ppm, {counted(compared, 'function')} compared"
        )
    sentence = conclusion_line(result)
    return [*lines, "", *textwrap.wrap(sentence, prose_width(ui))] if sentence else lines


def conclusion_line(result: Record) -> str:
    """What B lacks, and the decision that lost it, in one sentence; empty where nothing differs that makes one."""
    found = result["conclusion"]
    decision, first = found["decision"], found["first"]
    if not found["lacking"] and first is None:
        return ""
    lacks = ", ".join(_cut(name) for name in names_of(found["lacking"]))
    who, other = found["side"].upper(), "A" if found["side"] == "b" else "B"
    said = f"{who} lacks {lacks}, which {other} has" if lacks else "Neither lacks a clock of the other's"
    if decision is None:
        before = f"; the first that differs: {_parted(first)}" if first else ""
        return f"{said}: no decision that was traced tells why{before}."
    before = f"; before it {_parted(first)}" if first and first != decision else ""
    return f"{said}: {_parted(decision)}{before}."


def _parted(decision: Record) -> str:
    """ "f at tsc.c:330 decided otherwise: `if (x)` is true in A and false in B"."""
    a, b = (taken(decision[side]) for side in "ab")
    known = all(decision[side]["condition"] is not None for side in "ab")
    text = f"`{_cut(decision['text'].rstrip(' {').strip())}`{' is' if known else ':'} " if decision["text"] else ""
    place = " at " + short(decision["source"]) if decision["source"] else ""
    return f"{_cut(decision['function'])}{place} decided otherwise ({text}{a} in A, {b} in B)"


def _title(text: str, ui: Ui) -> str:
    return styled(text, "bold", ui.colour)


def _table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str | Cell]], ui: Ui) -> list[str]:
    if not rows:
        return []
    lines = render([Column(header) for header in headers], rows[:_SHOWN_MAX], ui.colour)
    lines += [f"… and {len(rows) - _SHOWN_MAX} more"] if len(rows) > _SHOWN_MAX else []
    return [_title(title, ui), *("  " + line for line in lines)]


def _guest(differences: Sequence[Record], ui: Ui) -> list[str]:
    return _table("What the guests are told", ("", "A", "B"), guest_rows(differences), ui)


def guest_rows(differences: Sequence[Record]) -> list[list[str]]:
    """What, A, B."""
    return [
        [_cut(item["what"]), value(item["what"], item["a"]), value(item["what"], item["b"])] for item in differences
    ]


def _clocks(result: Record, ui: Ui) -> list[str]:
    rows = clock_rows(result)
    return _table("Clocks", ("name", "kind", "", "A", "B"), rows, ui)


def clock_rows(result: Record) -> list[list[str]]:
    """Name, kind, what, A, B."""
    clocks, found, known = result["clocks"], result["disturbed"], _words(result)
    rows: list[list[str]] = []
    for key, letter in (("only_a", "A"), ("only_b", "B")):
        for clock in clocks[key]:
            shown = [_clock(clock), "-"]
            rows.append(
                [
                    _cut(clock["name"]),
                    _cut(clock["kind"]),
                    f"only in {letter}",
                    *(shown if letter == "A" else shown[::-1]),
                ]
            )
    for item in clocks["differ"]:
        name = item["what"]
        subject = "device" if item["kind"] == "event device" else "clock"
        pair = [value(name, item[side], subject, words) + _mark(item, found[side]) for side, words in zip("ab", known)]
        rows.append([_cut(item["name"]), _cut(item["kind"]), label(name), *pair])
    return rows


def _mark(item: Record, found: Sequence[Record]) -> str:
    return disturbed.marks(found, item["name"]) if item["what"] == "frequency_hz" else ""


def _clock(clock: Record) -> str:
    fields = {key: clock[key] for key in ("rating", "quality", "frequency_hz") if clock[key] is not None}
    return values.describe(fields) + (", in use at the end" if clock["current"] else "") or "yes"


def label(field: str) -> str:
    """What a clock's field is called."""
    words = {"current": "in use at the end", "frequency_hz": "frequency", "selected": "ever selected"}
    return words.get(field, field.replace("_", " "))


def _events(result: Record, ui: Ui) -> list[str]:
    return _table("Events", ("event", "clock", ""), event_rows(result), ui)


def event_rows(result: Record) -> list[list[str]]:
    """Kind, clock, what differs and when, in the order of A's and B's times."""
    known = _words(result)
    return diff_events.rows(result["events"], lambda item, what: _pair(item, what, known))


def _what(event: Record) -> str:
    return cut(values.words(event["what"]), _TEXT_LIMIT)


def _words(result: Record) -> tuple[Words, Words]:
    here, there = (reading.of(system) for system in result["systems"])
    return here, there


def _pair(item: Record, what: str, known: tuple[Words, Words]) -> str:
    pair = [value(item["name"], item[side], what, words) for side, words in zip("ab", known)]
    return f"{_cut(item['name']).replace('_', ' ')}: {' | '.join(pair)}"


def value(name: str, value: Any, what: str = "", known: Words | None = None) -> str:
    """A field's content in words; its bits by the names that they have in an event of this kind."""
    if value is None:
        return "-"
    if bits := values.bits(what, name, value, known):
        return bits
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return values.describe({name: value}).removeprefix(name.removesuffix("_ns").replace("_", " ") + " ")
    return _cut(str(value))


def _cut(text: str) -> str:
    return cut(one_line(text), _TEXT_LIMIT)


# ---------------------------------------------------------------- decisions


def _divergences(result: Record, ui: Ui) -> Iterator[list[str]]:
    for title, divergence in divergences(result):
        yield [_title(title, ui), *divergence_lines(divergence, ui)]


def divergences(result: Record) -> Iterator[tuple[str, Record]]:
    """The first, and those that decided over the clocks which differ, each with a title."""
    first = result["first_divergence"]
    if first is None:
        return
    yield "The first decision that differs", first
    clocks = {clock["name"] for kind in ("only_a", "only_b", "differ") for clock in result["clocks"][kind]}
    for item in result["functions"]["differ"]:
        divergence = item["divergence"]
        concerned = clocks.intersection(divergence["clocks"]) if divergence else set()
        if concerned and divergence["function"] != first["function"]:
            yield f"Where {', '.join(map(_cut, sorted(concerned)))} went another way", divergence


def divergence_lines(divergence: Record, ui: Ui) -> Iterator[str]:
    """A decision that differs, with what followed on both sides."""
    text = f"  {_cut(divergence['text'].strip())}" if divergence["text"] else ""
    inlined = f" (inlined: {one_line(divergence['inlined'])})" if divergence["inlined"] else ""
    where = f"{one_line(divergence['function'])}{inlined}  {short(divergence['source'])}{text}"
    yield "  " + styled(where, "bold", ui.colour)
    for letter, side in (("A", divergence["a"]), ("B", divergence["b"])):
        yield from _side(letter, side, side["source"] != divergence["source"])


def _side(letter: str, side: Record, own_source: bool) -> Iterator[str]:
    told = describe(side, own_source)
    yield f"  {letter}: {told['decided']}"
    yield from ("       " + line for line in (*told["then"], told["outcome"]))
    if told["events"]:
        yield "       events after it: " + told["events"]


def describe(side: Record, own_source: bool) -> Record:
    """What one side decided and what followed, in words: decided, then (a line a decision), outcome, events."""
    place = f" at {short(side['source'])}" if own_source else ""
    held = compared(side)
    instruction = f" ({one_line(side['instruction'])})" if side["condition"] is None else ""
    gap = ", worked out" if side["in_gap"] else ""
    following = [f"{_what(event)} {_cut(event['clock'] or '')}".strip() for event in side["events"]]
    return {
        "decided": f"{taken(side)}{place}{instruction}"
        f"{' → ' + short(side['to']) if side['to'] else ''}{'  ' + held if held else ''}"
        f"  [call {side['invocation']}, {side['when']}{gap}]",
        "then": [_then(step) for step in side["then"]],
        "outcome": outcome(side),
        "events": ", ".join(following),
    }


def _then(step: Record) -> str:
    text = _cut((step["text"] or "").strip())
    return f"then {short(step['source'])}  {text}  {way(step)} → {short(step['to']) or '?'}"


def taken(side: Record) -> str:
    """Which way a side went."""
    return "never that way" if side["taken"] is None else way(side)


def outcome(side: Record) -> str:
    if side["returned"] == "yes" and side["value"] is not None:
        return f"returned {side['value']:#x}" + (" (all ones)" if side["value"] == _ALL_ONES else "")
    return {"yes": "returned", "tail call": "left by a tail call"}.get(side["returned"], "its return was not seen")


def _others(result: Record, ui: Ui) -> list[str]:
    rows = [_function(item) for item in result["functions"]["differ"]]
    headers = ("function", "calls A", "calls B", "calls that differ", "first at", "A", "B", "clocks")
    return _table("Functions that decided differently, in the order of A", headers, rows, ui)


def _function(item: Record) -> list[str]:
    calls = [str(number) for number in item["invocations"]]
    name = one_line(item["function"])
    divergence = item["divergence"]
    if divergence is None:
        return [name, *calls, "none of those that both have", "", "", "", ""]
    where = f"{short(divergence['source'])}  {_cut((divergence['text'] or '').strip())}".rstrip()
    ways = [taken(divergence[side]) for side in ("a", "b")]
    return [name, *calls, f"{item['differing']} of {item['compared']}", where, *ways, ", ".join(divergence["clocks"])]


def _functions(functions: Record, ui: Ui) -> list[str]:
    lines: list[str] = []
    for key, title in (
        ("only_a", "Reached only in A"),
        ("only_b", "Reached only in B"),
        ("not_compared", "Traced in one of the two only"),
    ):
        names = ", ".join(one_line(name) for name in functions[key])
        if names:
            folded = textwrap.wrap(names, prose_width(ui, 2), break_long_words=False, break_on_hyphens=False)
            lines += [_title(title, ui), *("  " + line for line in folded)]
    return lines
