# SPDX-License-Identifier: MIT
"""A guest that clockscope started: its process, its private directory, how it ended."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

from clockscope.base.errors import UserError
from clockscope.live.private_folders import PrivateFolder

_PATIENCE = 3.0  # seconds that a process gets to end by itself


class Guest:
    """A process with a stub. It ends with its creator, even one that is killed; Ctrl-C does not reach it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._folder = PrivateFolder("guest")
        self.directory = self._folder.path
        self._errors = os.path.join(self.directory, "stderr")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> str:
        """Where the stub may listen."""
        return os.path.join(self.directory, "gdb")

    @property
    def name(self) -> str:
        return os.path.basename(self.command[0])

    def start(self, command: Sequence[str]) -> None:
        """Run the command; UserError where it cannot be run."""
        check_program(command[0])
        guard = shutil.which("setpriv")
        words = [guard, "--pdeathsig", "TERM", *command] if guard else list(command)
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ending(self) -> str:
        """How the process ended, in words; empty where that was as it should be, or while it runs."""
        status = self._process.poll() if self._process is not None else None
        if not status:
            return ""
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        said = self.errors()
        return f"{self.name} ended: {how}{': ' if said else ''}{said}"

    def errors(self) -> str:
        """The first line that the process wrote to its standard error."""
        try:
            with open(self._errors, "rb") as file:
                lines = file.read(65536).decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in lines if line.strip()), "")

    def wait(self, limit: float, tick: Callable[[float], None]) -> bool:
        """Wait for the process's end, at most `limit` seconds; whether it came. `tick` gets the time so far."""
        assert self._process is not None
        began = time.monotonic()
        while (passed := time.monotonic() - began) < limit:
            tick(passed)
            try:
                self._process.wait(0.2)
                return True
            except subprocess.TimeoutExpired:
                continue
        return False

    def settle(self) -> None:
        """Give a process whose guest has ended the time to end too, so that its exit status is known."""
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                pass

    def stop(self) -> None:
        """End the process."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process and remove its directory."""
        self.stop()
        self._folder.remove()


def check_program(name: str) -> None:
    """UserError where there is no such program, or the file of that name is none."""
    if shutil.which(name) is not None:
        return
    if os.path.dirname(name) and os.path.exists(name):
        kind = "a directory" if os.path.isdir(name) else "not executable"
        raise UserError(f"{name}: {kind}, so no program; name the one that runs your guest")
    raise UserError(f"{name}: no such program; install it, or give its path")


def free_port() -> int:
    """A TCP port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
