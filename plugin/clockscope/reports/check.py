# SPDX-License-Identifier: MIT
"""What a check came to: for people, and as the JUnit XML that CI systems read."""

import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

from clockscope.base.ui import Ui, counted, cut, one_line, prose_width
from clockscope.reports.table import styled

Record = dict[str, Any]
"""An object of schemas/check.schema.json."""

_STYLES = {"broken": "red", "unknown": "yellow", "kept": "green"}
_SAID_MAX = 1000
_LEAD = 9
_RESULTS = {"broken": "failure", "unknown": "error"}
# XML 1.0 has no characters for these, escaped or not; the controls have been escaped before.
_NO_XML = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


def checked(result: Record, ui: Ui) -> str:
    return "\n".join(_lines(result, ui)) + "\n"


def _lines(result: Record, ui: Ui) -> Iterator[str]:
    names = f"{one_line(result['trace'])} against {one_line(result['baseline'])}"
    yield styled(names, "bold", ui.colour)
    for verdict in ("broken", "unknown"):
        for one in result["checks"]:
            if one["verdict"] == verdict:
                yield from _check(one, ui)
    for kind, kept in _kept(result).items():
        yield from _folded(styled(f"{'kept':{_LEAD}}", "green", ui.colour), f"{kind}: {', '.join(kept)}", ui)
    yield _sum(result)


def _sum(result: Record) -> str:
    counts = result["counts"]
    total = counted(sum(counts.values()), "check")
    return f"{total}: {counts['kept']} kept, {counts['broken']} broken, {counts['unknown']} not known"


def _check(one: Record, ui: Ui) -> Iterator[str]:
    word = "BROKEN" if one["verdict"] == "broken" else "UNKNOWN"
    head = styled(f"{word:{_LEAD}}", _STYLES[one["verdict"]], ui.colour)
    yield from _folded(head, f"{title(one)}: {_said(one)}", ui)


def _folded(head: str, text: str, ui: Ui) -> Iterator[str]:
    pieces = textwrap.wrap(text, prose_width(ui, _LEAD), break_on_hyphens=False) if ui.width else [text]
    for number, piece in enumerate(pieces):
        yield (" " * _LEAD if number else head) + piece


def _kept(result: Record) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in result["checks"]:
        if one["verdict"] == "kept":
            found.setdefault(one["kind"], []).append(one_line(one["name"]))
    return found


def title(one: Record) -> str:
    return f"{one['kind']} {cut(one_line(one['name']), _SAID_MAX)}"


def _said(one: Record) -> str:
    return cut(one_line(one["said"]), _SAID_MAX)


def junit(result: Record) -> str:
    """One test a check: what is broken failed, what is not known is an error."""
    counts, checks = result["counts"], result["checks"]
    numbers = {
        "tests": str(len(checks)),
        "failures": str(counts["broken"]),
        "errors": str(counts["unknown"]),
        "skipped": "0",
        "time": "0",
    }
    top = ElementTree.Element("testsuites", {"name": "clockscope check", **numbers})
    suite = ElementTree.SubElement(top, "testsuite", {"name": _xml(result["trace"]), **numbers})
    for one in checks:
        names = {"classname": f"clockscope.{one['kind']}", "name": _xml(title(one)), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        if one["verdict"] in _RESULTS:
            said = _xml(_said(one))
            detail = ElementTree.SubElement(case, _RESULTS[one["verdict"]], {"message": said, "type": one["kind"]})
            detail.text = f"{_xml(title(one))}: {said}"
    for damage in [one for one in result["damage"] if one]:
        ElementTree.SubElement(suite, "system-err").text = _xml(damage)
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    return one_line(text).translate(_NO_XML)
