# SPDX-License-Identifier: MIT
"""A simulated x86-64 machine for the scripted stub: deterministic, and no more than the remote protocol can see.

A vCPU does not execute code, it walks a list of places. So a test writes down what the guest does, and
knows exactly how often each address is reached.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PAGE = 4096
RDTSC = b"\x0f\x31"
CPUID = b"\x0f\xa2"
INT3 = 0xCC
HLT = b"\xf4"  # fills new pages: an instruction whose effect nobody can work out without executing it


class Unmapped(Exception):
    """Memory that the guest does not have; the first such address is its argument."""


class Memory:
    """Sparse guest memory."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def map(self, address: int, data: bytes) -> None:
        """Map the pages that DATA touches and put it there; the rest of new pages is `hlt`."""
        for page in range(address // PAGE, (address + max(len(data), 1) - 1) // PAGE + 1):
            self._pages.setdefault(page, bytearray(HLT * PAGE))
        self.write(address, data)

    def read(self, address: int, length: int) -> bytes:
        return bytes(self._byte(place) for place in range(address, address + length))

    def write(self, address: int, data: bytes) -> None:
        self.read(address, len(data))
        for offset, byte in enumerate(data):
            page, place = divmod(address + offset, PAGE)
            self._pages[page][place] = byte

    def _byte(self, address: int) -> int:
        page, place = divmod(address, PAGE)
        if page not in self._pages:
            raise Unmapped(address)
        return self._pages[page][place]


@dataclass(frozen=True)
class Register:
    name: str
    bits: int
    kind: str
    feature: str = "core"

    @property
    def size(self) -> int:
        return self.bits // 8


def _registers(names: str, bits: int, kind: str, feature: str = "core") -> list[Register]:
    return [Register(name, bits, kind, feature) for name in names.split()]


GENERAL = (
    _registers("rax rbx rcx rdx rsi rdi", 64, "int64")
    + _registers("rbp rsp", 64, "data_ptr")
    + _registers("r8 r9 r10 r11 r12 r13 r14 r15", 64, "int64")
    + _registers("rip", 64, "code_ptr")
    + _registers("eflags cs ss ds es fs gs", 32, "int32")
)
SYSTEM = _registers("fs_base gs_base k_gs_base cr0 cr2 cr3 cr4 cr8 efer", 64, "int64")
FLOATING = _registers("st0 st1 st2 st3 st4 st5 st6 st7", 80, "i387_ext") + _registers(
    "fctrl fstat ftag fiseg fioff foseg fooff fop", 32, "int"
)
VECTOR = _registers(" ".join(f"xmm{n}" for n in range(16)), 128, "vec128", "sse") + _registers(
    "mxcsr", 32, "int", "sse"
)


class Layout:
    """Which registers `g` carries, in which order."""

    def __init__(self, registers: Iterable[Register]) -> None:
        self.registers = list(registers)
        self.place: dict[str, tuple[int, int]] = {}
        offset = 0
        for register in self.registers:
            self.place[register.name] = (offset, register.size)
            offset += register.size
        self.size = offset

    def description(self) -> dict[str, str]:
        """The target description: target.xml and the two files it includes."""
        head = '<?xml version="1.0"?><!DOCTYPE {} SYSTEM "gdb-target.dtd">'
        files = {
            "target.xml": head.format("target")
            + "<target><architecture>i386:x86-64</architecture><!-- to be escaped: # $ } * -->"
            + "".join(f'<xi:include href="{name}.xml"/>' for name in self._features())
            + "</target>"
        }
        for name in self._features():
            body = "".join(
                f'<reg name="{register.name}" bitsize="{register.bits}" type="{register.kind}" regnum="{number}"/>\n'
                for number, register in enumerate(self.registers)
                if register.feature == name
            )
            types = '<vector id="vec128" type="uint8" count="16"/>\n' if name == "sse" else ""
            feature = f'<feature name="org.gnu.gdb.i386.{name}">\n{types}{body}</feature>'
            files[f"{name}.xml"] = head.format("feature") + feature
        return files

    def _features(self) -> list[str]:
        return list(dict.fromkeys(register.feature for register in self.registers))


FULL = Layout(GENERAL + SYSTEM + FLOATING + VECTOR)  # QEMU's 608 bytes
PLAIN = Layout(GENERAL + FLOATING + VECTOR)  # GDB's own idea of x86-64, 536 bytes
SHORT = Layout(GENERAL)  # bhyve's and KGDB's 164 bytes


@dataclass(frozen=True)
class At:
    """One place of a walk: what holds as the vCPU arrives there, and what its instruction does."""

    pc: int
    code: bytes = b""  # the instruction's bytes, for whoever reads them
    registers: dict[str, int] = field(default_factory=dict)
    writes: dict[int, bytes] = field(default_factory=dict)
    output: str = ""  # the stub says it in an `O` packet
    idle: bool = False  # the guest waits here until it is interrupted


@dataclass(frozen=True)
class Stop:
    """Why the machine stopped. `reason` is a stop reply's own word: hwbreak, swbreak, watch."""

    thread: int
    signal: int = 5
    reason: str = ""
    address: int = 0
    exit: bytes = b""


class Vcpu:
    """One processor, walking. After the last place it begins again at `loop_to`, or has ended."""

    def __init__(self, number: int, walk: Sequence[int | At], layout: Layout, loop_to: int | None) -> None:
        self.number = number
        self.walk = [place if isinstance(place, At) else At(place) for place in walk]
        self.layout = layout
        self.loop_to = loop_to
        self.registers = bytearray(layout.size)
        if "efer" in layout.place:
            self.write("efer", 0x500)  # long mode, enabled and active
        self.position = 0
        self.ended = False
        self.reported = False  # stopped at this PC's breakpoint already
        self.woken = False  # an idle place has been interrupted
        self.executed: list[int] = []
        self._arrive()

    @property
    def place(self) -> At:
        return self.walk[self.position]

    @property
    def pc(self) -> int:
        return self.read("rip")

    @property
    def astray(self) -> bool:
        """Whether the debugger has sent the vCPU to an address that is not next in its walk."""
        return self.pc != self.place.pc

    def read(self, name: str) -> int:
        offset, size = self.layout.place[name]
        return int.from_bytes(self.registers[offset : offset + size], "little")

    def write(self, name: str, value: int) -> None:
        offset, size = self.layout.place[name]
        self.registers[offset : offset + size] = value.to_bytes(size, "little")

    @property
    def waiting(self) -> bool:
        """Whether the guest is idle and nobody has woken it."""
        return self.place.idle and not self.woken

    def load(self, registers: bytes) -> None:
        """The debugger writes registers: if RIP is a later place of the walk, go on from there."""
        before = self.pc
        self.registers[:] = registers
        self.reported = self.reported and self.pc == before
        if self.pc == before:
            return
        ahead = range(self.position, len(self.walk))
        again = range(self.position if self.loop_to is None else self.loop_to, self.position)
        found = next((index for index in (*ahead, *again) if self.walk[index].pc == self.pc), self.position)
        if found != self.position:  # the debugger has done the instruction's work
            self.executed.append(before)
            self.position = found
            self._arrive()

    def step(self) -> None:
        """Execute one instruction. Astray, one of two bytes (`rdtsc`, `cpuid`); else the walk's."""
        self.executed.append(self.pc)
        self.reported = self.woken = False
        if self.astray:
            self.write("rip", self.pc + 2)
        elif self.position + 1 < len(self.walk):
            self.position += 1
            self._arrive()
        elif self.loop_to is not None:
            self.position = self.loop_to
            self._arrive()
        else:
            self.ended = True
            self.write("rip", self.pc + 1)

    def rejoin(self) -> None:
        """Continue the walk after having been astray."""
        if self.astray:
            self.position = min(self.position + 1, len(self.walk) - 1)
            self._arrive()

    def _arrive(self) -> None:
        self.write("rip", self.place.pc)
        for name, value in self.place.registers.items():
            if name in self.layout.place:
                self.write(name, value)


class Machine:
    """Memory, vCPUs and breakpoints; runs in slices so that the stub can listen in between."""

    quirks: tuple[str, ...] = ()  # of the core's table, which it plays

    def __init__(
        self,
        *walks: Sequence[int | At],
        layout: Layout = FULL,
        loop_to: int | None = None,
        reports_again: bool = False,
        tsc_runs_on: bool = False,
        ending: bytes = b"W00",
    ) -> None:
        self.vcpus = [Vcpu(number, walk, layout, loop_to) for number, walk in enumerate(walks, start=1)]
        self.layout = layout
        self.memory = Memory()
        self.breakpoints: set[tuple[int, int]] = set()  # (Z type, address)
        self.watched: dict[tuple[int, int], int] = {}  # (Z type, address): length
        self.reports_again = reports_again
        self.tsc_runs_on = tsc_runs_on
        self.ending = ending
        self.cpuid = {0x40000000: (0x40000001, 0x54474354, 0x43544743, 0x47435447)}
        self.actions: dict[int, str] = {}
        self.outputs: list[str] = []
        self._cycles = 0
        self._since = time.monotonic_ns()
        for vcpu in self.vcpus:
            for place in vcpu.walk:
                self.memory.map(place.pc, place.code)

    def vcpu(self, number: int) -> Vcpu:
        return self.vcpus[number - 1]

    @property
    def tsc(self) -> int:
        """One cycle a ns where it runs on while the guest is stopped, else 100 cycles an instruction."""
        return time.monotonic_ns() - self._since if self.tsc_runs_on else self._cycles

    @property
    def idle(self) -> bool:
        """Whether nothing can happen before an interrupt."""
        return not any(self._ready(vcpu) for vcpu in self.vcpus if vcpu.number in self.actions)

    def resume(self, actions: dict[int, str]) -> None:
        """ACTIONS: 'c' or 's' for each thread that shall run; the others stay stopped."""
        self.actions = actions
        for number, action in actions.items():
            if action == "c" and not self.lent(self.vcpu(number)):
                self.vcpu(number).rejoin()

    def lent(self, vcpu: Vcpu) -> bool:
        """Whether the debugger has sent the vCPU to an instruction of the text, to be executed there and then."""
        try:
            return vcpu.astray and self.memory.read(vcpu.pc, 2) in (RDTSC, CPUID)
        except Unmapped:
            return False

    def interrupt(self, signal: int = 2) -> Stop:
        for vcpu in self.vcpus:
            vcpu.woken = True
        return Stop(min(self.actions, default=1), signal)

    def run(self, rounds: int) -> Stop | None:
        """Let each thread that runs make up to ROUNDS steps, in turn; the first stop, if there is one."""
        for _ in range(rounds):
            for number, action in self.actions.items():
                stop = self._advance(self.vcpu(number), action)
                if stop is not None:
                    return stop
            if self.outputs:
                return None
        return None

    def executed(self, address: int) -> int:
        """How often the guest has executed the instruction at ADDRESS."""
        return sum(vcpu.executed.count(address) for vcpu in self.vcpus)

    def _ready(self, vcpu: Vcpu) -> bool:
        running = not vcpu.ended and (not vcpu.waiting or bool(self._trap(vcpu)))
        return running or self.actions.get(vcpu.number) == "s"

    def _advance(self, vcpu: Vcpu, action: str) -> Stop | None:
        if vcpu.ended:
            return Stop(vcpu.number) if action == "s" else None
        trap = self._trap(vcpu) if action == "c" else ""
        if trap:
            vcpu.reported = not self.reports_again
            return Stop(vcpu.number, reason=trap)
        if action == "c" and not self.lent(vcpu):
            vcpu.rejoin()  # nothing has stopped it behind the borrowed instruction: it runs on
        if not self._ready(vcpu):
            return None
        if self._int3(vcpu):
            vcpu.write("rip", vcpu.pc + 1)
            return Stop(vcpu.number)
        watch = self._execute(vcpu)
        if self._over():
            return Stop(vcpu.number, exit=self.ending)
        return watch or (Stop(vcpu.number) if action == "s" else None)

    def _over(self) -> bool:
        """Whether the guest is gone: a vCPU has ended, and no other will ever do anything."""
        ended = [vcpu.ended for vcpu in self.vcpus]
        return any(ended) and all(vcpu.ended or vcpu.waiting for vcpu in self.vcpus)

    def _trap(self, vcpu: Vcpu) -> str:
        """The breakpoint that the vCPU runs into if it continues, in a stop reply's word."""
        if vcpu.reported:
            return ""
        kinds = {1: "hwbreak", 0: "swbreak"}
        return next((word for kind, word in kinds.items() if (kind, vcpu.pc) in self.breakpoints), "")

    def _int3(self, vcpu: Vcpu) -> bool:
        try:
            return self.memory.read(vcpu.pc, 1)[0] == INT3
        except Unmapped:
            return False

    def _execute(self, vcpu: Vcpu) -> Stop | None:
        place = vcpu.place
        self._cycles += 100
        self._special(vcpu)
        astray = vcpu.astray
        vcpu.step()
        if astray:
            return None
        if place.output:
            self.outputs.append(place.output)
        for address, data in place.writes.items():
            self.memory.map(address, data)
        return self._watch(vcpu, place)

    def _special(self, vcpu: Vcpu) -> None:
        """`rdtsc` and `cpuid`, which a debugger borrows from the kernel's text, do what they say."""
        try:
            code = self.memory.read(vcpu.pc, 2)
        except Unmapped:
            return
        if code == RDTSC:
            now = self.tsc
            vcpu.write("rax", now & 0xFFFFFFFF)
            vcpu.write("rdx", now >> 32)
        elif code == CPUID:
            leaf = self.cpuid.get(vcpu.read("rax") & 0xFFFFFFFF, (0, 0, 0, 0))
            for name, value in zip(("rax", "rbx", "rcx", "rdx"), leaf, strict=True):
                vcpu.write(name, value)

    def _watch(self, vcpu: Vcpu, place: At) -> Stop | None:
        for (kind, start), length in self.watched.items():
            for address, data in place.writes.items():
                if kind != 3 and start < address + len(data) and address < start + length:
                    word = {2: "watch", 4: "awatch"}[kind]
                    return Stop(vcpu.number, reason=word, address=start)
        return None
