# SPDX-License-Identifier: MIT
"""Where what belongs to the program lies, beside its modules; and which version of it this is.

A checkout and what `make install` puts into lib/clockscope have the same folders. Nothing slow is imported here.
"""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
"""The folder of plugin/ and schemas/."""

_INSTALLED = os.path.join(ROOT, "commit")
IS_CHECKOUT = not os.path.exists(_INSTALLED)

SOURCED = (
    "plugin/clockscope.py"
    if IS_CHECKOUT
    else os.path.join(os.path.dirname(os.path.dirname(ROOT)), "share", "clockscope", "clockscope.py")
)
"""What GDB is to source."""


def commit() -> str:
    """The commit that this is of, "" where it is not known. A checkout may have been changed since."""
    if not IS_CHECKOUT:
        return _read(_INSTALLED)
    head = _read(os.path.join(_git(), "HEAD"))
    name = head.removeprefix("ref: ")
    return head if name == head else _branch(name)


def version(number: str) -> str:
    """ "clockscope 0.2.0, commit 0123456789ab" """
    known = commit()
    return f"clockscope {number}" + (f", commit {known[:12]}" if known else "")


def _git() -> str:
    """The folder of git's; in a second work tree, a file says where it is."""
    path = os.path.join(ROOT, ".git")
    return os.path.join(ROOT, _read(path).removeprefix("gitdir: ")) if os.path.isfile(path) else path


def _branch(name: str) -> str:
    """The commit of a branch; old ones are packed, and a second work tree has only its own HEAD."""
    common = os.path.join(_git(), _read(os.path.join(_git(), "commondir")))
    found = _read(os.path.join(common, name))
    if found:
        return found
    for line in _read(os.path.join(common, "packed-refs")).splitlines():
        if line.endswith(f" {name}"):
            return line.partition(" ")[0]
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
