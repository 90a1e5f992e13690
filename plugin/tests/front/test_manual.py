# SPDX-License-Identifier: MIT
"""The manual page says all that the program's help says, in roff that is in order."""

import argparse
import re
import subprocess

import pytest
from guest import ROOT

from clockscope.front import cli, verbs

PAGE = ROOT / "build" / "clockscope.1"


@pytest.fixture(scope="module")
def manual() -> str:
    """The page as man shows it, without line breaks; groff complains of nothing."""
    command = ["groff", "-man", "-ww", "-Tutf8", "-Kutf8", "-rLL=1000n", "-P-c", str(PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.parametrize("name", [verb.NAME for verb in cli.find_verbs([])])
def test_every_verb(name: str, manual: str) -> None:
    verb = verbs.load(name)
    section = manual.partition(f"\n   clockscope {name} ")[2].partition("\n   clockscope ")[0]
    parser = argparse.ArgumentParser()
    verb.prepare_parser(parser)
    for action in (one for one in parser._actions[1:] if one.help != argparse.SUPPRESS):
        assert all(option in section for option in action.option_strings)
        assert (action.help or "").split("%(")[0] in section
    assert all(f"clockscope {name} {example}\n" in section for example in verb.EXAMPLES)


def test_what_runs_in_gdb_alone_is_named(manual: str) -> None:
    outside = {verb.NAME for verb in cli.find_verbs([])}
    assert all(re.search(rf"need a guest: .*\b{name}\b", manual) for name in verbs.names() if name not in outside)
