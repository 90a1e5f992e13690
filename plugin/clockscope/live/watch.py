# SPDX-License-Identifier: MIT
"""Watched variables: each write to one becomes an event, with the value before and after.

The stub's watchpoints tell of every write, whoever makes it. Where it has none, probes stand on the instructions that
store to the variable and on those behind them; writes through pointers then go unseen.

A store that leaves the value as it was is a write too. But a stop is none where the instruction has written elsewhere, or
has put back what it read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clockscope.arch.known import PROCESSOR
from clockscope.gdbside import console, memory, own_breakpoints, values
from clockscope._core import Analyser, Error, Relay, Xref, store_of
from clockscope.gdbside.frames import Frame, Stop
from clockscope.kernel.elffile import ElfFile
from clockscope.base.errors import UserError
from clockscope.live.event_engine import Observation, Taker
from clockscope.profiles.profile import Rule
from clockscope.kernel.event_sites import Expectation

WRITTEN = "variable.written"

_SIZES = (1, 2, 4, 8)
_PER_CPU = ".data..percpu"
_LONGEST = 15  # bytes of an instruction
_BESIDE = 8  # bytes: so near, a watchpoint of QEMU's hits on stores that are unaligned


@dataclass(frozen=True)
class Variable:
    """What is watched. Addresses are those of the ELF file."""

    name: str
    address: int
    size: int
    stores: tuple[int, ...]  # the instructions that store to it by its name

    @property
    def rule(self) -> Rule:
        """The rule by which its writes stand in the trace."""
        return Rule(
            rule=f"watch-{self.name}",
            what=WRITTEN,
            functions=(),
            on_return=False,
            message=None,
            clock=self.name,
            clock_from=None,
            when=(),
            unless=None,
            expected=True,
            saved=(),
            captures=(),
        )


def resolve(elf: ElfFile, names: Sequence[str]) -> tuple[Variable, ...]:
    """The variables of these names: fields and all that `clock writers` takes. Errors say the nearest names."""
    if not names:
        return ()
    xref = Xref(elf.path)
    return tuple(_resolve(elf, xref, name) for name in dict.fromkeys(names))


def _resolve(elf: ElfFile, xref: Xref, name: str) -> Variable:
    answer = xref.writers(name)
    address, size = int(answer["variable_address"], 16), answer["size"]
    if size not in _SIZES:
        raise UserError(f"--watch {name}: it has {size} bytes, a watch takes 1, 2, 4 or 8; name one of its fields")
    per_cpu = elf.section(_PER_CPU)
    if per_cpu is not None and per_cpu.address <= address < per_cpu.address + per_cpu.size:
        raise UserError(f"--watch {name}: each CPU has its own; a watch needs one address")
    return Variable(name, address, size, tuple(int(store["address"], 16) for store in answer["writers"]))


class Watcher:
    """Watches the variables of one recording."""

    def __init__(
        self, elf: ElfFile, offset: int, variables: Sequence[Variable], backtrace_limit: int, take: Taker
    ) -> None:
        """`offset`: of the guest's addresses from the file's. Each write is an observation for `take`."""
        self._variables = variables
        self._elf = elf
        self._offset = offset
        self._limit = backtrace_limit
        self._take = take
        self._analyser = Analyser(elf.path) if variables else None
        self._planted: list[own_breakpoints.Watchpoint | own_breakpoints.Probe] = []

    def plant(self, relay: Relay) -> list[Expectation]:
        """Begin to watch; how, and what cannot be seen. The guest must be stopped."""
        return [self._watch(variable, relay) for variable in self._variables]

    def lift(self) -> None:
        for planted in self._planted:
            planted.remove()
        self._planted.clear()

    def _watch(self, variable: Variable, relay: Relay) -> Expectation:
        writes = _Writes(variable, self._elf, self._offset, self._observe)
        try:
            if _stub_watches(relay, variable.address + self._offset, variable.size):
                self._planted.append(writes.watchpoint())
                return _expectation(variable, "planted", "")
        except console.Error:
            pass  # the stub has no watchpoint left, or GDB may not use it: the other way remains
        refused = 0
        for store in variable.stores:
            try:
                self._planted += writes.plant(store)
            except console.Error:
                refused += 1
        probed = len(variable.stores) - refused
        note = f"no watchpoint: breakpoints on {probed} of {len(variable.stores)} instructions that store to it by its name"
        return _expectation(variable, "planted" if probed else "refused", note)

    def _observe(self, variable: Variable, values: tuple[values.Value, values.Value], at: int, stop: Stop) -> bool:
        """`at`: the address of the instruction that wrote."""
        told = (("name", variable.name), ("old", values[0]), ("new", values[1]))
        return self._take(
            Observation(
                variable.rule,
                variable.name,
                told,
                self._backtrace(at, stop),
                stop.cpu,
                stop.thread,
                stop.register(PROCESSOR.pc),
            )
        )

    def _backtrace(self, at: int, stop: Stop) -> tuple[Frame, ...]:
        """The backtrace with the writing instruction's own place in front: the stop is behind it already."""
        frames = stop.backtrace(self._limit)
        own = next((index for index, frame in enumerate(frames) if not frame.inlined), 0) + 1
        return (*self._place(at), *frames[own:])

    def _place(self, at: int) -> Iterable[Frame]:
        """The function that holds an instruction, and those inlined there, innermost first."""
        assert self._analyser is not None
        found = self._analyser.source(at) or [(self._elf.function_at(at) or "??", "", 0)]
        for level, (function, file, line) in enumerate(found):
            yield Frame(function, file, line, at + self._offset, level < len(found) - 1)


def _stub_watches(relay: Relay, address: int, size: int) -> bool:
    """Whether the stub takes a watchpoint there; asked of it, for GDB learns it only when the guest is to go on."""
    place = f"{address:x},{size:x}".encode()
    try:
        return relay.request(b"Z2," + place) == b"OK" and relay.request(b"z2," + place) == b"OK"
    except Error:
        return False


def _expectation(variable: Variable, status: str, note: str) -> Expectation:
    return Expectation(variable.rule.rule, WRITTEN, variable.name, status, note)


Seen = Callable[[Variable, tuple[values.Value, values.Value], int, Stop], bool]
"""(variable, (old, new), address of the instruction, stop); True keeps the guest there."""


def _place(store: Mapping[str, Any], stop: Stop) -> int:
    """Where a store went that was just executed: it leaves its address' registers alone, but for a string's."""
    if store["string"]:
        return (stop.register(PROCESSOR.string_pointer) - int(store["width"])) % (1 << 64)
    base = stop.register(store["base"]) if store["base"] else 0
    index = stop.register(store["index"]) if store["index"] else 0
    segment = stop.register(f"{store['segment']}_base") if store["segment"] else 0
    return int(base + index * store["scale"] + store["displacement"] + segment) % (1 << 64)


def overlap(one: int, size: int, other: int, length: int) -> bool:
    """Whether two pieces of memory have a byte in common."""
    return (other - one) % (1 << 64) < size or (one - other) % (1 << 64) < length


class _Writes:
    """The writes to one variable."""

    def __init__(self, variable: Variable, elf: ElfFile, offset: int, seen: Seen) -> None:
        self._variable = variable
        self._elf = elf
        self._offset = offset
        self._seen = seen
        self._type = values.type_of(variable.name, variable.size)
        self._last = self._read() or self._initial()
        self._before: dict[tuple[str, int], bytes] = {}  # by thread and storing instruction: it has not stored yet

    def watchpoint(self) -> own_breakpoints.Watchpoint:
        return own_breakpoints.Watchpoint(self._variable.address + self._offset, self._variable.size, self._written)

    def plant(self, store: int) -> list[own_breakpoints.Probe]:
        """A probe on an instruction that stores, and one behind it that is in place only until that is reached."""
        behind = store + self._elf.disassemble(store, 1)[0][1]
        after = own_breakpoints.Probe(behind + self._offset, lambda stop: self._has_stored(store, after, stop))
        after.switch(False)
        try:
            return [
                after,
                own_breakpoints.Probe(store + self._offset, lambda stop: self._will_store(store, after, stop)),
            ]
        except console.Error:
            after.remove()
            raise

    def _read(self) -> bytes:
        return memory.read_memory(self._variable.address + self._offset, self._variable.size)

    def _initial(self) -> bytes:
        """The value that the kernel is loaded with: before its memory is mapped, it cannot be read."""
        return self._elf.read(self._variable.address, self._variable.size) or bytes(self._variable.size)

    def _written(self, stop: Stop) -> bool:
        here = (stop.register(PROCESSOR.pc) - self._offset) % (1 << 64)
        # A repeated store stands on itself until it is done, and its pointer behind what it wrote last.
        last = stop.register(PROCESSOR.string_pointer) - 1 - self._offset - self._variable.address
        if 0 <= last < self._variable.size and self._repeats(here):
            return last == self._variable.size - 1 and self._tell(self._last, here, stop)
        before = self._instruction_before(here)
        if self._has_passed(here, stop) and not self._stores_here(before, stop):
            return self._tell(self._last, here, stop)
        return self._tell(self._last, before, stop, self._stores_here)

    def _repeats(self, at: int) -> bool:
        return any(text.startswith(PROCESSOR.repeated) for _, _, text in self._elf.disassemble(at, 1))

    def _has_passed(self, at: int, stop: Stop) -> bool:
        """Whether a repeated store has gone past the variable: QEMU 10 stops it at the end of a page, or of its work."""
        found = self._store_at(at)
        if found is None or not found["string"] or not self._repeats(at):
            return False
        address, pointer = self._variable.address + self._offset, stop.register(PROCESSOR.string_pointer)
        downwards = stop.register(PROCESSOR.flags) & PROCESSOR.backwards
        distance = address - pointer if downwards else pointer - address - self._variable.size
        return distance > _BESIDE + int(found["width"])

    def _will_store(self, store: int, after: own_breakpoints.Probe, stop: Stop) -> bool:
        self._before[stop.thread, store] = self._read()
        after.switch(True)
        return False

    def _has_stored(self, store: int, after: own_breakpoints.Probe, stop: Stop) -> bool:
        old = self._before.pop((stop.thread, store), None)
        if not any(waiting == store for _, waiting in self._before):
            after.switch(False)
        return old is not None and self._tell(old, store, stop, self._stores)

    def _tell(
        self, old: bytes, at: int, stop: Stop, wrote: Callable[[int, Stop], bool] = lambda at, stop: True
    ) -> bool:
        """`wrote`: whether the instruction has written to the variable, asked where its value is the same."""
        self._last = new = self._read()
        if new == old and new and not wrote(at, stop):
            return False
        change = values.value_of(old, self._type), values.value_of(new, self._type)
        return self._seen(self._variable, change, at, stop)

    def _stores(self, at: int, stop: Stop) -> bool:
        """Whether an instruction stores, and does not only put back what it has read: a cmpxchg that changes nothing is how
        some kernels read."""
        found = self._store_at(at)
        return found is not None and not found["updates"]

    def _stores_here(self, at: int, stop: Stop) -> bool:
        """Whether it has stored to the variable: QEMU's watchpoints hit on unaligned stores beside it as well."""
        found = self._store_at(at)
        if found is None or found["updates"]:
            return False
        if self._has_passed(at, stop):
            return True
        try:
            place = _place(found, stop)
        except (console.Error, ValueError):
            return False  # a segment's base that the stub does not tell
        return overlap(place, found["width"], self._variable.address + self._offset, self._variable.size)

    def _store_at(self, at: int) -> dict[str, Any] | None:
        address = (at + self._offset) % (1 << 64)
        return store_of(memory.read_memory(address, _LONGEST) or self._elf.read(at, _LONGEST) or b"", address)

    def _instruction_before(self, here: int) -> int:
        """The instruction that has just written: the one that ends where the guest stands."""
        before = self._elf.instruction_before(here)
        return here - 1 if before is None else before
