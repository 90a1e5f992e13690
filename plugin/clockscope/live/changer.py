# SPDX-License-Identifier: MIT
"""Interventions while a guest runs: planted, counted, and told of at the recording's end."""

import functools
from collections.abc import Iterator, Sequence

from clockscope.gdbside import console, own_breakpoints, symbols, values
from clockscope._core import Error, Interventions, RefusedError, Relay, TraceWriter
from clockscope.gdbside.frames import Stop
from clockscope.base.errors import UserError
from clockscope.profiles.profile import Branches
from clockscope.kernel.hints import of_kernel
from clockscope.kernel.wish import Wish
from clockscope.kernel.change_sites import Guest, Planned, plan
from clockscope.kernel.placement import Placement
from clockscope.model import branch_ways
from clockscope.live.repeats import Repeats
from clockscope.live.traced_kernel import Target
from clockscope.base.ui import one_line


def prepare(wishes: Sequence[Wish], target: Target) -> list[Planned]:
    """Find the places of the interventions; UserError for one that cannot be."""
    if not wishes:
        return []
    hints = of_kernel(target.elf, target.profile.branches if target.profile else Branches())
    check = functools.partial(_check, target)
    ways = functools.partial(branch_ways.of_parts, target.elf.analyser, symbols.source_file)
    return plan(wishes, Guest(target.elf, hints, functools.partial(_statements, target), ways, _number, check))


def _statements(target: Target, file: str, line: int) -> list[int]:
    return [target.place.link(address) for address in symbols.statements(file, line)]


def _number(expression: str) -> int:
    try:
        return values.number_of(expression)
    except console.Error as error:
        raise UserError(f"{expression} is no value: {one_line(str(error))}") from error


def _check(target: Target, address: int, expression: str, value: str) -> None:
    try:
        values.check_assignment(
            target.place.run(address), expression, value, lambda name: target.elf.find(name) is not None
        )
    except console.Error as error:
        raise UserError(one_line(str(error))) from error


class Intervening:
    """The interventions of one recording."""

    def __init__(self, planned: Sequence[Planned], relay: Relay, writer: TraceWriter, place: Placement) -> None:
        self._planned = planned
        self._relay = relay
        self._writer = writer
        self._place = place
        self._repeats = {one.number: Repeats(relay.run_ns) for one in planned}
        self._core = Interventions(relay, writer, place.core) if planned else None
        self._probes: list[own_breakpoints.Probe] = []
        self._made = dict.fromkeys((one.number for one in planned), 0)  # by GDB
        self._failures: dict[int, str] = {}
        for one in planned:
            wish = one.wish
            writer.intervention(one.number, wish.kind, wish.option, one.function, one.file, one.line, one.address)

    @property
    def replaced(self) -> set[int]:
        """Where the functions begin that return at once."""
        return {one.address for one in self._planned if one.wish.kind == "return"}

    def plant(self, *, hardware: bool, memory: bool = True) -> Iterator[str]:
        """Begin; what the user should know of it. The guest must stand, its kernel's text be there if breakpoints change
        memory. `hardware`: GDB's breakpoints are to be such; `memory`: those that are bytes in memory do no harm."""
        for one in self._planned:
            try:
                if not memory and one.wish.kind != "set":
                    raise RefusedError("hardware breakpoints alone do not serve for that")
                self._plant(one, hardware)
            except (Error, console.Error) as error:
                self._failures[one.number] = one_line(str(error))
                yield f"Your guest takes no breakpoint for --{one.wish.kind} {one.wish.option}: {self._failures[one.number]}"
            if one.in_window:
                yield f"--{one.wish.kind} {one.wish.option} stops your guest within a timing window."

    def _plant(self, one: Planned, hardware: bool) -> None:
        wish = one.wish
        assert self._core is not None
        if wish.kind == "force":
            times = () if wish.times is None else (wish.times,)
            self._core.force(one.number, one.address, one.code, one.taken, *times)
        elif wish.kind == "return":
            self._core.have_return(one.number, one.address, one.value, one.ret)
        else:
            act = functools.partial(self._assign, one)
            self._probes.append(own_breakpoints.Probe(self._place.run(one.address), act, hardware=hardware))

    def _assign(self, one: Planned, stop: Stop) -> bool:
        if self._repeats[one.number].again(stop):
            return False
        try:
            was, became = values.assign(one.wish.expression, one.wish.value)
        except console.Error as error:
            self._failures.setdefault(one.number, one_line(str(error)))
            return False
        self._repeats[one.number].keep(Stop())
        self._made[one.number] += 1
        self._writer.intervention_use(one.number, self._relay.run_ns(), stop.cpu, was, became)
        return False

    def lift(self) -> None:
        for probe in self._probes:
            probe.remove()
        self._probes.clear()
        if self._core is not None:
            self._core.stop()

    def summary(self, unreached: str = "never reached") -> Iterator[str]:
        """How often each was made, and why one was not."""
        states = self._core.states() if self._core is not None else {}
        for one in self._planned:
            state = states.get(one.number, {"uses": self._made[one.number], "other_text": False, "refused": False})
            name = f"--{one.wish.kind} {one.wish.option}"
            if state["refused"]:
                yield f"{name} was not made: your guest's stub writes no registers"
            elif state["other_text"]:
                yield f"{name} was not made: your guest's memory holds another instruction there"
            elif state["uses"]:
                yield f"{name} was made {_times(state['uses'])}"
            else:
                failure = self._failures.get(one.number)
                yield f"{name} was not made: {failure}" if failure else f"{name} was {unreached}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
