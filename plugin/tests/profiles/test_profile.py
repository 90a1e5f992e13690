# SPDX-License-Identifier: MIT
"""Profiles: what is read, what is refused and how that is said; and that the layers are kept."""

import re
from pathlib import Path
from typing import Any

import pytest
from clockscope import __file__ as package_file
from clockscope.base.errors import UserError
from clockscope.kernel import event_sites
from clockscope.profiles import profile

PACKAGE = Path(package_file).parent

GOOD = """\
name = "test"
os = "test"

[recognise]
symbols = ["start_test"]
banner = "banner"
release = 'Test (?P<release>[0-9.]+)'
early = ["start_test"]

[messages]
functions = ["printf"]
prefixes = ["clock: "]

[[gate]]
name = "early"
covers = ["calibrate_*"]
before = "main"

[[event]]
rule = "found"
what = "frequency.detected"
clock = "tsc"
message = '^clock: (?P<mhz>[0-9.]+) MHz'
expected = true

[[event]]
rule = "registered"
what = "clock.registered"
clock_from = "name"
function = ["tc_init:return", "old_tc_init:return"]
saved = { before = "current" }
when = "$ret == 0"
[event.values]
name = "$arg_tc->name"
frequency_hz = ["$arg_tc->frequency", "*(long *)($saved_before + 24)"]
method = { text = "by hand" }
state = { expression = "state", frame = "main", names = ["bad", "good"] }
seen = "$seen_found"
"""


def test_a_profile_is_read() -> None:
    found = profile.parse(GOOD, "test.toml")
    assert (found.name, found.os, found.early) == ("test", "test", ("start_test",))
    assert found.release_of("This is Test 1.25 of today") == "1.25"
    assert found.release_of("no version") == ""
    message, returned = found.rules
    assert message.message is not None and message.functions == () and message.expected
    assert returned.functions == ("tc_init", "old_tc_init") and returned.on_return and not returned.expected
    assert returned.saved == (("before", "current"),)
    assert returned.counts == ("found",)
    captures = {capture.name: capture for capture in returned.captures}
    assert captures["frequency_hz"].expressions == ("$arg_tc->frequency", "*(long *)($saved_before + 24)")
    assert captures["method"].text == "by hand"
    assert (captures["state"].frame, captures["state"].names) == ("main", ("bad", "good"))
    assert found.gates[0].before == "main"


# (text to find in GOOD, what it becomes, the mistake's line, words that the message must have)
MISTAKES = [
    ('os = "test"', "os = ", 2, "not valid TOML"),
    ('os = "test"', 'os = "test"\nkernel = 1', 3, "kernel: unknown key; expected one of: "),
    ('symbols = ["start_test"]', 'symbols = "start_test"', 5, "recognise.symbols: 'start_test' is not of type 'array'"),
    ("release = 'Test (?P<release>[0-9.]+)'", "release = 'Test ('", 7, "recognise.release: not a regular expression"),
    ('prefixes = ["clock: "]', "prefixes = []", 12, "messages.prefixes"),
    ('before = "main"', "", 14, "either `during`, or `after`"),
    ('before = "main"', 'before = "main"\nafter_event = ["fount"]', 18, "there is no rule 'fount'"),
    ('what = "frequency.detected"', 'what = "frequency"', 21, "event.1.what"),
    ('clock = "tsc"', 'clok = "tsc"', 22, "event.1.clok: unknown key; expected one of: adds_to, clock, "),
    ("message = '^clock", "message = '^(clock", 23, "event.1.message: not a regular expression"),
    ("expected = true", 'function = "f"', 19, "exactly one of `message` and `function`"),
    ("expected = true", 'saved = { a = "b" }', 24, "`saved` is for a function with :return"),
    ('rule = "registered"', 'rule = "found"', 27, "the rule name 'found' is used twice"),
    ('"old_tc_init:return"', '"old_tc_init"', 30, "all entries or all returns"),
    ('when = "$ret == 0"', 'unless = "lost"', 32, "no rule 'lost' stands above"),
    ('method = { text = "by hand" }', "method = { text = 5 }", 36, "method"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), MISTAKES)
def test_a_mistake_is_said_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as error:
        profile.parse(GOOD.replace(old, new, 1), "my.toml")
    message = str(error.value)
    assert said in message and "\n" not in message
    where = re.match(r"my\.toml:(\d+): |my\.toml: not valid TOML: .*line (\d+)", message)
    assert where and int(where[1] or where[2]) == line, message


def test_no_such_profile() -> None:
    with pytest.raises(UserError, match="give a file or one of: .*linux"):
        profile.load("plan9")


@pytest.mark.parametrize("name", profile.names())
def test_the_bundled_profiles_are_good(name: str) -> None:
    found = profile.load(name)
    assert found.name == name and len(found.digest) == 64
    assert {"clock.registered", "clock.selected"} <= {rule.what for rule in found.rules}


def test_recognised_by_all_symbols() -> None:
    linux = profile.load("linux")
    found = profile.recognise(set(linux.symbols))
    assert found is not None and found.name == "linux"
    assert profile.recognise(set(linux.symbols[1:])) is None
    assert profile.recognise(set()) is None


def test_each_linux_rule_names_its_source() -> None:
    """Above each rule, or above the group that it stands in, a comment says where in the kernel it is from."""
    text = (PACKAGE / "profiles" / "linux.toml").read_text()
    for block in text.split("[[event]]")[1:]:
        rule = re.search(r'rule = "([^"]+)"', block)
        assert rule
        before = text[: text.index(rule[0])]
        heading = before[before.rindex("# ------") :]
        assert re.search(r"[\w/{},]+\.c\b|\w+\(\)|include/|arch/", heading), rule[1]


class FunctionsOf:
    """An ELF file of which only the functions' names are asked."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names

    def function_at(self, address: int) -> str:
        return self._names[address].removesuffix(".cold")

    def in_cold_part(self, address: int) -> bool:
        return self._names[address].endswith(".cold")


@pytest.mark.parametrize(
    "function, kept", [("__clocksource_register_scale.cold", True), ("__clocksource_register_scale", False)]
)
def test_what_a_cold_line_is_about_is_kept_at_the_entry(function: str, kept: bool) -> None:
    """As in 7.2, where `cs` has no location at the line."""
    known = profile.load("linux")
    registered = next(rule for rule in known.rules if rule.rule == "clock-registered")
    keeping = next(rule for rule in known.rules if rule.rule == "clock-being-registered")
    call: Any = None
    plan = event_sites.Plan(messages={7: event_sites.MessageSite(call, (registered,))})
    elf: Any = FunctionsOf({7: function})
    assert event_sites._prints_apart(keeping.keeps_for, elf, plan) is kept
