# SPDX-License-Identifier: MIT
"""The debugger as the rest of clockscope sees it. Beside the sourced file, the only module that imports gdb."""

# GDB's module has no types that mypy could see.
# mypy: allow-subclassing-any, disable-error-code="no-any-return, has-type"

import atexit
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import gdb

from clockscope._core import end_interrupts
from clockscope.base.ui import cut, one_line, printable

Value = int | str | None
"""What a captured expression comes to; None where the guest cannot tell."""

Variable: TypeAlias = "gdb.Value | int | str | None"
"""What a convenience variable may hold; None for nothing."""

Type = gdb.Type

TRACE_VARIABLE = "clockscope_trace"
"""The convenience variable that holds the path of the trace that was written last."""

Error = gdb.error
"""What GDB raises where a command or expression fails."""

_STRING_LIMIT = 256
_PROGRESS_WIDTH = len("[Inferior 1 (process 1) exited normally]")
_MASK64 = (1 << 64) - 1
_GENERAL = (*"rip rsp rbp rax rbx rcx rdx rsi rdi eflags".split(), *(f"r{number}" for number in range(8, 16)))
_INTEGERS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_RANGE)


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
        return tuple(self.register(name) for name in _GENERAL)

    def register(self, name: str) -> int:
        return int(self._frame.read_register(name)) & _MASK64

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
            return _plain(gdb.parse_and_eval(expression))
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
        """What has just been returned, as `kind`; without a type, the 64 bits of rax."""
        value = self.register("rax")
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


def _plain(value: gdb.Value) -> Value:
    """A value as the trace keeps it."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_VOID or value.is_optimized_out:
        return None
    if kind.code in _INTEGERS:
        return int(value)
    if kind.code == gdb.TYPE_CODE_PTR:
        return _pointer(int(value), kind.target().strip_typedefs())
    if kind.code == gdb.TYPE_CODE_ARRAY and kind.target().strip_typedefs().sizeof == 1:
        return str(value.string(errors="replace"))
    return str(value.format_string(styling=False))


def _pointer(address: int, target: gdb.Type) -> Value:
    if target.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR) and target.sizeof == 1:
        return read_string(address) if address else None
    if target.code == gdb.TYPE_CODE_FUNC:
        return symbol_at(address) if address else None
    return address & _MASK64


def symbol_at(address: int) -> str:
    """The symbol that holds an address, as the kernel's %pS prints it."""
    text = gdb.execute(f"info symbol {address:#x}", to_string=True).split()
    if text[:2] == ["No", "symbol"] or not text:
        return f"{address:#x}"
    return f"{text[0]}+{int(text[2]):#x}" if text[1:2] == ["+"] else text[0]


def read_memory(address: int, size: int) -> bytes:
    """Guest memory through GDB; empty where it cannot be read."""
    try:
        return bytes(gdb.selected_inferior().read_memory(address & _MASK64, size))
    except gdb.error:
        return b""


def read_string(address: int) -> str:
    """The C string at an address, as far as it can be read; what is no UTF-8 is replaced."""
    text = b""
    while len(text) < _STRING_LIMIT:
        # In pieces that do not cross a page: the next one may not be mapped.
        piece = read_memory(address + len(text), 64 - (address + len(text)) % 64)
        head, end, _ = piece.partition(b"\0")
        text += head
        if end or not piece:
            break
    return text[:_STRING_LIMIT].decode("utf-8", "replace")


@contextmanager
def variables(values: Mapping[str, Variable]) -> Iterator[None]:
    """Convenience variables for the time of a block."""
    for name, value in values.items():
        gdb.set_convenience_variable(name, value)
    try:
        yield
    finally:
        for name in values:
            gdb.set_convenience_variable(name, None)


def _stays(hit: Callable[[Stop], bool]) -> bool:
    """Whether the guest stays where it was hit: for the user too, where Ctrl-C came while an event was being read."""
    global _stopping
    _stopping = True
    try:
        return hit(Stop())
    except KeyboardInterrupt:
        return True
    except gdb.error:
        if gdb.selected_inferior().connection is not None:
            raise
        return True  # the connection was lost meanwhile: GDB says so itself
    finally:
        _stopping = False


class Probe(gdb.Breakpoint):
    """An internal breakpoint. `hit` is called at each stop; the guest goes on unless it returns True.

    A hardware one, as a rule: whoever loads the kernel overwrites software breakpoints, and early text is not mapped.
    """

    def __init__(self, address: int, hit: Callable[[Stop], bool], *, hardware: bool = True) -> None:
        kind = gdb.BP_HARDWARE_BREAKPOINT if hardware else gdb.BP_BREAKPOINT
        super().__init__(f"*{address:#x}", type=kind, internal=True)
        self.silent = True
        self._hit = hit

    def stop(self) -> bool:
        return _stays(self._hit)

    def switch(self, on: bool) -> None:
        if self.enabled != on:
            self.enabled = on

    def remove(self) -> None:
        if self.is_valid():
            self.delete()


class _Unequal(gdb.Function):
    """$clockscope_unequal(): an even number that it has not said before."""

    name = "clockscope_unequal"

    def __init__(self) -> None:
        super().__init__(self.name)
        self._said = 0

    def invoke(self) -> int:
        self._said += 2
        return self._said


class Watchpoint(gdb.Breakpoint):
    """An internal hardware watchpoint. `hit` is called behind each write; the guest goes on unless it returns True.

    GDB keeps to itself a write that leaves the value as it was, so it watches an expression that always changes.
    `!` is the operator that lets GDB (13.1) use a hardware watchpoint where the variable cannot be read yet: others
    make a new value before they read. Raises Error where only single steps would do.
    """

    _TYPES = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}
    _unequal: _Unequal | None = None

    def __init__(self, address: int, size: int, hit: Callable[[Stop], bool]) -> None:
        Watchpoint._unequal = Watchpoint._unequal or _Unequal()
        text = f"${_Unequal.name}() + !*({self._TYPES[size]} *){address:#x}"
        super().__init__(text, type=gdb.BP_WATCHPOINT, wp_class=gdb.WP_WRITE, internal=True)
        self.silent = True
        self._hit = hit
        if self.type != gdb.BP_HARDWARE_WATCHPOINT:
            self.delete()
            raise gdb.error("no hardware watchpoint")

    def stop(self) -> bool:
        return _stays(self._hit)

    def remove(self) -> None:
        if self.is_valid():
            self.delete()


def type_of(expression: str, size: int) -> gdb.Type | None:
    """The type of an expression that has so many bytes; None where GDB does not know it."""
    try:
        found = gdb.parse_and_eval(expression).type
    except gdb.error:
        return None
    return found if found.sizeof == size else None


def value_of(data: bytes, kind: gdb.Type | None) -> Value:
    """Bytes of the guest as a value of a type, a number without one; a pointer to what has a symbol is that symbol."""
    if not data:
        return None
    plain = int.from_bytes(data, "little") if kind is None else _plain(gdb.Value(data, kind))
    pointer = kind.strip_typedefs().code == gdb.TYPE_CODE_PTR if kind is not None else len(data) == 8
    # Kernels live in the upper half: what lies in the lower one is a number.
    return symbol_at(plain) if pointer and isinstance(plain, int) and plain >> 63 == 1 else plain


# ---------------------------------------------------------------- interventions


def statements(file: str, line: int) -> list[int]:
    """Where the code of a source line begins, in whatever function; empty where the line has none."""
    try:
        positions = gdb.decode_line(f"'{file}':{line}")[1]
    except gdb.error:
        return []
    return [position.pc for position in positions or () if position.line == line]


def number_of(expression: str) -> int:
    """What an expression comes to before the guest runs, as 64 bits; Error says why it is no number."""
    value = gdb.parse_and_eval(expression)
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_VOID:
        raise gdb.error(f"{expression} has no value")
    return int(value) & _MASK64


_NAMES = re.compile(r"""(?<![\w$.])(?<!->)(?P<name>[A-Za-z_]\w*)|\$(?P<register>\w+)|"[^"]*"|'[^']*'""")
_KEYWORDS = frozenset(
    "char short int long signed unsigned float double void struct union enum const sizeof _Bool".split()
)


def check_assignment(address: int, expression: str, value: str, known: Callable[[str], bool]) -> None:
    """Error where `expression = value` could not be carried out at an address. `known` tells the names of symbols.

    GDB reads all of a kernel's debug information, for half a minute, to learn that it does not know a name.
    """
    local = _names_at(address)
    for match in _NAMES.finditer(f"{expression} {value}"):
        name, register = match["name"], match["register"]
        if name and name not in local and name not in _KEYWORDS and not known(name):
            raise gdb.error(f"there is no variable {name} at {address:#x}, nor a symbol of that name")
        if register and not _is_register(register) and gdb.convenience_variable(register) is None:
            raise gdb.error(f"there is no register ${register}")
    probe = gdb.Breakpoint(f"*{address:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
    try:
        probe.enabled = False
        probe.condition = f"({expression}) = ({value})"  # parsed where it would be evaluated
    finally:
        probe.delete()


def _is_register(name: str) -> bool:
    try:
        gdb.newest_frame().read_register(name)
    except ValueError:
        return False
    return True


def _names_at(address: int) -> set[str]:
    """The names of all symbols that can be seen from an address without looking into other units."""
    names: set[str] = set()
    block = gdb.block_for_pc(address)
    while block is not None:
        names.update(symbol.name for symbol in block)
        block = block.superblock
    return names


def assign(expression: str, value: str) -> tuple[str, str]:
    """Set what an expression names, in the innermost frame; what it was and is. Error where that cannot be done."""
    gdb.newest_frame().select()
    before = _shown(gdb.parse_and_eval(expression))
    gdb.parse_and_eval(f"({expression}) = ({value})")
    gdb.newest_frame().select()
    return before, _shown(gdb.parse_and_eval(expression))


def _shown(value: gdb.Value) -> str:
    plain = _plain(value)
    return "optimized out" if plain is None else str(plain)


def thread_count() -> int:
    """The threads that the stub shows: a machine's are its processors."""
    return len(gdb.selected_inferior().threads())


def symbol_file() -> str | None:
    """The file whose symbols GDB has: the program's or the kernel's."""
    files = [file.filename for file in gdb.objfiles() if file.filename and os.path.isfile(file.filename)]
    return gdb.current_progspace().filename or (files[0] if files else None)


def read_symbols_again(path: str) -> None:
    """Forget all that was read of a symbol file, and read it anew; the user's breakpoints stay."""
    enabled = [breakpoint for breakpoint in gdb.breakpoints() if breakpoint.enabled]
    ask("file")  # GDB keeps what it read of a file for as long as anything uses it
    ask(f"file {shlex.quote(path)}")
    for breakpoint in enabled:
        breakpoint.enabled = True  # without symbols GDB disabled those that it could not place


def inlined_copies(name: str) -> list[int]:
    """Where a function's inlined copies begin; empty where GDB knows none."""
    try:
        positions = gdb.decode_line(name)[1]
    except gdb.error:
        return []
    return [position.pc for position in positions or ()]


def warm_up(addresses: Iterable[int], functions: Iterable[str], variables: Iterable[str]) -> None:
    """Have GDB read the debug information of what will be asked for, so that no stop waits for it."""
    for address in addresses:
        gdb.block_for_pc(address)
        gdb.find_pc_line(address)
    for text in functions:
        inlined_copies(text)
    for text in variables:
        try:
            gdb.parse_and_eval(f"&{text}")
        except gdb.error:  # no such variable in the debug information
            continue


def disassemble(address: int, count: int) -> list[tuple[int, int, str]]:
    """Instructions of the symbol file's text, as (address, length, text): the guest's memory may hold none yet."""
    return _disassemble(address, count=count)


def disassemble_range(start: int, last: int) -> list[tuple[int, int, str]]:
    """The same from one instruction to the one that holds the byte at `last`."""
    return _disassemble(start, end_pc=last)


def _disassemble(start: int, **limit: int) -> list[tuple[int, int, str]]:
    with setting("trust-readonly-sections", "on"):
        found = gdb.selected_inferior().architecture().disassemble(start, **limit)
    return [(part["addr"], part["length"], part["asm"]) for part in found]


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """A GDB setting for the time of a block."""
    before = replace_setting(name, value)
    try:
        yield
    finally:
        replace_setting(name, before)


def replace_setting(name: str, value: str) -> str:
    """Set a GDB setting; what it was, in the words that `set` takes."""
    before = gdb.parameter(name)
    gdb.execute(f"set {name} {value}", to_string=True)
    words = {True: "on", False: "off", None: "unlimited"}
    return words[before] if before is None or isinstance(before, bool) else str(before)


# ---------------------------------------------------------------- the session


def connected_to() -> str:
    """What GDB debugs now, in a word; empty where nothing."""
    inferior = gdb.selected_inferior()
    if inferior.connection is not None:
        return str(inferior.connection.description)
    return f"process {inferior.pid}" if inferior.pid else ""


def in_probe() -> bool:
    """Whether GDB is in the midst of asking a probe, which must not be deleted now."""
    return _stopping


def runs() -> bool:
    """Whether the guest runs, as far as GDB knows: in its background."""
    thread = gdb.selected_thread()  # to list them all, GDB would ask the stub
    return not _stopping and thread is not None and thread.is_running()


def connect(socket_path: str) -> None:
    """`target remote`; raises Error."""
    execute(f"target remote {socket_path}")


def execute(command: str) -> None:
    """Run a command as if the user had typed it; raises Error."""
    try:
        gdb.execute(command, from_tty=False, to_string=False)
    finally:
        _catch_up()


def ask(command: str) -> str:
    """What a command prints."""
    return str(gdb.execute(command, to_string=True))


def address_of(symbol: str) -> int | None:
    """Where GDB takes a function or variable to be."""
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&'{symbol}'")) & _MASK64
    except gdb.error:
        return None


def evaluate(expression: str) -> Value:
    """An expression without a frame; None where it cannot be read."""
    try:
        return _plain(gdb.parse_and_eval(expression))
    except gdb.error:
        return None


def source_file(file: str, address: int) -> str | None:
    """The file on this machine that a line table calls `file`, by GDB's own search (`set substitute-path`).

    `address`: one that the line table places in it. Of an address between functions that were inlined into each other GDB
    may name another file than libdw does; the text of that file's line would be another's.
    """
    found = (symtab for symtab in _symtabs(file, address) if _same_file(symtab.filename, file))
    path = next((symtab.fullname() for symtab in found), "")
    return path if path and os.path.exists(path) else None


def _symtabs(file: str, address: int) -> Iterator[gdb.Symtab]:
    """What may be that file: the address's own, those of the functions inlined into each other there, and all so named."""
    here = gdb.find_pc_line(address).symtab
    if here is not None:
        yield here
    block = gdb.block_for_pc(address)
    while block is not None:
        if block.function is not None:
            yield block.function.symtab
        block = block.superblock
    if not re.fullmatch(r"[\w./+,~-]+", file):
        return  # an ELF's names are not trusted, and this one would be read as something else
    try:
        places = gdb.decode_line(f"{file}:1")[1] or ()
    except gdb.error:
        return
    yield from (place.symtab for place in places if place.symtab is not None)


def _same_file(one: str, other: str) -> bool:
    """Whether two names, each as some reader of DWARF puts folder and file together, are of one file."""
    a, b = sorted((os.path.normpath(one), os.path.normpath(other)), key=len)
    return a == b or b.endswith(f"/{a}")


def version() -> str:
    return str(gdb.VERSION)


def on_stop(call: Callable[[], None]) -> None:
    """Have something called whenever the guest has stopped for the user."""
    gdb.events.stop.connect(lambda _event: call())


def on_exit(call: Callable[[], None]) -> None:
    """Have something called when the guest has ended, or GDB let go of it; not once GDB ends."""

    def gone(_event: object) -> None:
        _later(call) if _stopping else call()

    _exit_calls.append(gone)
    gdb.events.exited.connect(gone)


def on_quit(call: Callable[[], None]) -> None:
    """Have something called when GDB ends."""

    def quit_now(_event: object) -> None:
        while _exit_calls:
            gdb.events.exited.disconnect(_exit_calls.pop())
        _catch_up()
        call()

    # By SIGTERM GDB ends from wherever it is, and leaves an interrupt behind.
    gdb.events.gdb_exiting.connect(end_interrupts)
    gdb.events.gdb_exiting.connect(quit_now)


_exit_calls: list[Callable[[object], None]] = []


def _leave_from_within() -> None:
    """GDB 13 crashes where a signal ends it in the midst of a command or a probe: Python cannot be ended while it runs."""
    if sys._getframe().f_back is not None:
        gdb.flush()
        os._exit(0)


atexit.register(_leave_from_within)  # what is registered later is called before


_stopping = False  # GDB is in the middle of asking a probe
_owed: list[Callable[[], None]] = []


def _later(call: Callable[[], None]) -> None:
    """The guest was lost while a probe read it. GDB goes on to use that probe, so it must not be deleted yet."""
    _owed.append(call)
    gdb.post_event(_catch_up)


def _catch_up() -> None:
    while _owed:
        _owed.pop(0)()


# ---------------------------------------------------------------- commands


class Ui:
    """How a command speaks in GDB: results through its pager, with its colours and width."""

    def __init__(self, *, typed: bool = False) -> None:
        """`typed`: by a person at GDB's prompt. Of other commands GDB does not say where their output goes."""
        styled = bool(gdb.parameter("style enabled")) and "NO_COLOR" not in os.environ
        self.colour = styled and typed and _at_terminal() and not _piped()
        self.width = int(gdb.parameter("width") or 0) or 100
        # Asked now: where progress is told, in the middle of a stop, GDB must not be made to run commands.
        self._draws = _at_terminal() and not _in_tui()
        self._last = 0.0
        self._open = False

    def out(self, text: str) -> None:
        self._open = False  # what is said overwrites it
        gdb.write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        self._open = False  # what is said overwrites it
        gdb.write(printable(text) + "\n")
        gdb.flush()

    def made(self, trace: str) -> None:
        gdb.set_convenience_variable(TRACE_VARIABLE, os.path.abspath(trace))

    @property
    def trace(self) -> str | None:
        return last_trace()

    def progress(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if self._draws and (now - self._last >= 0.2 or (total and done >= total)):
            self._last = now
            share = f"{100 * done // total:3d}% " if total else ""
            # What GDB itself says next, as that the guest has ended, overwrites a line this short.
            line = cut(f"{share}{one_line(what)}", _PROGRESS_WIDTH)
            self._open = not (total and done >= total)
            gdb.write(f"{line}\x1b[K" + ("\r" if self._open else "\n"))
            gdb.flush()

    def close(self) -> None:
        """Leave no line of progress behind: the work has ended, or was interrupted."""
        if self._open:
            gdb.write("\x1b[K")
        self._open = False


def _at_terminal() -> bool:
    """Python's own sys.stdout is GDB's, which never says that it is a terminal."""
    return os.isatty(1)


def _piped() -> bool:
    """Whether `pipe` runs the command that was typed: GDB tells a command nothing of it, but it keeps a history."""
    return re.search(r"\n +\d+ +(pipe\b|\|).*\Z", "\n" + ask("show commands").rstrip()) is not None


def _in_tui() -> bool:
    """The TUI's window for commands knows no carriage return."""
    return not ask("info win").startswith("The TUI is not active")


def last_trace() -> str | None:
    """The trace that was written last, or what the user set the variable to; as short as it can be said here."""
    if gdb.convenience_variable(TRACE_VARIABLE) is None:
        return None
    path = expand(f"${TRACE_VARIABLE}")
    return min(path, os.path.relpath(path), key=len)


def expand(word: str) -> str:
    """A word `$NAME` with the text of that convenience variable in its place, if it holds one; else as it is."""
    if not re.fullmatch(r"\$[A-Za-z_]\w*", word):
        return word
    value = gdb.convenience_variable(word[1:])
    is_text = value is not None and value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
    return str(value.string(errors="replace")) if is_text else word


class Refusal(gdb.GdbError):
    """An expected failure of a command: GDB prints its text and nothing else."""


def add_command(name: str, text: str, run: Callable[[list[str], bool], None], complete: "Completer | None") -> None:
    """Add a GDB command. `run` gets its words, and whether a person typed it. Without a completer, it is a prefix."""

    class Command(gdb.Command):
        __doc__ = text

        def invoke(self, argument: str, from_tty: bool) -> None:
            run([expand(word) for word in gdb.string_to_argv(argument)], from_tty)

    if complete is None:
        Command(name, gdb.COMMAND_RUNNING, gdb.COMPLETE_COMMAND, prefix=True)
        return
    completer = complete

    def offer(_self: gdb.Command, typed: str, word: str | None) -> object:
        return completer(typed, word or "")

    Command.complete = offer
    Command(name, gdb.COMMAND_RUNNING)


def alias(name: str, command: str) -> bool:
    """Make a command known by a shorter name; False where the user has given that name to something else."""
    try:
        gdb.execute(f"alias {name} = {command}", to_string=True)
    except gdb.error:
        return False
    return True


Completer = Callable[[str, str], list[str]]
"""What is typed, and what GDB takes for its last word -> what may stand for that word."""


def add_parameter(name: str, default: int | str, text: str) -> None:
    """Add a setting: a whole number, or text. `text` says what it is, from "the …" on."""
    kind = gdb.PARAM_ZUINTEGER if isinstance(default, int) else gdb.PARAM_STRING

    class Parameter(gdb.Parameter):
        __doc__ = f"{text[0].upper()}{text[1:]}."
        set_doc = f"Set {text}."
        show_doc = f"Show {text}."

        def get_set_string(self) -> str:
            return ""

        def get_show_string(self, value: str) -> str:
            return f"{text[0].upper()}{text[1:]}: {value or '(not set)'}."

    Parameter(name, gdb.COMMAND_RUNNING, kind).value = default


def add_setting_prefix(name: str, text: str, settings: Iterable[str]) -> None:
    """Make `set NAME …` and `show NAME …` known; `show NAME` alone shows each of these settings."""

    class SetPrefix(gdb.Command):
        __doc__ = f"Set {text}."

        def invoke(self, argument: str, from_tty: bool) -> None:
            raise gdb.GdbError(f'"set {name}" must be followed by the name of a setting; `help set {name}` lists them')

    class ShowPrefix(gdb.Command):
        __doc__ = f"Show {text}."

        def invoke(self, argument: str, from_tty: bool) -> None:
            for setting in settings:
                gdb.write(f"{setting.removeprefix(name).strip()}:  ")
                gdb.execute(f"show {setting}", from_tty)

    SetPrefix(f"set {name}", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, prefix=True)
    ShowPrefix(f"show {name}", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, prefix=True)


def number(name: str) -> int:
    """A parameter that is a whole number."""
    return int(gdb.parameter(name))


def text(name: str) -> str:
    """A parameter that is a text; empty while it is not set."""
    return str(gdb.parameter(name) or "")
