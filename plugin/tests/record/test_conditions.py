# SPDX-License-Identifier: MIT
"""The truth of the source's conditions, held against the same source that tells itself what each of them was.

Of one text two programs are made: one that an optimising compiler made is traced, and one prints each condition's line and
truth as it is evaluated. What the trace says of a call must stand in that order in what the call printed.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from debuggee import Program, relay_to, start_qemu

from clockscope._core import BranchRecorder, Trace, TraceWriter
from clockscope.model import paths, source_text

# <cond> is a condition that the second program tells of.
SOURCE = r"""
volatile int sink;
__attribute__((noinline)) int work(int x) { sink += x; return x; }
static inline int is_large(int x)
{
	if <x > 3>
		return 1;
	return 0;
}
static inline int scaled(int x, int by)
{
	if <by < x>
		by += 7;
	by -= x;
	return work(by);
}
#define each(i, n) for (i = 0; i < (n); i++)

int less(int a, int b)
{
	if <a < b>
		return work(1);
	return work(2) + 3;
}
int jumps(int a, int b)
{
	int r = 0;
	if <a == b>
		goto out;

	r = work(a);
	if <!b>
		goto out;
	r += work(b);
out:
	return r;
}
int again(int a, int b)
{
	int n = 0;
	if <a == 5> {
restart:
		n += work(1);
		return n;
	}
	n = work(b);
	if <n == 2>
		goto restart;
	work(n);
	return n;
}
int otherwise(int a, int b)
{
	if <a != 0> {
		work(a);
		work(3);
	} else {
		work(b);
	}
	return work(7);
}
int chain(int a, int b)
{
	if <a == 0>
		work(10);
	else if <b == 1>
		work(20);
	else if <a + b > 6>
		work(30);
	else
		work(40);
	return 0;
}
int both(int a, int b)
{
	if <a > 0 && b > 0>
		work(1);
	return work(2);
}
int either(int a, int b)
{
	if <a == 1 ||
	    b == 2> {
		work(1);
		return 4;
	}
	work(2);
	return 5;
}
int mixed(int a, int b)
{
	if <(a == 1 && b != 2) || work(a) == 5>
		return work(1);
	work(2);
	return 0;
}
int nested(int a, int b)
{
	if <a>
		if <b>
			work(3);
	return work(1);
}
int joined(int a, int b)
{
	if <a == 3>
		return -1;
	if <b == 4>
		return -1;
	if <a == 2>
		return -1;
	return work(a);
}
int bits(int a, int b)
{
	if <a & 1>
		goto bad;
	if <a & 4>
		goto bad;
	return work(b);
bad:
	work(9);
	return -1;
}
int same(int a, int b)
{
	if <a < b> {
		work(1);
		return 0;
	}
	return 0;
}
int table(int a, int b)
{
	if <a == 0>
		return 17;
	if <a == 1>
		return 4;
	if <a == 2>
		return 99;
	if <a == 5>
		return 23;
	return b;
}
int loops(int a, int b)
{
	int i, n = 0;
	while <n < b> {
		n += work(1) + 1;
		if <n == 3>
			continue;
		work(n);
		if <n > a>
			break;
	}
	do {
		n = work(n - 1);
	} while <n > 0>;
	each(i, a)
		if <i == 2>
			n += work(i);
	return n;
}
int inlines(int a, int b)
{
	if <is_large(a)>
		work(1);
	else
		work(2);
	if <is_large(b)>
		return 3;
	return scaled(a, b);
}
int crowded(int a, int b)
{
	if <a < b> return 1;
	work(1);
	if <a == 5> work(b > 1 ? 4 : 5);
	return work(a && b);
}
int choose(int a, int b)
{
	switch (a) {
	case 0:
		if <b == 2>
			break;
		return work(1);
	case 1:
		work(5);
		/* fall through */
	case 2:
		if <b < 2>
			return work(2);
		break;
	default:
		work(8);
	}
	return work(3);
}
void early(int a, int b)
{
	if <a == 3>
		return;
	if <work(b) == 4>
		return;
	if <b < a>
		return;
	work(a);
	if <a + b == 7> {
		work(2);
		return;
	}
	work(3);
}
void ends(int a, int b)
{
	if <a == 3>
		return;
	work(5);
	if <b == 2>
		work(6);
}
int guarded(int a, int b)
{
#ifdef NEVER
	if (a) {
#else
	if <a >= b> {
#endif
		work(1);
	}
	/* if (x) { */ work(2); // "if (y)
	return work(" if (z) {"[a]);
}
"""
FUNCTIONS = re.findall(r"^(?:int|void) (\w+)\(int a", SOURCE, re.MULTILINE)
VOID = re.findall(r"^void (\w+)\(int a", SOURCE, re.MULTILINE)
MAIN = """
#include <stdio.h>
@int main(void)
{
	for (int a = 0; a < 6; a++)
		for (int b = 0; b < 6; b++) {
CALLS
		}
	return 0;
}
"""
# What the seeds are about must be told, whatever the compiler did.
TOLD = ("if <a == b>", "if <!b>", "if <n == 2>", "if <by < x>")
# With how many of the 38 conditions each leaves a branch that tells, at the least.
LEAST = {"gcc -O0": 30, "gcc -O2": 22, "gcc -Os": 20, "clang -O2": 10}

Truths = Sequence[tuple[int, bool]]
Calls = dict[str, list[Truths]]
"""Of each function, each call's conditions in their order."""


def program(condition: str) -> str:
    """The source, `condition` with what stands for the conditions; a line stays a line."""
    parts = re.split(r"(?<=if |le )<((?:[^<>]|(?<=[\w)] )[<>]=? ?(?=[\w(]))*)>", SOURCE)
    return "".join(condition.replace("COND", part) if at % 2 else part for at, part in enumerate(parts))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """What each call's conditions were."""
    folder = tmp_path_factory.mktemp("oracle")
    calls = "\n".join(f'printf("\\n{name} "); {name}(a, b);' for name in FUNCTIONS)
    note = 'static int note(int line, int holds) { printf("%d=%d ", line, !!holds); return holds; }\n#line 1\n'
    source = note + program("(note(__LINE__, (COND)))") + MAIN.replace("CALLS", calls).replace("@", "")
    (folder / "oracle.c").write_text("#include <stdio.h>\n" + source)
    subprocess.run(["gcc", "-w", "-o", "oracle", "oracle.c"], cwd=folder, check=True)
    said = subprocess.run([folder / "oracle"], capture_output=True, text=True, check=True).stdout
    found: dict[str, list[Truths]] = {name: [] for name in FUNCTIONS}
    for line in said.strip().splitlines():
        name, *truths = line.split()
        found[name].append([(int(one.split("=")[0]), one.endswith("1")) for one in truths])
    return found


def traced(compiler: str, folder: Path) -> Path:
    calls = "\n".join(f"{'' if name in VOID else 'sink +='} {name}(a, b);" for name in FUNCTIONS)
    noinline = re.sub(
        r"^(int|void) (?=\w+\(int a)", r"__attribute__((noinline)) \1 ", program("(COND)"), flags=re.MULTILINE
    )
    (folder / "program.c").write_text(
        noinline + MAIN.replace("CALLS", calls).replace("@", "").replace("#include <stdio.h>", "")
    )
    # Functions that are alike are not to be joined: each is called by its own name.
    apart = ["-fno-ipa-icf"] if compiler.startswith("gcc") else []
    command = [*compiler.split(), "-g", "-w", "-no-pie", *apart, "-o", "program", "program.c"]
    subprocess.run(command, cwd=folder, check=True)
    built, trace = Program(folder / "program", {}), folder / "a.trace"
    writer = TraceWriter(str(trace))
    peer = start_qemu(built, folder)
    with relay_to(peer) as relay:
        recorder = BranchRecorder(relay, writer, str(built.path), hit_limit=0)
        for name in FUNCTIONS:
            assert recorder.add(name), name
        assert not recorder.arm()
        relay.resume()
        while relay.state == "running":
            relay.wait(1)
        recorder.stop()
        writer.flush()
        with Trace(str(trace)) as opened:
            kept = list(source_text.functions_found(opened, lambda file, address: str(folder / Path(file).name)))
        for file, line, one in kept:
            writer.source(file, line, one)
        writer.close(True, "exited")
    peer.output()
    return trace


def said(invocation: Mapping[str, Any]) -> Iterator[tuple[int, bool]]:
    for one in invocation["decisions"]:
        if one["condition"] is not None:
            yield int(one["source"].rpartition(":")[2]), one["condition"]


def is_within(part: Truths, whole: Truths) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


@pytest.mark.parametrize("compiler", LEAST)
def test_as_the_program_itself_says(oracle: Calls, compiler: str, tmp_path: Path) -> None:
    with Trace(str(traced(compiler, tmp_path))) as trace:
        functions = {one["function"].split(".")[0]: one for one in paths.functions(trace)}
    told = set[int]()
    for name, calls in oracle.items():
        made = functions[name]["invocations"]
        assert len(made) == len(calls) == 36
        for call, truths in zip(made, calls, strict=True):
            found = list(said(call))
            assert is_within(found, truths), f"{name} call {call['n']}: {found}, and it was {truths}"
            told.update(line for line, _ in found)
    assert len(told) >= LEAST[compiler], sorted(told)
    if compiler == "gcc -O2":
        assert {SOURCE[: SOURCE.index(text)].count("\n") + 1 for text in TOLD} <= told
