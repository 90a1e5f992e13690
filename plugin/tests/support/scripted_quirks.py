# SPDX-License-Identifier: MIT
"""The scripted stub playing known stubs, each with the quirks that it really has, and stubs that are no stubs."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from scripted_machine import PLAIN, SHORT, Machine, Stop
from scripted_stub import FakeStub
from scripted_wire import RUN_ON, Hangup, Reply, hex_of


class QemuStub(FakeStub):
    """QEMU 7.2 (gdbstub.c): `c` does not pass a breakpoint, any byte stops, no reasons, `?` forgets breakpoints."""

    quirks: tuple[str, ...] = (
        "reports-again",
        "any-byte-stops",
        "question-forgets",
        "leading-zeros",
        "registers-after-description",
        "no-reasons",
        "goes-backwards",
    )

    features = {"PacketSize": "1000", "qXfer:features:read": "+", "vContSupported": "+", "multiprocess": "+"}
    any_byte_stops = True
    replays = False  # reverse steps are advertised in a replay

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        super().__init__(machine, unix=unix)
        machine.reports_again = True

    def thread_id(self, number: int) -> str:
        return f"p01.{number:02x}" if self.multiprocess else f"{number:02x}"

    def stop(self, stop: Stop) -> None:
        super().stop(
            Stop(
                stop.thread, stop.signal, "" if stop.reason.endswith("break") else stop.reason, stop.address, stop.exit
            )
        )

    def question(self) -> Reply:
        self.machine.breakpoints.clear()
        self.machine.watched.clear()
        return super().question()

    def p(self, number: int) -> Reply:
        return super().p(number) if self.description_read else ""

    def P(self, number: int, value: bytes) -> Reply:
        return super().P(number, value) if self.description_read else ""

    def qRcmd(self, command: str) -> Reply:
        text = self.monitor(command)
        assert text is not None
        if text:
            self.reply("O" + hex_of(text))
        return "OK"

    def k(self) -> Reply:
        """It tells the end that it makes, and is gone."""
        self.killed = True
        self.reply("W00")
        raise Hangup

    def vKill(self) -> Reply:
        self.reply("OK")
        return self.k()

    def monitor(self, command: str) -> str | None:
        known = {"info status": "VM status: paused\r\n", "info kvm": "kvm support: disabled\r\n", "stop": ""}
        return known.get(command, f"unknown command: '{command}'\r\n")

    def other(self, packet: str) -> Reply:
        if packet in ("bs", "bc"):  # the emulator aborts on an assertion unless it replays
            raise Hangup
        return ""


class QemuUserStub(QemuStub):
    """qemu-x86_64: it hears nothing while the program runs, and repeats a stop that an interrupt has crossed."""

    quirks: tuple[str, ...] = ("repeats-stop",)

    any_byte_stops = False
    deaf = True
    repeats = True


class NewQemuUserStub(QemuUserStub):
    """qemu-x86_64 since 8.1: what it reads in one piece with a packet that resumes makes it forget to tell of the stop."""

    quirks: tuple[str, ...] = ("deaf-in-one-piece",)

    lag = 0.002
    forgets = False

    def resume(self, actions: dict[int, str]) -> None:
        self.forgets = self._input.startswith(b"\x03")
        super().resume(actions)

    def stop(self, stop: Stop) -> None:
        if self.forgets and not stop.exit:
            self.running = self.forgets = False
            return
        super().stop(stop)


class TrapsForInterruptStub(FakeStub):
    """It answers an interrupt with SIGTRAP."""

    quirks: tuple[str, ...] = ("trap-for-interrupt",)

    def stop(self, stop: Stop) -> None:
        super().stop(replace(stop, signal=5) if stop.signal == 2 else stop)


class NobodyLeftStub(FakeStub):
    """The threads that were resumed are gone, and others stand: it says so as gdbserver does, in one of two ways."""

    features = FakeStub.features | {"no-resumed": "+"}

    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        return "N" if self.tells("no-resumed") else "E.No unwaited-for children left."


class RangeStepStub(FakeStub):
    """It steps over ranges of addresses, as gdbserver does."""

    vcont_actions = "vCont;c;C;s;S;r"
    span = range(0)

    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        spans = [action[1:].split(",") for action, _ in items if action[0] == "r"]
        self.span = range(*(int(address, 16) for address in spans[0])) if spans else range(0)
        return super().vCont([("s" if action[0] == "r" else action, thread) for action, thread in items])

    def stop(self, stop: Stop) -> None:
        pc = self.machine.vcpu(stop.thread).pc
        planted = any(address == pc for _, address in self.machine.breakpoints)
        if stop.signal == 5 and not stop.reason and not stop.exit and pc in self.span and not planted:
            self.machine.resume(self.machine.actions)
        else:
            super().stop(stop)


class QemuNoAckStub(QemuStub):
    """A QEMU that advertises QStartNoAckMode."""

    features = QemuStub.features | {"QStartNoAckMode": "+"}


class QemuKvmStub(QemuStub):
    """QEMU with KVM: four slots for Z1, Z0 needs mapped text, the TSC runs on while the guest is stopped."""

    quirks: tuple[str, ...] = ("few-slots",)

    slots = 4

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        super().__init__(machine, unix=unix)
        machine.tsc_runs_on = True

    def Z(self, kind: int, address: int, length: int) -> Reply:
        if kind == 1 and sum(planted == 1 for planted, _ in self.machine.breakpoints) >= self.slots:
            return "E28"
        if kind == 0 and self.m(address, 1) == "E14":
            return "E14"
        return super().Z(kind, address, length)


class FirecrackerStub(FakeStub):
    """Firecracker: 4 hardware slots, few registers, no soft breakpoints before paging, leaving kills."""

    quirks: tuple[str, ...] = (
        "few-slots",
        "no-control-registers",
    )

    features = {
        "PacketSize": "1000",
        "vContSupported": "+",
        "multiprocess": "+",
        "QStartNoAckMode": "+",
        "swbreak": "+",
        "hwbreak": "+",
        "qXfer:features:read": "+",
    }
    slots = 4
    paging = False

    def __init__(self, machine: Machine, *, unix: bool = True) -> None:
        assert machine.layout is PLAIN
        super().__init__(machine, unix=unix)

    def g(self) -> Reply:
        """Segments, x87 and SSE are never filled in."""
        offset, size = self.machine.layout.place["eflags"]
        known = self.machine.vcpu(self.general_thread).registers[: offset + size]
        return bytes(known).ljust(self.machine.layout.size, b"\0").hex()

    def p(self, number: int) -> Reply:
        return ""

    def P(self, number: int, value: bytes) -> Reply:
        return ""

    def question(self) -> Reply:
        return self.stop_reply(Stop(self.general_thread, reason="hwbreak"))

    def Z(self, kind: int, address: int, length: int) -> Reply:
        if kind > 1:
            return ""
        if kind == 1 and sum(planted == 1 for planted, _ in self.machine.breakpoints) >= self.slots:
            return "E22"
        if kind == 0 and not self.paging:
            return "E22"
        return super().Z(kind, address, length)

    def D(self) -> Reply:
        self.killed = True
        return "OK"

    def vKill(self) -> Reply:
        return ""  # of extended mode, which it has not

    def disconnected(self) -> None:
        self.killed = True


class OldBhyveStub(FakeStub):
    """bhyve's first stub: registers cannot be written, no breakpoints at all, no `v` packets, no description."""

    quirks: tuple[str, ...] = ("no-breakpoints",)

    features = {"PacketSize": "4096"}  # hexadecimal, though decimal was meant
    packet_size = 0x4096
    interrupt_signal = 5

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        assert machine.layout is SHORT
        super().__init__(machine, unix=unix)

    def question(self) -> Reply:
        return "S05"

    def respond(self, payload: bytes) -> Reply:
        if payload[:1] in self.unknown or payload.startswith(b"qRcmd"):
            return ""
        return super().respond(payload)

    unknown: tuple[bytes, ...] = (b"G", b"v", b"p", b"P", b"Q", b"t", b"X", b"z", b"Z", b"C", b"S", b"k")

    def D(self) -> Reply:
        return "OK"  # and the vCPUs stay as they are


class NewBhyveStub(OldBhyveStub):
    """A later bhyve: software breakpoints, registers can be written, a description, still no `v` packets."""

    features = {"PacketSize": "4096", "swbreak": "+", "hwbreak": "+", "qXfer:features:read": "+"}
    unknown = (b"v", b"Q", b"t", b"X", b"C", b"S", b"k")

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return super().Z(kind, address, length) if kind in (0, 2) else ""


class VirtualBoxStub(FakeStub):
    """VirtualBox's first port: escapes with `{`, upper-case digits, breakpoints that stay for ever."""

    quirks: tuple[str, ...] = ("other-escape",)

    features = {"qXfer:features:read": "+", "vContSupported": "+"}
    escape = b"{"
    packet_size = 0
    interrupt_signal = 5

    def g(self) -> Reply:
        return str(super().g()).upper()

    def m(self, address: int, length: int) -> Reply:
        return str(super().m(address, length)).upper()

    def qXfer_features(self, annex: str, offset: int, length: int) -> Reply:
        text = self.machine.layout.description().get(annex)
        if text is None:
            return "E00"
        piece = re.sub("<!--.*?-->", "", text)[offset : offset + length]
        return ("m" if len(piece) == length else "l") + piece

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return "OK" if (kind, address) in self.machine.breakpoints else super().Z(kind, address, length)

    def z(self, kind: int, address: int, length: int) -> Reply:
        return "E01"

    def vKill(self) -> Reply:
        return ""

    def R(self) -> Reply:
        return ""

    def D(self) -> Reply:
        self.detached = True
        self.reply("OK")
        raise Hangup


class VmwareStub(FakeStub):
    """VMware: control registers only through `monitor`."""

    quirks: tuple[str, ...] = ("no-control-registers",)

    features = {"PacketSize": "1000", "qXfer:features:read": "+"}
    vcont_actions = ""

    def __init__(self, machine: Machine, *, unix: bool = False) -> None:
        assert machine.layout is PLAIN
        super().__init__(machine, unix=unix)

    def monitor(self, command: str) -> str | None:
        return "cr3=0x1000\n" if command == "r cr3" else "unknown command\n"

    def vKill(self) -> Reply:
        return ""


class OldStub(FakeStub):
    """A stub of the old kind: Hc/c/s, no vCont, no description, S stops, plain thread ids, no qSupported."""

    quirks: tuple[str, ...] = (
        "no-vcont",
        "no-thread",
    )

    features: dict[str, str] = {}
    packet_size = 400
    largest_read = 190

    def qSupported(self, offered: str) -> Reply:
        return ""

    def respond(self, payload: bytes) -> Reply:
        return "" if payload[:1] in (b"v", b"Q", b"X") else super().respond(payload)

    def stop_reply(self, stop: Stop) -> str:
        return f"S{stop.signal:02x}"


class KgdbStub(OldStub):
    """KGDB (kernel/debug/gdbstub.c): no Ctrl-C, no vCont; it names the thread. `k` lets the kernel run on, unanswered."""

    quirks: tuple[str, ...] = ("no-interrupt",)

    takes_interrupt = False

    def k(self) -> Reply:
        self.detached = True
        self.machine.breakpoints.clear()
        return RUN_ON

    def stop_reply(self, stop: Stop) -> str:
        return f"T{stop.signal:02x}thread:{stop.thread:02x};"


class NoBreakpointStub(FakeStub):
    """It has neither Z0 nor Z1."""

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return ""


class SoftOnlyStub(FakeStub):
    """It has Z0, and no Z1."""

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return super().Z(kind, address, length) if kind == 0 else ""


class NoVContStub(FakeStub):
    """It offers what modern stubs do, except vCont."""

    quirks: tuple[str, ...] = ("no-vcont",)

    features = {name: value for name, value in FakeStub.features.items() if name != "vContSupported"}

    def vCont_query(self) -> Reply:
        return ""

    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        return ""


class ThreadlessStub(FakeStub):
    """Its stops carry no thread: `qC` has to be asked."""

    quirks: tuple[str, ...] = ("no-thread",)

    thread_in_stops = False


class GdbserverStub(FakeStub):
    """gdbserver: stops carry registers; an interrupt that came too late stops the next resume; it crashes when
    it is asked for the description before it has chosen a thread."""

    quirks: tuple[str, ...] = (
        "crashes-without-thread",
        "keeps-interrupt",
        "not-in-place",
    )

    expedite = ("rbp", "rsp", "rip")

    def qXfer_features(self, annex: str, offset: int, length: int) -> Reply:
        if not self.packets("?") and not self.packets("H"):
            raise Hangup
        return super().qXfer_features(annex, offset, length)

    def run_slice(self) -> None:
        if self.interrupted:
            self.interrupted = False
            self.stop(self.machine.interrupt())
        else:
            super().run_slice()

    def D(self) -> Reply:
        super().D()
        self.reply("OK")
        raise Hangup  # it has no other program


class ErrorStub(FakeStub):
    """Memory, registers and breakpoints: everything fails, `E` says no more than that."""

    def m(self, address: int, length: int) -> Reply:
        return "E.no memory today"

    def g(self) -> Reply:
        return "E01"

    def Z(self, kind: int, address: int, length: int) -> Reply:
        return "E99"


class LostStopStub(FakeStub):
    """It closes the connection in the middle of a stop reply."""

    def stop(self, stop: Stop) -> None:
        self.cut_after = self._sent + 5
        super().stop(stop)


class ChattyStub(FakeStub):
    """It prints while the guest runs, before every stop."""

    quirks: tuple[str, ...] = ("talks-while-running",)

    def stop(self, stop: Stop) -> None:
        self.reply("O" + hex_of("hello from the guest\n"))
        super().stop(stop)


class StepRefusedStub(FakeStub):
    """It cannot single-step (bhyve on an AMD processor)."""

    quirks: tuple[str, ...] = ("cannot-step",)

    vcont_actions = "vCont;c;C"

    def s(self, address: str) -> Reply:
        return "E95"

    def vCont(self, items: list[tuple[str, str]]) -> Reply:
        return "E95" if any(action[0] in "sS" for action, _ in items) else super().vCont(items)


class NoVKillStub(FakeStub):
    """It does not know vKill, as KGDB, bhyve and older stubs: GDB then sends `k`."""

    quirks: tuple[str, ...] = ("no-vkill",)

    def vKill(self) -> Reply:
        return ""


class ClingingStub(FakeStub):
    """It refuses to let go."""

    quirks: tuple[str, ...] = ("clings",)

    def D(self) -> Reply:
        return "E01"

    def vKill(self) -> Reply:
        return "E01"


class UnleavableStub(NoVKillStub):
    """It knows neither D nor vKill, and answers `k` as a packet that it does not know (bhyve)."""

    quirks: tuple[str, ...] = ("clings",)

    def D(self) -> Reply:
        return ""

    def k(self) -> Reply:
        return ""


class Peer:
    """A listening port that is no stub: each connection is handed to SPEAK, then closed."""

    def __init__(self, speak: Callable[[socket.socket], None]) -> None:
        self._speak = speak
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="peer", daemon=True)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):  # a side that has gone already
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed: the test is over
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                with contextlib.suppress(OSError):
                    self._speak(connection)


def speaks_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.close()


def says_garbage(connection: socket.socket) -> None:
    """Packets that are none: without end, with wrong checksums, with bytes that no packet has."""
    while connection.recv(4096):
        connection.sendall(bytes(range(256)) + b"+$nonsense#zz$#$$$***")


def stays_silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def hangs_up(connection: socket.socket) -> None:
    connection.close()


def drips(connection: socket.socket) -> None:
    """The beginning of a packet that never ends, a byte at a time."""
    connection.settimeout(0.05)
    connection.sendall(b"+$PacketSize=")
    while True:
        with contextlib.suppress(TimeoutError):
            connection.recv(4096)
        connection.sendall(b"1")
