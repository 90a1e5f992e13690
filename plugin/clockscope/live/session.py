# SPDX-License-Identifier: MIT
"""A recording: from the planting of probes to the closed trace, whatever ends it."""

import atexit
import functools
import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clockscope import __version__
from clockscope.base import settings
from clockscope.gdbside import console, happenings, own_breakpoints, symbols, values
from clockscope.gdbside.frames import Stop
from clockscope.live import found_clocks, qemu, relocation, restart, restart_signs
from clockscope._core import Error, ExistsError, RefusedError, TraceWriter
from clockscope.live.boot_end import PATIENCE, BootEnd
from clockscope.live.borrowing import Borrowing
from clockscope.live.branches import BranchTrace, Options, breakpoints_are_virtual
from clockscope.live.connection import Connection, close_all
from clockscope.kernel import boot_image
from clockscope.live.tally import Coverage
from clockscope.base.errors import UserError
from clockscope.live.continued import Continued
from clockscope.live.event_engine import Engine, Observation
from clockscope.live.changer import Intervening
from clockscope.kernel.change_sites import Planned
from clockscope.kernel.identity import KernelCheck
from clockscope.live.gdb_session import here
from clockscope.profiles.profile import Branches
from clockscope.live.observer import Observer
from clockscope.live.replay_clock import ReplayClock
from clockscope.model import disturbed, late
from clockscope.live.traced_kernel import Target
from clockscope.base.ui import counted, one_line
from clockscope.live.watch import WRITTEN, Watcher


_STANDS_IN = 12  # functions that are kept of where a guest stands when a recording ends


@dataclass(frozen=True)
class Goal:
    """What a recording waits for: an event, by its kind and perhaps its clock; or "idle", or "exit"."""

    what: str
    clock: str | None = None

    @staticmethod
    def parse(text: str, target: Target) -> "Goal":
        """A goal as the user writes it; UserError where neither the profile nor --watch can bring it."""
        what, _, clock = text.partition(":")
        rules = [*(target.profile.rules if target.profile else ()), *(variable.rule for variable in target.watched)]
        known = sorted({rule.what for rule in rules})
        if text not in ("idle", "exit") and what not in known:
            choices = ", ".join(["idle", "exit", *known])
            raise UserError(f"--until {text}: no such event; expected one of: {choices}; an event may have :CLOCK")
        return Goal(what, clock or None)

    def met_by(self, observation: Observation) -> bool:
        return observation.rule.what == self.what and self.clock in (None, observation.clock)

    def __str__(self) -> str:
        return f"{self.what}:{self.clock}" if self.clock else self.what


class Recording:
    """One boot of one guest being recorded. At most one at a time."""

    def __init__(
        self,
        connection: Connection,
        target: Target,
        path: str,
        *,
        force: bool,
        goal: Goal | None,
        branches: Branches,
        intrusive: bool,
        interventions: Sequence[Planned] = (),
        boots: int = 1,
        boot: int = 1,
        at_start: bool = False,
        early: bool = False,
        slot: int | None = None,
    ) -> None:
        """`branches`: the functions whose branches are traced; `intrusive`: also within timing windows. `boots`: how many
        boots are to be recorded, each to a trace of its own; `boot`: which of them this is; `at_start`: the guest stands
        where the profile says that one begins; `early`: not far behind, before all that opens a gate; `slot`: what each boot
        of the kernel uses, wherever it lies (relocation.slot())."""
        self.path = path
        self.boot, self.boots = boot, boots
        self._again = functools.partial(
            Recording,
            connection,
            force=False,
            goal=goal,
            branches=branches,
            intrusive=intrusive,
            interventions=interventions,
            boots=boots,
            boot=boot + 1,
            slot=slot,
        )
        self._early = early
        self._slot = slot
        self._elsewhere = False  # another boot has begun, perhaps at another place
        self._named = path  # the first boot's trace: the others are named after it
        self._notes: dict[str, str] = {}
        self.target = target
        self.goal = goal
        self.events = 0
        self._connection = connection
        self._reached = False  # the goal's event was seen
        self._failure = ""
        self._counters: list[int] = []
        self._branches = branches
        self._intrusive = intrusive
        self._branch_trace: BranchTrace | None = None
        self._virtual = False  # the guest's breakpoints change no memory
        self._few = _wants_hardware()  # only the processor's few are to be used
        self._disturbed: list[str] = []  # what the end has to say of values that were calibrated
        self._settings: dict[str, str] = {}
        self._ui = console.Ui()
        self._check = KernelCheck(target.elf, target.offset, target.profile, connection.relay)
        if not at_start:
            self._check.now()
        started_with = qemu.kernel(connection.guest.command) if connection.guest else None
        if started_with is not None and boot == 1:
            boot_image.check(started_with, target.elf)
        self._writer = TraceWriter(path, force=force)
        self._replay_clock: ReplayClock | None = None
        if connection.replay and connection.replay_shift is not None:
            self._replay_clock = ReplayClock(connection.relay.monitor, connection.replay_shift)
        self._borrowing = Borrowing(connection.relay, target, self._writer, replay=connection.replay)
        self._restarts = restart.RestartWatch(
            self._check, target.offset, connection.relay.run_ns, self._instructions, replay=connection.replay
        )
        self._endings: list[own_breakpoints.Probe] = []  # where the guest's kernel ends
        self._intervening = Intervening(interventions, connection.relay, self._writer, target.place)
        limit = console.number(settings.BACKTRACE_LIMIT.full_name)
        self._observer = Observer(
            connection.relay,
            self._borrowing.lender,
            target.profile.spans if target.profile else (),
            console.number(settings.DISTURBED_PPM.full_name),
            replay=connection.replay,
        )
        run_ns = connection.relay.run_ns
        self._engine = Engine(target.plan, target.offset, limit, run_ns, self._take, self._observer)
        self._coverage = Coverage(target.plan, self._engine.tally, self._writer)
        self._continued = Continued(self._writer)
        self._boot_end = BootEnd(target.plan.expectations, self._engine.tally)
        self._engine.on_return = self._has_returned
        self._patience = 1  # silences that are waited for before it is asked whether the guest is idle
        self._silences = 0  # in a row, each as long as makes a guest idle
        self.waits_on = False  # the guest stands for a silence that was none of its own
        self._watcher = Watcher(target.elf, target.offset, target.watched, limit, self._take)

    def arm(self) -> list[str]:
        """Plant everything; what the user should know of it. The guest must be stopped."""
        here().recording = self
        try:
            return self._arm()
        except BaseException as error:
            self.end(False, "it could not be begun")
            relay = self._connection.relay
            if isinstance(error, console.Error) and relay.state in ("closed", "exited"):
                raise UserError(f"the recording could not be begun: {relay.reason}") from error
            raise

    def _arm(self) -> list[str]:
        relay = self._connection.relay
        self._write_provenance()
        # So that each stop moves one breakpoint, not all of them.
        if not self._settings:
            self._settings["breakpoint always-inserted"] = console.replace_setting("breakpoint always-inserted", "on")
        watched = self._watcher.plant(relay)  # first: of few slots, what the user asked for is worth the most
        self._virtual = breakpoints_are_virtual(relay)
        self._few = self._few and not self._virtual
        if self._check.early is not None:
            scarce = not self._virtual and not self._few
            self._engine.begin_at(self._check.early, self._meet_kernel, scarce=scarce)
        elif self._early:
            self._engine.begin_here()
            self._note_command_line()
        refused = self._engine.plant(memory=not self._few)
        # Where breakpoints are bytes in memory, they wait for the kernel's text.
        waits = self._check.early is not None and not self._virtual
        interventions = [] if waits else list(self._intervening.plant(hardware=True))
        self._coverage.add(watched)
        self._cover(refused, stands=self._check.early is None)
        for symbol in self.target.counted:
            self._counters.append(relay.add_counter(symbol.address, symbol.name, self.target.place.core))
        relay.set_trace(self._writer)
        notes = [*self._describe(refused), *interventions]
        notes += [f"--watch {expected.function}: {expected.note}" for expected in watched if expected.note]
        if self._check.early is None:
            self._restarts.is_under_way(self.target.elf, self.target.profile)
            notes += self._look_at_what_is()
            if not self._early:
                self._await_elsewhere()
            self._measure_clock()
            self._await_ending()
            notes += self._trace_branches()
        # Last: where breakpoints are few, what was asked for is worth more.
        self._restarts.plant(self._starts_again)
        self._listen()
        return notes

    def _cover(self, refused: Sequence[tuple[int, str]], *, stands: bool) -> None:
        """`stands`: the probes are in place; otherwise they wait for the guest's kernel."""
        self._coverage.refuse({address: one_line(why.splitlines()[-1]) for address, why in refused})
        self._coverage.begin(self._connection.relay.run_ns(), stands=stands)

    def _describe(self, refused: Sequence[tuple[int, str]]) -> list[str]:
        """What the events will lack, in one line a probe."""
        names = ((self.target.elf.function_at(address) or f"{address:#x}", why) for address, why in refused)
        return [f"Your guest takes no breakpoint in {name}: {one_line(why.splitlines()[-1])}" for name, why in names]

    def _trace_branches(self) -> list[str]:
        """Plant the branch probes; what the user should know of it."""
        relay, target = self._connection.relay, self.target
        if not self._branches.functions:
            return []
        if self._few:
            return ["Branches are not traced: hardware breakpoints are too few for that."]
        options = Options(
            replay=self._connection.replay,
            intrusive=self._intrusive,
            virtual=self._virtual,
            task_pointer=_first_number(self._branches.task, target),
            task_name=_first_number(self._branches.task_name, target),
            place=target.place,
            replaced=self._intervening.replaced,
        )
        self._branch_trace = BranchTrace(relay, self._writer, target.elf, self._branches, options)
        added = self._branch_trace.start(self._ui.progress)
        self._observer.probes, self._observer.blind = self._branch_trace.statistics, self._branch_trace.is_blind
        refused = sum(function["refused"] for function in added)
        return [f"Your guest refused {refused} breakpoints on branches: some paths will have gaps."] if refused else []

    def _write_provenance(self) -> None:
        target, connection = self.target, self._connection
        facts = {
            "guest.elf": target.elf.path,
            "guest.build_id": target.elf.build_id,
            "guest.banner": target.banner,
            "guest.offset": f"{target.offset:#x}" if target.offset else "",
            "stub.address": connection.address,
            "stub.capabilities": json.dumps(connection.relay.capabilities(), sort_keys=True),
            "stub.mode": "replay" if connection.replay else "live",
            "plan.probes": str(len(target.plan.sites())),
            "plan.counters": str(len(target.counted)),
            "plan.until": str(self.goal or ""),
            "plan.disturbed_ppm": str(console.number(settings.DISTURBED_PPM.full_name)),
            "tool.clockscope": __version__,
            "tool.gdb": console.version(),
        }
        if self.boots > 1:
            facts["boot.number"], facts["boot.of"] = str(self.boot), str(self.boots)
        if connection.guest is not None:
            facts["stub.command"] = json.dumps(connection.guest.command)
        if target.profile is not None:
            facts["guest.os"] = target.profile.os
            facts["guest.release"] = target.profile.release_of(target.banner)
            facts["profile.name"] = target.profile.name
            facts["profile.sha256"] = target.profile.digest
        for key, value in facts.items():
            if value:
                self._writer.meta(key, value)

    def _meet_kernel(self) -> bool:
        """At the profile's early function: the kernel's memory is mapped."""
        try:
            self._check.now()
        except UserError as error:
            self._failure = str(error)
            return True
        self._note_command_line()
        self._measure_clock()
        self._await_ending()
        planted = self._intervening.plant(hardware=self._few, memory=not self._few)
        interventions = [] if self._virtual else list(planted)
        refused = self._engine.plant(memory=not self._few)
        self._cover(refused, stands=True)
        for note in [*interventions, *self._describe(refused), *self._trace_branches()]:
            self._ui.note(note)
        return False

    def _measure_clock(self) -> None:
        self._borrowing.measure_clock()

    def _await_ending(self) -> None:
        """Look what the guest is told once more where its kernel ends."""
        if self.target.profile is None or self._connection.replay or self._few:
            return
        for symbol in (found for name in self.target.profile.endings for found in self.target.elf.functions(name)):
            address = symbol.address + self.target.offset
            self._endings.append(own_breakpoints.Probe(address, self._borrowing.kernel_ends, hardware=self._virtual))

    def _look_at_what_is(self) -> list[str]:
        """Of a kernel that is up already: what it has of clocks, for how it got them will not be seen."""
        profile = self.target.profile
        if profile is None or self._early or not self._restarts.begun:
            return []
        reader = found_clocks.Reader(self.target.elf, self.target.place)
        found = reader.read(profile.snapshot)
        self._writer.meta(late.BEGAN, late.LATE)
        self._writer.meta(late.SNAPSHOT, found_clocks.as_text(found))
        self.note("guest.command_line", reader.command_line(profile.snapshot))
        up = found["since_boot_ns"]
        since = f" for {up / 1e9:.3f} s" if up else ""
        said = f"Your guest's kernel is up{since}: what it did before is not recorded, what it has now is kept"
        return [f"{said}." if not found["doubts"] else f"{said}; {one_line('; '.join(found['doubts']))}."]

    def _note_command_line(self) -> None:
        profile = self.target.profile
        if profile is not None and profile.command_line is not None:
            line = values.evaluate(profile.command_line)
            if isinstance(line, str) and line:
                self._writer.meta("guest.command_line", line)

    def _take(self, observation: Observation) -> bool:
        """Write an event; True keeps the guest where it is."""
        if self._failure:
            return True
        try:
            if observation.rule.adds_to:
                self._continued.add(observation.rule, observation.values)
                return False
            if self._borrowing.has_to_measure(observation):
                self._measure_clock()
            tsc = self._borrowing.tsc(observation)
            restarted = self._restarts.at_event(observation.cpu, tsc)
            if restarted:
                return self._boots_again(restarted)
            self._write(observation, tsc)
            if observation.rule.what == WRITTEN:
                self._engine.tally.wrote(observation.rule)
            if self.events == 0:
                self._borrowing.begin()
        except Error as error:
            if self._connection.relay.state in ("closed", "exited"):
                return False  # GDB resumes, and so learns that the guest is gone
            self._failure = str(error)
            return True
        self.events += 1
        self._await_elsewhere()
        self._boot_end.take(observation)
        self._silences = 0
        self._listen()
        if self.goal is not None:
            self._reached = self._reached or (self.boot >= self.boots and self.goal.met_by(observation))
            what = " ".join(filter(None, (observation.rule.what.replace(".", " "), observation.clock)))
            self._ui.progress(0, 0, f"{counted(self.events, 'event')}, {what}")
        return self._reached

    def _write(self, observation: Observation, tsc: int | None) -> None:
        relay, clock = self._connection.relay, self._replay_clock
        instructions = self._instructions()
        guest_ns = None if instructions is None or clock is None else clock.ns(instructions)
        if clock is not None and not self.events:
            self.note("replay.clock", clock.source)
        link = self.target.place.link
        backtrace = [frame._replace(address=link(frame.address)) for frame in observation.backtrace]
        place = backtrace[0]
        run_ns = relay.run_ns()
        values = [*observation.values, *self._observed(observation)]
        number = self._writer.event(
            run_ns=run_ns,
            icount=instructions,
            guest_ns=guest_ns,
            tsc=tsc,
            cpu=observation.cpu,
            thread=observation.thread,
            what=observation.rule.what,
            rule=observation.rule.rule,
            clock=observation.clock,
            function=place.function,
            file=place.file,
            line=place.line,
            address=place.address,
            values=values,
            backtrace=backtrace,
        )
        self._continued.take(observation.rule, observation.clock, observation.values, number)

    def _await_elsewhere(self) -> None:
        """Once the kernel has done with its early mappings, for the most part: each use of them is a stop."""
        if self._slot is not None:
            self._restarts.await_elsewhere(self._slot, self._is_elsewhere)

    def _is_elsewhere(self, stop: Stop) -> bool:
        """It is looked into when the guest stands: GDB's symbols cannot be moved in the midst of a stop."""
        self._elsewhere = True
        return True

    def _instructions(self) -> int | None:
        """How many a replay has executed, where its stub counts them."""
        if not self._connection.replay:
            return None
        try:
            return self._connection.relay.instructions()
        except RefusedError:
            return None

    def _observed(self, observation: Observation) -> tuple[tuple[str, int | str | None], ...]:
        """What stops did to a value that the guest calibrated, as values of its event."""
        captured = dict(observation.values)
        value = disturbed.frequency(captured)
        rule, clock = observation.rule, observation.clock
        frames = [frame.address for frame in observation.backtrace]
        found = self._observer.event(rule, clock, value, observation.begun, observation.address, frames)
        if found is None:
            return ()
        if found.disturbed is not False:
            self._disturbed.append(disturbed.sentence(clock or rule.rule, captured, dict(found.values)))
        return found.values

    def guest_stopped(self) -> None:
        """The guest stands, for the user or for us."""
        if self._failure:
            self.end(False, self._failure)
        elif self._reached:
            if not self._boot_end.seen():
                self._attempt("how far it came could not be kept", lambda: self._writer.meta("plan.ended", "early"))
            self.end(True, f"reached {self.goal}")
        elif self._elsewhere:
            self._boots_again(restart_signs.RESTARTED)
        elif restarted := self._restarts.at_stop():
            self._boots_again(restarted)
        elif self.goal == Goal("idle") and self._connection.relay.idle_reached:
            self._is_idle()

    def _is_idle(self) -> None:
        """Nothing was heard of the guest for so long: end, unless more is to come."""
        seconds = console.number(settings.IDLE_SECONDS.full_name)
        self._silences += PATIENCE if self._boot_end.measuring() else 1
        to_come = self._boot_end.to_come()
        if not to_come:
            self.end(True, f"no event for {seconds} s")
        elif self._silences >= PATIENCE:
            self.end(False, f"no event for {PATIENCE * seconds} s, but {to_come}")
        else:
            self.waits_on = True
            self._ui.note(f"No event for {self._silences * seconds} s, but {to_come}: waiting on.")
            self._listen()

    def _listen(self) -> None:
        """Be told when nothing was heard of the guest for long: in the midst of a measurement it is not stopped."""
        if self.goal == Goal("idle"):
            self._patience = self._patience_now()
            self._connection.relay.set_idle_limit(self._patience * console.number(settings.IDLE_SECONDS.full_name))

    def _patience_now(self) -> int:
        return PATIENCE if self._boot_end.measuring() else 1

    def _has_returned(self) -> None:
        """A call that measured may be over without an event: then no more patience is due."""
        if self._patience != self._patience_now():
            self._listen()

    def stop(self) -> None:
        """The user ends it, wherever the boot is."""
        self.end(self._boot_end.seen(), "ended by `clock record --stop`")

    def _starts_again(self, stop: Stop) -> bool:
        """The guest stands where another boot begins; True keeps it there."""
        return self._boots_again(restart_signs.RESTARTED, stop)

    def _boots_again(self, why: str, stop: Stop | None = None) -> bool:
        """The boot has ended, for another has begun: the trace ends too, and the next one begins if it is wanted. True
        keeps the guest where it is. `stop`: it stands where its boot begins."""
        last = self.boot >= self.boots or why == restart_signs.ANOTHER
        if why == restart_signs.ANOTHER and self.target.offset:
            why += ", or this one at another place"
        complete = not last or self._ends_with_guest()
        self._borrowing.leave_out(why)
        kept = {} if last else self._settings
        self._settings = self._settings if last else {}
        self.end(complete, why if complete else f"{why} before {self.goal}")
        self._connection.relay.restart_time()
        if last:
            return self.goal is not None
        try:
            return self._record_next(kept, stop)
        except (Error, UserError, console.Error) as error:
            self._ui.note(f"Your guest's next boot is not recorded: {one_line(str(error))}.")
            return self.goal is not None

    def _record_next(self, kept: dict[str, str], stop: Stop | None) -> bool:
        """Record the boot that has begun, to a file that is not there yet."""
        following = self._create_next(stop)
        following._settings, following._named = kept, self._named
        for key, value in self._notes.items():
            following.note(key, value)
        self._ui.note(f"Recording boot {following.boot} of {following.boots} to {following.path}.")
        for line in following.arm():
            self._ui.note(line)
        following.waits_on = self._elsewhere  # the guest stands for that alone
        return following._begin_at(stop) if stop is not None else False

    def _create_next(self, stop: Stop | None) -> "Recording":
        target, there = self.target, self._elsewhere
        if there:
            target = relocation.follow(self._connection, target, self._ui)
        for number in itertools.count(self.boot + 1):
            try:
                path = restart.numbered(self._named, number)
                return self._again(target, path, at_start=stop is not None, early=there)
            except ExistsError:
                continue
        raise AssertionError("numbers do not end")

    def begin_here(self) -> None:
        """The same, once it is armed, of a guest that no probe of ours has just stopped."""
        self._begin_at(Stop())

    def _begin_at(self, stop: Stop) -> bool:
        """The guest stands at the profile's early function."""
        start = self._check.start
        assert start is not None
        self._restarts.stands_at_start(stop)
        return self._engine.arrive(start, stop)

    def guest_gone(self) -> None:
        """The guest has ended, or GDB let go of it."""
        relay = self._connection.relay
        fate = self._connection.fate()
        if self._connection.abandoned:
            self.end(False, "GDB has disconnected")
            return
        complete = relay.state == "exited" and "kill" not in relay.reason and not fate and self._ends_with_guest()
        self.end(complete, fate or relay.reason or "the connection was lost")

    def _ends_with_guest(self) -> bool:
        return self.goal is None or self.goal.what in ("exit", "idle")

    def end(self, complete: bool, reason: str) -> None:
        """Lift all probes and close the trace, whatever fails on the way. A second call does nothing."""
        if here().recording is not self:
            return
        here().recording = None
        complete, reason = self._judge(complete, reason)
        if not complete:
            self._attempt("where your guest stands could not be kept", self._note_where_it_stands)
        try:
            self._lift()
        finally:
            self._close(complete, reason)

    def _judge(self, complete: bool, reason: str) -> tuple[bool, str]:
        ran = self._connection.relay.state != "closed" and self._connection.relay.run_ns() > 0
        if ran and not here().leaving and self._engine.waiting and self._check.early is not None:
            start = self.target.elf.function_at(self._check.early)
            placed = console.text(settings.KASLR.full_name)
            where = (
                "" if placed == "auto" else f", and does it run where `set {settings.KASLR.full_name} {placed}` says?"
            )
            return False, f"{reason}, and never came to {start}: is {self.target.elf.path} its kernel{where or '?'}"
        return complete, reason

    def _note_where_it_stands(self) -> None:
        """Of a boot that did not come to its end: perhaps it waits there for ever."""
        relay = self._connection.relay
        told = console.has_connection() and not here().leaving and not happenings.in_probe()
        if told and relay.state == "stopped":
            functions = [frame.function for frame in Stop().backtrace(_STANDS_IN) if frame.function != "??"]
            self._writer.meta("stood.in", " < ".join(functions))
            self._writer.meta("stood.run_ns", str(relay.run_ns()))

    def _close(self, complete: bool, reason: str) -> None:
        try:
            self._writer.close(complete, one_line(reason))
        except Error as error:
            self._ui.note(f"The trace could not be finished: {one_line(str(error))}")
            return
        self._ui.made(self.path)
        for line in (*self._intervening.summary(), *self._disturbed):
            self._ui.note(f"{line}.")
        if self._writer.logged:
            self._ui.note(f"Somebody reads {self.path} just now, so a part of it stays in {self.path}-wal: keep both.")
        if self._disturbed:
            self._ui.note("A replay is not disturbed (clock launch --replay); --no-branches stops your guest less.")
        state = "complete" if complete else "incomplete"
        self._ui.note(f"Recorded {counted(self.events, 'event')} to {self.path}, {state}: {one_line(reason)}.")

    def _lift(self) -> None:
        if here().leaving and happenings.runs():
            # GDB cannot take leave of a guest that runs in its background: the relay does, and lifts all of GDB's as well.
            self._connection.relay.close()
        elif not (here().leaving and happenings.in_probe()):
            self._attempt("what the guest is told could not be asked again", self._borrowing.end)
            self._attempt("the probes could not be lifted", self._lift_gdbs)
        self._attempt("what was watched could not be kept", self._end_coverage)
        self._attempt("the interventions could not be lifted", self._intervening.lift)
        self._attempt("the branch trace could not be finished", self._end_branches)
        self._attempt("the counters could not be lifted", self._lift_counters)

    def _attempt(self, failure: str, part: Callable[[], object]) -> None:
        """What fails in one part keeps none of the others from its end."""
        try:
            part()
        except (Error, console.Error) as error:
            self._ui.note(f"At the recording's end {failure}: {one_line(' '.join(str(error).splitlines()))}")

    def _lift_gdbs(self) -> None:
        """GDB's own breakpoints and settings."""
        try:
            self._engine.lift()
            self._watcher.lift()
            self._restarts.lift()
            for probe in self._endings:
                probe.remove()
        finally:
            if happenings.in_probe():
                happenings.at_next_stop(self._restore)
            else:
                self._restore()

    def _restore(self) -> None:
        for name, value in self._settings.items():
            console.replace_setting(name, value)
        self._settings.clear()

    def _end_coverage(self) -> None:
        relay = self._connection.relay
        self._coverage.end(None if relay.state == "closed" else relay.run_ns())

    def _end_branches(self) -> None:
        if self._branch_trace is not None:
            self._branch_trace.stop(symbols.source_file)

    def _lift_counters(self) -> None:
        relay = self._connection.relay
        if relay.state == "closed":
            return
        for number in self._counters if relay.state == "stopped" else ():
            relay.remove_counter(number)
        relay.set_idle_limit(0)
        relay.set_trace(None)

    def interventions(self) -> list[str]:
        """How often each was made so far."""
        return list(self._intervening.summary("not reached so far"))

    def written(self) -> str:
        """The trace, which has all events so far."""
        self._writer.flush()
        return self.path

    def note(self, key: str, value: str) -> None:
        """Keep a fact of provenance, unless there is none."""
        if value:
            self._notes[key] = value
            self._writer.meta(key, value)


def _wants_hardware() -> bool:
    """Whether the user wants hardware breakpoints alone."""
    return console.text(settings.BREAKPOINTS.full_name) == "hardware"


def _first_number(expressions: Sequence[str], target: Target) -> int:
    """The first of these that holds for this kernel, by GDB; 0 where none does. GDB takes what does not move with the
    image, the per-CPU area, to have moved as well.

    GDB reads all of a kernel's debug information to learn that it does not know a name: half a minute.
    """
    for expression in expressions:
        variable = re.match(r"&(\w+)", expression)
        if variable is None or variable[1] in target.elf:
            value = values.evaluate(f"(unsigned long)({expression})")
            if isinstance(value, int):
                return value if variable is None else target.place.run((value - target.offset) % (1 << 64))
    return 0


def describe() -> list[tuple[str, str]]:
    """The current recording, for `status`."""
    current = here().recording
    if current is None:
        return [("recording", "none")]
    profile = current.target.profile
    rows = [
        ("recording", f"{current.path}, {counted(current.events, 'event')} so far"),
        ("profile", f"{profile.name} ({profile.path})" if profile else "none"),
        ("until", str(current.goal) if current.goal else "`clock record --stop`"),
    ]
    rows += [("boot", f"{current.boot} of {current.boots}")] if current.boots > 1 else []
    rows += [("intervention", line) for line in current.interventions()]
    looked_for = [each for each in current.target.plan.expectations if each.expected]
    missing = [expected for expected in looked_for if expected.status == "missing"]
    return rows + [("missing", f"{expected.rule}: {expected.note}") for expected in missing]


def default_path() -> str:
    return time.strftime("clockscope-%Y%m%d-%H%M%S.trace")


def watch_session() -> None:
    """Have recordings and connections hear of what becomes of the guest."""
    console.set_recording(_under_way)
    happenings.on_stop(_stopped)
    happenings.on_exit(_gone)
    happenings.on_quit(_quit)
    atexit.register(close_all)


def _under_way() -> str | None:
    recording = here().recording
    return recording.written() if recording is not None else None


def _stopped() -> None:
    recording = here().recording
    if recording is not None:
        recording.guest_stopped()


def _gone() -> None:
    connection = here().connection
    if connection is None:
        return
    if connection.relay.state == "stopped":
        connection.relay.settle()
    if connection.relay.state not in ("closed", "exited"):
        if console.has_connection():
            return  # one of several programs has ended
        connection.abandoned = True
    recording = here().recording
    if recording is not None:
        recording.guest_gone()
    connection.lost()


def _quit() -> None:
    here().leaving = True
    recording = here().recording
    if recording is not None:
        recording.end(False, "GDB was left")


def names_of(patterns: str) -> Sequence[str]:
    """The names and patterns in a list such as "tsc_*,hpet_enable"."""
    return [name.strip() for name in patterns.split(",") if name.strip()]
