# SPDX-License-Identifier: MIT
"""Private folders for sockets, and those that killed programs have left.

The owner of a folder holds a lock on the file `lock` in it, which ends with the process, however that ends: no number of a
process could be taken for another's. The core makes its own in the same way (c-ext/core/base/private_dir.h).
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_PREFIX = "clockscope-"
_HELD = ("gdb", "stderr", "recording", "lock-new")  # what clockscope puts there; nothing else is removed
_LOCK = "lock"


class PrivateFolder:
    """A new folder that only this user can enter. It goes with its owner, or is removed by the next start."""

    def __init__(self, what: str) -> None:
        sweep()
        self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{what}-")  # mode 0700
        fresh = os.path.join(self.path, "lock-new")
        self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if _locked(self._lock):  # not where the file system has no locks: then nobody else removes it
            os.rename(fresh, os.path.join(self.path, _LOCK))  # only now: an unlocked one would look abandoned

    def remove(self) -> None:
        """A second call does nothing."""
        if self._lock < 0:
            return
        _remove(self.path)
        os.close(self._lock)
        self._lock = -1


def sweep() -> None:
    """Remove the folders of this user's whose owners are gone."""
    for base in {tempfile.gettempdir(), "/tmp", os.environ.get("XDG_RUNTIME_DIR") or "/tmp"}:
        try:
            names = [name for name in os.listdir(base) if name.startswith(_PREFIX)]
        except OSError:
            continue
        for name in names:
            _sweep(os.path.join(base, name))


def _sweep(path: str) -> None:
    with _opened(path, os.O_DIRECTORY) as folder:
        if folder is None or os.fstat(folder).st_uid != os.geteuid() or os.fstat(folder).st_mode & 0o077:
            return  # another's, or not made by us
        with _opened(_LOCK, os.O_NONBLOCK, folder) as lock:
            if lock is not None and stat.S_ISREG(os.fstat(lock).st_mode) and _locked(lock):
                _remove(path, folder)


def _locked(descriptor: int) -> bool:
    """Whether nobody else holds the lock, and we do now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _opened(path: str, flags: int, folder: int | None = None) -> Iterator[int | None]:
    """A descriptor of what is no symbolic link; None where it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(path: str, folder: int | None = None) -> None:
    """What clockscope has put into a folder, and the folder if nothing else is there."""
    for name in (*_HELD, _LOCK):
        try:
            os.unlink(name if folder is not None else os.path.join(path, name), dir_fd=folder)
        except OSError:
            continue
    try:
        os.rmdir(path)
    except OSError:  # somebody else has put something there
        return
