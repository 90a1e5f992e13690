# SPDX-License-Identifier: MIT
"""The settings that a user keeps: settings.toml in XDG_CONFIG_HOME/clockscope, by the names that `set clockscope` takes.

Nothing in it stops anyone's GDB: what is wrong is said in a line each, and the setting stays as it is by default.
"""

import os
import stat
import tomllib
from collections.abc import Callable, Mapping

from clockscope.base.errors import UserError
from clockscope.base.likeness import meant
from clockscope.base.settings import ALL, Setting
from clockscope.base.ui import cut, one_line

Value = int | str
Check = Callable[[str], None]

_NAME = "settings.toml"
_SIZE_MAX = 1 << 16
_NUMBER_MAX = (1 << 31) - 1  # GDB's own limit
_SHOWN_MAX = 100
_NOTES_MAX = 10


def path() -> str:
    """A folder that is not absolute is none (XDG Base Directory Specification, "Environment variables")."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(folder if os.path.isabs(folder) else os.path.expanduser("~/.config"), "clockscope", _NAME)


def read(checks: Mapping[Setting, Check]) -> tuple[dict[Setting, Value], list[str]]:
    """What is set there, and what is wrong with it."""
    where = path()
    try:
        content = _content(where)
        data = tomllib.loads(content.decode("utf-8")) if content is not None else {}
    except OSError as error:
        return {}, [f"{one_line(where)}: cannot be read ({error.strerror})"]
    except UserError as error:
        return {}, [f"{one_line(where)}: {error}"]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        return {}, [f"{one_line(where)}: not valid TOML: {_shown(str(error))}"]
    found: dict[Setting, Value] = {}
    notes = []
    for name, value in data.items():
        try:
            setting = _setting(name)
            found[setting] = _checked(setting, value, checks.get(setting))
        except UserError as error:
            notes.append(f"{one_line(where)}: {error}")
    return found, notes[:_NOTES_MAX]


def _content(where: str) -> bytes | None:
    """None where there is no such file. A profile that it names is trusted as a script is: so must the file be."""
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UserError("is no ordinary file, and not read")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
            raise UserError("others may write to it, so it is not read; chmod go-w mends that, if the file is yours")
        content = file.read(_SIZE_MAX + 1)
    if len(content) > _SIZE_MAX:
        raise UserError(f"is larger than {_SIZE_MAX >> 10} kB, which such a file never is")
    return content


def _setting(name: str) -> Setting:
    known = {setting.name: setting for setting in ALL}
    if name not in known:
        close = meant(name.replace("_", "-"), known)
        raise UserError(f"there is no setting {_shown(name)}{close or '; `help set clockscope` lists them'}")
    return known[name]


def _checked(setting: Setting, value: object, check: Check | None) -> Value:
    if isinstance(setting.default, int):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _NUMBER_MAX:
            raise UserError(
                f"{setting.name}: a whole number from 0 to {_NUMBER_MAX} is expected, not {_shown(repr(value))}"
            )
        return value
    if not isinstance(value, str) or not value.isprintable():
        raise UserError(f"{setting.name}: a text in quotes is expected, not {_shown(repr(value))}")
    if check is not None:
        check(value)
    return value


def _shown(text: str) -> str:
    return cut(one_line(text), _SHOWN_MAX)
