# SPDX-License-Identifier: MIT
"""What is read without argparse is what argparse reads; what is not plain is left to it."""

import itertools
import shlex

import pytest

from clockscope.front import cli, parsing, plain, verbs
from clockscope.front.verbs import Verb

OUTSIDE = cli.find_verbs([])
LESS_PLAIN = [
    ["-h"],
    ["--help"],
    ["--format"],
    ["--format", "xml", "boot.trace"],
    ["--format=json", "boot.trace"],
    ["--form", "json", "boot.trace"],
    ["--backtrace=1", "boot.trace"],
    ["boot.trace", "-x"],
    ["--", "boot.trace"],
    ["-"],
    ["a", "b", "c"],
]


def by_argparse(verb: Verb, words: list[str]) -> dict[str, object] | None:
    """None where it says no."""
    try:
        return vars(parsing.make_parser([verb]).parse_args([verb.NAME, *words]))
    except SystemExit:
        return None


def lines(verb: Verb) -> list[list[str]]:
    """Every example, each in every order of its first words, and with what else is plain or not."""
    examples = [shlex.split(example) for example in verbs.examples(verb, in_gdb=False)]
    orders = [[*order, *rest[4:]] for rest in examples for order in itertools.permutations(rest[:4])]
    words: list[list[str]] = [[], ["a"], ["a", "b"], ["a", "b", "c", "d"], ["", "b"], ["a b", "c"], ["a", "--all", "b"]]
    return [*orders, *words, *LESS_PLAIN]


@pytest.mark.parametrize("verb", OUTSIDE, ids=[verb.NAME for verb in OUTSIDE])
def test_what_is_read_is_what_argparse_reads(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    for words in lines(verb):
        found = plain.parse(verb, words)
        assert found is None or vars(found) == by_argparse(verb, words), words
    capsys.readouterr()


@pytest.mark.parametrize("name", ["timeline", "path", "reached", "writers", "readers", "callers", "cfg"])
def test_examples_are_plain(name: str) -> None:
    verb = verbs.load(name)
    for example in verbs.examples(verb, in_gdb=False):
        assert plain.parse(verb, shlex.split(example)), example


@pytest.mark.parametrize("words", LESS_PLAIN, ids=" ".join)
def test_what_is_not_plain_is_left_to_argparse(words: list[str]) -> None:
    assert plain.parse(verbs.load("timeline"), words) is None
