# SPDX-License-Identifier: MIT
"""Where a profile's events happen in one kernel: addresses for its rules. Pure: needs no guest."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from clockscope.arch.known import PROCESSOR
from clockscope.kernel import messages
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles.profile import RETURN, Gate, Profile, Rule


class Copy(NamedTuple):
    """A copy of a function's code in another."""

    function: str
    within: str
    address: int


Locate = Callable[[tuple[str, ...]], list[Copy]]
"""The inlined copies of functions, by their names."""


@dataclass(frozen=True)
class Expectation:
    """What a rule looks for, and whether it could be placed, as the trace keeps it."""

    rule: str
    what: str
    function: str
    status: str
    note: str
    expected: bool = True
    within: str = ""  # the functions that it is inlined into


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
    copies: dict[int, list[Rule]] = field(
        default_factory=dict
    )  # inlined, where a rule can only be told to have been reached
    messages: dict[int, MessageSite] = field(default_factory=dict)
    begins: dict[int, list[str]] = field(default_factory=dict)  # where spans begin, by the rules that end them
    gates: list[GatePlan] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def sites(self) -> set[int]:
        """Where events happen, or what they measure begins."""
        return {*self.entries, *self.returns, *self.copies, *self.messages, *self.begins}

    def rules_at(self, address: int) -> list[Rule]:
        """What may happen there."""
        printed = self.messages[address].rules if address in self.messages else ()
        placed = (self.entries.get(address, ()), self.returns.get(address, ()), self.copies.get(address, ()))
        return [*(rule for rules in placed for rule in rules), *printed]

    def places_of(self, rule: str) -> set[int]:
        """Where a rule is looked for."""
        return {address for address in self.sites() for one in self.rules_at(address) if one.rule == rule}


def make_plan(profile: Profile, elf: ElfFile, disassemble: messages.Disassembler, inlined: Locate) -> Plan:
    plan = Plan()
    placed = _place_messages(profile, elf, disassemble, plan)
    has_dwarf = elf.has_section(".debug_info")
    copies = _Copies(profile, inlined if has_dwarf else None)
    unplaced = {rule.rule for rule in profile.rules if rule.message is not None and rule.rule not in placed}
    said = _printed_somewhere(profile, elf, unplaced)
    for rule in profile.rules:
        only_logged = not rule.functions and rule.message is None
        needless = rule.without_dwarf and has_dwarf and not _prints_apart(rule.keeps_for, elf, plan)
        if rule.unless in placed or needless or only_logged:
            continue
        if rule.message is not None:
            _expect_message(plan, rule, rule.rule in placed, rule.rule in said)
        elif _place_function(rule, elf, copies, plan):
            placed.add(rule.rule)
    _place_begins(profile, elf, plan)
    _place_gates(profile, elf, plan)
    return plan


def _prints_apart(rule: str | None, elf: ElfFile, plan: Plan) -> bool:
    """Whether a rule's line is printed in the cold part of a function, where DWARF has often lost the arguments."""
    return any(
        (rule or "") in (one.rule for one in site.rules) and elf.in_cold_part(address)
        for address, site in plan.messages.items()
    )


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


def _printed_somewhere(profile: Profile, elf: ElfFile, names: set[str]) -> set[str]:
    """Of these rules, those whose line this kernel has, though no call that prints it was found."""
    wanted = [rule for rule in profile.rules if rule.rule in names and rule.message is not None]
    if not wanted or not profile.prefixes:
        return set()
    samples = [messages.sample(text) for text in messages.formats(elf, profile.prefixes)]
    return {rule.rule for rule in wanted if rule.message and any(map(rule.message.search, samples))}


class _Copies:
    """Where the functions of a profile were inlined."""

    def __init__(self, profile: Profile, inlined: Locate | None) -> None:
        self.known = inlined is not None
        names = tuple(dict.fromkeys(name for rule in profile.rules for name in rule.functions))
        self._copies = inlined(names) if inlined and names else []

    def of(self, name: str) -> list[Copy]:
        return [copy for copy in self._copies if copy.function == name]


def _place_function(rule: Rule, elf: ElfFile, copies: _Copies, plan: Plan) -> bool:
    """Look for a rule at the first of its functions that this kernel has, wherever its code is."""
    found = [(name, [symbol.address for symbol in elf.functions(name)], copies.of(name)) for name in rule.functions]
    for name, own, inlined in sorted(found, key=lambda one: not one[1]):  # one that has a symbol, if any has
        if own or inlined:
            _place_at(rule, name, own, inlined, plan)
            return bool(own) or _holds_inlined(rule)
    names = " or ".join(rule.functions)
    if copies.known:
        _expect(plan, rule, rule.place, "missing", f"this kernel has no {names}")
    else:
        _expect(plan, rule, rule.place, "refused", f"no symbol {names}: without DWARF none tells whether it is inlined")
    return False


def _place_at(rule: Rule, name: str, own: list[int], inlined: list[Copy], plan: Plan) -> None:
    for address in own:
        (plan.returns if rule.on_return else plan.entries).setdefault(address, []).append(rule)
    whole = _holds_inlined(rule)
    for address in dict.fromkeys(copy.address for copy in inlined):
        (plan.entries if whole else plan.copies).setdefault(address, []).append(rule)
    within = ", ".join(dict.fromkeys(copy.within for copy in inlined))
    status = "planted" if own or whole else "inlined"
    note = (
        ""
        if whole or not within
        else f"what an inlined copy {'returns' if rule.on_return else 'is given'} cannot be seen"
    )
    _expect(plan, rule, name + RETURN * rule.on_return, status, note, within)


def _holds_inlined(rule: Rule) -> bool:
    """Whether a rule can be judged in an inlined copy: it has an entry, but no return, and its arguments no registers."""
    expressions = [*rule.when, *(text for capture in rule.captures for text in capture.expressions)]
    return not rule.on_return and not any(PROCESSOR.argument_named.search(text) for text in expressions)


def _expect_message(plan: Plan, rule: Rule, placed: bool, said: bool) -> None:
    if placed:
        _expect(plan, rule, rule.place, "planted")
    elif said:
        _expect(plan, rule, rule.place, "refused", "this kernel has the line, and no call that prints it was found")
    else:
        _expect(plan, rule, rule.place, "missing", "this kernel prints no such line")


def _expect(plan: Plan, rule: Rule, place: str, status: str, note: str = "", within: str = "") -> None:
    plan.expectations.append(Expectation(rule.rule, rule.what, place, status, note, rule.expected, within))
