# SPDX-License-Identifier: MIT
"""Branch traces: which functions, how their probes are placed, and the source lines that make them readable."""

import fnmatch
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clockscope._core import BranchRecorder, Error, Relay, Trace, TraceWriter
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles.profile import Branches, Gate
from clockscope.kernel.hints import of_kernel
from clockscope.kernel.placement import Placement
from clockscope.model import source_text


@dataclass(frozen=True)
class Options:
    """How a recording disturbs its guest."""

    replay: bool = False
    intrusive: bool = False  # probes may stand in timing windows
    virtual: bool = False  # the stub's breakpoints change no memory (TCG): patched text may carry them
    budget: int = 0
    hit_limit: int = 1000
    task_pointer: int = 0
    task_name: int = 0
    place: Placement = Placement()
    replaced: Collection[int] = ()  # entries of functions that interventions have return at once


def breakpoints_are_virtual(relay: Relay) -> bool:
    """Whether the guest runs under QEMU's TCG, whose breakpoints are no bytes in memory."""
    try:
        return "disabled" in relay.monitor("info kvm")
    except Error:
        return False


class BranchTrace:
    """The branch trace of one recording."""

    def __init__(
        self, relay: Relay, writer: TraceWriter, elf: ElfFile, branches: Branches, options: Options = Options()
    ) -> None:
        """`branches` names the functions; those that this kernel does not have are left out."""
        self._writer = writer
        self._replaced = options.replaced
        self._elf = elf
        self._branches = branches
        self._measures: dict[str, bool] = {}
        hints = of_kernel(elf, branches, relay.read_memory, options.place)
        self._recorder = BranchRecorder(
            relay,
            writer,
            elf.path,
            replay=options.replay,
            intrusive=options.intrusive or options.replay,
            allow_patched=options.virtual,
            budget=options.budget,
            hit_limit=options.hit_limit,
            task_pointer=options.task_pointer,
            task_name=options.task_name,
            **hints.known,
            placement=options.place.core,
        )
        writer.meta("stub.registers", json.dumps(relay.capabilities()["registers"]))
        writer.meta("plan.intrusive", "1" if options.intrusive else "0")

    def start(self, progress: Callable[[int, int, str], None] = lambda done, total, what: None) -> list[dict[str, Any]]:
        """Plant the probes; a record for each function (see BranchRecorder.add), those with `refused` set where the
        stub takes no probe. The guest must stand."""
        names = self.names()
        added: dict[str, list[dict[str, Any]]] = {}
        for done, name in enumerate(names):
            progress(done, len(names), name)
            added[name] = self._recorder.add(name)
        self._measures = {name: any(one["measures"] for one in parts) for name, parts in added.items() if parts}
        self._narrow(added)
        for function in (function for parts in added.values() for function in parts):
            if function["address"] in self._replaced:
                self._recorder.replaced(function["id"])
        refused = set(self._recorder.arm())
        functions = [function for parts in added.values() for function in parts]
        return [{**function, "refused": function["id"] in refused} for function in functions]

    def _narrow(self, added: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Watch functions only when they can be called: each breakpoint that is in place slows a guest of QEMU's. Calls
        from elsewhere, or at another time, go unseen: their notes say so."""
        for name, parts in added.items():
            limits = [*self._within(name, added), *self._gated(name, added)]
            for function in parts if limits else ():
                self._recorder.note(function["id"], f"watched only {' and '.join(limits)}")

    def _within(self, name: str, added: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
        parents = self._branches.within.get(name, ()) or [
            gate.during
            for gate in self._branches.gates
            if gate.during and gate.during in added and gate.during != name and _covers(gate, name)
        ]
        known = [parent for each in parents for parent in added.get(each, ())]
        if not known or len(known) < len(parents):
            return
        for function, parent in itertools.product(added[name], known):
            self._recorder.within(function["id"], parent["id"])
        yield f"while {' or '.join(parents)} is under way"

    def _gated(self, name: str, added: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
        for gate in self._branches.gates:
            if not _covers(gate, name):
                continue
            for place, opens in ((gate.after, True), (gate.before, False)):
                at = self._elf.functions(place) if place and not (place in added and _covers(gate, place)) else []
                if not at:
                    continue
                for function in added[name]:
                    self._recorder.gate(function["id"], at[0].address, opens)
                yield f"from {place} on" if opens else f"until {place}"

    def names(self) -> list[str]:
        """The functions to trace, each once."""
        found = (symbol.base_name for pattern in self._branches.functions for symbol in self._elf.functions(pattern))
        return list(dict.fromkeys(found))

    def statistics(self) -> dict[str, int]:
        return self._recorder.statistics()

    def is_blind(self, names: Sequence[str]) -> bool:
        """Whether functions are traced of which none reads a clock, as far as can be seen."""
        known = [self._measures[name] for name in names if name in self._measures]
        return bool(known) and not any(known)

    def stop(self, locate: Callable[[str, int], str | None] = lambda file, address: None) -> None:
        """Lift the probes, write what gathered, and keep the source of the traced functions. `locate` says which file on
        this machine is the one that a line table names, at an address."""
        self._recorder.stop()
        self._writer.flush()
        with Trace(self._writer.path) as trace:
            kept = list(source_text.functions_found(trace, locate))
        for file, line, text in kept:
            self._writer.source(file, line, text)


def _covers(gate: Gate, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, cover) for cover in gate.covers)


def chosen(branches: Branches, functions: Iterable[str]) -> Branches:
    """The same profile's branches with other functions."""
    return replace(branches, functions=tuple(functions))
