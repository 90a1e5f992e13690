# SPDX-License-Identifier: MIT
"""One page of HTML for one guest or two, with all that it needs within: it asks nothing of any network."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from clockscope import __version__
from clockscope.model.comparison_paths import base_name
from clockscope.base.errors import UserError
from clockscope.reports import diff, page_functions, page_guest, page_timeline
from clockscope.reports.page_functions import Progress
from clockscope.reports.page_guest import Guest

Record = dict[str, Any]

TEMPLATE = Path(__file__).with_name("page.html")
BUNDLE = Path(__file__).with_name("bundle")

# What would end a <script> or begin a comment in it.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render(guests: Sequence[Guest], difference: Record | None, progress: Progress) -> str:
    """The page. UserError where its program was not built."""
    script, style = _bundled("main.js"), _bundled("main.css")
    return _template().render(
        version=__version__,
        guests=[page_guest.describe(guest) for guest in guests],
        answer=page_guest.shown(_answer(guests, difference), page_guest.LONGEST),
        difference=_difference(difference) if difference else None,
        functions=page_functions.describe(guests, difference, progress),
        data=embedded({"guests": [page_timeline.data(guest) for guest in guests]}),
        script=Markup(script),
        style=Markup(style),
        policy=f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:",
    )


def _answer(guests: Sequence[Guest], difference: Record | None) -> str:
    """The one sentence that a reader wants first: where two guests part, or what is wrong in one."""
    if difference is not None:
        same = f"No difference; frequencies within {difference['ppm']:g} ppm are the same."
        differ = "They differ, but neither in clocks nor in a decision that was traced."
        return diff.conclusion_line(difference) or (same if difference["same"] else differ)
    (guest,) = guests
    if guest.diagnosis is None:
        return ""
    first, *others = [str(finding["symptom"]) for finding in guest.diagnosis["findings"]] or [""]
    return f"{first}{f' ({len(others)} more below.)' if others else ''}"


def _template() -> jinja2.Template:
    """Its texts are escaped for HTML, and whatever comes from a trace is on one line and short before."""
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda value: page_guest.shown(value, page_guest.LONGEST) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(TEMPLATE.read_text("utf-8"))


def _bundled(name: str) -> str:
    try:
        return (BUNDLE / name).read_text("utf-8")
    except FileNotFoundError:
        raise UserError("the page's program is not built; build it with: make -f setup.mk page") from None


def _digest(text: str) -> str:
    """A source of a Content-Security-Policy: this very text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embedded(content: Any) -> Markup:
    """JSON within <script>: ASCII alone, and nothing that HTML takes for a tag."""
    return Markup(json.dumps(content, separators=(",", ":")).translate(_ESCAPES))


def _difference(result: Record) -> Record:
    """What `diff` prints, as rows."""
    return {
        "same": result["same"],
        "ppm": f"{result['ppm']:g}",
        "guest": diff.guest_rows(result["guest"]),
        "clocks": diff.clock_rows(result),
        "events": diff.event_rows(result),
        "decisions": [_decision(title, item) for title, item in diff.divergences(result)],
        "only": [
            (title, [page_guest.shown(name) for name in result["functions"][key]])
            for key, title in (("only_a", "Reached only in A"), ("only_b", "Reached only in B"))
            if result["functions"][key]
        ],
    }


def _decision(title: str, divergence: Record) -> Record:
    return {
        "title": title,
        "function": page_guest.shown(divergence["function"]),
        "anchor": page_guest.shown(base_name(divergence["function"])),
        "source": page_guest.shown(divergence["source"], page_guest.TEXT_LIMIT),
        "text": page_guest.shown((divergence["text"] or "").strip(), page_guest.TEXT_LIMIT),
        "sides": [
            {
                "letter": letter,
                "target": f"{letter}-{side['seq']}",
                **diff.describe(side, side["source"] != divergence["source"]),
            }
            for letter, side in (("A", divergence["a"]), ("B", divergence["b"]))
        ],
    }
