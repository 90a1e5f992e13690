# SPDX-License-Identifier: MIT
"""A scripted gdbstub on a real socket: one method a packet, safe defaults, a log to assert on.

A test derives a class and overrides the packet that matters: `def m(self, address, length): return "E01"`.
The variants that play known stubs are in scripted_quirks.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from scripted_machine import Machine, Stop, Unmapped
from scripted_wire import RUN_ON, Hangup, Reply, Wire, hex_of


class FakeStub(Wire):
    """A well-behaved stub."""

    quirks: tuple[str, ...] = ()  # of the core's table (c-ext/core/rsp/quirks.c), which it plays

    features: dict[str, str] = {
        "PacketSize": "1000",
        "qXfer:features:read": "+",
        "vContSupported": "+",
        "multiprocess": "+",
        "QStartNoAckMode": "+",
        "swbreak": "+",
        "hwbreak": "+",
    }
    vcont_actions = "vCont;c;C;s;S"
    largest_read = 0x7F0  # bytes; more gives E22
    expedite: tuple[str, ...] = ()  # registers that a stop reply carries
    thread_in_stops = True

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        self.detached = self.killed = False
        super().__init__(machine, unix=unix)

    def connected(self) -> None:
        self.multiprocess = self.description_read = False
        self.client_features: dict[str, str] = {}
        self.general_thread = self.resume_thread = 1

    # --- running ----------------------------------------------------------------------------------

    def resume(self, actions: dict[int, str]) -> None:
        """Let threads run. The stop reply follows when the machine stops."""
        if self.unacked:
            self.violations.append(f"resumed with {self.unacked} replies not acknowledged")
        self.note("resume", repr(actions).encode())
        self.machine.resume(actions)
        self.running = True
        if self.grace:
            assert self.connection is not None
            self.wait(self.connection, self.grace)

    def resume_all(self, action: str) -> None:
        """`c`, or `s` of the thread that `Hc` chose while the others run, as the old packets mean."""
        actions = {vcpu.number: "c" for vcpu in self.machine.vcpus}
        if action == "s":
            actions[self.resume_thread] = "s"
        self.resume(actions)

    def run_slice(self) -> None:
        stop = self.machine.run(self.rounds)
        for text in self.machine.outputs:
            self.reply("O" + hex_of(text))
        self.machine.outputs.clear()
        if stop is not None:
            self.stop(stop)
        elif self.pace:
            time.sleep(self.pace)

    def stop(self, stop: Stop) -> None:
        self.running = False
        self.general_thread = self.resume_thread = stop.thread
        self.note("stop", repr(stop).encode())
        self.reply(stop.exit or self.stop_reply(stop))

    def stop_reply(self, stop: Stop) -> str:
        """The `T` packet for a stop."""
        parts = [f"T{stop.signal:02x}"]
        for name in self.expedite:
            offset, size = self.machine.layout.place[name]
            number = [register.name for register in self.machine.layout.registers].index(name)
            value = self.machine.vcpu(stop.thread).registers[offset : offset + size]
            parts.append(f"{number:02x}:{value.hex()};")
        if self.thread_in_stops:
            parts.append(f"thread:{self.thread_id(stop.thread)};")
        if stop.reason in ("swbreak", "hwbreak"):
            parts.append(f"{stop.reason}:;" if self.tells(stop.reason) else "")
        elif stop.reason:
            parts.append(f"{stop.reason}:{stop.address:x};")
        return "".join(parts)

    def tells(self, reason: str) -> bool:
        """Whether stop replies name this reason: both sides must have said so."""
        return self.features.get(reason) == "+" and self.client_features.get(reason) == "+"

    # --- threads ----------------------------------------------------------------------------------

    def thread_id(self, number: int) -> str:
        return f"p1.{number:x}" if self.multiprocess else f"{number:x}"

    def parse_thread(self, text: str) -> int | None:
        """A thread's number, -1 for all, None for one that is not there."""
        plain = text.split(".")[-1] if text.startswith("p") else text
        number = -1 if plain.startswith(("-1", "p")) else int(plain or "0", 16)
        return number if number <= len(self.machine.vcpus) else None

    # --- packets, one method each -----------------------------------------------------------------

    def respond(self, payload: bytes) -> Reply:
        text = payload.decode("latin1")
        for prefix, handler in self.HANDLERS:
            if text.startswith(prefix):
                return handler(self, text[len(prefix) :])
        return self.other(text)

    def other(self, packet: str) -> Reply:
        """A packet that the stub does not know."""
        return ""

    def qSupported(self, offered: str) -> Reply:
        for item in filter(None, offered.lstrip(":").split(";")):
            name, sign, value = item.partition("=")
            self.client_features[name if sign else item[:-1]] = value if sign else item[-1]
        self.multiprocess = "+" == self.client_features.get("multiprocess") == self.features.get("multiprocess")
        return ";".join(
            f"{name}{value}" if value in "+-?" else f"{name}={value}" for name, value in self.features.items()
        )

    def QStartNoAckMode(self) -> Reply:
        if self.features.get("QStartNoAckMode") != "+":
            return ""
        self.reply("OK")
        self.no_ack, self.unacked = True, 0
        return RUN_ON

    def qXfer_features(self, annex: str, offset: int, length: int) -> Reply:
        if self.features.get("qXfer:features:read") != "+":
            return ""
        text = self.machine.layout.description().get(annex)
        if text is None:
            return "E00"
        self.description_read = self.description_read or annex != "target.xml"
        piece = text[offset : offset + length]
        return ("m" if offset + length < len(text) else "l") + piece

    def question(self) -> Reply:
        return self.stop_reply(Stop(self.general_thread))

    def qC(self) -> Reply:
        return "QC" + self.thread_id(self.general_thread)

    def qfThreadInfo(self) -> Reply:
        return "m" + ",".join(self.thread_id(vcpu.number) for vcpu in self.machine.vcpus)

    def qsThreadInfo(self) -> Reply:
        return "l"

    def qAttached(self) -> Reply:
        return "1"

    def qThreadExtraInfo(self, thread: str) -> Reply:
        return hex_of(f"CPU#{self.parse_thread(thread)}")

    def qRcmd(self, command: str) -> Reply:
        text = self.monitor(command)
        return "" if text is None else hex_of(text) or "OK"

    def monitor(self, command: str) -> str | None:
        """The text that a monitor command prints; None: there are no monitor commands."""
        return None

    def H(self, what: str, thread: str) -> Reply:
        number = self.parse_thread(thread)
        if number is None:
            return "E22"
        if number > 0:
            if what == "g":
                self.general_thread = number
            else:
                self.resume_thread = number
        return "OK"

    def T(self, thread: str) -> Reply:
        return "OK" if self.parse_thread(thread) is not None else "E22"

    def g(self) -> Reply:
        return self.machine.vcpu(self.general_thread).registers.hex()

    def G(self, data: bytes) -> Reply:
        if len(data) != self.machine.layout.size:
            return "E22"
        self.machine.vcpu(self.general_thread).load(data)
        return "OK"

    def p(self, number: int) -> Reply:
        if number >= len(self.machine.layout.registers):
            return "E14"
        offset, size = self.machine.layout.place[self.machine.layout.registers[number].name]
        return self.machine.vcpu(self.general_thread).registers[offset : offset + size].hex()

    def P(self, number: int, value: bytes) -> Reply:
        offset, size = self.machine.layout.place[self.machine.layout.registers[number].name]
        vcpu = self.machine.vcpu(self.general_thread)
        vcpu.load(bytes(vcpu.registers[:offset]) + value[:size] + bytes(vcpu.registers[offset + size :]))
        return "OK"

    def m(self, address: int, length: int) -> Reply:
        if length > self.largest_read:
            return "E22"
        try:
            return self.machine.memory.read(address, length).hex()
        except Unmapped:
            return "E14"

    def M(self, address: int, data: bytes) -> Reply:
        try:
            self.machine.memory.write(address, data)
        except Unmapped:
            return "E14"
        return "OK"

    def X(self, address: int, data: bytes) -> Reply:
        return self.M(address, data)

    def Z(self, kind: int, address: int, length: int) -> Reply:
        if kind > 4:
            return ""
        if kind > 1:
            self.machine.watched[kind, address] = length
            return "OK"
        if (kind, address) in self.machine.breakpoints:
            self.violations.append(f"Z{kind} at {address:#x} planted twice")
        self.machine.breakpoints.add((kind, address))
        return "OK"

    def z(self, kind: int, address: int, length: int) -> Reply:
        if kind > 1:
            return "OK" if self.machine.watched.pop((kind, address), None) else "E22"
        if (kind, address) not in self.machine.breakpoints:
            self.violations.append(f"z{kind} at {address:#x}, where nothing is planted")
            return "E22"
        self.machine.breakpoints.remove((kind, address))
        return "OK"

    def c(self, address: str) -> Reply:
        self.resume_all("c")
        return RUN_ON

    def s(self, address: str) -> Reply:
        self.resume_all("s")
        return RUN_ON

    def vCont_query(self) -> Reply:
        return self.vcont_actions

    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        """ITEMS: (action, thread) in order; the first that fits a thread counts, the others stay stopped."""
        actions: dict[int, str] = {}
        for vcpu in self.machine.vcpus:
            for action, thread in items:
                if not thread or self.parse_thread(thread) in (-1, 0, vcpu.number):
                    actions[vcpu.number] = action[0].lower()
                    break
        if not actions:
            return "E22"
        self.resume(actions)
        return RUN_ON

    def D(self) -> Reply:
        self.detached = True
        self.machine.breakpoints.clear()
        return "OK"

    def k(self) -> Reply:
        self.killed = True
        raise Hangup

    def vKill(self) -> Reply:
        self.killed = True
        return "OK"

    def R(self) -> Reply:
        return RUN_ON  # has no reply

    # --- from a packet's text to its method's arguments ---------------------------------------------

    def _vcont(self, text: str) -> Reply:
        pairs = [item.partition(":") for item in text.split(";")]
        return self.vCont([(action, thread) for action, _, thread in pairs])

    def _xfer(self, text: str) -> Reply:
        annex, _, span = text.rpartition(":")
        offset, _, length = span.partition(",")
        return self.qXfer_features(annex, int(offset, 16), int(length, 16))

    def _memory(self, text: str) -> Reply:
        address, length = text.split(",")
        return self.m(int(address, 16), int(length, 16))

    def _store(self, text: str, binary: bool) -> Reply:
        head, _, data = text.partition(":")
        content = data.encode("latin1") if binary else bytes.fromhex(data)
        address = int(head.split(",")[0], 16)
        return self.X(address, content) if binary else self.M(address, content)

    def _assign(self, text: str) -> Reply:
        number, _, value = text.partition("=")
        return self.P(int(number, 16), bytes.fromhex(value))

    def _process(self, text: str, handler: Callable[[], Reply]) -> Reply:
        """D and vKill: where both sides know processes, the guest's must be named."""
        named = text.lstrip(";")
        return "E01" if self.multiprocess and (not named or int(named, 16) != 1) else handler()

    def _breakpoint(self, text: str, handler: Callable[[int, int, int], Reply]) -> Reply:
        kind, address, length = text.split(";")[0].split(",")
        return handler(int(kind, 16), int(address, 16), int(length, 16))

    HANDLERS: list[tuple[str, Callable[[FakeStub, str], Reply]]] = [
        ("qSupported", lambda stub, text: stub.qSupported(text)),
        ("QStartNoAckMode", lambda stub, text: stub.QStartNoAckMode()),
        ("qXfer:features:read:", lambda stub, text: stub._xfer(text)),
        ("qThreadExtraInfo,", lambda stub, text: stub.qThreadExtraInfo(text)),
        ("qfThreadInfo", lambda stub, text: stub.qfThreadInfo()),
        ("qsThreadInfo", lambda stub, text: stub.qsThreadInfo()),
        ("qAttached", lambda stub, text: stub.qAttached()),
        ("qRcmd,", lambda stub, text: stub.qRcmd(bytes.fromhex(text).decode())),
        ("qC", lambda stub, text: stub.qC() if not text else stub.other("qC" + text)),
        ("vCont?", lambda stub, text: stub.vCont_query()),
        ("vCont;", lambda stub, text: stub._vcont(text)),
        ("vKill", lambda stub, text: stub._process(text, stub.vKill)),
        ("?", lambda stub, text: stub.question()),
        ("H", lambda stub, text: stub.H(text[0], text[1:])),
        ("T", lambda stub, text: stub.T(text)),
        ("g", lambda stub, text: stub.g()),
        ("G", lambda stub, text: stub.G(bytes.fromhex(text))),
        ("p", lambda stub, text: stub.p(int(text, 16))),
        ("P", lambda stub, text: stub._assign(text)),
        ("m", lambda stub, text: stub._memory(text)),
        ("M", lambda stub, text: stub._store(text, binary=False)),
        ("X", lambda stub, text: stub._store(text, binary=True)),
        ("Z", lambda stub, text: stub._breakpoint(text, stub.Z)),
        ("z", lambda stub, text: stub._breakpoint(text, stub.z)),
        ("c", lambda stub, text: stub.c(text)),
        ("C", lambda stub, text: stub.c(text)),
        ("s", lambda stub, text: stub.s(text)),
        ("S", lambda stub, text: stub.s(text)),
        ("D", lambda stub, text: stub._process(text, stub.D)),
        ("R", lambda stub, text: stub.R()),
        ("k", lambda stub, text: stub.k()),
    ]
