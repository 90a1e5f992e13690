# SPDX-License-Identifier: MIT
"""A pattern in words, for people: "tsc: Refined TSC clocksource calibration: … MHz". Pure."""

import re

_GAP = "…"
_PART = re.compile(
    r"(?P<ahead>\(\?<?[!=])|(?P<named>\(\?P<\w+>)|(?P<group>\((?:\?:)?)|(?P<end>\))|(?P<bar>\|)|(?P<set>\[\^?\]?[^\]]*\])"
    r"|(?P<kind>\\[dDsSwWbB]|\.)|\\(?P<escaped>.)|(?P<anchor>[\^$])|(?P<repeat>[*+?]\??|\{\d*,?\d*\})|(?P<plain>.)",
    re.DOTALL,
)


def in_words(pattern: re.Pattern[str]) -> str:
    """What the pattern finds: its plain text, "…" for what differs; of alternatives the first, nothing that may be missing."""
    parts = list(_PART.finditer(pattern.pattern))
    text, _ = _sequence(parts, 0)
    return re.sub(rf"{_GAP}(?:\s*{_GAP})*", _GAP, re.sub(r"\s+", " ", text)).strip()


def _sequence(parts: list[re.Match[str]], at: int) -> tuple[str, int]:
    """The text of what stands up to the end of a group, and where that is."""
    first: str | None = None
    items: list[str] = []
    while at < len(parts) and not parts[at]["end"]:
        part = parts[at]
        if part["bar"]:
            first = "".join(items) if first is None else first
            items = []
            at += 1
            continue
        item, at = _item(parts, at)
        if at < len(parts) and parts[at]["repeat"]:
            item = "" if parts[at][0][0] in "?*" and item != _GAP else item
            at += 1
        items.append(item)
    return ("".join(items) if first is None else first), at


def _item(parts: list[re.Match[str]], at: int) -> tuple[str, int]:
    part = parts[at]
    if part["ahead"] or part["named"] or part["group"]:
        inner, end = _sequence(parts, at + 1)
        differs = part["named"] and (_GAP in inner or not inner)
        return ("" if part["ahead"] else _GAP if differs else inner), end + 1
    if part["set"] or part["kind"]:
        return ("" if part[0] in ("\\b", "\\B") else " " if part[0] == "\\s" else _GAP), at + 1
    return ("" if part["anchor"] else part["escaped"] or part["plain"] or ""), at + 1
