# SPDX-License-Identifier: MIT
"""schemas/events.toml is the one table of event kinds: whoever names kinds names those, and no place forgets one."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from guest import ROOT

from clockscope.model import lanes
from clockscope.reports import event_rows

KINDS = tomllib.loads((ROOT / "schemas/events.toml").read_text("utf-8"))
_NAMED = re.compile(r"""["'`]((?:clock|device|calibration|frequency|quality|variable|function)\.[a-z]+)["'`]""")


def told() -> set[str]:
    """The kinds that say something of a clock."""
    return {kind for kind, about in KINDS.items() if "subject" in about}


def with_step(*steps: str) -> set[str]:
    return {kind for kind, about in KINDS.items() if about.get("step") in steps}


def test_the_profiles_schema() -> None:
    schema = json.loads((ROOT / "schemas/profile.schema.json").read_text())
    enums = [found["enum"] for found in _objects(schema) if isinstance(found.get("enum"), list)]
    (kinds,) = [enum for enum in enums if "clock.registered" in enum]
    assert kinds == list(dict.fromkeys(kinds)) and set(kinds) == set(KINDS)


def _objects(value: Any) -> list[dict[str, Any]]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return ([value] if isinstance(value, dict) else []) + [found for item in inner for found in _objects(item)]


def test_the_clock_model() -> None:
    source = (ROOT / "c-ext/core/trace/timeline_clocks.c").read_text()
    rows = re.findall(r'\{"([a-z.]+)", SUBJECT_([A-Z]+), STEP_([A-Z]+), (true|false), (true|false)\}', source)
    assert {kind: rest for kind, *rest in rows} == {
        kind: [
            KINDS[kind]["subject"].upper(),
            KINDS[kind].get("step", "none").upper(),
            str(KINDS[kind].get("creates", False)).lower(),
            str(KINDS[kind].get("fills", False)).lower(),
        ]
        for kind in told()
    }


KEPT = (
    *("c-ext/core/trace/timeline_clocks.c", "schemas/trace.sql", "schemas/profile.schema.json"),
    *("plugin/clockscope/model/lanes.py", "plugin/page/model.js"),
)
"""What `make kinds` writes."""


def kinds_program(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/usr/bin/python3", root / ".ci/kinds.py", *words], capture_output=True, text=True)


def test_no_place_is_behind() -> None:
    checked = kinds_program(ROOT, "--check")
    assert checked.returncode == 0, checked.stderr


def test_a_new_kind_is_written_everywhere(tmp_path: Path) -> None:
    for name in (".ci/kinds.py", "schemas/events.toml", *KEPT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "schemas/events.toml").open("a") as table:
        table.write('["clock.stopped"]\nmeans = "it stands"\nsubject = "clock"\nstep = "lost"\nmark = "lost"\n')
    checked = kinds_program(tmp_path, "--check")
    assert checked.returncode == 1 and all(name in checked.stderr for name in KEPT)
    assert kinds_program(tmp_path).returncode == 0 and kinds_program(tmp_path, "--check").returncode == 0
    for name in KEPT:
        assert "clock.stopped" in (tmp_path / name).read_text(), name
    assert (tmp_path / "schemas/trace.sql").read_text().count(
        "'clock.stopped'"
    ) == 6  # told, silent, and lost four times


def view(name: str) -> str:
    sql = (ROOT / "schemas/trace.sql").read_text()
    return sql.partition(f"CREATE VIEW {name} AS")[2].partition(";\n")[0]


def test_the_view_of_clocks() -> None:
    """It is the clock model in SQL."""
    chosen, *_ = re.findall(r"WHERE e\.what IN \(([^)]*)\)", view("clocks"))
    assert set(_NAMED.findall(chosen)) == told()
    for listed in re.findall(r"what (?:NOT )?IN \(([^)]*)\)", view("clocks"))[1:]:
        named = set(_NAMED.findall(listed))
        assert named in (with_step("lost"), {kind for kind in told() if not KINDS[kind].get("creates")})


def test_the_page() -> None:
    source = (ROOT / "plugin/page/model.js").read_text()
    marks = re.findall(r'key: "(\w+)".*?whats: \[([^\]]*)\]', source, re.DOTALL)
    shown = {kind: mark for mark, kinds in marks for kind in _NAMED.findall(kinds)}
    assert shown == {kind: about["mark"] for kind, about in KINDS.items() if about["mark"] != "other"}
    assert {about["mark"] for about in KINDS.values()} <= {mark for mark, _ in marks}


def test_the_lanes() -> None:
    assert set(lanes._LOST) == with_step("lost")
    assert {*lanes.BEGINS, *lanes.ENDS} == {kind for kind in KINDS if kind.startswith("calibration.")}


def test_nobody_names_another_kind() -> None:
    """Whatever looks like a kind where kinds are compared is one."""
    assert set(event_rows.STYLES) <= set(KINDS)
    for folder, suffix in (("plugin/clockscope", "*.py"), ("plugin/clockscope", "*.sql"), ("plugin/page", "*.js")):
        for file in (ROOT / folder).rglob(suffix):
            if "bundle" not in file.parts:
                assert _compared(file) <= set(KINDS), file


def _compared(file: Path) -> set[str]:
    return {
        name
        for name in _NAMED.findall(file.read_text("utf-8"))
        if name.split(".")[0] in ("clock", "device", "calibration")
    }
