# SPDX-License-Identifier: MIT
"""The functions whose code a trace has in others, where the compiler inlined it, and how often it ran there."""

from functools import cached_property
from typing import Any

from clockscope._core import Trace

Record = dict[str, Any]

# Of a copy, the block that ran most. A rule's copies may be in functions that are not traced.
_COPIES = """
WITH runs AS MATERIALIZED (
    SELECT i.function, s.block, count(*) AS times FROM step s JOIN invocation i ON i.id = s.invocation
    WHERE s.block IS NOT NULL GROUP BY i.function, s.block)
SELECT n.inlined AS name, f.name AS within, max(coalesce(r.times, 0)) AS times
FROM instruction n JOIN function f ON f.id = n.function
LEFT JOIN runs r ON r.function = n.function AND r.block = n.block
WHERE n.inlined <> '' GROUP BY n.inlined, f.name ORDER BY n.inlined, f.name"""

_RULES = "SELECT replace(function, ':return', '') AS name, within FROM expectation WHERE within <> ''"


class Copies:
    """Read when first asked for."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    @cached_property
    def _found(self) -> dict[str, dict[str, int | None]]:
        found: dict[str, dict[str, int | None]] = {}
        for row in self._trace.rows(_COPIES):
            found.setdefault(row["name"], {})[row["within"]] = row["times"]
        for row in self._trace.rows(_RULES):
            for within in row["within"].split(", "):
                found.setdefault(row["name"], {}).setdefault(within, None)
        return found

    def of(self, name: str) -> list[Record]:
        """[{"within", "times"}]: how often the copy was seen to run; None where its function is not traced."""
        copies = self._found.get(name, {})
        return [{"within": within, "times": copies[within]} for within in sorted(copies)]

    def names(self) -> list[str]:
        return sorted(self._found)
