# SPDX-License-Identifier: MIT
"""Which functions ran in a trace, and for the others: was anyone looking, and what kept the boot from them?

Each evidence is a query over the trace (schemas/trace.sql). The kernel's ELF file, where there is one, adds the names
that the trace does not know and the calls that stand in its text.
"""

import fnmatch
from collections.abc import Iterable, Iterator
from typing import Any

from clockscope._core import ArgumentError, Trace, Xref

Record = dict[str, Any]
"""An object of schemas/xref.schema.json."""

_RAN = {
    "called": "SELECT function, sum(hits) AS times FROM counter WHERE hits > 0 GROUP BY function",
    "traced": """SELECT f.name AS function, count(*) AS times FROM invocation i JOIN function f ON f.id = i.function
                 GROUP BY f.name""",
    "event": "SELECT function, count(*) AS times FROM event WHERE function <> '' GROUP BY function",
    "watched": """SELECT replace(x.function, ':return', '') AS function,
                         max(coalesce(x.reached, 0), (SELECT count(*) FROM event e WHERE e.rule = x.rule)) AS times
                  FROM expectation x WHERE x.what <> 'variable.written'
                  AND (x.reached > 0 OR x.rule IN (SELECT rule FROM event))""",
    "in a backtrace": "SELECT function, count(*) AS times FROM frame WHERE function <> '' GROUP BY function",
}

# Functions that a probe stood in wait for.
_WATCHED = """SELECT function FROM counter
              UNION SELECT replace(function, ':return', '') FROM expectation
                     WHERE status = 'planted' AND what <> 'variable.written'
              UNION SELECT name FROM function"""

# Calls and jumps to an address that stand in traced functions, and whether the trace knows those to have run.
_CALLS = """SELECT DISTINCT f.id AS id, f.name AS caller, n.block AS block FROM instruction n
            JOIN function f ON f.id = n.function JOIN invocation i ON i.function = f.id WHERE n.target = ?"""

_EXECUTED = """SELECT s.block AS block FROM step s JOIN invocation i ON i.id = s.invocation
               WHERE i.function = ?1 AND s.block IS NOT NULL
               UNION SELECT g.block FROM gap_block g JOIN invocation i ON i.id = g.invocation WHERE i.function = ?1"""

_DECISIONS = """SELECT d.address AS address, d.taken AS taken, count(*) AS times, n.text AS instruction,
                       n.file AS file, n.line AS line
                FROM decision d JOIN invocation i ON i.id = d.invocation
                JOIN instruction n ON n.function = i.function AND n.address = d.address
                WHERE i.function = ? AND n.block = ? GROUP BY d.address, d.taken"""

_ADDRESSES = "SELECT name AS function, entry AS address FROM function UNION SELECT function, address FROM counter"


def examine(trace: Trace, pattern: str, xref: Xref | None) -> list[Record]:
    """One record for each function that matches the pattern, by name."""
    ran = _evidence(trace)
    watched = {row["function"] for row in trace.rows(_WATCHED) if _is_name(row["function"])}
    known = ran.keys() | watched | (xref.functions() if xref else set())
    addresses = {row["function"]: row["address"] for row in trace.rows(_ADDRESSES)}
    return [
        _reached(name, ran[name])
        if name in ran
        else _unreached(name, name in watched, addresses.get(name), trace, xref)
        for name in sorted(fnmatch.filter(known, pattern))
    ]


def _evidence(trace: Trace) -> dict[str, tuple[str, int]]:
    """By function: the best evidence that it ran, and how often it was seen."""
    found: dict[str, tuple[str, int]] = {}
    for kind, query in _RAN.items():
        for row in trace.rows(query):
            if _is_name(row["function"]):
                found.setdefault(row["function"], (kind, row["times"]))
    return found


def _is_name(text: str) -> bool:
    """A rule's place may also be a line that the kernel prints."""
    return text != "" and not any(mark in text for mark in " \t\n\"'")


def _reached(name: str, evidence: tuple[str, int]) -> Record:
    kind, times = evidence
    return {"function": name, "reached": "yes", "evidence": kind, "times": times, "reason": "", "skipped_by": []}


def _unreached(name: str, watched: bool, address: int | None, trace: Trace, xref: Xref | None) -> Record:
    skipped = list(_branches(trace, address)) if address is not None else []
    return {
        "function": name,
        "reached": "no" if watched else "unknown",
        "evidence": "watched" if watched else "not watched",
        "times": 0,
        "reason": _static_reason(name, xref) if xref else "",
        "skipped_by": skipped,
    }


def _static_reason(name: str, xref: Xref) -> str:
    """Why no call can lead there, as far as the kernel's text says so."""
    if name not in xref.functions():
        return "not in this kernel"
    try:
        callers, holders = xref.incoming(name)
    except ArgumentError:
        return "several functions have this name"
    if callers:
        return ""
    if not holders:
        return "nothing can call it"
    return "only modules can call it" if all(holder.startswith("__ksymtab_") for holder in holders) else ""


def _branches(trace: Trace, address: int) -> Iterator[Record]:
    """The branches of traced callers that went the other way."""
    for call in trace.rows(_CALLS, [address]):
        edges = trace.rows("SELECT source, target FROM edge WHERE function = ?", [call["id"]])
        executed = {row["block"] for row in trace.rows(_EXECUTED, [call["id"]])}
        for block in _turning_points(call["block"], edges, executed):
            for row in trace.rows(_DECISIONS, [call["id"], block]):
                yield {
                    "caller": call["caller"],
                    "address": f"{row['address'] % 2**64:#x}",
                    "source": f"{row['file']}:{row['line']}" if row["file"] else "",
                    "instruction": row["instruction"],
                    "taken": bool(row["taken"]),
                    "times": row["times"],
                }


def _turning_points(block: int, edges: Iterable[Record], executed: set[int]) -> list[int]:
    """The blocks that ran, from which a way leads to `block` through none that ran."""
    if block in executed:
        return []
    sources: dict[int, set[int]] = {}
    for edge in edges:
        sources.setdefault(edge["target"], set()).add(edge["source"])
    found, seen, pending = set(), {block}, [block]
    while pending:
        for source in sources.get(pending.pop(), set()) - seen:
            seen.add(source)
            if source in executed:
                found.add(source)
            else:
                pending.append(source)
    return sorted(found)
