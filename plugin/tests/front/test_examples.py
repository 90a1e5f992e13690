# SPDX-License-Identifier: MIT
"""Every verb's help is complete in both fronts, and its examples run. A new verb is walked by itself."""

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gdbrun import Transcript, run_gdb
from guest import GUESTS, ROOT, Guest, machine

from model import model

from clockscope.front import cli, verbs
from clockscope.front.completion import KINDS
from clockscope.live.guest_process import free_port

Gdb = Callable[..., Transcript]
Program = Callable[..., "subprocess.CompletedProcess[str]"]
Record = dict[str, Any]

OUTSIDE = [verb.NAME for verb in cli.find_verbs([])]

# What the names in examples stand for. They are copied, but for the kernels: an example may write.
TRACES = {
    "boot.trace": "linux-samples-rejected",
    "healthy.trace": "linux-healthy",
    "failing.trace": "linux-samples-rejected",
    "bare.trace": "linux-healthy",
    "xen.trace": "linux-xen",
}
LINKS = {
    "vmlinux": GUESTS / "linux-6.1" / "vmlinux",
    "netbsd.gdb": GUESTS / "model" / "netbsd.elf",
    "my-rules": ROOT / "plugin" / "clockscope" / "diagnoses",
    "program": Path("/bin/busybox"),
}
LOGS = {
    "serial.log": "Linux version 6.1.0 (builder@host)\nclocksource: Switched to clocksource tsc-early\n",
    "policy.toml": '[clocks]\nmust = ["hpet"]\n',
}
# A kernel that ends by itself without an initramfs.
LINKS_OF = {"launch": {"vmlinux": GUESTS / "model" / "netbsd.elf"}}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A directory with what the examples name."""
    here = tmp_path / "world"
    here.mkdir()
    for name, trace in TRACES.items():
        shutil.copy(ROOT / "traces" / f"{trace}.trace", here / name)
    for name, real in LINKS.items():
        (here / name).symlink_to(real)
    for name, text in LOGS.items():
        (here / name).write_text(text)
    (here / "linux-6.1").mkdir()  # the kernel's source, of which nothing need be there
    return here


_DESCRIBE = """
python
import json
from clockscope.front import frontend, verbs
for name in verbs.names():
    verb = verbs.load(name)
    actions = [
        dict(name=action.dest, options=action.option_strings, help=action.help)
        for action in frontend.make_parser(verb)._actions
    ]
    print("verb", json.dumps(dict(name=name, needs=verb.NEEDS, alone=len(verb.EXAMPLES), actions=actions,
        complete=dict(verb.COMPLETE))))
    text = gdb.execute(f"help clock {name}", to_string=True)
    print("help", json.dumps(text))
end
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """All verbs as GDB knows them: what they need, their options, their help."""
    printed = run_gdb(_DESCRIBE, tmp_path_factory.mktemp("catalogue")).text
    found = [json.loads(text) for text in re.findall("^verb (.*)$", printed, re.MULTILINE)]
    texts = [json.loads(text) for text in re.findall("^help (.*)$", printed, re.MULTILINE)]
    return {verb["name"]: {**verb, "help": text} for verb, text in zip(found, texts, strict=True)}


def examples_of(text: str, program: str) -> list[str]:
    """The examples that a help prints, each a command line: they are its end."""
    _, _, last = text.partition("\nexamples:\n")
    lines = [line.strip() for line in last.strip().splitlines()]
    assert lines and all(line == program or line.startswith(f"{program} ") for line in lines), text
    return lines


def check_help(text: str, verb: Record, program: str) -> None:
    for action in verb["actions"]:
        if action["help"] == argparse.SUPPRESS:  # an older name
            continue
        assert action["help"], f"{verb['name']}: {action['name']} is not explained"
        assert not action["options"] or action["options"][-1] in text
    assert f"usage: {program}" in text
    assert not re.search(r"\b(relay|internal|callback)\b", text), "a user has no need of these words"
    assert examples_of(text, program)


@pytest.mark.parametrize("name", verbs.names())
def test_completion_is_declared(name: str, catalogue: dict[str, Record]) -> None:
    """What COMPLETE names is an option or argument, each kind is a known one."""
    declared = catalogue[name]["complete"]
    assert set(declared) <= {action["name"] for action in catalogue[name]["actions"]}
    assert set(declared.values()) <= set(KINDS)


@pytest.mark.parametrize("name", verbs.names())
def test_help_in_gdb(name: str, catalogue: dict[str, Record]) -> None:
    check_help(catalogue[name]["help"], catalogue[name], f"clock {name}")


@pytest.mark.parametrize("name", OUTSIDE)
def test_help_of_the_program(name: str, catalogue: dict[str, Record], program: Program) -> None:
    check_help(program(name, "--help").stdout, catalogue[name], f"clockscope {name}")


def make_way(world: Path, line: str) -> None:
    """What an example writes is not there yet."""
    for file in re.findall(r" (?:-o|--output) (\S+)", line):
        (world / file).unlink(missing_ok=True)


@pytest.mark.parametrize("name", OUTSIDE)
def test_examples_in_a_shell(name: str, program: Program, world: Path) -> None:
    for line in examples_of(program(name, "--help").stdout, f"clockscope {name}"):
        make_way(world, line)
        done = subprocess.run(f"{ROOT}/build/{line}", shell=True, cwd=world, capture_output=True, text=True)
        assert done.returncode in (0, 1) and (done.stdout or "-o" in line), f"{line}:\n{done.stderr}"


def run_in_gdb(gdb: Gdb, world: Path, lines: list[str], before: list[str], after: str = "") -> None:
    script = list(before)
    for line in lines:
        make_way(world, line)
        script += [line, *filter(None, [after])]
    done = gdb([*script, "echo all were run"], cwd=world)
    assert done.status == 0 and done.text.endswith("all were run"), done.text


def without_guest(verb: Record) -> list[str]:
    lines = examples_of(verb["help"], f"clock {verb['name']}")
    return [] if verb["needs"] == "guest" else lines[: verb["alone"]]


def with_guest(verb: Record) -> list[str]:
    lines = examples_of(verb["help"], f"clock {verb['name']}")
    return [line for line in lines if line not in without_guest(verb)]


END_GUEST = 'python if gdb.selected_inferior().pid: gdb.execute("kill")'


@pytest.fixture
def stubs(boot: Callable[..., Guest], world: Path) -> Iterator[dict[str, str]]:
    """What attach's examples attach to."""
    port = free_port()
    with subprocess.Popen(
        ["gdbserver", "--once", f"localhost:{port}", "/bin/busybox"], stderr=subprocess.PIPE
    ) as server:
        assert server.stderr is not None
        while b"Listening" not in server.stderr.readline():
            assert server.poll() is None
        yield {"localhost:1234": f"localhost:{port}", "/run/guest/gdb.socket": str(boot(model()).socket)}
        server.kill()


@pytest.mark.parametrize("name", verbs.names())
def test_examples_in_gdb(
    name: str, catalogue: dict[str, Record], gdb: Gdb, world: Path, request: pytest.FixtureRequest
) -> None:
    for link, real in LINKS_OF.get(name, {}).items():
        (world / link).unlink()
        (world / link).symlink_to(real)
    lines = without_guest(catalogue[name])
    for written, real_address in request.getfixturevalue("stubs").items() if name == "attach" else ():
        lines = [line.replace(written, real_address) for line in lines]
    run_in_gdb(gdb, world, lines, before=[], after=END_GUEST)


def test_examples_with_a_guest(catalogue: dict[str, Record], gdb: Gdb, world: Path, tmp_path: Path) -> None:
    """Those that need one share it: a stock Linux, stopped at its beginning."""
    lines = [line for name in sorted(catalogue) for line in with_guest(catalogue[name])]
    # What ends the guest comes late, what starts it again last.
    lines.sort(key=lambda line: ("clock experiment" in line, "--until exit" in line))
    start = ["file vmlinux", machine().launch(tmp_path / "serial.log"), "thbreak start_kernel", "continue"]
    run_in_gdb(gdb, world, lines, before=start)
