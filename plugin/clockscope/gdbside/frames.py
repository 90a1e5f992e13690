# SPDX-License-Identifier: MIT
"""A guest that has stopped: its threads, registers and frames."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

from typing import NamedTuple

import gdb

from clockscope.arch.known import PROCESSOR
from clockscope.gdbside.memory import MASK64, read_memory, read_string
from clockscope.gdbside.values import Value, plain_value


class Frame(NamedTuple):
    """A line of a backtrace, in the order that TraceWriter.event takes."""

    function: str
    file: str
    line: int
    address: int
    inlined: bool


class Stop:
    """The guest at a stop. Reads nothing before it is asked."""

    def __init__(self) -> None:
        self._frame = gdb.newest_frame()

    @property
    def cpu(self) -> int:
        return int(gdb.selected_thread().num) - 1

    @property
    def thread(self) -> str:
        """The thread's id as the stub writes it."""
        process, thread, _ = gdb.selected_thread().ptid
        return f"p{process:x}.{thread:x}"

    def registers(self) -> tuple[int, ...]:
        """The general registers, instruction pointer and flags."""
        return tuple(self.register(name) for name in PROCESSOR.general)

    def register(self, name: str) -> int:
        return int(self._frame.read_register(name)) & MASK64

    def word(self, address: int) -> int:
        """The 8 bytes at an address; 0 where they cannot be read."""
        return int.from_bytes(read_memory(address, 8), "little")

    def string(self, address: int) -> str:
        return read_string(address)

    def evaluate(self, expression: str, function: str | None = None) -> Value:
        """An expression in the innermost frame, or in that of a function further out."""
        frame = self._frame if function is None else self._find(function)
        if frame is None:
            return None
        try:
            frame.select()
            return plain_value(gdb.parse_and_eval(expression))
        except gdb.error:
            return None
        finally:
            self._frame.select()

    def _find(self, function: str) -> gdb.Frame | None:
        frame: gdb.Frame | None = self._frame
        while frame is not None and frame.name() != function:
            frame = frame.older()
        return frame

    def arguments(self) -> dict[str, gdb.Value]:
        """The innermost function's arguments that can be read now, by name."""
        try:
            block = self._frame.block()
        except RuntimeError:  # no debug information here
            return {}
        found = {}
        for symbol in block if block.function is not None else ():
            if symbol.is_argument:
                try:
                    found[symbol.name] = symbol.value(self._frame)
                    found[symbol.name].fetch_lazy()
                except gdb.error:
                    found.pop(symbol.name, None)
        return found

    def return_type(self) -> gdb.Type | None:
        """What the innermost function returns; None for nothing, or without debug information."""
        function = self._frame.function()
        returned = function.type.target() if function is not None else None
        return None if returned is None or returned.strip_typedefs().code == gdb.TYPE_CODE_VOID else returned

    def return_value(self, kind: gdb.Type | None) -> gdb.Value | int:
        """What has just been returned, as `kind`; without a type, the 64 bits of its register."""
        value = self.register(PROCESSOR.result)
        if kind is None or kind.sizeof > 8:
            return value
        # The ABI leaves the upper bits of a short value undefined.
        return gdb.Value(value & (1 << 8 * kind.sizeof) - 1).cast(kind)

    def backtrace(self, limit: int) -> list[Frame]:
        """The frames as `bt` shows them."""
        frames: list[Frame] = []
        frame: gdb.Frame | None = self._frame
        while frame is not None and len(frames) < limit:
            frames.append(_describe(frame))
            try:
                frame = frame.older()
            except gdb.error:  # the stack cannot be read further
                break
        return frames


def _describe(frame: gdb.Frame) -> Frame:
    position = frame.find_sal()
    file = position.symtab.filename if position.symtab else ""
    return Frame(frame.name() or "??", file, position.line, frame.pc(), frame.type() == gdb.INLINE_FRAME)


def all_in_firmware(below: int) -> bool:
    """Whether every processor runs below an address, at the highest privilege. What cannot be read says no."""
    selected = gdb.selected_thread()
    try:
        if selected is None or not _in_firmware(below):
            return False
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            if not _in_firmware(below):
                return False
        return True
    except gdb.error:
        return False
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()


def _in_firmware(below: int) -> bool:
    frame = gdb.newest_frame()
    registers = (int(frame.read_register(name)) & MASK64 for name in (PROCESSOR.pc, PROCESSOR.privilege))
    return next(registers) < below and next(registers) & PROCESSOR.privilege_bits == 0


def thread_count() -> int:
    """The threads that the stub shows: a machine's are its processors."""
    return len(gdb.selected_inferior().threads())
