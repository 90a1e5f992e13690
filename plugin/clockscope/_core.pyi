"""Contract of the C core's Python binding. Errors of the core are the exceptions below."""

from collections.abc import Callable, Sequence
from typing import Any

Placement = tuple[int, int, int]
"""Where an image runs: how much further than its file says, its first address, its last."""

class Error(Exception):
    """Base of every error of the core: one line saying what, where, what to do."""

class ArgumentError(Error): ...
class SystemError(Error): ...
class ConnectError(Error): ...
class ClosedError(Error): ...
class TimeoutError(Error): ...
class ProtocolError(Error): ...
class RefusedError(Error): ...
class StateError(Error): ...
class FormatError(Error): ...
class ExistsError(Error): ...
class NotFoundError(Error): ...

class Relay:
    """The one connection to a guest's gdbstub, held by a thread of the C core.

    GDB connects to `socket_path`; without GDB, `resume()`, `wait()`, `request()` drive the guest.
    """

    def __init__(self, address: str, *, connect_timeout: float = 5.0, request_timeout: float = 5.0) -> None:
        """Connect to HOST:PORT or the path of a Unix socket and negotiate features.

        Raises ConnectError (nothing listens), TimeoutError, ProtocolError (no stub). Ctrl-C interrupts.
        """
    @property
    def socket_path(self) -> str:
        """Unix socket for `target remote`, in a private directory (mode 0700)."""
    @property
    def state(self) -> str:
        """'stopped', 'running', 'exited' or 'closed'."""
    @property
    def reason(self) -> str:
        """Why the connection ended, in one line; empty while it stands."""
    def capabilities(self) -> dict[str, Any]:
        """What the stub said it can do.

        {"packet_size": int, "no_ack": bool, "multiprocess": bool, "vcont": [str, …], "features": {name: value},
        "registers": [{"name": str, "bitsize": int, "regnum": int, "offset": int}, …], "architecture": str}
        """
    def statistics(self) -> dict[str, int]:
        """Counts: packets_to_stub, packets_to_gdb, own_stops, gdb_stops, run_ns, own_stop_ns, probes, stood_ns (between runs,
        whatever for), resumes."""
    def mark(self) -> int:
        """Mark the moment at which the guest will be set going next. The last 256 marks are kept."""
    def marked(self, mark: int, /) -> dict[str, int] | None:
        """The statistics at a mark; None where the guest has not gone on since, or the mark is no longer kept."""
    def request(self, packet: bytes, timeout: float = 5.0) -> bytes:
        """Send one packet's payload while the guest is stopped; the reply's payload. StateError when it runs."""
    def monitor(self, command: str, timeout: float = 5.0) -> str:
        """Run a `monitor` command (qRcmd) and return its text. RefusedError where the stub has none."""
    def read_memory(self, address: int, length: int) -> bytes:
        """Guest memory at a virtual address; RefusedError names the first address that cannot be read."""
    def write_memory(self, address: int, data: bytes) -> None: ...
    def read_registers(self, thread: str = "") -> bytes:
        """The reply to `g` as bytes; `capabilities()["registers"]` says where each register lies."""
    def add_counter(self, address: int, name: str, placement: Placement | None = None) -> int:
        """Plant an entry counter; its number. The guest must be stopped. The address is the ELF file's."""
    def remove_counter(self, number: int) -> None: ...
    def counters(self) -> list[dict[str, Any]]:
        """[{"number", "address", "name", "hits", "first_run_ns", "first_cpu", "first_icount", "planted"}]"""
    def set_trace(self, trace: "TraceWriter | None") -> None:
        """Record counters into this trace from now on (None: no longer)."""
    def set_replay(self, on: bool) -> None:
        """Whether the guest is a QEMU replay: probes are stepped, never emulated; first hits carry exact times. Set at
        the beginning where the stub is that of a replay."""
    @property
    def replay(self) -> bool:
        """Whether the guest is a replay, in which nothing may be changed or borrowed."""
    def instructions(self) -> int:
        """Instructions a replayed guest has executed (`info replay`). RefusedError where it is no replay."""
    def borrow(self, instruction: str, address: int, eax: int = 0, ecx: int = 0) -> tuple[int, int, int, int]:
        """Have the paused guest run one 'rdtsc', 'cpuid' or 'rdmsr' that its text holds at `address`, and put it back
        as it was: EAX, EBX, ECX, EDX after it. The guest must have run into a breakpoint. RefusedError where it cannot,
        and for good once anything has gone wrong (borrow_refusal); StateError in a replay."""
    @property
    def borrow_refusal(self) -> str:
        """Why nothing is borrowed from this stub any more, and what state the guest is in; empty while it is."""
    def measure_tsc(self, rdtsc_address: int, seconds: float = 0.02) -> tuple[int, int]:
        """How many ticks the guest's TSC went on while the guest stood, and the nanoseconds between the two reads."""
    def run_ns(self) -> int:
        """Guest run time so far, stops excluded (ns)."""
    def restart_time(self) -> None:
        """Count the guest's run time anew: it boots again. Marks that were made before mean nothing any more."""
    def set_idle_limit(self, seconds: float) -> None:
        """Interrupt the guest once it has run so long from now on; 0 switches it off."""
    @property
    def idle_reached(self) -> bool:
        """Whether the last stop was made by the idle limit."""
    def resume(self, packet: bytes = b"") -> None:
        """Without GDB: let the guest run (`vCont;c` or `c` unless given)."""
    def wait(self, timeout: float) -> bytes | None:
        """Without GDB: the next stop reply's payload, or None at the time limit."""
    def interrupt(self) -> None:
        """Stop the running guest (0x03)."""
    def settle(self) -> None:
        """Wait until all that GDB has said so far is carried out: then it is known what became of the guest."""
    def detach(self) -> None:
        """Lift all probes, detach from the stub (the guest runs on), close."""
    def close(self) -> None:
        """Lift all probes if the guest is stopped, and close; the guest stays as it is."""

class BranchRecorder:
    """Records the branches of functions: plants the probes of their plans, tells invocations apart, writes paths."""

    def __init__(
        self,
        relay: Relay,
        writer: "TraceWriter",
        elf: str,
        *,
        replay: bool = False,
        intrusive: bool = False,
        allow_patched: bool = False,
        probe_returns: bool = True,
        catch_returns: bool = True,
        budget: int = 0,
        hit_limit: int = 1000,
        task_pointer: int = 0,
        task_name: int = 0,
        references: Sequence[int] = (),
        measuring: Sequence[int] = (),
        pointees: Sequence[int] = (),
        noreturn: Sequence[int] = (),
        placement: Placement | None = None,
    ) -> None:
        """`intrusive`: windows may be probed. `allow_patched`: so may text that the kernel patches, for the stub's
        breakpoints change no memory. `budget`: most probes a function; 0 for no limit. `hit_limit`: a probe hit so often
        in one invocation is lifted until it ends; 0 for never. `references`: addresses of functions that read a
        reference clock; `measuring`: of those that measure one; `pointees`: of those that the latter's pointers hold;
        `noreturn`: of those that never return, beside those of which DWARF says so. All addresses are those of the ELF
        file. See c-ext/core/record/recorder.h for the rest. FormatError, SystemError for the ELF."""
    def add(self, name: str) -> list[dict[str, Any]]:
        """Analyse what the compiler made of one function, parts included, and record how it looks. For each: {"id",
        "name", "address", "probes", "windows", "measures" (it reads a clock, waits, or calls what measures), "branches", "determined", "note", "cost", "naive_cost"}; empty where the
        ELF has none of that name."""
    def within(self, child: int, parent: int) -> None:
        """The function `child` is called by `parent` only: its entry is watched while that is under way."""
    def gate(self, number: int, address: int, opens: bool) -> None:
        """Watch a function's entry only from, or until, the guest first comes to an address."""
    def note(self, number: int, text: str) -> None:
        """Add to what the trace says of a function."""
    def replaced(self, number: int) -> None:
        """Record the calls of a function that an intervention has return at once."""
    def arm(self) -> list[int]:
        """Plant what is to be watched from now on; the guest must stand. The functions whose entry the stub refused."""
    def stop(self) -> None:
        """Lift the probes and write the rest. StateError while the guest runs: nothing has changed then."""
    def statistics(self) -> dict[str, int]:
        """{"seen" (stops that it was told of), "stops", "inside" (of them, in timing windows), "repeated" (elsewhere, again and again in one invocation),
        "invocations", "orphans", "mismatches", "lifted"}; all 0 once stopped."""

class Interventions:
    """Changes the guest as it runs, and records each time that it did; the trace must know each one by its number."""

    def __init__(self, relay: Relay, writer: "TraceWriter", placement: Placement | None = None) -> None:
        """Addresses are those of the ELF file."""
    def force(self, number: int, address: int, code: bytes, taken: bool, times: int = ...) -> None:
        """Have the conditional branch at an address, whose bytes are `code`, go one way, at most so many times. The guest
        must stand. ArgumentError for one that decides by a register; RefusedError where the stub takes no breakpoint.
        """
    def have_return(self, number: int, entry: int, value: int, ret: int) -> None:
        """Have the function at `entry` return a value instead of running, by the return instruction at `ret`."""
    def stop(self) -> None:
        """Lift the probes. StateError while the guest runs."""
    def states(self) -> dict[int, dict[str, Any]]:
        """By number: {"uses", "other_text" (memory does not hold the branch), "refused" (the stub writes no registers)}."""

class TraceWriter:
    """A trace file being recorded. Rows are committed in batches; see schemas/trace.sql."""

    def __init__(self, path: str, *, force: bool = False) -> None:
        """Create the file. ExistsError unless `force`; StateError while another recording writes it;
        SystemError for a directory, a full disk, …"""
    @property
    def logged(self) -> bool:
        """Whether a part of the closed trace lies in FILE-wal, since someone read it meanwhile: the two belong together."""
    @property
    def path(self) -> str: ...
    def meta(self, key: str, value: str) -> None:
        """Set one row of provenance. schemas/trace.sql names the keys: guest.os, guest.release, guest.banner, …"""
    def event(
        self,
        *,
        run_ns: int,
        cpu: int,
        what: str,
        rule: str,
        function: str = "",
        file: str = "",
        line: int = 0,
        address: int = 0,
        thread: str = "",
        icount: int | None = None,
        guest_ns: int | None = None,
        tsc: int | None = None,
        clock: str | None = None,
        values: Sequence[tuple[str, int | str | None]] = (),
        backtrace: Sequence[tuple[str, str, int, int, bool]] = (),
    ) -> int:
        """Record an event; its seq. A backtrace frame is (function, file, line, address, inlined).

        An int value may be -2**63 to 2**64-1; None means that it could not be read. Values of these names fill
        the clock model: name, kind, rating, quality, frequency_hz (or frequency_khz, or mhz, the text
        that a kernel prints), mask, flags, reason.
        """
    def add_value(self, seq: int, name: str, value: int | str | None) -> None:
        """Add a value to an event (what its return brought)."""
    def expect(
        self,
        rule: str,
        what: str,
        function: str,
        status: str,
        note: str = "",
        *,
        optional: bool = False,
        within: str = "",
        from_ns: int | None = None,
        to_ns: int | None = None,
        reached: int | None = None,
        matched: int | None = None,
        unfinished: int | None = None,
    ) -> None:
        """What the profile looks for: status 'planted', 'inlined', 'missing' (not in this kernel), 'refused' (no probe
        possible), 'untold' (no log of this kernel tells). The rest as schemas/trace.sql says.

        One row a rule and function; a later call replaces it.
        """
    def counter(
        self,
        *,
        function: str,
        address: int,
        hits: int,
        first_run_ns: int | None,
        first_cpu: int | None,
        first_icount: int | None,
    ) -> None: ...
    def source(self, file: str, line: int, text: str) -> None:
        """Record the text of a source line, as the trace names its file."""
    def cpuid(self, moment: str, leaf: int, subleaf: int, registers: tuple[int, int, int, int]) -> None:
        """Record, or replace, what a CPUID leaf told the guest at the 'begin' or the 'end': EAX, EBX, ECX, EDX."""
    def msr(self, moment: str, number: int, value: int) -> None:
        """Record, or replace, what an MSR held."""
    def intervention(
        self, number: int, kind: str, option: str, function: str, file: str, line: int, address: int
    ) -> None:
        """Record what is to be changed in the guest: kind 'force', 'set' or 'return'; line 0 for a whole function."""
    def intervention_use(self, number: int, run_ns: int, cpu: int, was: str, became: str) -> None:
        """Record that it was changed now."""
    def flush(self) -> None:
        """Commit what is pending."""
    def close(self, complete: bool, reason: str) -> None:
        """Commit, say whether the recording is complete and how it ended, leave one ordinary file.

        After a failure to write (a full disk) it keeps what it can and raises that failure again. A second call does
        nothing.
        """

class Trace:
    """A trace opened for reading.

    NotFoundError; FormatError for what is no trace, a newer version, a truncated or damaged file. What a killed
    recording left in FILE-wal is read too; traces of older versions look as those of today. Each row is held against the
    schema as it is read: a value that it does not allow is a FormatError. timeline() leaves such rows out, and says so
    under "damage".
    """

    def __init__(self, path: str) -> None: ...
    def __enter__(self) -> "Trace": ...
    def __exit__(self, *exception: object) -> None: ...
    @property
    def path(self) -> str: ...
    def meta(self) -> dict[str, str]: ...
    def complete(self) -> bool: ...
    def timeline(self) -> dict[str, Any]:
        """What `timeline --format json` prints (schemas/timeline.schema.json)."""
    def rows(self, sql: str, parameters: Sequence[int | str | None] = ()) -> list[dict[str, Any]]:
        """Rows of a SELECT over the tables of schemas/trace.sql; FormatError where they take more memory than a file of that
        size may ask for."""
    def close(self) -> None: ...

class Xref:
    """Static questions about a kernel's ELF file; schemas/xref.schema.json describes the answers.

    A variable is named NAME, FILE:NAME, NAME.field[2].field (with DWARF), NAME+0x18 or 0xADDRESS; a function NAME,
    FILE:NAME or 0xADDRESS. NotFoundError says the nearest names, ArgumentError which of several are meant.
    """

    def __init__(self, path: str) -> None:
        """SystemError: cannot be read; FormatError: not an ELF file of a 64-bit x86 kernel, or without symbols."""
    def writers(self, variable: str) -> dict[str, Any]: ...
    def readers(self, variable: str) -> dict[str, Any]: ...
    def callers(self, function: str) -> dict[str, Any]: ...
    def incoming(self, function: str) -> tuple[set[str], set[str]]:
        """The names of those who call a function, and of functions and objects that hold its address."""
    def inlined(self, functions: tuple[str, ...]) -> list[dict[str, str]]:
        """Where these were inlined, by DWARF, in units that were optimised alone or when they were linked:
        [{"function", "within", "address", "source", "declared"}]; `source`: of the call,
        `declared`: the file that the function itself stands in, where that is known."""
    def containers(self) -> dict[str, set[str]]:
        """Of each function that was inlined anywhere, by DWARF: the functions with symbols that have its code."""
    def functions(self) -> set[str]:
        """The names of all functions, those of split-off parts without their suffixes."""

class Analyser:
    """A kernel's ELF file, and the static analysis of its functions: blocks, loops, timing windows, probe plans.

    What asks for symbols raises FormatError where the file has none.
    """

    def __init__(self, path: str) -> None:
        """SystemError: cannot be read; FormatError: not an ELF file of a 64-bit x86 kernel, or a damaged one."""
    @property
    def sections(self) -> list[tuple[str, int, int, bool]]:
        """(name, address, size, executable) of each that is loaded, by address."""
    def has_section(self, name: str) -> bool:
        """Whether there is one of that name, loaded or not."""
    @property
    def stripped(self) -> bool: ...
    @property
    def build_id(self) -> str:
        """The GNU build id as hex; empty where the file has none."""
    @property
    def build_id_notes(self) -> tuple[int, int] | None:
        """(address, size) of the loaded section that holds the build id: where the guest's own memory has it too."""
    def read(self, address: int, size: int, /) -> bytes:
        """File bytes at a virtual address; short or empty where no section holds them."""
    def physical(self, address: int) -> int | None:
        """Where the loader puts a virtual address in physical memory."""
    def analyse(
        self,
        name: str,
        *,
        references: Sequence[int] = (),
        measuring: Sequence[int] = (),
        pointees: Sequence[int] = (),
        noreturn: Sequence[int] = (),
        intrusive: bool = False,
        allow_patched: bool = False,
        probe_returns: bool = True,
        budget: int = 0,
    ) -> list[dict[str, Any]]:
        """What the compiler made of a function, cold parts joined; empty where the ELF has none of that name.

        For each: {"function", "entry", "complete", "determined", "traceable", "blocks": [{"number", "start", "end", "next":
        [{"to", "kind"}], "exits", "dominator", "depth", "cold", "gaps", "window", "instructions": [{"address", "length",
        "kind", "condition", "target", "port", "text", "site", "in_window"}]}], "loops", "windows": [{"from", "to", "blocks",
        "polls"}], "window_callees", "window_pointers" (where measuring functions read a pointer, perhaps), "probes": [{"address", "block", "roles", "stepped", "frequency", "in_window", "patched"}],
        "stops", "naive_stops", "branches", "left_out"}. The options are those of BranchRecorder.
        """
    def summarise(
        self,
        name: str,
        *,
        references: Sequence[int] = (),
        measuring: Sequence[int] = (),
        pointees: Sequence[int] = (),
        noreturn: Sequence[int] = (),
        intrusive: bool = False,
        allow_patched: bool = False,
        probe_returns: bool = True,
        budget: int = 0,
    ) -> list[dict[str, Any]]:
        """The same in short: {"function", "blocks", "branches", "probes", "windows", "determined", "stops", "naive_stops",
        "left_out", "ns"}, the last being how long the analysis took."""
    def in_window(
        self,
        address: int,
        *,
        references: Sequence[int] = (),
        measuring: Sequence[int] = (),
        pointees: Sequence[int] = (),
        noreturn: Sequence[int] = (),
    ) -> bool:
        """Whether a stop at the instruction that holds an address falls into a timing window of its function."""
    def source(self, address: int) -> list[tuple[str, str, int]]:
        """(function, file, line) of an address, the innermost inlined function first; empty where DWARF has none."""
    def symbol_at(self, address: int) -> str:
        """The symbol whose range holds an address; empty where none does."""
    def start_of(self, address: int) -> int | None:
        """Where that symbol begins."""
    def find(self, name: str) -> list[int]:
        """The addresses of the symbols of that very name."""
    def variants(self, name: str) -> list[tuple[str, int, int]]:
        """(name, address, size) of what compilers made of a function, the parts split off as cold not among them."""
    def names(self, functions: bool, /) -> set[str]:
        """The base names of all functions, or of all variables."""
    def functions(self) -> list[tuple[str, int, int]]:
        """(name, address, size) of every function, by address."""

def base_name(name: str) -> str:
    """A function's name without the compiler's suffixes for variants and parts."""

def build_id_in(notes: bytes) -> str:
    """The GNU build id among notes, as hex; empty where there is none."""

def diff_function(a: Trace, function_a: int, b: Trace, function_b: int) -> dict[str, Any]:
    """Compare a function (its id) of trace `a` with one of trace `b`, which must be two objects.

    {"same_code": bool, "branches": (int, int), "paired": int, "invocations": (int, int), "compared": int,
    "differing": int, "unpaired": (int, int), "cut_short": int, "decisions": int, "divergence": None or (point, point)}
    with the points {"invocation", "seq", "ordinal", "address", "taken", "decided", "reached"}; c-ext/core/trace/diff.h says what
    they mean. Ctrl-C interrupts.
    """

def store_of(code: bytes, address: int, /) -> dict[str, Any] | None:
    """Where the instruction at the start of `code` stores; None where it stores to no operand of its own.

    {"updates": it reads that first, and may write what was there, "string": RDI is behind what it wrote, "segment": "gs",
    "fs" or "", "width", "base", "index": a register's name or "", "scale", "displacement"}
    """

def disassemble(code: bytes, address: int, /) -> list[tuple[int, int, str]]:
    """The instructions at the start of `code`, which lies at `address`, as (address, length, text as objdump prints it), up
    to the first that is none, or is cut off."""

def emulate(code: bytes, registers: Sequence[int], loaded: int = 0, /) -> list[int] | None:
    """The registers (sixteen general ones in the order of encodings, RIP, RFLAGS) after one instruction, worked out as the
    recorder does at a probe; None where it would step. `loaded`: the eight bytes at RSP, which a return needs."""

def condition_holds(condition: str, flags: int, /) -> bool:
    """Whether a condition ("ne", "be", …: an instruction's in a trace) holds for these flags. ValueError for any other."""

def stub_quirks() -> list[dict[str, Any]]:
    """What stubs do beside the manual: name, stub, what, where (a file of the core), sign ("always", "offers", "lacks",
    "seen"), features."""

def end_interrupts(*ignored: object) -> None:
    """Have no KeyboardInterrupt raised any more, not even one that is due; for a program that ends. Called by what is no
    Python code, for one that is due would be raised before the call."""

def true_if_interrupted(call: Callable[[], bool], /) -> Callable[[], bool]:
    """A callable that does the same, but for a KeyboardInterrupt, wherever it is raised: then it returns True. It is no
    Python code either."""
