# SPDX-License-Identifier: MIT
"""What a user can set: `set clockscope NAME VALUE`."""

from dataclasses import dataclass

PREFIX = "clockscope"


@dataclass(frozen=True)
class Setting:
    name: str
    default: int | str
    text: str

    @property
    def full_name(self) -> str:
        return f"{PREFIX} {self.name}"


CONNECT_TIMEOUT = Setting("connect-timeout", 10, "the seconds to wait for a guest's stub to answer an attach")
REQUEST_TIMEOUT = Setting("request-timeout", 30, "the seconds to wait for a guest's stub to answer a request")
IDLE_SECONDS = Setting("idle-seconds", 10, "the seconds without an event after which `clock record --until idle` ends")
BACKTRACE_LIMIT = Setting("backtrace-limit", 32, "the number of frames to keep of an event's backtrace")
PROFILE = Setting("profile", "", "the guest profile to record with, by name or file; without one, it is recognised")
REPLAY_SECONDS = Setting(
    "replay-seconds", 300, "the seconds after which `clock launch --replay` ends the boot it records"
)
BREAKPOINTS = Setting(
    "breakpoints", "auto", "where a recording's breakpoints go: auto, or hardware, of which a guest has few"
)
DISTURBED_PPM = Setting(
    "disturbed-ppm", 100, "the parts per million by which stops may have moved a calibrated value before it is marked"
)
KASLR = Setting(
    "kaslr",
    "auto",
    "how far the guest's kernel lies from where its symbol file says: auto (it is found), off, or that offset in bytes",
)

ALL = (
    CONNECT_TIMEOUT,
    REQUEST_TIMEOUT,
    IDLE_SECONDS,
    BACKTRACE_LIMIT,
    PROFILE,
    REPLAY_SECONDS,
    BREAKPOINTS,
    DISTURBED_PPM,
    KASLR,
)
