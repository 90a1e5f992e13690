# SPDX-License-Identifier: MIT
"""Who did what an event tells: the function that registered a clock, not the line that was printed of it."""

from collections.abc import Sequence

from clockscope.profiles.reading import Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict


def doer(event: Record, words: Words) -> Record | None:
    """Its function and source; None where the backtrace does not tell, for the function left by a tail call."""
    frames: Sequence[Record] = event["backtrace"]
    found = next((frame for frame in frames if not words.is_through(frame["function"])), None)
    if found is None or found["function"] == "??":
        return None
    if not words.is_beyond(found["function"]):
        return {"function": found["function"], "source": found["source"]}
    given = next((event["values"][name] for name in words.given if isinstance(event["values"].get(name), str)), None)
    return {"function": given, "source": ""} if given else None
