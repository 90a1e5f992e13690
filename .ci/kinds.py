# SPDX-License-Identifier: MIT
"""Writes the kinds of events of schemas/events.toml to where C, SQL, the profiles' schema, Python and the page have theirs.

With --check it writes nothing, and fails where a file is not what it would write.
"""

import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Kinds = Mapping[str, Mapping[str, Any]]


def named(kinds: Iterable[str], quote: str) -> list[str]:
    return [f"{quote}{kind}{quote}" for kind in kinds]


def wrapped(words: Iterable[str], indent: str, first: int = 0) -> str:
    """The words with commas, in lines of the project's width; the first begins in column FIRST."""
    lines = textwrap.wrap(", ".join(words), 116, initial_indent=" " * first, subsequent_indent=indent)
    return "\n".join(lines)[first:]


def clock_model(source: str, kinds: Kinds) -> str:
    rows = "".join(
        f'\t{{"{kind}", SUBJECT_{about["subject"].upper()}, STEP_{about.get("step", "none").upper()}, '
        f'{str(about.get("creates", False)).lower()}, {str(about.get("fills", False)).lower()}}},\n'
        for kind, about in kinds.items()
        if "subject" in about
    )
    return replaced(source, r"(?<=\} effects\[\] = \{\n).*?(?=\};\n)", rows)


def profile_schema(source: str, kinds: Kinds) -> str:
    names = wrapped(named(kinds, '"'), " " * 16, 16)
    return replaced(source, r'(?<="enum": \[\n {16})"frequency\.detected".*?(?=\n {14}\])', names)


def clocks_view(source: str, kinds: Kinds) -> str:
    """The clock model in SQL: what tells of clocks, what ends them, and what does not bring one about."""
    head, start, rest = source.partition("CREATE VIEW clocks AS")
    view, end, tail = rest.partition(";\n")
    told = [kind for kind, about in kinds.items() if "subject" in about]
    lost = [kind for kind in told if kinds[kind].get("step") == "lost"]
    silent = [kind for kind in told if not kinds[kind].get("creates")]

    def lists(found: re.Match[str]) -> str:
        before = found[1]
        chosen = told if before.startswith("WHERE e.what") else silent if before.startswith("HAVING") else lost
        column = len((view[: found.start()] + before).rpartition("\n")[2])
        return before + wrapped(named(chosen, "'"), " " * 8, column) + ")"

    view = re.sub(r"((?:WHERE e\.|HAVING max\(|\b[a-z]\.|iif\()?what (?:NOT )?IN \()'[^)]*\)", lists, view)
    return head + start + view + end + tail


def lanes(source: str, kinds: Kinds) -> str:
    lost = named((kind for kind, about in kinds.items() if about.get("step") == "lost"), '"')
    return replaced(source, r"(?<=\n_LOST = \()[^)]*(?=\)\n)", ", ".join(lost) + ("," if len(lost) == 1 else ""))


def page(source: str, kinds: Kinds) -> str:
    for mark in dict.fromkeys(about["mark"] for about in kinds.values() if about["mark"] != "other"):
        names = ", ".join(named((kind for kind, about in kinds.items() if about["mark"] == mark), '"'))
        source = replaced(source, rf'(?<=key: "{mark}",)(.*?whats: \[)[^\]]*(?=\])', rf"\g<1>{names}")
    return source


def replaced(source: str, pattern: str, text: str) -> str:
    result, count = re.subn(pattern, text.replace("\\t", "\t"), source, count=1, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"kinds: the place of the kinds is not found: {pattern}")
    return result


PLACES: Mapping[str, Callable[[str, Kinds], str]] = {
    "c-ext/core/trace/timeline_clocks.c": clock_model,
    "schemas/profile.schema.json": profile_schema,
    "schemas/trace.sql": clocks_view,
    "plugin/clockscope/model/lanes.py": lanes,
    "plugin/page/model.js": page,
}


def main() -> int:
    kinds = tomllib.loads((ROOT / "schemas/events.toml").read_text("utf-8"))
    behind = []
    for name, write in PLACES.items():
        source = (ROOT / name).read_text("utf-8")
        wanted = write(source, kinds)
        if wanted != source:
            behind.append(name)
            if "--check" not in sys.argv:
                (ROOT / name).write_text(wanted, "utf-8")
    if behind and "--check" in sys.argv:
        print(f"not as schemas/events.toml has it: {', '.join(behind)}; make -f setup.mk kinds", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
