# SPDX-License-Identifier: MIT
"""The questions that "NetBSD microvm Clocks" asks with Cscope and breakpoints, asked of the model's ELF file."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from model import model

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(program: Program) -> Callable[[str, str], Any]:
    """ask(verb, name): the answer about the NetBSD model."""

    def run(verb: str, name: str) -> Any:
        done = program(verb, model().vmlinux, name, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_who_writes_lapic_per_second(ask: Callable[[str, str], Any]) -> None:
    writers = {writer["function"] for writer in ask("writers", "lapic_per_second")["writers"]}
    assert writers == {"lapic_calibrate_timer", "tsc_freq_cpuid", "tsc_freq_vmware_cpuid"}


def test_who_writes_lapic_from_cpuid(ask: Callable[[str, str], Any]) -> None:
    writers = {writer["function"] for writer in ask("writers", "lapic_from_cpuid")["writers"]}
    assert writers == {"tsc_freq_vmware_cpuid"}


def test_nobody_writes_x2apic_mode(ask: Callable[[str, str], Any]) -> None:
    assert ask("writers", "x2apic_mode")["writers"] == []


def test_who_registers_timecounters(ask: Callable[[str, str], Any]) -> None:
    callers = {caller["function"] for caller in ask("callers", "tc_init")["callers"]}
    assert callers == {"startrtclock", "lapic_initclock", "initclocks", "tsc_tc_init"}


def test_a_tail_call_is_a_call(ask: Callable[[str, str], Any]) -> None:
    callers = {caller["function"] for caller in ask("callers", "lapic_calibrate_timer")["callers"]}
    assert callers == {"cpu_attach", "lapic_initclock"}
