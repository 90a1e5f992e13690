# SPDX-License-Identifier: MIT
"""A trace held to a policy and a baseline, as schemas/check.schema.json describes it. What is not known is not kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clockscope._core import Trace
from clockscope.model import absence, changes_made, comparison_paths, diagnosing, disturbed, late
from clockscope.model.policy import Policy
from clockscope.model.source_text import Source

Record = dict[str, Any]

KEPT, BROKEN, UNKNOWN = "kept", "broken", "unknown"
EXIT = {KEPT: 0, BROKEN: 1, UNKNOWN: 2}
"""The program's exit status, by verdict."""


@dataclass(frozen=True)
class Side:
    """A trace and what it holds."""

    file: str
    trace: Trace
    source: Source
    timeline: Record
    findings: list[Record]

    @property
    def is_log(self) -> bool:
        mode: str | None = self.timeline["provenance"].get("stub.mode")
        return mode == "log"

    def clocks(self, devices: bool) -> dict[str, Record]:
        """By name; a frequency alone does not make a clock."""
        return {
            clock["name"]: clock
            for clock in self.timeline["clocks"]
            if (clock["kind"] == late.DEVICES) is devices
            if clock["registered"] is not None or clock["selected"] is not None
        }

    def there(self, devices: bool) -> list[str]:
        """Those that it has at the end."""
        return [name for name, clock in self.clocks(devices).items() if clock["lost"] is None]

    @property
    def current(self) -> str | None:
        return next((name for name, clock in self.clocks(False).items() if clock["current"]), None)


def side(file: str, trace: Trace, rules: Sequence[diagnosing.Rule], source: Source) -> Side:
    timeline = late.with_clocks(disturbed.timeline(trace))
    return Side(file, trace, source, timeline, diagnosing.diagnose(trace, rules, source))


def check(trace: Side, baseline: Side, policy: Policy) -> Record:
    """Every check that the policy asks for, in the order in which people read them."""
    checks = [
        *_recording("trace", trace),
        *_recording("baseline", baseline),
        *_there("clock", trace, baseline, policy.clocks),
        *_there("device", trace, baseline, policy.devices),
        *_current(trace, baseline, policy.current),
        *_frequencies(trace, baseline, policy),
        *_findings(trace, baseline, policy.findings),
        *_functions(trace, baseline, policy),
    ]
    damage = [one.timeline["damage"] for one in (trace, baseline)]
    counts = {verdict: sum(one["verdict"] == verdict for one in checks) for verdict in EXIT}
    return {
        "trace": trace.file,
        "baseline": baseline.file,
        "verdict": BROKEN if counts[BROKEN] else UNKNOWN if counts[UNKNOWN] or any(damage) else KEPT,
        "counts": counts,
        "damage": damage,
        "checks": checks,
    }


def _check(kind: str, name: str, verdict: str, said: str) -> Record:
    return {"kind": kind, "name": name, "verdict": verdict, "said": said}


def _recording(name: str, one: Side) -> Iterator[Record]:
    """Whether it can vouch for a whole boot that nobody changed."""
    ended = one.timeline["end_reason"] or "its recording did not end in order"
    doubts = list(late.said(one.timeline["late"])) if one.timeline["late"] else []
    doubts += [f"it is incomplete: {ended}"] if not one.timeline["complete"] else []
    doubts += [f"it was changed: --{change['kind']} {change['option']}" for change in changes_made.of(one.trace)]
    yield _check("recording", name, UNKNOWN if doubts else KEPT, "; ".join(doubts) or f"complete: {ended}")


# ---------------------------------------------------------------- clocks


def _there(kind: str, trace: Side, baseline: Side, wanted: Sequence[str] | None) -> Iterator[Record]:
    devices = kind == "device"
    found = trace.clocks(devices)
    for name in baseline.there(devices) if wanted is None else wanted:
        clock = found.get(name)
        if clock is None:
            yield _missing(kind, name, trace, baseline)
        elif clock["lost"] is not None:
            reason = clock["lost"]["reason"]
            yield _check(kind, name, BROKEN, "lost" + (f": {reason}" if reason else ""))
        else:
            yield _check(kind, name, KEPT, "registered")


def _missing(kind: str, name: str, trace: Side, baseline: Side) -> Record:
    """It was not seen: that it was not there is known only where someone looked."""
    devices = kind == "device"
    what = "device.registered" if devices else "clock.registered"
    never = absence.never(trace.timeline, what)
    if trace.is_log:
        told = baseline.is_log and name in baseline.clocks(devices)
        return _check(
            kind, name, *((BROKEN, "its log tells nothing of it") if told else (UNKNOWN, "a log need not tell"))
        )
    if never == "not seen":
        return _check(kind, name, UNKNOWN, f"not seen registered: {_unseen(trace)}")
    return _check(kind, name, BROKEN, "never registered")


def _unseen(trace: Side) -> str:
    said = trace.timeline["provenance"]
    if not trace.timeline["complete"] or said.get("plan.ended") == "early":
        return "the recording ended before the boot did"
    return "the recording began late" if said.get("plan.began") == "late" else "it could not be watched"


def _current(trace: Side, baseline: Side, wanted: Sequence[str] | None) -> Iterator[Record]:
    allowed = [name for name in (baseline.current,) if name] if wanted is None else wanted
    if not allowed:
        return
    found, said = trace.current, " or ".join(allowed)
    if found in allowed:
        yield _check("current", said, KEPT, f"{found} is in use at the end")
    elif not trace.timeline["complete"] or trace.timeline["provenance"].get("plan.ended") == "early":
        yield _check("current", said, UNKNOWN, f"{found or 'no clock'} was in use when the recording ended early")
    elif found is None:
        yield _check("current", said, UNKNOWN, "no clock was seen chosen")
    else:
        yield _check("current", said, BROKEN, f"{found} is in use at the end")


def _frequencies(trace: Side, baseline: Side, policy: Policy) -> Iterator[Record]:
    known: set[str] = set()
    for devices in (False, True):
        here, there = trace.clocks(devices), baseline.clocks(devices)
        known |= here.keys() | there.keys()
        for name in there:
            if name in here and there[name]["frequency_hz"]:
                label = f"{name} (event device)" if devices else name
                yield _frequency(label, here[name], there[name], policy.tolerance(name), (trace, baseline))
    for name in policy.ppm_of.keys() - known:
        yield _check("frequency", name, UNKNOWN, "neither trace has a clock of this name")


def _frequency(label: str, here: Record, there: Record, limit: float, sides: tuple[Side, Side]) -> Record:
    found, expected = here["frequency_hz"], there["frequency_hz"]
    if not found:
        return _check("frequency", label, UNKNOWN, f"not told; the baseline has {expected} Hz")
    off = (found - expected) / expected * 1e6
    said = f"{found} Hz, {off:+.1f} ppm of {expected} Hz; up to {limit:g} are allowed"
    if abs(off) <= limit:
        return _check("frequency", label, KEPT, said)
    doubt = _doubt(here["name"], abs(off) - limit, sides)
    return _check("frequency", label, UNKNOWN if doubt else BROKEN, said + doubt)


def _doubt(clock: str, beyond: float, sides: tuple[Side, Side]) -> str:
    """Whether what is too much may be the recordings' own doing."""
    found = [
        one
        for side in sides
        for one in disturbed.of(side.timeline)
        if one["clock"] and disturbed.family(one["clock"]) == disturbed.family(clock)
    ]
    bounds = [one["error_bound_ppm"] for one in found]
    explains = bool(found) and (None in bounds or sum(bounds) >= beyond)
    return "; but stops of the guest may have moved it" if explains else ""


# ---------------------------------------------------------------- findings


def _findings(trace: Side, baseline: Side, allowed: Sequence[str] | None) -> Iterator[Record]:
    may = [one["rule"] for one in baseline.findings] if allowed is None else allowed
    for one in trace.findings:
        kept = one["rule"] in may
        yield _check("finding", one["rule"], KEPT if kept else BROKEN, one["symptom"] + "; allowed" * kept)
    if not trace.findings:
        yield _check("finding", "any", KEPT, "nothing wrong was found")


# ---------------------------------------------------------------- functions


def _functions(trace: Side, baseline: Side, policy: Policy) -> Iterator[Record]:
    if not policy.functions:
        return
    sides = (baseline, trace)
    compared = comparison_paths.compare(
        baseline.trace, trace.trace, lambda done, total, what: None, [one.source for one in sides]
    )
    traced = [_traced(one) for one in sides]
    differ = {comparison_paths.base_name(one["function"]): one for one in compared["differ"]}
    for name in sorted(traced[0] | traced[1]):
        if policy.names_function(name):
            yield _function(name, traced, differ.get(name), compared, policy)
    for pattern in policy.functions:
        one = Policy(functions=(pattern,))
        if not any(one.names_function(name) for name in traced[0] | traced[1]):
            yield _check("function", pattern, UNKNOWN, "not traced: record both with --functions")


def _traced(one: Side) -> set[str]:
    rows = one.trace.rows(
        "SELECT DISTINCT name FROM function WHERE EXISTS (SELECT 1 FROM block WHERE function = function.id)"
    )
    return {comparison_paths.base_name(row["name"]) for row in rows}


def _function(
    name: str, traced: Sequence[set[str]], differs: Record | None, compared: Record, policy: Policy
) -> Record:
    for where, names in zip(("baseline", "trace"), traced):
        if name not in names:
            return _check("function", name, UNKNOWN, f"not traced in the {where}: record it with --functions {name}")
    for key, said in (
        ("only_a", "never called; the baseline calls it"),
        ("only_b", "called; the baseline never calls it"),
    ):
        if name in {comparison_paths.base_name(one) for one in compared[key]}:
            return _check("function", name, BROKEN, said)
    if differs is not None and differs["divergence"]:
        return _check("function", name, BROKEN, _parted(differs["divergence"]))
    if differs is not None and any(differs["unpaired"]) and policy.counts_calls:
        there, here = differs["invocations"]
        return _check("function", name, BROKEN, f"called {_times(here)}; in the baseline {_times(there)}")
    if differs is not None and differs["cut_short"]:
        return _check("function", name, UNKNOWN, "its calls decide in too different an order to be compared")
    return _check("function", name, KEPT, "its calls decide as in the baseline")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _parted(one: Record) -> str:
    """ "arch/x86/kernel/tsc.c:330 `if (x)`: false; in the baseline true"."""
    text = f" `{one['text'].strip()}`" if one["text"] else ""
    return f"{one['source'] or one['function']}{text}: {_way(one['b'])}; in the baseline {_way(one['a'])}"


def _way(one: Record) -> str:
    if one["condition"] is not None:
        return "true" if one["condition"] else "false"
    return "not known" if one["taken"] is None else f"the jump {'is' if one['taken'] else 'is not'} taken"
