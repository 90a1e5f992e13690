# SPDX-License-Identifier: MIT
"""What a trace does not show, and what that says: did it not happen, or is that not known, and why?

Of each thing that a profile looks for, the trace has a state and an interval (schemas/trace.sql, table expectation;
c-ext/core/trace/coverage.h has the states). All readers speak of it in the words that stand here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

TYPE_CHECKING = False  # `typing` takes longer to import than a timeline to be made
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict
"""An object of schemas/timeline.schema.json, of which `coverage` and `never_reached` are lists."""

Time = Callable[[int], str]
"""How a moment of the guest's run time is written, with its unit."""

HEADINGS = {
    "not known": "Expected, never seen",
    "did not happen": "Did not happen",
    "not seen": "Not seen, by a watch that does not see all",
    "condition never met": "Reached, condition never met",
    "did not return": "Called, not returned by the end",
    "inlined": "Not known: inlined",
    "begun late": "Not known: the recording began late",
    "ended early": "Not known: the recording ended early",
    "not in this kernel": "Not in this kernel",
    "refused": "Could not be watched",
    "not told": "Not told by such a log",
    "not in the log": "Expected, not in the log",
}
"""By state, in the order in which they are told; the first is of older traces, which do not tell more."""

CERTAIN = ("happened", "did not happen", "condition never met", "not in this kernel")


def grouped(items: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Heading and items of each state that there is."""
    kept = list(items)
    for state, heading in HEADINGS.items():
        same = [item for item in kept if item["state"] == state]
        if same:
            yield heading, same


def said(item: Record, time: Time) -> str:
    """What became of one, in words; empty where its heading says all."""
    return "; ".join(filter(None, (_said(item, time), item["note"])))


def _said(item: Record, time: Time) -> str:
    reached, watched = item["reached"] or 0, _watched(item, time)
    match item["state"]:
        case "did not happen" | "not seen" | "begun late" | "ended early":
            return watched
        case "condition never met":
            return f"reached {_times(reached)}, {watched}"
        case "did not return":
            return f"called {_times(reached)}, {item['unfinished']} under way at the end, {watched}"
        case "inlined":
            ran = f", where it ran {_times(reached)}" if reached else ""
            return f"inlined into {item['within']}{ran}"
    return ""


def _watched(item: Record, time: Time) -> str:
    if item["from_ns"] is None:
        return ""
    end = "the end" if item["to_ns"] is None else time(item["to_ns"])
    return f"watched from {time(item['from_ns'])} to {end}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def why(items: Sequence[Record], rule: str) -> str:
    """Why it is not known whether a rule's event happened; empty where it is known, or nothing was looked for."""
    states = [item for item in items if item["rule"] == rule]
    unknown = [item for item in states if item["state"] not in CERTAIN]
    if not unknown or len(unknown) < len(states):
        return ""
    first = unknown[0]
    return f"inlined into {first['within']}" if first["state"] == "inlined" else str(first["state"])


def never(content: Record, what: str) -> str:
    """What is said of a clock of which no event of a kind tells, such as its registration: "never" only where someone
    looked, all the time."""
    if content["provenance"].get("stub.mode") == "log":
        return "not told"
    kinds = [item for item in content["coverage"] if item["what"] == what]
    if not kinds and any(item["optional"] for item in content["coverage"]):
        return ""  # such a kernel has nothing of the kind
    known = not kinds or any(item["state"] in (*CERTAIN, "not known") for item in kinds)
    said = content["provenance"]
    whole = content["complete"] and said.get("plan.began") != "late" and said.get("plan.ended") != "early"
    return "never" if whole and known else "not seen"
