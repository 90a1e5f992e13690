# SPDX-License-Identifier: MIT
"""The guest's time at any instruction of a replay, from the events of which it is known."""

from __future__ import annotations

from typing import Any

from clockscope.model.axis import Axis

STEP = 128
"""ns an instruction."""


def event(seq: int, icount: int, idled: int = 0) -> dict[str, Any]:
    ns = icount * STEP + idled
    return {"seq": seq, "run_ns": ns // 40, "icount": icount, "guest_ns": ns, "what": "clock.registered", "values": {}}


def axis(*events: dict[str, Any], clock: str = "instructions and the PM timer") -> Axis:
    return Axis({"events": list(events), "provenance": {"stub.mode": "replay", "replay.clock": clock}})


def at(where: Axis, icount: int) -> int | None:
    return where.ns({"seq": None, "icount": icount})


def test_between_events_instructions_tell() -> None:
    where = axis(event(1, 1000), event(2, 5000))
    assert [at(where, count) for count in (1, 1000, 3000, 5000, 9000)] == [128, 128_000, 384_000, 640_000, 1_152_000]


def test_not_where_the_guest_idled() -> None:
    """Before or after that instruction: nothing tells."""
    where = axis(event(1, 1000), event(2, 5000, 7_000_111), event(3, 6000, 7_000_111))
    assert at(where, 500) == 64_000 and at(where, 3000) is None
    assert at(where, 5500) == 5500 * STEP + 7_000_111 == at(where, 7000) - 1500 * STEP  # type: ignore[operator]


def test_what_was_left_out_is_said() -> None:
    assert axis(event(1, 1000)).name == "exact guest time"
    alone = axis(event(1, 1000), clock="instructions alone, without the time of idling")
    assert alone.name == "exact guest time, idling left out"


def test_one_event_that_came_after_idling() -> None:
    """How long an instruction takes is not known then."""
    assert at(axis(event(1, 1000, 77)), 2000) is None
