# SPDX-License-Identifier: MIT
"""What all tests share. What is missing fails a test, with what to do; only the host's processor may lack something."""

import importlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from gdbrun import Session, Transcript, check_no_traceback, run_gdb
from guest import ROOT, Bootable, Guest, Machine, cached_boot
from host import KvmMachine, kvm_refuses, watchpoints_hit

# Some versions of pytest-xdist hand a width on to their workers, and programs in a pipe heed it.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
# Nor that hang-ups are ignored, where the tests run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Tests for which a module's fixture boots one guest go to one worker, which then boots it once."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs
        shared = {name for name, found in fixtures.items() if any(fixture.scope == "module" for fixture in found)}
        if shared:
            parameters = item.callspec.indices if hasattr(item, "callspec") else {}
            chosen = [f"{name}-{parameters[name]}" for name in sorted(shared & parameters.keys())]
            item.add_marker(pytest.mark.xdist_group("-".join([item.module.__name__, *chosen])))


@pytest.fixture(scope="session")
def core() -> ModuleType:
    """The built extension."""
    try:
        return importlib.import_module("clockscope._core")
    except ImportError as error:
        pytest.fail(f"the extension cannot be loaded ({error}): run `make -f setup.mk build`", pytrace=False)


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for this run of pytest, whichever of its worker processes asks."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def untouched(shared_directory: Path) -> Callable[[Machine], str]:
    """untouched(machine): the serial log of a boot without a debugger; one boot a machine and run."""
    return lambda machine: cached_boot(machine, shared_directory)


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[..., Guest]]:
    """boot(machine): a QEMU that waits for a debugger, killed after the test."""
    guests: list[Guest] = []

    def start(machine: Bootable = Machine(), **options: object) -> Guest:
        directory = tmp_path / f"guest-{len(guests)}"
        directory.mkdir()
        guests.append(Guest(machine, directory, **options))  # type: ignore[arg-type]
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


@pytest.fixture
def gdb(tmp_path: Path) -> Callable[..., Transcript]:
    """gdb(lines): the transcript of a script in a fresh GDB that has the plugin; no traceback allowed."""
    return lambda script, **options: run_gdb(script, tmp_path, **options)


@pytest.fixture
def gdb_session() -> Iterator[Callable[..., Session]]:
    """gdb_session(): a GDB at a terminal, killed after the test; no traceback allowed."""
    sessions: list[Session] = []

    def start(**options: object) -> Session:
        sessions.append(Session(**options))  # type: ignore[arg-type]
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()
    for session in sessions:
        check_no_traceback(session.transcript)


@pytest.fixture
def program() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """program("timeline", file): a run of build/clockscope."""

    def run(*arguments: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
        completed: subprocess.CompletedProcess[str] = subprocess.run(
            [ROOT / "build" / "clockscope", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            **options,  # type: ignore[call-overload]
        )
        check_no_traceback(completed.stderr)
        return completed

    return run


@pytest.fixture(scope="session")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> KvmMachine:
    """The guest on KVM. Skips where plain GDB cannot debug it there."""
    machine = KvmMachine()
    reason = kvm_refuses(machine, tmp_path_factory.mktemp("kvm"))
    if reason:
        pytest.skip(reason)
    return machine


@pytest.fixture(scope="session")
def hardware_watchpoints(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where the processor's watchpoints are set and never hit; the scripted stub's hit everywhere."""
    if not watchpoints_hit(tmp_path_factory.mktemp("watched")):
        pytest.skip(
            "this machine's hypervisor delivers no hardware watchpoints: plain GDB with gdbserver sees none hit"
        )
