# SPDX-License-Identifier: MIT
"""Where what belongs to the program lies, beside its modules; and which version of it this is.

A checkout and what `make install` puts into lib/clockscope have the same folders. Nothing slow is imported here.
"""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
"""The folder of plugin/ and schemas/."""

_INSTALLED = os.path.join(ROOT, "commit")
IS_CHECKOUT = not os.path.exists(_INSTALLED)


def commit() -> str:
    """The commit that this is of, "" where it is not known. A checkout may have been changed since."""
    if not IS_CHECKOUT:
        return _read(_INSTALLED)
    head = _read(os.path.join(_git(), "HEAD"))
    name = head.removeprefix("ref: ")
    return head if name == head else _branch(name)


def version(number: str) -> str:
    """ "clockscope 0.1.0, commit 0123456789ab" """
    known = commit()
    return f"clockscope {number}" + (f", commit {known[:12]}" if known else "")


def mending() -> str:
    """What brings the extension, where it is missing or does not fit."""
    return "run: make -f setup.mk build" if IS_CHECKOUT else "install clockscope again"


def why_not(error: ImportError) -> str:
    """In a line, what of the program cannot be imported, and what to do."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("clockscope"):
        return f"a Python package is missing: {error.name}; " + (
            "run: make -f setup.mk setup" if IS_CHECKOUT else "install it for the Python that GDB and clockscope have"
        )
    if isinstance(error, ModuleNotFoundError):
        return f"the extension is not built ({text}); {mending()}"
    library, absent, _ = text.partition(": cannot open shared object file")
    if absent:
        return f"{library}, which the extension was built for, is not here: a library was removed, or upgraded; {mending()}"
    return f"the extension cannot be loaded ({text}); {mending()}"


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
