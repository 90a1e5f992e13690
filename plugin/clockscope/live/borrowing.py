# SPDX-License-Identifier: MIT
"""What is learnt by instructions that a stopped guest's kernel lends: whether its TSC runs on while it stands, what it is
told of its processor, and its TSC at each event of a recording.

The TSC is read only where it stands still while the guest is stopped. There all of the guest's clocks do, and the one
instruction moves them on alike: what the kernel divides to learn a frequency, in a span of the profile, keeps its ratio.
In a timing window nothing is borrowed, where the guest did not run into a breakpoint neither, and in a replay nothing at
all. Once it has gone wrong it is not tried again: that, and what state the guest is in, is said, and kept in the trace.
"""

import time
from collections.abc import Sequence

from clockscope.arch.known import PROCESSOR
from clockscope.gdbside import console, frames
from clockscope.model import told
from clockscope._core import Error, RefusedError, Relay, TraceWriter
from clockscope.kernel.elffile import ElfFile
from clockscope.live.event_engine import Observation
from clockscope.profiles.profile import Branches, Profile
from clockscope.kernel.hints import of_kernel
from clockscope.live.observer import Sample
from clockscope.live.standstill import runs_on_by, tsc_runs_on
from clockscope.live.traced_kernel import Target
from clockscope.base.ui import one_line
from clockscope.live.quiet_windows import Windows

# A window that a call came from is not further out.
_FRAMES_MAX = 32
# A kernel may have patched, or not mapped yet, all that it could lend.
_TRIES = 4


class Lender:
    """A guest that stands, and the instructions of its kernel."""

    def __init__(self, relay: Relay, elf: ElfFile, offset: int, profile: Profile | None) -> None:
        self._relay = relay
        self._windows = Windows(elf, offset, of_kernel(elf, profile.branches if profile else Branches()))
        self._borrower = told.Borrower(relay.borrow, told.find(elf), offset)

    def tsc_runs_on(self) -> bool | None:
        """As standstill.tsc_runs_on(); the kernel's text must be mapped."""
        return tsc_runs_on(self._relay, self._borrower.addresses("rdtsc"))

    def in_window(self, observation: Observation) -> bool:
        """Whether the kernel would measure what is borrowed there."""
        return self._windows.hold(observation.address, [frame.address for frame in observation.backtrace])

    def tsc(self, observation: Observation) -> int | None:
        """The guest's TSC at an event; None where it cannot be read, or is not to be."""
        if self.in_window(observation):
            return None
        try:
            tsc = self._read_tsc()
        except RefusedError:
            return None
        return tsc if tsc >> 63 == 0 else None  # as many bits as the trace keeps

    def holds(self, address: int, frames: Sequence[int]) -> bool:
        """Whether a guest that stands there is in a timing window, or was called from one."""
        return self._windows.hold(address, frames)

    def sample(self, address: int, frames: Sequence[int]) -> Sample | None:
        """What a stop costs, where the guest may be asked; see observer.Lender."""
        if self._windows.hold(address, frames):
            return None
        try:
            first, began = self._read_tsc(), time.monotonic()
            second, elapsed = self._read_tsc(), time.monotonic() - began
            running_on = runs_on_by(self._read_tsc, second - first, elapsed)
            return Sample(second, max(0, second - first), running_on)
        except RefusedError:
            return None

    def _read_tsc(self) -> int:
        eax, _, _, edx = self._borrower("rdtsc", 0, 0)
        return edx << 32 | eax

    def read_told(self) -> told.Told:
        """What the guest is told of its processor, or why that cannot be learnt now."""
        if self._relay.state != "stopped":
            return told.Told(refused=[self._relay.reason or "the guest does not stand"])
        try:
            stop = frames.Stop()
            callers = [frame.address for frame in stop.backtrace(_FRAMES_MAX)]
            if self._windows.hold(stop.register(PROCESSOR.pc), callers):
                return told.Told(refused=["the guest stands between two reads of a clock"])
            return told.read(self._borrower)
        except (Error, console.Error) as error:
            return told.Told(refused=[str(error)])


class Borrowing:
    """What a recording borrows. A replay lends nothing: it may execute nothing of its own."""

    def __init__(self, relay: Relay, target: Target, writer: TraceWriter, *, replay: bool) -> None:
        self._lender = None if replay else Lender(relay, target.elf, target.offset, target.profile)
        self._relay = relay
        self._writer = writer
        self._runs_on: bool | None = None  # not known
        self._tries_left = _TRIES
        self._ended = False
        self._told = False  # that nothing is borrowed any more

    def measure_clock(self) -> bool:
        """Learn whether stops falsify what the guest measures. The kernel's text must be mapped. False while that is
        not known: where the guest did not run into a breakpoint, it is measured later."""
        if self._lender is None or self._runs_on is not None:
            return bool(self._runs_on)
        self._tries_left -= 1
        self._runs_on = self._lender.tsc_runs_on()
        self._tell_refusal()
        if self._runs_on is not None:
            self._writer.meta("stub.tsc_while_stopped", "runs on" if self._runs_on else "stands still")
        return bool(self._runs_on)

    def has_to_measure(self, observation: Observation) -> bool:
        """Whether the clock is to be measured at an event, since it could not be before."""
        if self._lender is None or self._runs_on is not None or self._tries_left <= 0:
            return False
        return not self._lender.in_window(observation)

    def tsc(self, observation: Observation) -> int | None:
        """The guest's TSC at an event, where it stands still."""
        if self._lender is None or self._runs_on is not False:
            return None
        found = self._lender.tsc(observation)
        self._tell_refusal()
        return found

    @property
    def lender(self) -> Lender | None:
        """Who lends; None in a replay."""
        return self._lender

    def begin(self) -> None:
        """At the first event: keep what the guest is told."""
        self._note(told.BEGIN)

    def end(self) -> None:
        """Keep it again, unless that was done where the kernel ended."""
        if not self._ended:
            self._note(told.END)

    def leave_out(self, why: str) -> None:
        """Ask nothing at the end, for it would be another boot's."""
        if not self._ended:
            told.write(self._writer, told.END, told.Told(refused=[why]))
        self._ended = True

    def kernel_ends(self, stop: frames.Stop) -> bool:
        """At a probe where the kernel ends: afterwards there is nobody to ask."""
        self._note(told.END)
        self._ended = True
        return False

    def _note(self, moment: str) -> None:
        if self._lender is None:
            return
        found = self._lender.read_told()
        self._tell_refusal()
        told.write(self._writer, moment, found)
        if found.leaves:
            self._writer.meta("guest.processors", str(frames.thread_count()))

    def _tell_refusal(self) -> None:
        """Once: that it went wrong, and what that means for the guest."""
        refusal = self._relay.borrow_refusal
        if refusal and not self._told:
            self._told = True
            self._writer.meta("stub.borrowing", refusal)
            console.Ui().note(one_line(f"Your guest lends no instructions any more: {refusal}."))
