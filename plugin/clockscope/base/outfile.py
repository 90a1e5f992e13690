# SPDX-License-Identifier: MIT
"""Files that commands write for the user: whole or not at all, and never in place of another unasked."""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clockscope.base.errors import UserError

Write = Callable[[bytes], object]


@contextmanager
def create(path: str, *, force: bool) -> Iterator[Write]:
    """What writes to a new file, which appears when the block ends; UserError where there is one already."""
    if not force and os.path.lexists(path):
        raise _exists(path)
    target = os.path.realpath(path)  # of a link it is the file that is replaced
    if os.path.lexists(target) and not os.path.isfile(target):
        raise UserError(f"{path}: cannot be replaced: it is no ordinary file")
    part = ""
    try:
        try:
            # Beside it, for another file system could not be renamed from; of a name that nobody else has.
            descriptor, part = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".clockscope-")
            with open(descriptor, "wb") as file:
                yield file.write
            os.chmod(part, _mode(target))
            _put(part, target, path, force)
        except BaseException:
            if part and os.path.lexists(part):
                os.unlink(part)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def add_overwrite(parser: argparse.ArgumentParser, help: str) -> None:
    """The option that lets a file be replaced; it was called --force, which means something else where guests are recorded."""
    parser.add_argument("--overwrite", action="store_true", help=help)
    parser.add_argument("--force", dest="overwrite", action="store_true", help=argparse.SUPPRESS)


def _exists(path: str) -> UserError:
    return UserError(f"{path} exists already; replace it with --overwrite, or name another file")


def _mode(target: str) -> int:
    """As that of the file that is replaced, or as any new file's."""
    try:
        return os.stat(target).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _put(part: str, target: str, path: str, force: bool) -> None:
    if force:
        os.replace(part, target)
        return
    try:
        os.link(part, target)  # unlike a rename, not over what has come meanwhile
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:  # a file system without second names for files
        os.replace(part, target)
    else:
        os.unlink(part)
