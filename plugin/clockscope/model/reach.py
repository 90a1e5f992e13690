# SPDX-License-Identifier: MIT
"""Which functions ran in a trace, and for the others: was anyone looking, and what kept the boot from them?

Each evidence is a query over the trace (schemas/trace.sql). The kernel's ELF file, where there is one, adds the names
that the trace does not know and the calls that stand in its text. A function's parts and copies (.part.0, .constprop.0)
are the function.
"""

import fnmatch
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clockscope._core import Analyser, ArgumentError, NotFoundError, Trace, Xref
from clockscope.model.calls import base_name
from clockscope.model.callers_seen import Callers
from clockscope.model.source_text import Source

Record = dict[str, Any]
"""An object of schemas/xref.schema.json."""

Evidence = dict[str, tuple[str, int]]
"""By function: what best tells that it ran, and how often that was seen."""

_RAN = {
    "called": "SELECT function, hits AS times FROM counter WHERE hits > 0",
    "traced": """SELECT f.name AS function, count(*) AS times FROM invocation i JOIN function f ON f.id = i.function
                 GROUP BY f.name""",
    "event": "SELECT function, count(*) AS times FROM event WHERE function <> '' GROUP BY function",
    "watched": """SELECT replace(x.function, ':return', '') AS function,
                         max(coalesce(x.reached, 0), (SELECT count(*) FROM event e WHERE e.rule = x.rule)) AS times
                  FROM expectation x WHERE x.what <> 'variable.written'
                  AND (x.reached > 0 OR x.rule IN (SELECT rule FROM event))""",
    "in a backtrace": "SELECT function, count(*) AS times FROM frame WHERE function NOT IN ('', '??') GROUP BY function",
}

# Functions that a probe stood in wait for, and those of which only copies are there that it stood in.
_WATCHED = """SELECT function FROM counter
              UNION SELECT replace(function, ':return', '') FROM expectation
                     WHERE status IN ('planted', 'inlined') AND what <> 'variable.written'
              UNION SELECT name FROM function"""

_WITHIN = """SELECT replace(function, ':return', '') AS function, within FROM expectation
             WHERE within <> '' AND what <> 'variable.written'"""

HOLDS = "holds its address"
"""How data can lead to a function."""

_ASKED_MAX = 100
_CHAIN_MAX = 200  # functions that are looked at on the ways up from one


@dataclass(frozen=True)
class Kernel:
    """The ELF file of the kernel that a trace is of."""

    xref: Xref
    symbol_at: Callable[[int], str]

    @cached_property
    def containers(self) -> dict[str, set[str]]:
        """Of each function that was inlined, those that have its code."""
        return self.xref.containers()

    @cached_property
    def functions(self) -> set[str]:
        return self.xref.functions()


def kernel(path: str) -> Kernel:
    return Kernel(Xref(path), Analyser(path).symbol_at)


def examine(trace: Trace, pattern: str, elf: Kernel | None, source: Source | None = None) -> list[Record]:
    """One record for each function that matches the pattern, by name. `source`: where its text is, if not in the trace."""
    return _Reach(trace, elf, source or Source(trace)).records(pattern)


class _Reach:
    def __init__(self, trace: Trace, elf: Kernel | None, source: Source) -> None:
        self._elf = elf
        self._seen = Callers(trace, source, elf.symbol_at if elf else None)
        self._names: dict[str, set[str]] = {}  # as symbols have them
        self._ran = self._evidence(trace)
        self._watched = {self._known(row["function"]) for row in trace.rows(_WATCHED) if _is_name(row["function"])}
        self._within: dict[str, set[str]] = {}
        for row in trace.rows(_WITHIN):
            self._within.setdefault(row["function"], set()).update(row["within"].split(", "))

    def records(self, pattern: str) -> list[Record]:
        elf = self._elf
        for name in {*self._seen.inlined_names(), *(elf.functions | elf.containers.keys() if elf else ())}:
            self._known(name)
        chosen = [
            base
            for base, names in self._names.items()
            if any(fnmatch.fnmatchcase(one, pattern) for one in (base, *names))
        ]
        # Of a whole kernel, what is not known to have been looked for is not asked for one by one.
        self._all = len(chosen) <= _ASKED_MAX
        return [self._record(name) for name in sorted(chosen)]

    def _known(self, name: str) -> str:
        base = base_name(name)
        self._names.setdefault(base, set()).add(name)
        return base

    def _evidence(self, trace: Trace) -> Evidence:
        found: Evidence = {}
        for kind, query in _RAN.items():
            here: dict[str, int] = {}
            for row in trace.rows(query):
                if _is_name(row["function"]):
                    base = self._known(row["function"])
                    # What is called and goes on in a part of itself ran once.
                    here[base] = max(here.get(base, 0), row["times"])
            for base, times in here.items():
                found.setdefault(base, (kind, times))
        return found

    def _record(self, name: str) -> Record:
        within = sorted(self._copies(name))
        ran = self._how_it_ran(name, within)
        record: Record = {"function": name, "reason": "", "inlined": within, "skipped_by": [], "callers": []}
        if ran is not None:
            return {**record, "reached": "yes", "evidence": ran[0], "times": ran[1]}
        watched = name in self._watched
        record.update(evidence="watched" if watched else "not watched", times=0, reached="no" if watched else "unknown")
        if not watched and within and all(self._seen.copies_surely_skipped(name, one) for one in within):
            record.update(evidence="inlined", reached="no")
        if watched or self._all:
            record["skipped_by"], record["callers"] = self._chain(name, within)
            record["reason"] = self._static_reason(name, within)
        return record

    def _how_it_ran(self, name: str, within: list[str]) -> tuple[str, int] | None:
        """The best evidence that a function ran, itself or as a copy within another."""
        if name in self._ran:
            return self._ran[name]
        if called := self._seen.calls_ran(name):
            return f"its call in {called[0]}", called[1]
        copies = sum(self._seen.copies_ran(name, one) for one in within)
        return ("inlined", copies) if copies else None

    def _copies(self, name: str) -> set[str]:
        """The functions that a function is inlined into, as far as is known."""
        found = {*self._within.get(name, ()), *self._seen.containers(name)}
        if self._elf:
            found.update(base_name(one) for one in self._elf.containers.get(name, ()))
        return found

    def _chain(self, name: str, within: list[str]) -> tuple[list[Record], list[Record]]:
        """The decisions that went the other way in those who could have called it, directly or by others; and what is known
        of callers of which no decision tells."""
        decisions: list[Record] = []
        callers: list[Record] = []
        seen, pending = {name}, [(name, within, list[str]())]
        while pending and len(seen) < _CHAIN_MAX:
            function, copies, through = pending.pop(0)
            found = dict(self._callers(function, copies))
            for caller, how in found.items():
                if self._stands_for_others(caller, found):
                    continue
                told = [] if how == HOLDS else list(self._seen.decisions(caller, function))
                decisions += [{**one, "through": through} for one in told]
                if told or caller in seen:
                    continue
                seen.add(caller)
                if how == HOLDS:
                    callers.append(
                        {"function": caller, "how": how, "reached": "unknown", "why": "", "through": through}
                    )
                    continue
                inside = sorted(self._copies(caller))
                ran = self._how_it_ran(caller, inside)
                callers.append({"function": caller, **self._caller(caller, ran, how), "through": through})
                if ran is None:
                    pending.append((caller, inside, [caller, *through]))
        return decisions, callers

    def _stands_for_others(self, caller: str, found: Container[str]) -> bool:
        """Whether a caller ran within others alone, which are asked themselves."""
        inside = self._copies(caller)
        itself = caller in self._ran and self._ran[caller][0] in ("called", "traced")
        return bool(inside) and not itself and not self._seen.was_called(caller) and all(one in found for one in inside)

    def _callers(self, function: str, within: list[str]) -> Iterator[tuple[str, str]]:
        """Who can call a function, and how."""
        direct = {*self._seen.callers(function)}
        holders, data = set[str](), set[str]()
        if self._elf:
            more, held = self._incoming(function)
            direct |= {base_name(one) for one in more}
            holders = {base_name(one) for one in held & self._elf.functions}
            data = {one for one in held - self._elf.functions if not one.startswith("__ksymtab_")}
        told = set[str]()
        for names, how in (
            (direct, "calls it"),
            (set(within), "inlines it"),
            (holders, "takes its address"),
            (data, HOLDS),
        ):
            yield from ((one, how) for one in sorted(names - told - {function}))
            told |= names

    def _caller(self, caller: str, ran: tuple[str, int] | None, how: str) -> Record:
        traced = self._seen.is_traced(caller)
        if ran is not None:
            state = "yes"
            why = "which way it went is not known" if traced else "it is not traced: which way it went is not known"
        else:
            state = "no" if caller in self._watched else "unknown"
            why = "" if caller in self._watched else "nobody watched it"
        return {"how": how, "reached": state, "why": why}

    def _incoming(self, name: str) -> tuple[set[str], set[str]]:
        assert self._elf is not None
        try:
            return self._elf.xref.incoming(name)
        except (ArgumentError, NotFoundError):
            return set(), set()

    def _static_reason(self, name: str, within: list[str]) -> str:
        """Why no call can lead there, as far as the kernel's text says so."""
        if self._elf is None:
            return ""
        try:
            callers, holders = self._elf.xref.incoming(name)
        except NotFoundError:
            return "" if within else "not in this kernel"
        except ArgumentError:
            return "several functions have this name"
        if callers or within:
            return ""
        if not holders:
            return "nothing can call it"
        if all(holder.startswith("__ksymtab_") for holder in holders):
            return "only modules can call it"
        return "called only through pointers"


def _is_name(text: str) -> bool:
    """A rule's place may also be a line that the kernel prints."""
    return text != "" and not any(mark in text for mark in " \t\n\"'")
