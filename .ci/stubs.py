# SPDX-License-Identifier: MIT
"""Writes the core's table of stub quirks (c-ext/core/rsp/quirks.c) into STUBS.md; --check only looks whether it is there."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "c-ext/core/rsp/STUBS.md"
BEGIN, END = "| quirk | whose | what it does |", "\n\n"
SIGNS = {"always": "lived with at every stub", "seen": "seen when it happens", "offers": "offers", "lacks": "lacks"}


def sign(quirk: dict[str, Any]) -> str:
    return " ".join([SIGNS[quirk["sign"]], " or ".join(f"`{feature}`" for feature in quirk["features"])]).rstrip()


def table(quirks: list[dict[str, Any]]) -> str:
    head = f"{BEGIN} how it is recognised | where |\n| --- | --- | --- | --- | --- |"
    rows = (f"| {one['name']} | {one['stub']} | {one['what']} | {sign(one)} | `{one['where']}` |" for one in quirks)
    return "\n".join([head, *rows])


def main() -> int:
    sys.path.insert(0, str(ROOT / "plugin"))
    from clockscope._core import stub_quirks

    text = DOCUMENT.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    wanted = head + table(stub_quirks()) + END + rest.partition(END)[2]
    if text == wanted:
        return 0
    if "--check" in sys.argv:
        print("STUBS.md is not what c-ext/core/rsp/quirks.c has: make -f setup.mk stubs", file=sys.stderr)
        return 1
    DOCUMENT.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
