# SPDX-License-Identifier: MIT
"""The options --force, --set and --return: what a user wants changed in the guest while it is recorded."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

from clockscope.base.errors import UserError

_PLACE = r"(?P<function>[A-Za-z_][\w.$]*)(?::(?P<line>\d+)|:\*(?P<address>0x[0-9a-fA-F]+)|\+(?P<offset>0x[0-9a-fA-F]+))"
_FORCE = re.compile(_PLACE + r"=(?P<way>true|false|taken|not)(?:,times=(?P<times>[1-9]\d{0,17}))?")
# The first `=` that is no part of a comparison.
_SET = re.compile(_PLACE + r":(?P<expression>.+?)(?<![=<>!])=(?!=)(?P<value>.+)")
_RETURN = re.compile(r"(?P<function>[A-Za-z_][\w.$]*)=(?P<value>.+)")

_FORMS = {
    "force": "FUNCTION:LINE=true|false[,times=N], such as tsc_read_refs:330=true (of a jump: taken|not)",
    "set": "FUNCTION:LINE:EXPR=VALUE, such as tsc_init:1540:tsc_khz=2000000",
    "return": "FUNCTION=VALUE, such as check_tsc_unstable=0",
}
_PATTERNS = {"force": _FORCE, "set": _SET, "return": _RETURN}


@dataclass(frozen=True)
class Wish:
    """One option, taken apart. Of line, address and offset at most one is there; none: the function's entry."""

    kind: str  # force, set, return
    option: str
    function: str
    line: int | None = None
    address: int | None = None
    offset: int | None = None
    taken: bool = False
    condition: bool | None = None  # what the source's condition is to be; None: `taken` is meant
    times: int | None = None
    expression: str = ""
    value: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "interventions",
        "What is to be changed in the guest, to try a hypothesis; each may be given several times. Where a line has\n"
        "several branches, FUNCTION:*0xADDRESS or FUNCTION+0xOFFSET names one.",
    )
    group.add_argument(
        "--force",
        metavar="FUNCTION:LINE=true|false[,times=N]",
        action="append",
        default=[],
        help="have the condition at a source line be true, or false, as `path` says it; taken or not are the jump's own"
        " words, where the source is not at hand",
    )
    group.add_argument(
        "--set",
        metavar="FUNCTION:LINE:EXPR=VALUE",
        action="append",
        default=[],
        help="whenever the line is reached, set a variable, a register ($rax) or memory",
    )
    group.add_argument(
        "--return",
        dest="returns",
        metavar="FUNCTION=VALUE",
        action="append",
        default=[],
        help="have a function return this at once, instead of running",
    )


COMPLETE = {"force": "function", "set": "function", "returns": "function"}


def wishes(args: argparse.Namespace) -> list[Wish]:
    """The interventions that were asked for, by kind and then in the order given; UserError for what is none."""
    given: list[tuple[str, Sequence[str]]] = [("force", args.force), ("set", args.set), ("return", args.returns)]
    return [parse(kind, text) for kind, texts in given for text in texts]


def parse(kind: str, text: str) -> Wish:
    match = _PATTERNS[kind].fullmatch(text)
    if match is None:
        raise UserError(f"--{kind} {text}: expected is {_FORMS[kind]}")
    found = match.groupdict()
    return Wish(
        kind=kind,
        option=text,
        function=found["function"],
        line=_number(found.get("line"), 10),
        address=_number(found.get("address"), 16),
        offset=_number(found.get("offset"), 16),
        taken=found.get("way") == "taken",
        condition={"true": True, "false": False}.get(found.get("way") or ""),
        times=_number(found.get("times"), 10),
        expression=(found.get("expression") or "").strip(),
        value=(found.get("value") or "").strip(),
    )


def _number(text: str | None, base: int) -> int | None:
    return None if text is None else int(text, base)
