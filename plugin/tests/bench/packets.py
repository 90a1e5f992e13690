# SPDX-License-Identifier: MIT
"""What the relay adds to a packet that passes through it: the same requests to the same stub, direct and relayed."""

import time
from pathlib import Path

from clockscope._core import Relay
from guest import Guest, Machine
from rsp_client import RspClient

from bench.measure import paired, show

PAIRS = 9
REQUESTS = 1000


def request_us(address: str) -> float:
    """Microseconds a request, one after the other, of a memory read: GDB's most frequent one."""
    with RspClient(address) as client:
        client.greet()
        began = time.perf_counter()
        for _ in range(REQUESTS):
            client.request(b"m0,40")
        return (time.perf_counter() - began) / REQUESTS * 1e6


def relayed_us(address: str) -> float:
    relay = Relay(address)
    try:
        return request_us(relay.socket_path)
    finally:
        relay.close()


def run(directory: Path) -> None:
    with Guest(Machine(), directory) as guest:
        address = str(guest.socket)
        pairs = paired(PAIRS, lambda: relayed_us(address), lambda: request_us(address))
    show("a packet passed through", pairs, ("by the relay", "direct"), "µs")
    ours, theirs = pairs.medians
    print(f"the relay's cost a request and its reply: {ours - theirs:.1f} µs")
