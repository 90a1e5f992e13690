# SPDX-License-Identifier: MIT
"""What each module of `commands` declares."""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence

from clockscope import commands
from clockscope.base.ui import Ui

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Protocol
else:
    Protocol = object

GDB_ONLY = ("gdb", "guest")
"""What NEEDS of a verb that runs in GDB alone: GDB itself, or in it a guest that is attached."""


class Verb(Protocol):
    """A module of clockscope.commands, or one of several in a module. It may have two constants more:

    GDB_EXAMPLES: examples that need GDB with the kernel's symbols and a guest attached; shown there alone.
    NOTES: what there is to say beside the options; printed above the examples.
    """

    NAME: str
    SUMMARY: str
    NEEDS: str
    COMPLETE: Mapping[str, str]
    EXAMPLES: Sequence[str]
    prepare_parser: "Callable[[argparse.ArgumentParser], None]"
    run: "Callable[[argparse.Namespace, Ui], int]"


def _modules() -> "dict[str, str]":
    """The module of each verb: what it is called for, or for each of several, which are in its VERBS then."""
    files = os.listdir(os.path.dirname(str(commands.__file__)))
    stems = [file.removesuffix(".py") for file in files if file.endswith(".py") and file != "__init__.py"]
    return {name: stem for stem in stems for name in stem.split("_")}


def names() -> list[str]:
    """All verbs. None is imported: that takes as long as some need to answer."""
    return sorted(_modules())


def load(name: str) -> Verb:
    """Import a verb. Outside GDB, one that works in GDB alone may raise ModuleNotFoundError for `gdb`."""
    stem = _modules()[name]
    module: Any = importlib.import_module(f"{commands.__name__}.{stem}")
    verb: Verb = module if stem == name else module.VERBS[name]
    return verb


def examples(verb: Verb, *, in_gdb: bool) -> list[str]:
    """The arguments of each example that this front can run."""
    return [*verb.EXAMPLES, *(getattr(verb, "GDB_EXAMPLES", ()) if in_gdb else ())]


def add_colour(parser: "argparse.ArgumentParser") -> None:
    """What each verb takes that prints text."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether text has colours; auto (the default): at a terminal",
    )


def dress(args: "argparse.Namespace", ui: Ui) -> None:
    """What the options say of the output's looks."""
    if (said := getattr(args, "color", "auto")) != "auto":
        ui.colour = said == "always"
