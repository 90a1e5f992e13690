# SPDX-License-Identifier: MIT
"""Objects of the binding made, used and destroyed in every order: a program, run by test_binding.py under the address
sanitizer. `binding_life.py CHECK EXTENSION ELF DIRECTORY` runs one function of this file.

The stub lives in this process: a destructor that waits for it with the GIL held waits in vain.
"""

from __future__ import annotations

import ast
import copy
import gc
import importlib.util
import inspect
import itertools
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).resolve().parents[2]
CONTRACT = ast.parse((PLUGIN / "clockscope" / "_core.pyi").read_text())
ENTRY = 0x401000
FUNCTION = "f"
BRANCH = ENTRY + 3
JUMP = b"\x77\x06"


def load(path: str) -> Any:
    """The extension of that file, in the place of the usual one."""
    sys.path.insert(0, str(PLUGIN))
    spec = importlib.util.spec_from_file_location("clockscope._core", path)
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = core = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    return core


core = load(sys.argv[2])
ELF, DIRECTORY = sys.argv[3:5]
TRACE = str(PLUGIN.parent / "traces" / "netbsd-healthy.trace")

from scripted_machine import FULL, At, Machine  # noqa: E402
from scripted_stub import FakeStub  # noqa: E402

TYPES: dict[str, type] = {
    name: value
    for name, value in vars(core).items()
    if isinstance(value, type) and not issubclass(value, BaseException)
}
FUNCTIONS = [name for name, value in vars(core).items() if inspect.isbuiltin(value)]
_numbers = itertools.count()


# ---------------------------------------------------------------- the contract


def declared(name: str) -> dict[str, ast.FunctionDef]:
    """The methods and properties of a type, as the contract has them."""
    found = next(node for node in CONTRACT.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}


def members(name: str) -> list[str]:
    """The methods and properties of a type, as the extension has them."""
    own = [member for member in vars(TYPES[name]) if not member.startswith("__")]
    return own + [member for member in ("__enter__", "__exit__") if member in vars(TYPES[name])]


class World:
    """A guest, and one object of each type."""

    def __init__(self, *, guest: str = "stands", kinds: Collection[str] = ()) -> None:
        """`kinds`: only these types."""
        walk = [At(ENTRY, b"\x83\xff\x03"), At(BRANCH, JUMP), At(ENTRY + 5, b"\x90"), At(ENTRY + 6, b"\xc3")]
        self.stub = FakeStub(Machine(walk, layout=FULL, loop_to=0))
        self.stub.__enter__()
        self._closed = False
        self.objects: dict[str, Any] = {}
        self.path = os.path.join(DIRECTORY, f"{next(_numbers)}.trace")
        for name in sorted(kinds or TYPES, key=list(RECIPES).index):
            self.objects[name] = RECIPES[name](self)
        if guest != "new":
            self.arm()
        if guest in ("runs", "gone"):
            self.relay.resume()
        if guest == "gone":
            self.close_stub()
            assert wait_until(lambda: self.relay.state in ("closed", "exited"))

    @property
    def relay(self) -> Any:
        return self.objects["Relay"]

    def arm(self) -> None:
        """Each object with something of its own in the guest."""
        (added,) = self.objects["BranchRecorder"].add(FUNCTION)
        assert added["probes"], added
        assert self.objects["BranchRecorder"].arm() == []
        writer, relay = self.objects["TraceWriter"], self.relay
        writer.intervention(1, "force", "f:1=taken", FUNCTION, "", 0, BRANCH)
        self.objects["Interventions"].force(1, BRANCH, JUMP, True)
        relay.add_counter(ENTRY, FUNCTION)
        relay.set_trace(writer)

    def arguments(self, function: ast.FunctionDef) -> tuple[list[Any], dict[str, Any]]:
        """Something for each parameter that has no default, by its annotation."""
        given = function.args
        needed = [arg for arg in (*given.posonlyargs, *given.args) if arg.arg != "self"]
        needed = needed[: len(needed) - len(given.defaults)]
        only = [arg for arg, default in zip(given.kwonlyargs, given.kw_defaults) if default is None]
        return [self.value(arg) for arg in needed], {arg.arg: self.value(arg) for arg in only}

    def value(self, argument: ast.arg) -> Any:
        assert argument.annotation is not None
        whole = ast.unparse(argument.annotation).strip("'").split(" | ")[0]
        kind = whole.split("[")[0]
        if kind in self.objects:
            return self.objects[kind]
        plain = {"int": 1, "str": "x", "bytes": JUMP, "bool": True, "float": 0.01, "Sequence": (), "object": None}
        if kind == "tuple":
            return ("x",) if "str" in whole else (1, 2, 3, 4)
        return plain[kind]

    def use(self, name: str, member: str) -> Any:
        """Call a method, or read a property, of the object of that type."""
        attribute = getattr(self.objects[name], member)
        if not callable(attribute):
            return attribute
        function = declared(name)[member]
        if function.args.vararg is not None:
            return attribute(None, None, None)
        positional, named = self.arguments(function)
        return attribute(*positional, **named)

    def end(self) -> None:
        self.objects.clear()
        self.close_stub()

    def close_stub(self) -> None:
        if not self._closed:
            self.stub.__exit__()
        self._closed = True


# How an object of each type is made: a new type needs a line here, and is then held to all that follows.
RECIPES: dict[str, Callable[[World], Any]] = {
    "Relay": lambda world: core.Relay(world.stub.address),
    "TraceWriter": lambda world: core.TraceWriter(world.path),
    "BranchRecorder": lambda world: core.BranchRecorder(
        world.objects["Relay"], world.objects["TraceWriter"], ELF, allow_patched=True
    ),
    "Interventions": lambda world: core.Interventions(world.objects["Relay"], world.objects["TraceWriter"]),
    "Trace": lambda world: core.Trace(TRACE),
    "Xref": lambda world: core.Xref(ELF),
    "Analyser": lambda world: core.Analyser(ELF),
}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def refused(call: Callable[[], Any], *kinds: type[BaseException]) -> str:
    """What a call that must fail says: one line."""
    try:
        result = call()
    except kinds or (Exception,) as error:  # noqa: B014
        assert str(error) and "\n" not in str(error), repr(error)
        return str(error)
    raise AssertionError(f"it returned {result!r}")


@contextmanager
def in_time(seconds: float = 60) -> Iterator[None]:
    """Whoever hangs is told of, with the stacks of all threads."""
    import faulthandler

    faulthandler.dump_traceback_later(seconds, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# ---------------------------------------------------------------- checks


def all_is_declared() -> None:
    """What the extension has, the contract has, and the other way round; and there is a recipe for each type."""
    assert set(TYPES) == set(RECIPES)
    for name in TYPES:
        assert set(members(name)) == set(declared(name)) - {"__init__"}, name
    functions = {node.name for node in CONTRACT.body if isinstance(node, ast.FunctionDef)}
    assert set(FUNCTIONS) == functions


def never_initialised() -> None:
    """There is no object that was not made of its arguments, however it is come by."""
    world = World()
    for name, kind in TYPES.items():
        made: Any = kind
        refused(lambda: made.__new__(made), TypeError)  # noqa: B023
        refused(lambda: object.__new__(kind), TypeError)  # noqa: B023
        refused(kind, TypeError)
        refused(lambda: types.new_class("Derived", (kind,)), TypeError)  # noqa: B023
        refused(lambda: copy.copy(world.objects[name]), TypeError)  # noqa: B023
        refused(lambda: pickle.dumps(world.objects[name]), TypeError)  # noqa: B023
        refused(lambda: setattr(world.objects[name], "x", 1), AttributeError, TypeError)  # noqa: B023
    world.end()


def made_twice() -> None:
    """A second __init__ is refused, and changes nothing."""
    world = World()
    for name in TYPES:
        positional, named = world.arguments(declared(name)["__init__"])
        assert "once" in refused(lambda: world.objects[name].__init__(*positional, **named), TypeError)  # noqa: B023
        assert "once" in refused(world.objects[name].__init__, TypeError)
    assert world.relay.state == "stopped" and world.relay.request(b"?")
    assert world.objects["Trace"].complete() in (True, False)
    world.end()


# What uses a relay, or is used by what does.
LINKED = ("Relay", "TraceWriter", "BranchRecorder", "Interventions")
# What there is to say, or to do, without a connection.
WITHOUT_RELAY = {
    "Relay": {"state", "reason", "borrow_refusal", "close"},
    "BranchRecorder": {"note", "stop", "statistics"},
    "Interventions": {"stop", "states"},
}


def after_close() -> None:
    """Every method of what uses a relay, once that was closed; alone, and behind one another."""
    for guest in ("new", "stands", "runs", "gone"):
        world = World(guest=guest, kinds=LINKED)
        world.relay.close()
        for name, quiet in WITHOUT_RELAY.items():
            for member in sorted(set(members(name)) - quiet):
                said = refused(lambda: world.use(name, member), core.ClosedError)  # noqa: B023
                assert "clos" in said or "ended" in said or guest == "gone", said
            for member in sorted(quiet - {"note"}) * 2:  # without a function there is nothing to note
                world.use(name, member)
        world.end()
    world = World()
    world.relay.close()
    for name, member in [(name, member) for name in TYPES for member in members(name)] * 2:
        try:
            world.use(name, member)
        except (core.Error, LookupError, OSError, ValueError):
            continue
    world.end()


def every_order() -> None:
    """References are given up in every order, in every state of the guest, with and without a close() before."""
    orders = list(itertools.permutations(LINKED))
    closings: list[tuple[str, ...]] = [(), ("Relay",), ("TraceWriter",), ("TraceWriter", "Relay")]
    for first, guest in enumerate(("new", "stands", "runs", "gone")):
        for number, order in enumerate(orders):
            closing = closings[(number + number // 4 + first) % len(closings)]
            world = World(guest=guest, kinds=LINKED)
            stub, relay = world.stub, None if "Relay" in closing else world.relay
            for name in closing:
                world.objects[name].close(*((True, "all is well") if name == "TraceWriter" else ()))
            state = relay.state if relay is not None else ""
            del relay
            for name in order:
                del world.objects[name]
            if guest in ("new", "stands"):
                assert state in ("", "stopped")
                assert wait_until(lambda: not stub.machine.breakpoints), (order, closing, stub.machine.breakpoints)
            with core.Trace(world.path) as trace:
                assert trace.complete() == ("TraceWriter" in closing), (guest, order, closing)
            world.end()
            os.unlink(world.path)


def held_by_its_users() -> None:
    """A relay that nobody names goes on for as long as something uses it, and then its socket goes."""
    world = World()
    path = world.relay.socket_path
    del world.objects["Relay"], world.objects["TraceWriter"]
    assert os.path.exists(path) and world.stub.machine.breakpoints
    assert world.objects["BranchRecorder"].stop() is None
    del world.objects["BranchRecorder"]
    assert os.path.exists(path)
    assert world.objects["Interventions"].stop() is None
    assert not world.stub.machine.breakpoints
    del world.objects["Interventions"]
    assert not os.path.exists(path)
    world.end()


def beside_other_threads() -> None:
    """close() while other threads wait, ask, plant and stop: they are told, and nothing is used that is gone."""
    calls: list[Callable[[World], Any]] = [
        lambda world: world.relay.wait(30),
        lambda world: world.relay.interrupt(),
        lambda world: world.relay.request(b"g"),
        lambda world: world.relay.add_counter(0x402000, "g"),
        lambda world: world.relay.counters(),
        lambda world: world.relay.set_trace(world.objects["TraceWriter"]),
        lambda world: world.relay.resume(),
        lambda world: world.relay.state and world.relay.statistics(),
        lambda world: world.objects["BranchRecorder"].add(FUNCTION),
        lambda world: world.objects["BranchRecorder"].arm(),
        lambda world: world.objects["BranchRecorder"].statistics(),
        lambda world: world.objects["BranchRecorder"].stop(),
        lambda world: world.objects["Interventions"].force(1, BRANCH, JUMP, True),
        lambda world: world.objects["Interventions"].states(),
        lambda world: world.objects["Interventions"].stop(),
        lambda world: world.relay.close(),
    ]
    for guest in ("stands", "runs"):
        world = World(guest=guest)
        over = threading.Event()

        def keep_on(call: Callable[[World], Any], world: World = world, over: threading.Event = over) -> None:
            while not over.is_set():
                try:
                    call(world)
                except core.Error:
                    time.sleep(0.001)

        threads = [threading.Thread(target=keep_on, args=[call]) for call in calls[:-1]]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        closers = [threading.Thread(target=world.relay.close) for _ in range(3)]
        for thread in closers:
            thread.start()
        for thread in closers:
            thread.join()
        time.sleep(0.05)
        over.set()
        for thread in threads:
            thread.join()
        world.end()


def used_while_it_is_closed() -> None:
    """Python code that runs in the midst of a call: parameters that close the trace, a handler that does."""

    class Closing:
        def __init__(self, trace: Any) -> None:
            self.trace = trace

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> int:
            self.trace.close()
            return 5

    trace = core.Trace(TRACE)
    assert trace.rows("SELECT ? AS five", Closing(trace)) == [{"five": 5}]
    assert "closed" in refused(trace.meta, core.StateError)
    a, b = core.Trace(TRACE), core.Trace(TRACE)
    (first, *_) = a.rows("SELECT id FROM function")

    def close_both(*_: object) -> None:
        a.close()
        b.close()

    signal.signal(signal.SIGUSR1, close_both)
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(3):
        try:
            core.diff_function(a, first["id"], b, first["id"])
        except core.StateError:
            pass


def exception_under_way() -> None:
    """A destructor that runs while an exception is on its way lifts its probes, and gives up no connection."""
    for _ in range(2):
        world = World()

        def fail(world: World = world) -> None:
            recorder, interventions = world.objects.pop("BranchRecorder"), world.objects.pop("Interventions")
            assert recorder and interventions
            raise KeyError("something else")

        refused(fail, KeyError)
        gc.collect()
        assert world.relay.state == "stopped", world.relay.reason
        assert {address for _, address in world.stub.machine.breakpoints} == {ENTRY}  # the counter's
        world.end()


def interrupted_in_a_destructor() -> None:
    """Ctrl-C that comes while a destructor waits is kept, and the wait is not cut short."""
    world = World()
    original = world.stub.z

    def late(kind: int, address: int, length: int) -> str | bytes | None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        return original(kind, address, length)

    setattr(world.stub, "z", late)
    pressed = False
    try:
        del world.objects["Interventions"]
        del world.objects["BranchRecorder"]  # the last whose probe is on the branch
        time.sleep(0.01)
    except KeyboardInterrupt:
        pressed = True
    setattr(world.stub, "z", original)
    assert pressed and world.relay.state == "stopped", world.relay.reason
    world.end()


def garbage() -> None:
    """Cycles through what the user makes of the objects are collected."""

    class Node:
        def __init__(self, *held: Any) -> None:
            self.held, self.me = held, self

    world = World()
    node = Node(*world.objects.values())
    world.objects.clear()
    del node
    gc.collect()
    assert wait_until(lambda: not world.stub.machine.breakpoints)
    world.end()


def forked() -> None:
    """A child by fork() that ends as Python does leaves the guest, the socket and the trace to its parent."""
    world = World()
    planted = set(world.stub.machine.breakpoints)
    child = os.fork()
    if child == 0:
        refused(lambda: world.relay.request(b"?"), core.ClosedError)
        refused(lambda: world.objects["BranchRecorder"].arm(), core.ClosedError)
        world.objects.clear()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert world.stub.machine.breakpoints == planted
    assert world.relay.state == "stopped" and os.path.exists(world.relay.socket_path) and world.relay.request(b"?")
    world.objects["BranchRecorder"].stop()
    world.objects["TraceWriter"].close(True, "all is well")
    world.end()


_kept: list[Any] = []


def left_to_the_exit() -> None:
    """Nothing is given up before the interpreter ends: daemon threads wait, cycles are there, the guest runs."""
    for guest in ("runs", "stands"):
        world = World(guest=guest)
        _kept.extend([world, _kept])
        threading.Thread(target=world.relay.wait, args=[60], daemon=True).start()
        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
    print("socket", _kept[0].relay.socket_path, flush=True)
    time.sleep(0.1)


if __name__ == "__main__":
    with in_time(90):
        globals()[sys.argv[1]]()
    print("well", sys.argv[1], flush=True)
