# SPDX-License-Identifier: MIT
"""The event engine: takes the stops at a plan's sites and makes observations of them, as the profile's rules say.

At a stop nothing is resumed, nothing is asked of the user, and what cannot be read is None. The guest goes on at
once unless the observation's taker wants it to stay.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain

from clockscope.arch.known import PROCESSOR
from clockscope.gdbside import console, memory, own_breakpoints, symbols, values
from clockscope.kernel import messages
from clockscope.gdbside.frames import Frame, Stop
from clockscope.gdbside.values import Value
from clockscope.profiles.profile import Capture, Rule
from clockscope.kernel.event_sites import GatePlan, MessageSite, Plan
from clockscope.live.tally import Tally
from clockscope.live.observer import CALIBRATED, Mark, Observer
from clockscope.live.repeats import Repeats

_AFTER_FORMAT = PROCESSOR.arguments[1:]
# What a profile's expressions may use beside the guest's own names. GDB's convenience variables carry
# it, under a prefix that keeps the user's own variables apart.
_OWN_VARIABLE = re.compile(r"\$(?=(?:ret|hits|seen_\w+|arg_\w+|saved_\w+)\b)")
_PREFIX = "clockscope_"


@dataclass(frozen=True)
class Observation:
    """One event, as seen."""

    rule: Rule
    clock: str | None
    values: tuple[tuple[str, Value], ...]
    backtrace: tuple[Frame, ...]  # of a function's return: as at its entry
    cpu: int
    thread: str
    address: int  # where the guest stands
    begun: Mark | None = None  # of a function's return: when it was entered


Taker = Callable[[Observation], bool]
"""Called with each observation while the guest stands; True keeps it there."""


@dataclass(frozen=True)
class _Scene:
    """Where a rule is judged: the stop, and the backtrace that its event will have."""

    stop: Stop
    backtrace: Callable[[], tuple[Frame, ...]]
    found: Mapping[str, Value] = field(default_factory=dict)  # values that are known before any capture
    line: str | None = None
    begun: Mark | None = None


@dataclass(frozen=True)
class _Pending:
    """A call whose return is awaited."""

    address: int  # the function
    gates: tuple[GatePlan, ...]  # open while it lasts
    rules: tuple[Rule, ...]
    variables: Mapping[str, values.Variable]
    return_type: values.Type | None
    backtrace: tuple[Frame, ...]
    begun: Mark | None


class Engine:
    """Plants a plan's probes in the guest and turns their stops into observations.

    A probe is enabled only while its gates let it be of use: each one planted slows some stubs' guests all the time.
    Addresses are those of the ELF file throughout; a relocated guest's differ by `offset`.
    """

    def __init__(
        self,
        plan: Plan,
        offset: int,
        backtrace_limit: int,
        run_ns: Callable[[], int],
        take: Taker,
        observer: Observer,
    ) -> None:
        self._plan = plan
        self._observer = observer
        self._offset = offset
        self._limit = backtrace_limit
        self._take = take
        self.on_return: Callable[[], None] = lambda: None  # after each call whose return was awaited
        self._repeats = Repeats(run_ns)
        self._probes: dict[int, own_breakpoints.Probe] = {}
        self._hits: Counter[int] = Counter()
        self.tally = Tally()
        self._seen = self.tally.matched
        self._clocks: list[str] = []  # as they were registered and chosen
        # By return address and stack pointer there: several where one function ends in a jump to another.
        self._pending: dict[tuple[int, int], list[_Pending]] = {}
        self._first: tuple[int, Callable[[], bool]] | None = None  # where it begins, and what is called then
        self._scarce = False
        # Of a guest that was not seen from its start on it is not known which are open.
        self._gates: list[GatePlan] = []
        self._open: Counter[str] = Counter()
        self._opened: set[str] = set()

    def begin_at(self, address: int, call: Callable[[], bool], *, scarce: bool) -> None:
        """Plant nothing else before the guest comes here, when `call` is called; True keeps the guest there.

        `scarce`: the guest's breakpoints are bytes in memory, or a processor's few slots.
        """
        self._first, self._scarce = (address, call), scarce
        self.begin_here()

    def begin_here(self) -> None:
        """The guest stands early in its boot, before all that opens a gate."""
        self._gates = self._plan.gates
        for gate in self._gates:
            if not gate.during and not gate.after and not gate.after_event:
                self._turn(gate, 1)

    def arrive(self, address: int, stop: Stop) -> bool:
        """The guest stands at a probe's address already; True keeps it there."""
        return self._stopped(address, stop)

    @property
    def waiting(self) -> bool:
        """Whether the guest has yet to come to where it begins."""
        return self._first is not None

    @property
    def _hardware(self) -> bool:
        """Before the kernel's text is mapped only these hold; where there are few, memory takes the others."""
        return not self._scarce or self._first is not None

    def plant(self, *, memory: bool = True) -> list[tuple[int, str]]:
        """Plant what is of use now; (address, why) for what the guest refused.

        `memory`: a guest that has no hardware breakpoint at all may get bytes in its memory, once its text is mapped.
        """
        refused = self._plant_all()
        if refused and memory and self._hardware and self._first is None and not self._probes:
            self._scarce = True
            refused = self._plant_all()
        return refused

    def _plant_all(self) -> list[tuple[int, str]]:
        refused = []
        for address in sorted(self._own_addresses()):
            try:
                self._set(address)
            except console.Error as error:
                refused.append((address, str(error)))
        return refused

    def lift(self) -> None:
        """Remove all probes."""
        for probe in self._probes.values():
            probe.remove()
        self._probes.clear()
        self._pending.clear()

    def _own_addresses(self) -> set[int]:
        gates = (address for gate in self._gates for address in gate.during | gate.after | gate.before)
        return self._plan.sites().union(gates, (self._first[0],) if self._first else ())

    def _wanted(self, address: int) -> bool:
        """Whether a probe is of use now."""
        if self._first is not None:
            return address == self._first[0]
        if any(where == address for where, _ in self._pending):
            return True
        if any(address in gate.before and self._open[gate.name] for gate in self._gates):
            return True
        opens = any(address in gate.during or self._still_opens(gate, address) for gate in self._gates)
        can_happen = all(self._open[gate.name] for gate in self._gates if address in gate.covers)
        return can_happen and (opens or address in self._plan.sites())

    def _still_opens(self, gate: GatePlan, address: int) -> bool:
        return address in gate.after and gate.name not in self._opened

    def _set(self, address: int) -> None:
        """Enable or disable the probe at an address, as it is of use or not."""
        wanted = self._wanted(address)
        probe = self._probes.get(address)
        if probe is not None:
            probe.switch(wanted)
        elif wanted:
            hit = functools.partial(self._stopped, address)
            self._probes[address] = own_breakpoints.Probe(address + self._offset, hit, hardware=self._hardware)

    def _turn_gates(self, address: int) -> None:
        """Open the gates that an address opens, and close those that it closes."""
        for gate in self._gates:
            if self._still_opens(gate, address):
                self._turn(gate, 1)
            elif address in gate.before:
                self._turn(gate, 0)

    def _turn(self, gate: GatePlan, count: int) -> None:
        """Say how often a gate is open: once, not at all, or by so many calls."""
        self._open[gate.name] = max(count, 0)
        if count:
            self._opened.add(gate.name)
        for address in gate.covers | gate.before | gate.after:
            self._set(address)

    def _stopped(self, address: int, stop: Stop) -> bool:
        if self._repeats.again(stop):
            return False
        self._observer.arrive()
        self._hits[address] += 1
        stay = self._begin()
        stay |= self._returned(address, stop)
        stay |= self._entered(address, stop)
        if address in self._plan.messages:
            stay |= self._printed(self._plan.messages[address], stop)
        self._turn_gates(address)
        # Of no more use, for instance where a function returned to: much else may pass there.
        self._set(address)
        self._observer.leave(address + self._offset)
        return stay

    def _begin(self) -> bool:
        """Before anything else: is this where it begins?"""
        if self._first is None:
            return False
        call, self._first = self._first[1], None
        return call()

    def _entered(self, address: int, stop: Stop) -> bool:
        if address in self._plan.begins:
            self._observer.enter(self._plan.begins[address], *_place(stop, stop.backtrace(self._limit)))
        returns = tuple(self._plan.returns.get(address, ()))
        calls = tuple(gate for gate in self._gates if address in gate.during)
        if returns or calls:
            self._await_return(address, calls, returns, stop)
        self.tally.ran_inlined(self._plan.copies.get(address, ()))
        entries = self._plan.entries.get(address, ())
        self.tally.came(entries)
        if not entries:
            return False
        with self._variables({"hits": self._hits[address]}, entries):
            return self._observe_all(entries, _Scene(stop, lambda: tuple(stop.backtrace(self._limit))))

    def _await_return(self, address: int, gates: tuple[GatePlan, ...], rules: tuple[Rule, ...], stop: Stop) -> None:
        """Keep what holds at a function's entry, and plant a probe where it will return to.

        The stack pointer after the return tells this call from others of the same function: recursion,
        another vCPU, an interrupt. Of a call that never returns only this entry remains.
        """
        stack = stop.register(PROCESSOR.stack_pointer)
        return_address = (stop.word(stack) - self._offset) % (1 << 64)
        variables: dict[str, values.Variable] = {"hits": self._hits[address]}
        if rules:
            variables.update((f"arg_{name}", value) for name, value in stop.arguments().items())
        with self._variables(variables, rules):
            for name, expression in (saved for rule in rules for saved in rule.saved):
                variables[f"saved_{name}"] = stop.evaluate(_own(expression))
        backtrace = tuple(stop.backtrace(self._limit)) if rules else ()
        calls = self._pending.setdefault((return_address, stack + 8), [])
        self.tally.came(rules)
        self.tally.unfinished.update(rule.rule for rule in rules)
        # One of the same function has never returned, and will not.
        lost = [call for call in calls if call.address == address]
        self.tally.unfinished.subtract(rule.rule for call in lost for rule in call.rules)
        calls[:] = [call for call in calls if call.address != address]
        measures = any(rule.what in CALIBRATED and not rule.told for rule in rules)
        begun = self._observer.mark(*_place(stop, backtrace)) if measures else None
        calls.append(_Pending(address, gates, rules, variables, stop.return_type(), backtrace, begun))
        self._set(return_address)
        for gate in gates:
            self._turn(gate, self._open[gate.name] + 1)

    def _returned(self, address: int, stop: Stop) -> bool:
        if not self._pending:
            return False
        stay = False
        for call in reversed(self._pending.pop((address, stop.register(PROCESSOR.stack_pointer)), [])):
            stay |= self._returned_from(call, stop)
        return stay

    def _returned_from(self, call: _Pending, stop: Stop) -> bool:
        for gate in call.gates:
            self._turn(gate, self._open[gate.name] - 1)
        self.tally.unfinished.subtract(rule.rule for rule in call.rules)
        variables = {**call.variables, "ret": stop.return_value(call.return_type)}
        with self._variables(variables, call.rules):
            stay = self._observe_all(call.rules, _Scene(stop, lambda: call.backtrace, begun=call.begun))
        self.on_return()
        return stay

    def _observe_all(self, rules: Iterable[Rule], scene: _Scene) -> bool:
        stay = False
        for rule in rules:
            if self._holds(rule, scene.stop):
                stay |= self._observe(rule, scene)
        return stay

    def _printed(self, site: MessageSite, stop: Stop) -> bool:
        # Compilers let several formats share one call.
        at = stop.register(PROCESSOR.arguments[0])
        text = site.call.formats.get(at - self._offset) or messages.strip_level(stop.string(at))
        line = messages.format_line(text, _CallArguments(stop, site.call.tail))
        self.tally.came(site.rules)
        with self._variables({"hits": self._hits[site.call.address]}, site.rules):
            for rule in site.rules:
                match = rule.message.search(line) if rule.message else None
                if match and self._holds(rule, stop):
                    return self._observe(
                        rule, _Scene(stop, lambda: tuple(stop.backtrace(self._limit)), messages.groups(match), line)
                    )
        return False

    def _holds(self, rule: Rule, stop: Stop) -> bool:
        values = (stop.evaluate(_own(expression)) for expression in rule.when)
        return not rule.when or bool(next((value for value in values if value is not None), None))

    def _observe(self, rule: Rule, scene: _Scene) -> bool:
        values = dict(scene.found)
        captured = ((capture, _capture(capture, scene.stop)) for capture in rule.captures)
        values.update((one.name, value) for one, value in captured if value is not None or not one.optional)
        if scene.line is not None:
            values["message"] = scene.line
        named = values.get(rule.clock_from) if rule.clock_from else rule.clock
        if named is None and rule.clock_among:
            named = next((each for each in reversed(self._clocks) if each in rule.clock_among), rule.clock_among[0])
        clock = None if named is None else str(named)
        if clock and rule.what in ("clock.registered", "clock.selected"):
            self._clocks.append(clock)
        self._seen[rule.rule] += 1
        for gate in self._gates:
            if rule.rule in gate.after_event and gate.name not in self._opened:
                self._turn(gate, 1)
        stop = scene.stop
        here = stop.register(PROCESSOR.pc)
        return self._take(
            Observation(rule, clock, tuple(values.items()), scene.backtrace(), stop.cpu, stop.thread, here, scene.begun)
        )

    def _variables(
        self, variables: Mapping[str, values.Variable], rules: Iterable[Rule]
    ) -> AbstractContextManager[None]:
        """What the rules' expressions may use beside the guest's own names, for the time of a block."""
        counts = {f"seen_{name.replace('-', '_')}": self._seen[name] for rule in rules for name in rule.counts}
        return values.variables({_PREFIX + name: value for name, value in chain(counts.items(), variables.items())})


def _place(stop: Stop, backtrace: Iterable[Frame]) -> tuple[int, list[int]]:
    return stop.register(PROCESSOR.pc), [frame.address for frame in backtrace]


def _capture(capture: Capture, stop: Stop) -> Value:
    if capture.text is not None:
        return capture.text
    values = (stop.evaluate(_own(expression), capture.frame) for expression in capture.expressions)
    value = next((value for value in values if value is not None), None)
    if isinstance(value, int) and 0 <= value < len(capture.names):
        return capture.names[value]
    return value


@functools.cache
def _own(expression: str) -> str:
    return _OWN_VARIABLE.sub("$" + _PREFIX, expression)


class _CallArguments(messages.Arguments):
    """A stopped call's variable arguments: after the format, in the calling convention's order."""

    def __init__(self, stop: Stop, tail: bool) -> None:
        self._stop = stop
        self._taken = 0
        # The call has not pushed its return address yet; a tail call's caller has.
        self._stack_offset = PROCESSOR.entry_gap if tail else 0

    def next(self) -> int:
        index, self._taken = self._taken, self._taken + 1
        if index < len(_AFTER_FORMAT):
            return self._stop.register(_AFTER_FORMAT[index])
        slot = self._stack_offset + 8 * (index - len(_AFTER_FORMAT))
        return self._stop.word(self._stop.register(PROCESSOR.stack_pointer) + slot)

    def string(self, address: int) -> str:
        return self._stop.string(address)

    def memory(self, address: int, size: int) -> bytes:
        return memory.read_memory(address, size)

    def symbol(self, address: int) -> str:
        return symbols.symbol_at(address)
