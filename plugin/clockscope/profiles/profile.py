# SPDX-License-Identifier: MIT
"""Guest profiles: reading, checking, choosing. Pure: needs neither GDB nor a guest."""

import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from clockscope.base.errors import UserError
from clockscope.profiles import snapshot
from clockscope.profiles.snapshot import Snapshot
from clockscope.profiles.wording import in_words

GUESTS = Path(__file__).resolve().parent
SCHEMA = GUESTS.parent.parent.parent / "schemas" / "profile.schema.json"
RETURN = ":return"
_PLACES = {"message", "function", "log"}


@dataclass(frozen=True)
class Capture:
    """One value of an event: a text, or the first of some expressions that can be read."""

    name: str
    expressions: tuple[str, ...] = ()
    frame: str | None = None
    names: tuple[str, ...] = ()
    text: str | None = None
    optional: bool = False  # where it cannot be read, there is no such value


@dataclass(frozen=True)
class Span:
    """Between what begins it and the event of the rule `end` two clocks are compared."""

    begin: str | None  # a rule, whose event begins it
    functions: tuple[str, ...]  # or the entry of the first of these to exist
    end: str


@dataclass(frozen=True)
class Rule:
    """One event that a profile names. Either `message` or `functions` says where it happens, or only a `log` tells of it."""

    rule: str
    what: str
    functions: tuple[str, ...] = ()
    on_return: bool = False
    message: re.Pattern[str] | None = None
    log: re.Pattern[str] | None = None
    clock: str | None = None
    clock_from: str | None = None
    when: tuple[str, ...] = ()  # expressions, the first that can be read: the event counts where it is true
    unless: str | None = None
    expected: bool = False
    adds_to: tuple[str, ...] = ()  # rules: a log's line says more of the last event of one of them
    clock_among: tuple[
        str, ...
    ] = ()  # where nothing names the clock: the last of these that was registered, else the first
    printed_since: str | None = None  # the first release that prints the line
    trusts: str | None = None  # the clock that a calibration trusts
    told: bool = False  # the kernel was told the value, and measured nothing
    without_dwarf: bool = False
    keeps_for: str | None = None  # with DWARF too, where this rule's line is printed in a cold part
    saved: tuple[tuple[str, str], ...] = ()
    captures: tuple[Capture, ...] = ()

    @functools.cached_property
    def counts(self) -> tuple[str, ...]:
        """The rules whose events so far this rule's expressions ask for, as $seen_RULE."""
        expressions = [expression for capture in self.captures for expression in capture.expressions]
        expressions += [*self.when, *(expression for _, expression in self.saved)]
        found = (name for expression in expressions for name in re.findall(r"\$seen_(\w+)", expression))
        return tuple(dict.fromkeys(name.replace("_", "-") for name in found))

    @property
    def printed(self) -> re.Pattern[str] | None:
        """What finds the line by which a log tells of it; None where no line does."""
        return self.log or (None if self.when else self.message)

    @property
    def place(self) -> str:
        """Where the rule looks, in a word for the user."""
        if self.functions:
            return self.functions[0] + RETURN * self.on_return
        pattern = self.message or self.log
        return in_words(pattern) if pattern else ""


@dataclass(frozen=True)
class Gate:
    """When some events can happen at all: those in the functions that it covers, and those of some rules.

    It is open during the calls of a function; or from the entry of one, or the events of some rules, up to the entry of
    another. An event is looked for when all gates that cover it are open.
    """

    name: str
    covers: tuple[str, ...]
    rules: tuple[str, ...]
    during: str | None
    after: str | None
    after_event: tuple[str, ...]
    before: str | None


@dataclass(frozen=True)
class Branches:
    """What a branch trace of this kernel looks at."""

    functions: tuple[str, ...] = ()  # traced by default; names and globs
    references: tuple[str, ...] = ()  # functions that read a reference clock
    measuring: tuple[str, ...] = ()  # functions that measure one clock by another
    noreturn: tuple[str, ...] = ()  # functions that never return, where DWARF does not say so
    within: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by function: all that call it
    gates: tuple[Gate, ...] = ()
    task: tuple[
        str, ...
    ] = ()  # expressions, the first that works: the offset from GS of the pointer to the running task
    task_name: tuple[str, ...] = ()  # expressions: where in a task its name lies


@dataclass(frozen=True)
class Log:
    """How such a kernel's log is read where there is nothing but the log."""

    banner: re.Pattern[str]  # finds the line that a boot begins with
    command_line: re.Pattern[str] | None = None
    pieces: re.Pattern[str] | None = None  # where a line begins although the one before has not ended
    facts: tuple[tuple[str, re.Pattern[str]], ...] = ()  # what else is kept, by its key in `meta`
    about: re.Pattern[str] | None = None  # finds lines that speak of clocks; one that no rule knows is told of
    chosen_by_quality: bool = False  # the kernel may print no choice; it takes the best that registers


@dataclass(frozen=True)
class Profile:
    name: str
    os: str
    path: str
    digest: str
    symbols: tuple[str, ...]
    banner: str | None
    command_line: str | None
    release: re.Pattern[str] | None
    early: tuple[str, ...]
    begun: tuple[str, ...]
    endings: tuple[str, ...]
    frames: tuple[str, ...]
    printers: tuple[str, ...]
    prefixes: tuple[str, ...]
    gates: tuple[Gate, ...]
    rules: tuple[Rule, ...]
    branches: Branches
    log: Log | None = None
    spans: tuple[Span, ...] = ()
    snapshot: Snapshot = Snapshot()

    def release_of(self, banner: str) -> str:
        match = self.release.search(banner) if self.release else None
        return match["release"] if match else ""


def names() -> list[str]:
    """The profiles that come with clockscope."""
    return sorted(path.stem for path in GUESTS.glob("*.toml"))


def vocabulary() -> list[str]:
    """The kinds of event that clockscope knows; a profile may add its own."""
    what = json.loads(SCHEMA.read_text("utf-8"))["$defs"]["event"]["properties"]["what"]
    known: list[str] = what["anyOf"][0]["enum"]
    return known


def load(name_or_path: str) -> Profile:
    """The profile of this name, or the one in this file. UserError says which line is wrong and what is expected."""
    bundled = GUESTS / f"{name_or_path}.toml"
    path = bundled if "/" not in name_or_path and bundled.exists() else Path(name_or_path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"profile {name_or_path}: cannot be read ({getattr(error, 'strerror', None) or error}); give a file or one of: {', '.join(names())}"
        ) from error
    return parse(text, str(path))


def recognise(symbols: Container[str]) -> Profile | None:
    """The first profile whose symbols are all among these."""
    for name in names():
        # Only the one that fits is read with all its checks, which take their time.
        if all(symbol in symbols for symbol in _asked_symbols(GUESTS / f"{name}.toml")):
            return load(name)
    return None


def _asked_symbols(path: Path) -> list[str]:
    found: list[str] = tomllib.loads(path.read_text("utf-8"))["recognise"]["symbols"]
    return found


def parse(text: str, path: str) -> Profile:
    """A profile from its text; `path` is for messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    _check_schema(data, text, path)
    rules = tuple(_rule(entry, text, path, index) for index, entry in enumerate(data["event"]))
    _check_rules(rules, text, path)
    gates = tuple(_gate(gate, rules, text, path, index) for index, gate in enumerate(data.get("gate", ())))
    recognise_part, messages = data["recognise"], data.get("messages", {})
    release = recognise_part.get("release")
    return Profile(
        name=data["name"],
        os=data["os"],
        path=path,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        symbols=tuple(recognise_part["symbols"]),
        banner=recognise_part.get("banner"),
        command_line=recognise_part.get("command_line"),
        release=_pattern(release, text, path, ("recognise", "release")) if release else None,
        early=tuple(recognise_part.get("early", ())),
        begun=_tuple(recognise_part.get("begun", ())),
        endings=tuple(recognise_part.get("endings", ())),
        frames=tuple(recognise_part.get("frames", ())),
        printers=tuple(messages.get("functions", ())),
        prefixes=tuple(messages.get("prefixes", ())),
        gates=gates,
        rules=rules,
        branches=_branches(data.get("branches", {}), gates),
        log=_log(data["log"], text, path) if "log" in data else None,
        spans=_spans(data.get("span", ()), rules, text, path),
        snapshot=snapshot.parse(data.get("snapshot", {})),
    )


def _log(entry: Mapping[str, Any], text: str, path: str) -> Log:
    def found(key: str) -> re.Pattern[str] | None:
        return _pattern(entry[key], text, path, ("log", key)) if key in entry else None

    return Log(
        banner=_pattern(entry["banner"], text, path, ("log", "banner")),
        command_line=found("command_line"),
        pieces=found("pieces"),
        about=found("about"),
        facts=tuple(
            (key, _pattern(pattern, text, path, ("log", "facts", key)))
            for key, pattern in entry.get("facts", {}).items()
        ),
        chosen_by_quality=entry.get("chosen_by_quality", False),
    )


def _spans(entries: Iterable[Mapping[str, Any]], rules: tuple[Rule, ...], text: str, path: str) -> tuple[Span, ...]:
    known = {rule.rule for rule in rules}
    for index, entry in enumerate(entries):
        for key in ("from", "to"):
            if key in entry and entry[key] not in known:
                raise _mistake(text, path, ("span", index, key), f"there is no rule {entry[key]!r}")
    return tuple(Span(entry.get("from"), _tuple(entry.get("from_function", ())), entry["to"]) for entry in entries)


def _branches(entry: Mapping[str, Any], gates: tuple[Gate, ...]) -> Branches:
    return Branches(
        functions=tuple(entry.get("functions", ())),
        references=tuple(entry.get("references", ())),
        measuring=tuple(entry.get("measuring", ())),
        noreturn=tuple(entry.get("noreturn", ())),
        within={child: tuple(parents) for child, parents in entry.get("within", {}).items()},
        gates=gates,
        task=tuple(entry.get("task", ())),
        task_name=tuple(entry.get("task_name", ())),
    )


def _gate(entry: Mapping[str, Any], rules: tuple[Rule, ...], text: str, path: str, index: int) -> Gate:
    if ("during" in entry) == any(key in entry for key in ("after", "after_event", "before")):
        raise _mistake(text, path, ("gate", index), "either `during`, or `after`, `after_event`, `before` are expected")
    known = {rule.rule for rule in rules}
    for key in ("rules", "after_event"):
        for name in entry.get(key, ()):
            if name not in known:
                raise _mistake(text, path, ("gate", index, key), f"there is no rule {name!r}")
    return Gate(
        name=entry["name"],
        covers=tuple(entry.get("covers", ())),
        rules=tuple(entry.get("rules", ())),
        during=entry.get("during"),
        after=entry.get("after"),
        after_event=tuple(entry.get("after_event", ())),
        before=entry.get("before"),
    )


def _rule(entry: Mapping[str, Any], text: str, path: str, index: int) -> Rule:
    where = ("event", index)
    if entry.keys() & _PLACES not in ({"message"}, {"function"}, {"function", "log"}, {"log"}):
        raise _mistake(text, path, where, "exactly one of `message` and `function` is expected")
    functions = _tuple(entry.get("function", ()))
    returns = {name.endswith(RETURN) for name in functions}
    if len(returns) > 1:
        raise _mistake(text, path, (*where, "function"), "alternatives must be all entries or all returns")
    message, log = entry.get("message"), entry.get("log")
    return Rule(
        rule=entry["rule"],
        what=entry["what"],
        functions=tuple(name.removesuffix(RETURN) for name in functions),
        on_return=returns == {True},
        message=_pattern(message, text, path, (*where, "message")) if message else None,
        log=_pattern(log, text, path, (*where, "log")) if log else None,
        clock=entry.get("clock"),
        clock_from=entry.get("clock_from"),
        when=_tuple(entry.get("when", ())),
        unless=entry.get("unless"),
        expected=entry.get("expected", False),
        adds_to=_tuple(entry.get("adds_to", ())),
        clock_among=_tuple(entry.get("clock_among", ())),
        printed_since=entry.get("printed_since"),
        trusts=entry.get("trusts"),
        told=entry.get("told", False),
        without_dwarf=entry.get("without_dwarf", False),
        keeps_for=entry.get("keeps_for"),
        saved=tuple(entry.get("saved", {}).items()),
        captures=tuple(_capture(name, value) for name, value in entry.get("values", {}).items()),
    )


def _capture(name: str, value: Any) -> Capture:
    if isinstance(value, dict) and "text" in value:
        return Capture(name, text=value["text"])
    if isinstance(value, dict):
        return Capture(
            name,
            _tuple(value["expression"]),
            value.get("frame"),
            tuple(value.get("names", ())),
            optional=value.get("optional", False),
        )
    return Capture(name, _tuple(value))


def _tuple(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _check_rules(rules: tuple[Rule, ...], text: str, path: str) -> None:
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.rule in seen:
            raise _mistake(text, path, ("event", index, "rule"), f"the rule name {rule.rule!r} is used twice")
        if rule.unless is not None and rule.unless not in seen:
            raise _mistake(text, path, ("event", index, "unless"), f"no rule {rule.unless!r} stands above this one")
        for name in rule.adds_to:
            if name not in seen:
                raise _mistake(text, path, ("event", index, "adds_to"), f"no rule {name!r} stands above this one")
        if rule.saved and not rule.on_return:
            raise _mistake(text, path, ("event", index, "saved"), f"`saved` is for a function with {RETURN}")
        seen.add(rule.rule)


def _pattern(pattern: str, text: str, path: str, where: tuple[str | int, ...]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise _mistake(text, path, where, f"not a regular expression: {error}") from error


def _check_schema(data: Any, text: str, path: str) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    errors = jsonschema.Draft202012Validator(schema).iter_errors(data)
    error = jsonschema.exceptions.best_match(errors)
    if error is None:
        return
    where = tuple(error.absolute_path)
    unexpected = re.search(r"\('(\w+)' (?:was|were) unexpected", error.message)
    if error.validator == "additionalProperties" and unexpected:
        allowed = ", ".join(sorted(error.schema["properties"]))
        raise _mistake(text, path, (*where, unexpected[1]), f"unknown key; expected one of: {allowed}")
    raise _mistake(text, path, where, _explain(error))


def _explain(error: jsonschema.ValidationError) -> str:
    said: str = error.message if len(error.message) < 200 else f"does not fit {error.validator}"
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    return f"{said}; expected: {described}" if described else said


def _mistake(text: str, path: str, where: tuple[str | int, ...], said: str) -> UserError:
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in where)
    return UserError(f"{path}:{_line_of(text, where)}: {name or 'profile'}: {said}")


def _line_of(text: str, where: tuple[str | int, ...]) -> int:
    """The line on which a key stands, or the innermost table or key around it that can be found; else 1."""
    lines = text.splitlines()
    keys = [str(part) for part in where if not isinstance(part, int)]
    index = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
    at, end = 0, len(lines)
    if keys and (headers := [n for n, line in enumerate(lines) if _header(line) == keys[0]]):
        at = headers[min(index, len(headers) - 1)]
        end = next((n for n in range(at + 1, end) if (_header(lines[n]) or keys[0]).split(".")[0] != keys[0]), end)
        end = min(end, *(n for n in [*headers, end] if n > at))
        keys = keys[1:]
    for key in keys:
        found = (n for n in range(at, end) if _stands_on(key, lines[n]))
        at = next(found, at)
    return at + 1


def _header(line: str) -> str | None:
    match = re.match(r"\s*\[\[?\s*([\w.-]+)", line)
    return match[1] if match else None


def _stands_on(key: str, line: str) -> bool:
    return (_header(line) or "").split(".")[-1] == key or re.match(rf"\s*{re.escape(key)}\s*=", line) is not None
