# SPDX-License-Identifier: MIT
"""What went wrong in a recorded boot, by rules that are data: SQL over the trace, a text, and the known fix."""

import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from clockscope.model import absence, changes_made, conditions, disturbed, late
from clockscope.model.source_text import Source
from clockscope._core import ArgumentError, Trace
from clockscope.base.errors import UserError
from clockscope.base.ui import cut, one_line

Record = dict[str, Any]

DIAGNOSES = Path(__file__).resolve().parents[1] / "diagnoses"
SCHEMA = DIAGNOSES.parent.parent.parent / "schemas" / "diagnosis.schema.json"

# What a query must yield; what else it yields, the rule's texts may name in braces.
_COLUMNS = ("seq", "run_ns", "place", "said")
_EVIDENCE_MAX = 100
_TRUTHS_MAX = 1000  # a query of SQLite's is a million bytes at the most
_TEXT_LIMIT = 160


@dataclass(frozen=True)
class Reference:
    """A change of the kernel that has to do with the symptom."""

    commit: str
    change: str
    known: str | None  # query: whether this kernel has it (has: 1, 0 or NULL; how)
    systems: tuple[str, ...] = ()  # empty: those of the rule


@dataclass(frozen=True)
class Remedy:
    """Something to try."""

    text: str
    when: str | None = None  # query: given only if it has a row


@dataclass(frozen=True)
class Rule:
    name: str
    path: str
    systems: tuple[str, ...]  # as meta guest.os has them; empty: all
    symptom: str
    cause: str
    remedies: tuple[Remedy, ...]
    query: str  # its rows are the evidence; none: the rule does not fire
    evidence: tuple[str, ...]  # queries for more
    references: tuple[Reference, ...]
    caused_by: tuple[str, ...] = ()  # rules whose findings come first, for they are the causes


def load(extra: Iterable[str] = ()) -> list[Rule]:
    """The rules that come with clockscope, and those in other files or folders."""
    paths = sorted(DIAGNOSES.glob("*.toml"))
    for name in extra:
        path = Path(name)
        paths += sorted(path.glob("*.toml")) if path.is_dir() else [path]
    return [_read(path) for path in paths]


def _read(path: Path) -> Rule:
    try:
        return parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"diagnosis {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def parse(text: str, path: str) -> Rule:
    """A rule from its text; `path` is for messages, and its last part names the rule."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    _check(data, path)
    return Rule(
        name=Path(path).stem,
        path=path,
        systems=tuple(data.get("systems", ())),
        symptom=data["symptom"],
        cause=data["cause"],
        remedies=tuple(
            Remedy(entry) if isinstance(entry, str) else Remedy(entry["text"], entry["when"])
            for entry in data.get("try", ())
        ),
        query=data["query"],
        evidence=tuple(data.get("evidence", ())),
        references=tuple(
            Reference(entry["commit"], entry["change"], entry.get("known"), tuple(entry.get("systems", ())))
            for entry in data.get("reference", ())
        ),
        caused_by=tuple(data.get("caused_by", ())),
    )


def _check(data: Any, path: str) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(data))
    if error is None:
        return
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in error.absolute_path)
    expected = error.schema.get("description") if isinstance(error.schema, dict) else None
    hint = f"; expected: {expected}" if expected else ""
    raise UserError(f"{path}: {where + ': ' if where else ''}{error.message[:200]}{hint}")


def examine(file: str, trace: Trace, rules: Sequence[Rule], source: Source | None = None) -> Record:
    """What there is to say of one trace: an item of "files" in schemas/diagnose.schema.json. `source`: where the text of
    its functions is, if not in the trace."""
    meta = trace.meta()
    counts = trace.rows(
        "SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM invocation) AS invocations"
    )
    timeline = trace.timeline()
    return {
        "file": file,
        "guest": " ".join(filter(None, (meta.get("guest.os"), meta.get("guest.release")))),
        "complete": trace.complete(),
        "mode": meta.get("stub.mode", ""),
        **counts[0],
        "seen": _seen(trace, meta),
        "interventions": changes_made.of(trace),
        "late": list(late.said(begun)) if (begun := late.of(meta)) else [],
        "disturbed": disturbed.of(timeline),
        "unknown": [
            {"rule": item["rule"], "what": item["what"], "why": absence.why([item], item["rule"])}
            for item in timeline["never_reached"]
            if item["state"] in ("inlined", "refused", "did not return")
        ],
        "findings": diagnose(trace, rules, source),
    }


_SEEN = """
SELECT (SELECT count(DISTINCT clock) FROM event WHERE what = 'clock.registered') AS clocks,
    (SELECT count(DISTINCT clock) FROM event WHERE what = 'device.registered') AS devices,
    (SELECT count(*) FROM event WHERE what IN ('frequency.detected', 'calibration.finished')) AS frequencies,
    (SELECT clock FROM event WHERE what = 'clock.selected' ORDER BY seq DESC LIMIT 1) AS active
"""


def _seen(trace: Trace, meta: Mapping[str, str]) -> Record:
    """What of the clocks the trace holds: where it is little, that nothing is found says little."""
    (row,) = trace.rows(_SEEN)
    begun = late.of(meta)
    row["active"] = row["active"] or (begun and begun["current"])
    last = (
        {"line": int(meta["log.last_line"]), "text": meta.get("log.last_text", "")} if "log.last_line" in meta else None
    )
    enough = (
        row["active"] and trace.complete() and meta.get("plan.began") != "late" and meta.get("plan.ended") != "early"
    )
    return {**row, "enough": bool(enough), "up": "log.up" in meta, "last": last}


class Asked:
    """A trace that rules ask, with what the source says of its branches."""

    def __init__(self, trace: Trace, source: Source | None = None) -> None:
        self.rows = trace.rows
        self.common = (DIAGNOSES / "common.sql").read_text("utf-8").replace("-- TRUTH", _truth(trace, source))


def _truth(trace: Trace, source: Source | None) -> str:
    """Rows for the table `truth`: of each branch and way, whether the source's condition is true then, and its text."""
    rows = list(itertools.islice(conditions.of_trace(trace, source or Source(trace)), _TRUTHS_MAX))
    texts = ["'" + cut(one_line(text), _TEXT_LIMIT).replace("'", "''") + "'" for *_, text in rows]
    values = [
        f"({function}, {address}, {taken:d}, {'NULL' if holds is None else int(holds)}, {text})"
        for (function, address, taken, holds, _), text in zip(rows, texts)
    ]
    return "UNION ALL VALUES " + ", ".join(values) if values else ""


def diagnose(trace: Trace, rules: Sequence[Rule], source: Source | None = None) -> list[Record]:
    """What the rules find in a trace: one record for each that fires, as schemas/diagnose.schema.json says."""
    asked = Asked(trace, source)
    system = trace.meta().get("guest.os", "")
    applying = [rule for rule in rules if not rule.systems or system in rule.systems]
    found = {rule.name: finding for rule in applying for finding in _apply(asked, rule, system)}
    causes = {rule.name: [name for name in rule.caused_by if name in found] for rule in applying}
    return [found[name] for name in _causes_first(list(found), causes)]


def _causes_first(names: Sequence[str], causes: Mapping[str, Sequence[str]]) -> list[str]:
    """The names in their order, but each behind its causes; what is a cause of itself stays where it is."""
    done: dict[str, None] = {}

    def put(name: str, above: tuple[str, ...]) -> None:
        for cause in causes[name]:
            if cause not in above and cause not in done:
                put(cause, (*above, name))
        done.setdefault(name)

    for name in names:
        put(name, (name,))
    return list(done)


def _apply(trace: Asked, rule: Rule, system: str) -> Iterator[Record]:
    rows = _ask(trace, rule, rule.query)
    if not rows:
        return
    evidence = rows + [row for query in rule.evidence for row in _ask(trace, rule, query)]
    evidence.sort(key=lambda row: int(row["seq"]))
    yield {
        "rule": rule.name,
        "symptom": _fill(rule.symptom, rows[0]),
        "cause": _fill(rule.cause, rows[0]),
        "evidence": [{key: row[key] for key in _COLUMNS} for row in evidence],
        "try": [
            _fill(remedy.text, rows[0])
            for remedy in rule.remedies
            if remedy.when is None or _rows(trace, rule, remedy.when, 1)
        ],
        "references": [
            _reference(trace, rule, reference)
            for reference in rule.references
            if not reference.systems or system in reference.systems
        ],
    }


def _ask(trace: Asked, rule: Rule, query: str) -> list[Record]:
    """At most so many rows; each has what evidence needs."""
    rows = _rows(trace, rule, query, _EVIDENCE_MAX)
    for missing in [name for row in rows[:1] for name in _COLUMNS if name not in row]:
        raise UserError(f"{rule.path}: a query yields no column {missing}; it needs {', '.join(_COLUMNS)}")
    return rows


def _rows(trace: Asked, rule: Rule, query: str, limit: int) -> list[Record]:
    try:
        return trace.rows(f"{trace.common}\nSELECT * FROM (\n{query}\n) LIMIT {limit}")
    except ArgumentError as error:
        reason = str(error).split("\n", 1)[0]
        raise UserError(f"{rule.path}: a query is wrong: {reason}") from error


def _fill(text: str, row: Mapping[str, Any]) -> str:
    """`text` with the columns that it names in braces."""
    return re.sub(r"\{(\w+)\}", lambda match: str(row.get(match[1], match[0])), " ".join(text.split()))


def _reference(trace: Asked, rule: Rule, reference: Reference) -> Record:
    """A reference, and whether this very kernel has the change: told by what the trace holds, not by its version."""
    rows = _rows(trace, rule, reference.known, 1) if reference.known else []
    has = rows[0].get("has") if rows else None
    return {
        "commit": reference.commit,
        "change": " ".join(reference.change.split()),
        "in_this_kernel": None if has is None else bool(has),
        "how": str(rows[0].get("how") or "") if rows and has is not None else "",
    }
