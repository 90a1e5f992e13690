# SPDX-License-Identifier: MIT
"""Debian's PostgreSQL, in a private directory, by an unprivileged user; gone when the test is."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def _programs() -> Path:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    assert found, "PostgreSQL is missing: run `make -f setup.mk test-packages`"
    return Path(found[-1]).parent


def _identity() -> Mapping[str, int]:
    """Of a user that PostgreSQL runs as: it refuses root."""
    if os.geteuid():
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid}


@contextmanager
def server() -> Iterator[str]:
    """The URL of a database that is empty."""
    folder = tempfile.mkdtemp(prefix="clockscope-pg-")
    identity, programs = _identity(), _programs()
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    data = f"{folder}/data"

    def run(*words: str) -> None:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, extra_groups=[] if identity else None, **identity)  # type: ignore[call-overload]
        assert done.returncode == 0, done

    try:
        run(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "fleet", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://fleet@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
