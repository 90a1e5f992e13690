# SPDX-License-Identifier: MIT
"""The recipe for continuous integration: what GitHub and GitLab are told to run boots a guest, records and checks it."""

import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from guest import GUESTS, ROOT

RECIPE = ROOT / "examples" / "ci"


def command(name: str) -> list[str]:
    """The command of a CI system's file that calls the script: a folded text of YAML, its lines joined by spaces."""
    lines = (RECIPE / name).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "boot-and-check" in line)
    depth = len(lines[first]) - len(lines[first].lstrip())
    assert lines[first - 1].endswith(">-")
    folded = []
    for line in lines[first:]:
        if len(line) - len(line.lstrip()) != depth:
            break
        folded.append(line.strip())
    return shlex.split(" ".join(folded))


def test_both_systems_run_the_same() -> None:
    assert command("github.yml") == command("gitlab.yml")
    assert command("github.yml")[0] == "clockscope/examples/ci/boot-and-check"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has clockscope as a submodule, and built its kernel."""
    project = tmp_path / "it's a project"
    for folder in ("build", "ci"):
        (project / folder).mkdir(parents=True)
    (project / "clockscope").symlink_to(ROOT)
    (project / "build" / "vmlinux").symlink_to(GUESTS / "model" / "netbsd.elf")
    shutil.copy(RECIPE / "policy.toml", project / "ci")
    return project


def run(project: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=project, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def test_the_recipe(project: Path) -> None:
    words = command("github.yml")
    done = run(project, words)
    assert done.returncode == 2 and "there is no baseline ci/baseline.trace" in done.stderr, done
    (project / "boot.trace").rename(project / "ci" / "baseline.trace")
    done = run(project, words)
    assert done.returncode == 0 and ", 0 broken, 0 not known" in done.stdout, done
    suite = next(ElementTree.parse(project / "clocks.xml").iter("testsuite"))
    assert int(suite.attrib["tests"]) > 8 and suite.attrib["failures"] == suite.attrib["errors"] == "0"

    (project / "ci" / "policy.toml").write_text('[clocks]\nmust = ["TSC", "kvmclock"]\n')
    done = run(project, words)
    assert done.returncode == 1 and re.search("^BROKEN +clock kvmclock: never registered", done.stdout, re.M), done
    assert "never registered" in (project / "clocks.xml").read_text()


@pytest.mark.parametrize(
    "words,said",
    [
        ([], "usage"),
        (["build/vmlinux", "ci/baseline.trace", "--"], "usage"),
        (["--polcy", "x"], "there is no option --polcy"),
        (["--trace"], "--trace needs a file"),
        (["build/none", "ci/baseline.trace", "--", "true"], "there is no build/none"),
        (["--trace", "ci/policy.toml", "build/vmlinux", "ci/policy.toml", "--", "true"], "is the baseline"),
        (["build/vmlinux", "ci/policy.toml", "--", "false"], "nothing was recorded"),
    ],
)
def test_mistakes(project: Path, words: list[str], said: str) -> None:
    done = run(project, ["clockscope/examples/ci/boot-and-check", *words])
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done
