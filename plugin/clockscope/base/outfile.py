# SPDX-License-Identifier: MIT
"""Files that commands write for the user: whole or not at all, and never in place of another unasked."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clockscope.base.errors import UserError


@contextmanager
def create(path: str, *, force: bool) -> Iterator[Callable[[bytes], object]]:
    """What writes to a new file, which appears when the block ends; UserError where there is one already."""
    if not force and os.path.lexists(path):
        raise UserError(f"{path} exists already; replace it with --force, or name another file")
    part = f"{path}.part"
    try:
        try:
            with open(part, "wb") as file:
                yield file.write
            os.replace(part, path)
        except BaseException:
            if os.path.lexists(part):
                os.unlink(part)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
