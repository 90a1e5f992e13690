# SPDX-License-Identifier: MIT
"""The static questions asked of small kernels, made here by assembler, compiler and linker."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from clockscope._core import ArgumentError, FormatError, NotFoundError, SystemError, Xref
from guest import ROOT

SCHEMA = json.loads((ROOT / "schemas" / "xref.schema.json").read_text())
Build = Callable[..., Path]

ASSEMBLY = """
    .text
    .globl start_kernel
    .type start_kernel, @function
start_kernel:
    movl %eax, counter(%rip)
    movq %rax, table(,%rcx,8)
    lock incl counter
    leaq counter(%rip), %rdi
    pushq $counter
    call helper
    incl %gs:ticks
    movl %gs:ticks(%rip), %eax
    movl ticks(%rdx), %eax
    movl 8192(%rdx), %eax
    movq $ticks, %rax
    jmp helper.cold
    .size start_kernel, . - start_kernel

    .type helper, @function
helper:
    cmpl $5, counter(%rip)
    je helper
    ret
    .size helper, . - helper

    .type helper.cold, @function
helper.cold:
    jmp *operations+8(%rip)
    .size helper.cold, . - helper.cold

    .type pointed, @function
pointed:
    jmp deeper
    .size pointed, . - pointed

    .type deeper, @function
deeper:
    movl $1, counter+2(%rip)
    ret
    .size deeper, . - deeper

    .type lonely, @function
lonely:
    ret
    .size lonely, . - lonely

    .type inlined.part.0, @function
inlined.part.0:
    ret
    .size inlined.part.0, . - inlined.part.0

    .data
    .type counter, @object
    .globl counter
counter: .quad 0
    .size counter, 8
    .type table, @object
table: .fill 4, 8, 0
    .size table, 32
    .type operations, @object
operations: .quad counter, pointed
    .size operations, 16

    .section .offsets, "a"
    .type relative, @object
relative: .long pointed - .
    .size relative, 4

    .section .data..percpu, "aw"
    .skip 8192
    .type ticks, @object
ticks: .long 0
    .size ticks, 4
"""

SCRIPT = """
ENTRY(start_kernel)
SECTIONS
{
    .data..percpu 0 : { *(.data..percpu) }
    .text 0xffffffff81000000 : { *(.text*) }
    .offsets 0xffffffff81800000 : { *(.offsets) }
    .data 0xffffffff82000000 : { *(.data) }
    .bss : { *(.bss COMMON) }
}
"""

LINK = ["-static", "-nostdlib", "-no-pie", "-Wl,--build-id=none", "-Wl,-T,kernel.ld"]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """build("name.s"=text, …, options=[…]): the path of a linked kernel."""

    def link(sources: dict[str, str], options: list[str] = []) -> Path:
        for name, text in {"kernel.ld": SCRIPT, **sources}.items():
            (tmp_path / name).write_text(text)
        kernel = tmp_path / "vmlinux"
        command = ["gcc", "-mcmodel=kernel", *LINK, *options, "-o", str(kernel), *sources]
        subprocess.run(command, check=True, cwd=tmp_path)
        return kernel

    return link


@pytest.fixture
def kernel(build: Build) -> Path:
    return build({"kernel.s": ASSEMBLY}, ["-Wl,--emit-relocs"])


def instructions(sites: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(site["function"], site["instruction"].split()[0]) for site in sites if "instruction" in site]


def objects(sites: list[dict[str, Any]]) -> list[str]:
    return [site["object"] for site in sites if "object" in site]


def test_writers_and_readers_of_a_variable(kernel: Path) -> None:
    xref = Xref(str(kernel))
    writers, readers = xref.writers("counter"), xref.readers("counter")
    assert instructions(writers["writers"]) == [("start_kernel", "movl"), ("start_kernel", "lock"), ("deeper", "movl")]
    assert instructions(readers["readers"]) == [("start_kernel", "lock"), ("helper", "cmpl")]
    assert instructions(writers["address_taken"]) == [("start_kernel", "leaq"), ("start_kernel", "pushq")]
    assert objects(writers["address_taken"]) == ["operations"]
    assert readers["address_taken"] == writers["address_taken"]
    assert (writers["size"], writers["variable_address"]) == (8, "0xffffffff82000000")


def test_a_part_of_a_variable_is_its_own_question(kernel: Path) -> None:
    xref = Xref(str(kernel))
    assert instructions(xref.writers("counter+4")["writers"]) == [("deeper", "movl")]
    assert instructions(xref.writers("counter+1")["writers"]) == [("start_kernel", "movl"), ("start_kernel", "lock")]
    assert xref.writers("counter+7")["writers"] == []
    assert xref.writers("0xffffffff82000004")["writers"] == xref.writers("counter+4")["writers"]


def test_an_index_in_a_register_reaches_every_element(kernel: Path) -> None:
    (site,) = Xref(str(kernel)).writers("table+24")["writers"]
    assert site["indexed"] and site["target"] == "table"


def test_per_cpu_variable(kernel: Path) -> None:
    xref = Xref(str(kernel))
    readers = xref.readers("ticks")
    # The load by register plus offset is one by its relocation; the same number without it is a struct's field.
    assert instructions(readers["readers"]) == [
        ("start_kernel", "incl"),
        ("start_kernel", "movl"),
        ("start_kernel", "movl"),
    ]
    assert instructions(readers["address_taken"]) == [("start_kernel", "movq")]
    assert instructions(xref.writers("ticks")["writers"]) == [("start_kernel", "incl")]
    assert readers["complete"]


def test_per_cpu_variable_without_relocations(build: Build, program: Callable[..., Any]) -> None:
    kernel = build({"kernel.s": ASSEMBLY})
    readers = Xref(str(kernel)).readers("ticks")
    assert instructions(readers["readers"]) == [("start_kernel", "incl"), ("start_kernel", "movl")]
    assert not readers["complete"]
    assert "no relocations" in program("readers", kernel, "ticks").stdout


def test_callers_of_a_function(kernel: Path) -> None:
    answer = Xref(str(kernel)).callers("helper")
    # Its own loop is no call; the jump to its cold part is one.
    assert instructions(answer["callers"]) == [("start_kernel", "callq"), ("start_kernel", "jmp")]
    assert answer["address_taken"] == []
    (path,) = answer["paths"]
    assert [step["symbol"] for step in path] == ["start_kernel", "helper"]
    assert not any(step["by_pointer"] for step in path)


def test_paths_through_stored_addresses_are_marked(kernel: Path) -> None:
    answer = Xref(str(kernel)).callers("deeper")
    assert instructions(answer["callers"]) == [("pointed", "jmp")]
    (path,) = answer["paths"]
    steps = [(step["symbol"], step["by_pointer"]) for step in path]
    assert steps == [
        ("start_kernel", False),
        ("helper", False),
        ("operations", True),
        ("pointed", True),
        ("deeper", False),
    ]


def function(name: str, *body: str) -> str:
    lines = "\n    ".join(body)
    return f".globl {name}\n.type {name}, @function\n{name}:\n    {lines}\n    ret\n.size {name}, . - {name}\n"


def held(name: str, value: str) -> str:
    return f".data\n.type {name}, @object\n{name}: .quad {value}\n.size {name}, 8\n"


CALLERS = "".join(
    [
        ".text\n",
        function("start_kernel", "call first", "movq $operations, %rdi"),
        function("first", "call wanted"),
        function("second", "call wanted"),
        function("wanted", "call around"),
        function("around", "call wanted"),
        function("alone", "call wanted"),
        function("apart", "call wanted"),
        function("caller_of_apart", "call apart"),
        function("exported", "call wanted"),
        held("operations", "second"),
        held("__ksymtab_exported", "exported"),
        ".type numbers, @object\nnumbers: .long alone - 8 - .\n.size numbers, 4\n",
    ]
)


def test_a_path_for_each_caller_or_why_there_is_none(build: Build, program: Callable[..., Any]) -> None:
    kernel = build({"kernel.s": CALLERS})
    answer = Xref(str(kernel)).callers("wanted")
    assert [[step["symbol"] for step in path] for path in answer["paths"]] == [
        ["start_kernel", "first", "wanted"],
        ["start_kernel", "operations", "second", "wanted"],
    ]
    assert {one["caller"]: one["why"] for one in answer["pathless"]} == {
        "around": "only through the function itself",
        "alone": "nothing can call it",
        "apart": "nothing calls what calls it",
        "exported": "only modules can call it",
    }
    text = program("callers", kernel, "wanted").stdout
    assert "start_kernel ~> operations ~> second -> wanted" in text
    assert "No path to these callers" in text and "around    only through the function itself" in text


def test_many_callers_have_a_path_each(build: Build) -> None:
    names = [f"caller_{number}" for number in range(20)]
    callers = [function(name, "call wanted") for name in names]
    text = (
        ".text\n"
        + function("start_kernel", *(f"call {name}" for name in names))
        + "".join(callers)
        + function("wanted")
    )
    answer = Xref(str(build({"kernel.s": text}))).callers("wanted")
    assert [path[1]["symbol"] for path in answer["paths"]] == sorted(names) and not answer["pathless"]


INLINED = """
static inline __attribute__((always_inline)) int deepest(volatile int *at) { return *at + 1; }
static inline __attribute__((always_inline)) int inner(volatile int *at) { return deepest(at) * 2; }
volatile int place;
"""
ROOT_C = "int outer(void); void start_kernel(void) { outer(); }\n"


@pytest.mark.parametrize("lto", [False, True], ids=["", "optimised when it is linked"])
def test_a_function_that_is_only_inlined(lto: bool, build: Build, program: Callable[..., Any]) -> None:
    """... has no symbol, but callers: those that it is in, though they were inlined there in turn, be it from another file."""
    kept = "__attribute__((noinline, noipa)) "
    if lto:
        shared = "int shared(volatile int *at) { return deepest(at) + *at; }\n"
        sources = {"a.c": INLINED + shared, "b.c": f"int shared(volatile int *); extern volatile int place;\n{kept}"
                   "int outer(void) { return shared(&place); }\n" + ROOT_C.split(";", 1)[1]}  # fmt: skip
    else:
        sources = {"a.c": INLINED + f"{kept}int outer(void) {{ return inner(&place); }}\n", "b.c": ROOT_C}
    options = [
        "-g",
        "-O2",
        "-fno-pic",
        "-mno-sse",
        "-ffreestanding",
        *(["-flto", "-Wl,-u,start_kernel"] if lto else []),
    ]
    kernel = build(sources, options)
    result = program("callers", kernel, "a.c:deepest", "--format", "json")
    answer = json.loads(result.stdout)
    jsonschema.validate(answer, SCHEMA)
    assert (answer["function_address"], answer["callers"]) == (None, [])
    assert [copy["within"] for copy in answer["inlined"]] == ["outer"]
    (path,) = answer["paths"]
    assert [step["symbol"] for step in path] == ["start_kernel", "outer", "deepest"] and path[-1]["inlined"]
    text = program("callers", kernel, "deepest").stdout
    assert "deepest: only inlined, it has no symbol" in text and "start_kernel -> outer -> deepest (inlined)" in text
    assert Xref(str(kernel)).containers()["deepest"] == {"outer"}


def test_without_dwarf_nobody_knows_what_is_inlined(kernel: Path, program: Callable[..., Any]) -> None:
    assert "without DWARF none tells whether it is inlined" in program("callers", kernel, "deepst").stderr


def test_stored_addresses_of_a_function(kernel: Path) -> None:
    xref = Xref(str(kernel))
    assert objects(xref.callers("pointed")["address_taken"]) == ["relative", "operations+0x8"]
    assert xref.incoming("pointed") == (set(), {"relative", "operations"})
    lonely = xref.callers("lonely")
    assert (lonely["callers"], lonely["address_taken"], lonely["paths"]) == ([], [], [])


def test_a_function_of_which_only_a_part_is_left(kernel: Path) -> None:
    assert Xref(str(kernel)).callers("inlined")["function"] == "inlined.part.0"


FIELDS = """
struct inner { int low; int high; };
struct clock {
    long rating;
    struct { short a; short b; };
    union { long all; struct inner halves; };
    unsigned first : 3, second : 5;
    struct inner list[3];
    int grid[2][4];
};
struct clock clock;
struct clock clocks[4];
static volatile int hidden;
void start_kernel(long i)
{
    clock.rating = i;
    clock.b = 2;
    clock.halves.high = 3;
    clock.list[1].high = 4;
    clock.grid[1][2] = 5;
    clocks[i].halves.low = 6;
    clocks[2].rating = 7;
    hidden = i;
}
"""

OTHER = "static volatile int hidden; void other(int i) { hidden = i; }\n"


@pytest.fixture
def compiled(build: Build) -> Path:
    return build({"clock.c": FIELDS, "other.c": OTHER}, ["-g", "-O1", "-fno-pic", "-mno-sse"])


def lines(kernel: Path, variable: str) -> list[int]:
    sites = Xref(str(kernel)).writers(variable)["writers"]
    return sorted(int(site["source"].rsplit(":", 1)[1]) for site in sites)


@pytest.mark.parametrize(
    ("variable", "written", "place"),
    [
        ("clock.rating", ["rating = i"], (0, 8)),
        ("clock.b", ["clock.b"], (10, 2)),
        ("clock.a", [], (8, 2)),
        ("clock.all", ["clock.halves.high"], (16, 8)),
        ("clock.halves.low", [], (16, 4)),
        ("clock.halves.high", ["clock.halves.high"], (20, 4)),
        ("clock.second", [], (24, 1)),
        ("clock.list", ["clock.list"], (28, 24)),
        ("clock.list[1].high", ["clock.list"], (40, 4)),
        ("clock.list[1].low", [], (36, 4)),
        ("clock.grid[1]", ["clock.grid"], (68, 16)),
        ("clock.grid[1][2]", ["clock.grid"], (76, 4)),
        ("clock.grid[0]", [], (52, 16)),
        ("clocks[3].halves.low", ["clocks[i]"], (3 * 88 + 16, 4)),
        ("clocks[3].halves.high", [], (3 * 88 + 20, 4)),
        ("clocks[2].rating", ["clocks[2]"], (2 * 88, 8)),
    ],
)
def test_fields(compiled: Path, variable: str, written: list[str], place: tuple[int, int]) -> None:
    xref = Xref(str(compiled))
    start = int(xref.writers(variable.split(".")[0].split("[")[0])["variable_address"], 16)
    answer = xref.writers(variable)
    assert (int(answer["variable_address"], 16) - start, answer["size"]) == place
    source = FIELDS.splitlines()
    wanted = [number for number, text in enumerate(source, 1) for part in written if part in text and "=" in text]
    assert lines(compiled, variable) == wanted


def test_source_lines_and_functions(compiled: Path) -> None:
    (site,) = Xref(str(compiled)).writers("clock.b")["writers"]
    assert site["source"].endswith("clock.c:17") and site["function"] == "start_kernel"


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("clok", "did you mean clock, clocks?"),
        ("clock.ratign", "clock has no field ratign (did you mean rating?)"),
        ("clock.rating.x", "not a struct"),
        ("clock.rating[0]", "not an array"),
        ("clock.list[3]", "the array has 3 elements"),
        ("clock.list[x]", "give [NUMBER]"),
        ("clock.list[1", "give [NUMBER]"),
        ("clock..a", "give .name or [index]"),
        ("hidden", "2 symbols are named hidden: clock.c:hidden (0x"),
        ("third.c:hidden", "no variable hidden of third.c"),
        ("clock+0x100", "88 bytes"),
    ],
)
def test_names_that_mean_nothing(compiled: Path, variable: str, part: str) -> None:
    with pytest.raises((NotFoundError, ArgumentError)) as error:
        Xref(str(compiled)).writers(variable)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_static_variables_of_one_name_are_told_apart_by_file(compiled: Path) -> None:
    xref = Xref(str(compiled))
    assert [site["function"] for site in xref.writers("clock.c:hidden")["writers"]] == ["start_kernel"]
    assert [site["function"] for site in xref.writers("dir/other.c:hidden")["writers"]] == ["other"]


def test_a_field_without_dwarf(kernel: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no DWARF: give counter\+OFFSET"):
        Xref(str(kernel)).writers("counter.field")


def test_stripped_kernel(kernel: Path) -> None:
    subprocess.run(["strip", kernel], check=True)
    with pytest.raises(FormatError, match="no symbol table"):
        Xref(str(kernel))


def patched(kernel: Path, offset: int, value: bytes) -> str:
    image = bytearray(kernel.read_bytes())
    image[offset : offset + len(value)] = value
    kernel.write_bytes(image)
    return str(kernel)


@pytest.mark.parametrize(
    ("offset", "value"), [(0x12, b"\xb7\x00"), (4, b"\x01"), (0, b"text")], ids=["arm", "32", "text"]
)
def test_other_files_are_refused(kernel: Path, offset: int, value: bytes) -> None:
    with pytest.raises(FormatError):
        Xref(patched(kernel, offset, value))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SystemError, match="nowhere"):
        Xref(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("verb", ["writers", "readers", "callers"])
def test_json_of_the_program(kernel: Path, program: Callable[..., Any], verb: str) -> None:
    result = program(verb, kernel, "helper" if verb == "callers" else "counter", "--format", "json")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    jsonschema.validate(answer, SCHEMA)
    assert {"address", "function", "source", "instruction"} <= answer[verb][0].keys()


def test_text_of_the_program(kernel: Path, program: Callable[..., Any]) -> None:
    result = program("writers", kernel, "counter")
    assert result.stdout.splitlines()[0] == "counter: 8 bytes at 0xffffffff82000000"
    assert "Writers: 3" in result.stdout and "operations" in result.stdout
    assert "start_kernel -> helper ~> operations ~> pointed -> deeper" in program("callers", kernel, "deeper").stdout


def test_mistakes_in_the_program(kernel: Path, program: Callable[..., Any]) -> None:
    for result, part in [
        (program("writers", "counter"), "give its ELF file"),
        (program("writers", kernel, "countr"), "did you mean counter?"),
    ]:
        assert (result.returncode, result.stdout) == (2, "")
        assert part in result.stderr and result.stderr.count("\n") == 1


def test_in_gdb_the_symbol_file_is_asked(kernel: Path, gdb: Callable[..., Any]) -> None:
    text = gdb([f"file {kernel}", "clock writers counter", "clock callers deeper"]).text
    assert "Writers: 3" in text and "Callers: 1" in text


def test_in_gdb_without_a_symbol_file(gdb: Callable[..., Any]) -> None:
    assert "GDB has no symbol file" in gdb(["clock writers counter"]).text
