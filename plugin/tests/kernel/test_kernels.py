# SPDX-License-Identifier: MIT
"""The profile against kernels of years: each line that one of them has is found where that kernel prints it.

Nothing is booted. The kernels are those that are here: 6.1 and 6.12, and after `make -f setup.mk kernels` 5.10 and 7.2.
"""

import re

import kernels
import pytest
from kernels import LACK, Placed

# The lines that kernels have in turns; every other one is in all of them.
ONLY_IN: dict[str, set[str]] = {
    "clock-skewed-silently": set(),
    "clock-read-slow": {"5.10", "6.1"},
    "clock-read-slow-named": {"6.12"},
    "cpus-out-of-step": {"5.10", "6.1", "6.12"},
    "watchdog-told": {"5.10", "6.1", "6.12"},
    "clock-told": {"5.10", "6.1", "6.12"},
    "skew-told": {"6.12"},
    "current-clock": {"6.1", "6.12"},
    "watchdog-interval": {"7.2"},
    "clock-interval": {"7.2"},
    "cpus-behind": {"7.2"},
    "cpus-checked": {"5.10", "6.1", "6.12"},
    "cpus-check-took": {"5.10", "6.1", "6.12"},
    "cpus-too-few": {"6.1", "6.12"},
    "tsc-recalibrated": {"6.12", "7.2"},
    "tsc-told-wrong": {"6.12", "7.2"},
}


@pytest.fixture(params=kernels.present())
def kernel(request: pytest.FixtureRequest) -> Placed:
    return kernels.placed(request.param)


def test_each_line_is_found_where_it_is_printed(kernel: Placed) -> None:
    states = {rule: kernel.state(rule) for rule in kernels.with_lines()}
    assert {rule for rule, state in states.items() if state == LACK} == {
        rule for rule, versions in ONLY_IN.items() if kernel.version not in versions
    }
    assert kernels.UNPLACED not in states.values()


# What a kernel says where it loses a clock, and by which rule.
SKEW = {
    "5.10": (r"timekeeping watchdog on CPU%d: Marking clocksource '%s' as unstable", ["clocksource_watchdog"]),
    "6.1": (r"timekeeping watchdog on CPU%d: Marking clocksource '%s' as unstable", ["clocksource_watchdog"]),
    "6.12": (r"timekeeping watchdog on CPU%d: Marking clocksource '%s' as unstable", ["clocksource_watchdog"]),
    "7.2": (r"Marking clocksource %s unstable due to (?:frequency|inter CPU) skew", ["clocksource_watchdog"] * 2),
}


def test_how_a_clock_is_lost(kernel: Placed) -> None:
    text, functions = SKEW[kernel.version]
    assert kernel.lines["clock-skewed"] == functions
    calls = [
        site.call for site in kernel.plan.messages.values() if "clock-skewed" in (rule.rule for rule in site.rules)
    ]
    assert all(re.search(text, line) for call in calls for line in call.formats.values())


def test_what_is_kept_of_a_clock_whose_line_is_printed_apart(kernel: Placed) -> None:
    """Where the line lies in a cold part DWARF has lost the clock (7.2), and the function's entry is asked."""
    keeping = kernel.plan.places_of("clock-being-registered")
    printing = kernel.plan.places_of("clock-registered")
    assert len(printing) == 1
    assert bool(keeping) == kernel.registered_apart
    assert kernel.version != "7.2" or keeping


def test_no_gate_waits_for_a_function_that_is_missing(kernel: Placed) -> None:
    """A gate whose ends a kernel lacks is left out: then all that it covers is looked for all the time, and slowly."""
    names = {gate.name for gate in kernels.linux().gates}
    assert names - {gate.name for gate in kernel.plan.gates} == set()


def test_the_table_names_every_rule() -> None:
    text = kernels.table()
    assert all(rule in text for rule in kernels.with_lines()) and kernels.UNPLACED not in text
