# SPDX-License-Identifier: MIT
"""GDB under test: one script in a fresh `gdb -nx -batch`, or a session at a terminal of its own."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guest import BOOT_LIMIT, ROOT

# What GDB prints when Python code raised what it should not have raised.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|Python Exception <|Error while executing Python code")

_ENVIRONMENT = {
    **os.environ,
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONFAULTHANDLER": "1",
    "XDG_CONFIG_HOME": "/nonexistent",
}
# On a busy machine QEMU may take longer to read its kernel than GDB waits for a stub.
_PLAIN = [
    *("set width 0", "set height 0", "set confirm off", "set pagination off", "set style enabled off"),
    "set remotetimeout 30",
]


@dataclass(frozen=True)
class Transcript:
    """What a run of GDB printed, standard error included, and its exit status."""

    text: str
    status: int


def _options(commands: Sequence[str]) -> list[str]:
    return [word for command in commands for word in ("-iex", command)]


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill GDB and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def check_no_traceback(text: str) -> None:
    assert not _TRACEBACK.search(text), f"a Python traceback in GDB:\n{text}"


def run_gdb(
    script: str | Sequence[str],
    directory: Path,
    *,
    limit: float = BOOT_LIMIT,
    cwd: Path = ROOT,
    plugin: bool = True,
    environment: dict[str, str] | None = None,
) -> Transcript:
    """Run a script, by default after the plugin was sourced. It ends at its first error, with status 1."""
    lines = [script] if isinstance(script, str) else list(script)
    if plugin:
        lines.insert(0, f"source {ROOT}/plugin/clockscope.py")
    file = directory / "script.gdb"
    file.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        ["gdb", "-nx", "-q", "-batch", *_options(_PLAIN), "-x", str(file)],
        cwd=cwd,
        env={**_ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end_group(process)
        output, _ = process.communicate()
        raise AssertionError(f"GDB did not end within {limit:.0f} s; it printed:\n{output.decode(errors='replace')}")
    finally:
        _end_group(process)
    text = output.decode("utf-8", "replace")
    check_no_traceback(text)
    return Transcript(text, process.returncode)


class Session:
    """GDB at a terminal: `command()` types a line and returns what it printed until the next prompt."""

    def __init__(
        self,
        *,
        plugin: bool = True,
        cwd: Path = ROOT,
        program: str = "gdb",
        home: Path | None = None,
        prompt: str = "(gdb) ",
        before: Sequence[str] = (*_PLAIN, "set editing off"),
        environment: dict[str, str] | None = None,
    ) -> None:
        """`home` has a .gdbinit that is read, which prints `prompt`; `before` are commands that come first."""
        self.transcript = ""
        self._prompt = prompt
        self._seen = 0  # how much of the transcript has been matched
        self._terminal, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        # setsid makes the terminal GDB's controlling one, so that the byte 3 is Ctrl-C.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", program, *([] if home else ["-nx"]), "-q", *_options(before)],
            cwd=cwd,
            env={**_ENVIRONMENT, **({"HOME": str(home)} if home else {}), **(environment or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.expect(re.escape(prompt))
        if plugin:
            self.command(f"source {ROOT}/plugin/clockscope.py")

    def send(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send("\x03")

    def expect(self, pattern: str, limit: float = 60.0) -> str:
        """Wait until what was printed since the last match has `pattern`; the text up to the match's end."""
        deadline = time.monotonic() + limit
        while not (match := re.search(pattern, self.transcript[self._seen :], re.MULTILINE)):
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{pattern!r} did not come; GDB printed:\n{self.transcript}")
        start, self._seen = self._seen, self._seen + match.end()
        return self.transcript[start : self._seen]

    def prompt(self, limit: float = 60.0) -> str:
        """Wait for the prompt; what was printed before it."""
        return self.expect(r"(?:^|\r)" + re.escape(self._prompt), limit).removesuffix(self._prompt)

    def command(self, line: str, limit: float = 60.0) -> str:
        self.send(line + "\n")
        return self.prompt(limit)

    def _read(self, limit: float) -> bool:
        """Take more output into the transcript; False at the end of it."""
        if not select.select([self._terminal], [], [], limit)[0]:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # EIO: GDB has gone
            return False
        self.transcript += data.decode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        # Asked first, so that GDB ends the guest that it launched.
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        _end_group(self.process)
        os.close(self._terminal)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
