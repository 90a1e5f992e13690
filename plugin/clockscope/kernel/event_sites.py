# SPDX-License-Identifier: MIT
"""Where a profile's events happen in one kernel: addresses for its rules. Pure: needs no guest."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from clockscope.kernel import messages
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles.profile import RETURN, Gate, Profile, Rule

Locate = Callable[[str], list[int]]
"""A function's inlined copies by its name: the addresses at which they begin."""


@dataclass(frozen=True)
class Expectation:
    """Whether a rule could be placed, as the trace keeps it."""

    rule: str
    what: str
    function: str
    status: str
    note: str


@dataclass(frozen=True)
class MessageSite:
    call: messages.Call
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class GatePlan:
    """A profile's gate: the addresses and rules that open and close it, and the sites that it covers."""

    name: str
    during: frozenset[int]
    after: frozenset[int]
    after_event: frozenset[str]
    before: frozenset[int]
    covers: frozenset[int]


@dataclass
class Plan:
    """Addresses are those of the ELF file; a guest that relocated its kernel adds one offset to all."""

    entries: dict[int, list[Rule]] = field(default_factory=dict)
    returns: dict[int, list[Rule]] = field(default_factory=dict)
    messages: dict[int, MessageSite] = field(default_factory=dict)
    begins: dict[int, list[str]] = field(default_factory=dict)  # where spans begin, by the rules that end them
    gates: list[GatePlan] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def sites(self) -> set[int]:
        """Where events happen, or what they measure begins."""
        return {*self.entries, *self.returns, *self.messages, *self.begins}

    def rules_at(self, address: int) -> list[Rule]:
        """What may happen there."""
        printed = self.messages[address].rules if address in self.messages else ()
        return [*self.entries.get(address, ()), *self.returns.get(address, ()), *printed]


def make_plan(profile: Profile, elf: ElfFile, disassemble: messages.Disassembler, inlined: Locate) -> Plan:
    plan = Plan()
    placed = _place_messages(profile, elf, disassemble, plan)
    has_dwarf = elf.section(".debug_info") is not None
    for rule in profile.rules:
        only_logged = not rule.functions and rule.message is None
        if rule.unless in placed or (rule.without_dwarf and has_dwarf) or only_logged:
            continue
        if rule.message is not None:
            note = "" if rule.rule in placed else "this kernel prints no such line"
            _expect(plan, rule, rule.place, note)
        elif _place_function(rule, elf, inlined, plan):
            placed.add(rule.rule)
    _place_begins(profile, elf, plan)
    _place_gates(profile, elf, plan)
    return plan


def _place_begins(profile: Profile, elf: ElfFile, plan: Plan) -> None:
    placed = {rule.rule for address in plan.sites() for rule in plan.rules_at(address)}
    for span in profile.spans:
        found = (symbols for symbols in map(elf.functions, span.functions) if symbols)
        for symbol in next(found, []) if span.end in placed else []:
            plan.begins.setdefault(symbol.address, []).append(span.end)


def _place_gates(profile: Profile, elf: ElfFile, plan: Plan) -> None:
    """Gates save time: a stub may look through all its breakpoints at each jump of the guest (QEMU's TCG does).

    One whose functions this kernel lacks is left out, so that what it covers is always looked for.
    """
    ends = {gate: _Ends(*(_entries(elf, name) for name in _names(gate))) for gate in profile.gates}
    own = (address for found in ends.values() for part in found for address in part)
    names = {address: elf.function_at(address) for address in plan.sites().union(own)}
    for gate, found in ends.items():
        if any(name and not addresses for name, addresses in zip(_names(gate), found, strict=True)):
            continue
        covered = {address for address, name in names.items() if _covers(gate, name, plan.rules_at(address))}
        covered -= found.during | found.after  # they open it
        plan.gates.append(
            GatePlan(
                gate.name, found.during, found.after, frozenset(gate.after_event), found.before, frozenset(covered)
            )
        )


class _Ends(NamedTuple):
    """Where a gate opens and closes."""

    during: frozenset[int]
    after: frozenset[int]
    before: frozenset[int]


def _names(gate: Gate) -> tuple[str | None, ...]:
    return gate.during, gate.after, gate.before


def _covers(gate: Gate, function: str, rules: list[Rule]) -> bool:
    if any(fnmatch.fnmatchcase(function, pattern) for pattern in gate.covers):
        return True
    return bool(rules) and all(rule.rule in gate.rules for rule in rules)


def _entries(elf: ElfFile, name: str | None) -> frozenset[int]:
    return frozenset(symbol.address for symbol in elf.functions(name)) if name else frozenset()


def _place_messages(profile: Profile, elf: ElfFile, disassemble: messages.Disassembler, plan: Plan) -> set[str]:
    """Fill plan.messages; the names of the rules that have a place."""
    rules = [rule for rule in profile.rules if rule.message is not None]
    if not rules or not profile.prefixes:
        return set()
    calls = messages.find_calls(elf, profile.prefixes, profile.printers, disassemble)
    placed: set[str] = set()
    for call in calls:
        samples = [messages.sample(text) for text in call.formats.values()]
        wanted = tuple(rule for rule in rules if rule.message and any(map(rule.message.search, samples)))
        if wanted:
            plan.messages[call.address] = MessageSite(call, wanted)
            placed.update(rule.rule for rule in wanted)
    return placed


def _place_function(rule: Rule, elf: ElfFile, inlined: Locate, plan: Plan) -> bool:
    where = plan.returns if rule.on_return else plan.entries
    for name in rule.functions:
        addresses = [symbol.address for symbol in elf.functions(name)]
        if not addresses and not rule.on_return:
            addresses = inlined(name)
        if addresses:
            for address in addresses:
                where.setdefault(address, []).append(rule)
            _expect(plan, rule, name + RETURN * rule.on_return, "")
            return True
    _expect(plan, rule, rule.place, f"this kernel has no {' or '.join(rule.functions)}, or it is inlined")
    return False


def _expect(plan: Plan, rule: Rule, place: str, missing: str) -> None:
    if rule.expected:
        plan.expectations.append(Expectation(rule.rule, rule.what, place, "missing" if missing else "planted", missing))
