# SPDX-License-Identifier: MIT
"""How readers word what a trace holds: names of bits by release, and who acts for others."""

import re

import pytest

from clockscope.model.doer import doer
from clockscope.profiles import profile, reading

LINUX = reading.of({"os": "linux", "release": "6.1.0-9-amd64"})


@pytest.mark.parametrize(
    "release, what, name, value, said",
    [
        ("6.1.0", "clock.registered", "flags", 0x223, "CONTINUOUS|MUST_VERIFY|VALID_FOR_HRES|VERIFY_PERCPU"),
        ("7.2-rc1", "clock.registered", "flags", 0x205, "CONTINUOUS|CALIBRATED|CAN_INLINE_READ"),
        ("", "clock.registered", "flags", 0x201, "CONTINUOUS|0x200"),
        ("6.1", "clock.registered", "flags", 0, "no flags"),
        ("6.1", "device.registered", "features", 11, "PERIODIC|ONESHOT|C3STOP"),
        ("5.10", "device.registered", "features", 6, "ONESHOT|KTIME"),
        ("7.1.3", "device.registered", "features", 6, "ONESHOT|CLOCKSOURCE_COUPLED"),
        ("6.1", "clock.registered", "flags", 1 << 63 | 1, "CONTINUOUS|0x8000000000000000"),
        ("6.1", "clock.registered", "rating", 3, None),
        ("6.1", "device.registered", "flags", 3, None),
    ],
)
def test_bits_of_linux(release: str, what: str, name: str, value: int, said: str | None) -> None:
    assert reading.of({"os": "linux", "release": release}).bits(what, name, value) == said


def test_bits_of_freebsd() -> None:
    words = reading.of({"os": "freebsd", "release": "14.2-RELEASE"})
    assert words.bits("device.registered", "flags", 7) == "PERIODIC|ONESHOT|PERCPU"
    assert words.bits("clock.registered", "flags", 1) == "C2STOP"


@pytest.mark.parametrize("system", ["", "plan9", "../linux", "linux" * 9, "li\x00nux", "\u0663"])
def test_an_unknown_system_has_no_words(system: str) -> None:
    words = reading.of({"os": system, "release": "1.2"})
    assert words.bits("clock.registered", "flags", 1) is None and not words.zero and not words.is_through("tc_init")


@pytest.mark.parametrize("name", profile.names())
def test_rules_that_are_named_are_the_profiles(name: str) -> None:
    known = profile.load(name)
    words = reading.of({"os": known.os, "release": ""})
    assert {rule.rule for rule in known.rules} >= set(words.zero)
    assert {capture.name for rule in known.rules for capture in rule.captures} >= set(words.given)


def event(*frames: str, **values: str) -> dict[str, object]:
    backtrace = [{"function": one, "source": f"{one}.c:7", "inlined": False} for one in frames]
    return {"backtrace": backtrace, "values": values, "function": frames[0] if frames else ""}


@pytest.mark.parametrize(
    "seen, function",
    [
        (
            event("__clocksource_register_scale", "clocksource_register_hz", "hpet_enable", "start_kernel"),
            "hpet_enable",
        ),
        (event("__clocksource_register_scale", "do_one_initcall"), None),
        (event("__clocksource_register_scale", "do_one_initcall", initcall="init_jiffies"), "init_jiffies"),
        (event("clocksource_unregister", "process_one_work", work="tsc_refine"), "tsc_refine"),
        (event("clocksource_unregister", "??"), None),
        (event("tsc_refine_calibration_work", "process_one_work"), "tsc_refine_calibration_work"),
        (event(), None),
    ],
)
def test_who_did_it(seen: dict[str, object], function: str | None) -> None:
    found = doer(seen, LINUX)
    assert (found and found["function"]) == function


def test_every_line_of_the_data_is_known() -> None:
    keys = {"zero", "through", "beyond", "given", "bits"}
    for system in ("linux", "netbsd", "freebsd"):
        lines = list(reading._lines(system))
        assert lines and {line[0] for line in lines} <= keys
        for line in lines:
            assert line[0] != "bits" or all(re.fullmatch(r"\w+=[\w.]+", word) for word in line[2:])
