# SPDX-License-Identifier: MIT
"""A relay on a scripted stub, with a guest whose every step is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rsp_client import RspClient
from scripted_machine import FULL, PLAIN, SHORT, At, Layout, Machine
from scripted_quirks import (
    ChattyStub,
    FirecrackerStub,
    GdbserverStub,
    KgdbStub,
    NewBhyveStub,
    NoVContStub,
    OldStub,
    QemuKvmStub,
    QemuNoAckStub,
    QemuStub,
    SoftOnlyStub,
    ThreadlessStub,
    VirtualBoxStub,
    VmwareStub,
)
from scripted_stub import FakeStub

from clockscope._core import Relay

START, CALL, BODY, END, NEVER = 0x1000, 0x1010, 0x2000, 0x1020, 0x7000
ROUNDS = 5
WALK = [START, *[CALL, BODY, BODY + 1] * ROUNDS, END]

LAYOUTS: dict[type[FakeStub], Layout] = {
    FirecrackerStub: PLAIN,
    VmwareStub: PLAIN,
    OldStub: PLAIN,
    KgdbStub: PLAIN,
    NewBhyveStub: SHORT,
}

# Every stub that can hold a breakpoint and step.
CAPABLE: list[type[FakeStub]] = [
    FakeStub,
    QemuStub,
    QemuNoAckStub,
    QemuKvmStub,
    FirecrackerStub,
    NewBhyveStub,
    VirtualBoxStub,
    VmwareStub,
    OldStub,
    KgdbStub,
    SoftOnlyStub,
    NoVContStub,
    ThreadlessStub,
    GdbserverStub,
    ChattyStub,
]


def make(kind: type[FakeStub], *walks: Sequence[int | At]) -> FakeStub:
    """A stub of that kind before a machine that walks (WALK by default) with the registers the kind has."""
    return kind(Machine(*(walks or (WALK,)), layout=LAYOUTS.get(kind, FULL)))


@contextmanager
def relayed(stub: FakeStub, *, timeout: float = 5.0) -> Iterator[Relay]:
    """The stub and a relay before it. Afterwards: nothing was written that the stub minds."""
    with stub:
        relay = Relay(stub.address, connect_timeout=5.0, request_timeout=timeout)
        try:
            yield relay
        finally:
            relay.close()
    assert stub.violations == []
    assert stub.while_running().strip(b"\x03") == b""


@contextmanager
def debugged(stub: FakeStub, *, timeout: float = 5.0) -> Iterator[tuple[Relay, RspClient]]:
    """The same with a client in GDB's place, which has said hello."""
    with relayed(stub, timeout=timeout) as relay, RspClient(relay.socket_path) as client:
        client.greet()
        yield relay, client


def run_out(relay: Relay) -> bytes:
    """Without GDB: let the guest run to its end; the last stop reply."""
    relay.resume()
    stop = relay.wait(20)
    assert stop is not None
    return stop


def hits(relay: Relay) -> dict[str, int]:
    return {counter["name"]: counter["hits"] for counter in relay.counters()}
