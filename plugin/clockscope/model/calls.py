# SPDX-License-Identifier: MIT
"""Who can call a function of a kernel, be it inlined or split: the answer of `callers`, and what `reached` goes up by."""

from clockscope._core import ArgumentError, NotFoundError, Xref

TYPE_CHECKING = False  # `typing` takes longer to import than most answers to be given
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict
"""An object of schemas/xref.schema.json."""


def base_name(function: str) -> str:
    """A function's name without what compilers add to its parts and copies (.part.0, .constprop.0, .lto_priv.0): no name of
    C has a dot."""
    return function.partition(".")[0] or function


def callers(xref: Xref, function: str) -> Record:
    """The answer of `callers`: that of the core, with the copies of the function that were inlined."""
    file, _, name = function.rpartition(":")
    try:
        answer = xref.callers(function)
    except NotFoundError:
        copies = _copies(xref, name, file)
        if not copies:
            raise
        answer = {
            "function": name,
            "function_address": None,
            "callers": [],
            "address_taken": [],
            "paths": [],
            "pathless": [],
        }
    else:
        copies = _copies(xref, answer["function"], file)
    answer["inlined"] = copies
    for within in dict.fromkeys(copy["within"] for copy in copies):
        path, why = _path(xref, within, answer["function"])
        if path:
            answer["paths"].append(path)
        else:
            answer["pathless"].append({"caller": within, "why": why})
    return answer


def _copies(xref: Xref, name: str, file: str) -> list[dict[str, str]]:
    """The inlined copies of a function; of that file, where one is named."""
    wanted = file.rpartition("/")[2]
    return [
        {key: copy[key] for key in ("within", "address", "source")}
        for copy in xref.inlined((base_name(name),))
        if not wanted or copy["declared"].rpartition("/")[2] in ("", wanted)
    ]


def _path(xref: Xref, within: str, name: str) -> tuple[list[Record], str]:
    """The shortest path to a function, and on to its copy of another; or why there is none."""
    try:
        found = xref.callers(within)["paths"]
    except ArgumentError:
        return [], "several functions have this name"
    except NotFoundError:
        return [], "its symbol has another name"
    if not found:
        return [], "no calls and no stored addresses lead to it"
    return [*found[0], {"symbol": name, "by_pointer": False, "inlined": True}], ""
