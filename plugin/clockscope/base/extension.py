# SPDX-License-Identifier: MIT
"""Why clockscope cannot be loaded, in one line with the command that mends it. Needs nothing that may be missing."""

import glob
import os
import re
import subprocess
import sys

from clockscope.base.places import IS_CHECKOUT

_BUILT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "_core")
_NAMES = ("_core", "clockscope._core")  # the loader of extensions leaves the package out


def explain(error: ImportError) -> str:
    """One line: what is missing, or does not fit, and what to run."""
    said = str(error)
    library = re.match(r"(\S+\.so(?:\.\S+)?): cannot open shared object file", said)
    if library:
        return f"{library[1]} is missing, a library that {_needer(error)} needs; {_mends(library[1])}"
    if error.name in _NAMES and not isinstance(error, ModuleNotFoundError):
        return _misfit(said)
    if error.name in _NAMES:
        return _not_built()
    if error.name is None or error.name.partition(".")[0] == "clockscope":
        return f"clockscope itself is not whole ({said}): unpack or check it out anew"
    return f"a Python package is missing: {error.name}; {_packages()}"


def _packages() -> str:
    return "run: make -f setup.mk setup" if IS_CHECKOUT else "install it for the Python that GDB and clockscope have"


def _build(*targets: str) -> str:
    return f"run: make -f setup.mk {' '.join(targets)}" if IS_CHECKOUT else "install clockscope again"


def _needer(error: ImportError) -> str:
    return "the extension" if error.name in _NAMES else f"the Python package {error.name}"


def _mends(library: str) -> str:
    package = _package(os.path.basename(library))
    if package:  # it is installed, but not whole: to install what is missing would do nothing
        return f"run, as root: apt-get install --reinstall {package}"
    return _build("setup")


def _package(library: str) -> str:
    """The installed package that should hold a library; empty where none does, or where that cannot be asked."""
    try:
        found = subprocess.run(
            ["dpkg-query", "-S", f"*/{library}"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    owner = re.match(r"([a-z0-9][a-z0-9+.-]*)(?::\w+)?: ", found.stdout)
    return owner[1] if owner else ""


def _misfit(said: str) -> str:
    reason = re.sub(r"^/\S*_core\S*?: | \(/.*\)$", "", said)
    if "cannot import name" in said:
        return f"the extension is older than the rest of clockscope ({reason}); {_build('build')}"
    return f"the extension was built for another system or Python ({reason}); {_build('clean', 'build')}"


def _not_built() -> str:
    others = [os.path.basename(path) for path in glob.glob(f"{glob.escape(_BUILT)}.*.so")]
    if not others:
        return f"the extension is not built; {_build('build')}"
    ours = ".".join(str(part) for part in sys.version_info[:2])
    return f"the extension ({', '.join(others)}) is not for this Python, {ours}; {_build('clean', 'build')}"
