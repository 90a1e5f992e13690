# SPDX-License-Identifier: MIT
"""What a fleet keeps of one boot: what it is, how its clocks ended, which way its traced functions went."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from clockscope._core import Trace
from clockscope.base.errors import UserError
from clockscope.base.ui import cut, one_line
from clockscope.exports.stream import stream
from clockscope.fleet import ways
from clockscope.arch import cpuid_leaves
from clockscope.model import diagnosing, late, told

Record = dict[str, Any]
_TEXT_MAX = 200
_HASHED = (
    ("meta", "key"), ("event", "seq"), ("event_value", "event, ordinal"), ("cpuid", "moment, leaf, subleaf"),
    ("msr", "moment, number"), ("counter", "address"), ("invocation", "id"), ("decision", "invocation, ordinal"),
)  # fmt: skip


def of_trace(file: str, trace: Trace, rules: Sequence[diagnosing.Rule]) -> Record:
    """A row of the fleet's, with `alike` (what it is grouped by) and `ways` (by signature) beside it."""
    meta = trace.meta()
    timeline = late.with_clocks(trace.timeline())
    if timeline["damage"] is not None:
        raise UserError(timeline["damage"])
    went = {_text(name): way for name, way in ways.of_trace(trace)}
    signed = {name: _digest([name, [[made for made, _ in call] for call in way]]) for name, way in went.items()}
    findings = [one["rule"] for one in diagnosing.diagnose(trace, rules)]
    alike = {
        "clocks": sorted(
            [one["name"], one["kind"], one["rating"], _state(one)] for one in timeline["clocks"] if _is_known(one)
        ),
        "current": next(
            (one["name"] for one in timeline["clocks"] if one["current"] and one["kind"] != late.DEVICES), ""
        ),
        "findings": sorted(findings),
        "whole": bool(trace.complete() and meta.get("plan.ended") != "early" and meta.get("plan.began") != late.LATE),
    }
    alike = _plain(alike)
    return {
        "id": content_id(trace),
        "file": _text(file),
        "recorded": _text(meta.get("recorded_at", "")),
        "os": _text(meta.get("guest.os", "")),
        "release": _text(meta.get("guest.release", "")),
        "build_id": _text(meta.get("guest.build_id", "")),
        **_machine(trace, meta),
        "mode": _text(meta.get("stub.mode", "")),
        "frequencies": {_text(one["name"]): one["frequency_hz"] for one in timeline["clocks"] if one["frequency_hz"]},
        "paths": signed,
        "alike": alike,
        "key": _digest(alike),
        "ways": {signed[name]: (name, _kept(way)) for name, way in went.items()},
    }


def _kept(way: ways.Way) -> list[list[list[Any]]]:
    return [[[*map(_text, made), at] for made, at in call] for call in way]


def content_id(trace: Trace) -> str:
    """The same for every copy of a recording, whatever its file is called; of two recordings never the same."""
    found = hashlib.sha256()
    for table, keys in _HASHED:
        for row in stream(trace, f"SELECT * FROM {table}", keys.split(", ")):
            found.update(json.dumps([table, *row.values()], default=str).encode())
    return found.hexdigest()[:32]


def _text(text: str) -> str:
    """As it can be kept anywhere: PostgreSQL has no text with a NUL."""
    return cut(one_line(text), _TEXT_MAX)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def _is_known(clock: Record) -> bool:
    return clock["registered"] is not None or clock["selected"] is not None


def _state(clock: Record) -> str:
    if clock["lost"] is not None:
        return "lost"
    return "in use" if clock["current"] else "there"


# ---------------------------------------------------------------- the machine


def _machine(trace: Trace, meta: dict[str, str]) -> Record:
    leaves = told.of_trace(trace, told.BEGIN).leaves
    return {
        "hypervisor": _text(cpuid_leaves.hypervisor(leaves) or ("none shown" if leaves else "")),
        "cpu": _text(meta.get("guest.processor") or _model(leaves)),
    }


def _model(leaves: cpuid_leaves.Leaves) -> str:
    """ "GenuineIntel family 6 model 85 stepping 7", as the SDM computes it (vol. 2, "CPUID", leaf 1)."""
    if (0, 0) not in leaves or (1, 0) not in leaves:
        return ""
    eax = leaves[1, 0][0]
    family, model = eax >> 8 & 0xF, eax >> 4 & 0xF
    if family in (6, 15):
        model |= eax >> 12 & 0xF0
    if family == 15:
        family += eax >> 20 & 0xFF
    return f"{cpuid_leaves.vendor(leaves)} family {family} model {model} stepping {eax & 0xF}"
