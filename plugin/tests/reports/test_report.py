# SPDX-License-Identifier: MIT
"""The page that `report` writes, in a real browser: what it shows, that it is the other verbs' numbers, how it is used."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from guest import ROOT
from sample_trace import MS, write_sample

from clockscope._core import Trace, TraceWriter
from clockscope.base.errors import UserError
from clockscope.model.axis import Axis
from clockscope.reports import page, values

Program = Callable[..., "subprocess.CompletedProcess[str]"]
Record = dict[str, Any]

HEALTHY = ROOT / "traces" / "linux-healthy.trace"
FAILING = ROOT / "traces" / "linux-samples-rejected.trace"
SHOTS = ROOT / "build" / "test" / "pages"
# The milliseconds that the timeline shows, of the first guest.
VIEW = "['from', 'to'].map(name => Number(document.getElementById('chart').dataset[name]))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def write(output: Path, *traces: Path) -> Path:
    subprocess.run([ROOT / "build" / "clockscope", "report", *traces, "-o", output], check=True)
    return output


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("one") / "one.html", FAILING)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("two") / "two.html", HEALTHY, FAILING)


def as_json(program: Program, *arguments: str | Path) -> Any:
    return json.loads(program(*arguments, "--format", "json").stdout)


def embedded(html: Path) -> list[Record]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html.read_text(), re.DOTALL)
    assert found
    guests: list[Record] = json.loads(found[1])["guests"]
    return guests


def spelled(value: Any) -> Any:
    """Numbers as texts: a browser would round what has more than 53 bits."""
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# ---------------------------------------------------------------- what it shows


def test_opens_in_silence_and_asks_for_nothing(browser: Browser, one: Path, two: Path) -> None:
    for html in (one, two):
        browser.open(html)
        assert browser.complaints() == []
        assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html.read_text().split("<script>")[0])


def test_its_events_and_clocks_are_those_of_timeline(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    for guest, trace in zip(embedded(two), (HEALTHY, FAILING), strict=True):
        told = as_json(program, "timeline", trace)
        for part in ("guest", "events", "clocks", "never_reached", "counters"):
            assert spelled(guest["timeline"][part]) == spelled(told[part])
        rows = browser.texts(f'#events a[href^="#{guest["letter"]}-"] .ms')
        assert rows == [values.milliseconds(event["time_ns"]) for event in told["events"]]
    shown = browser.texts("#clocks tbody td:first-child")
    told = [as_json(program, "timeline", trace)["clocks"] for trace in (HEALTHY, FAILING)]
    assert sorted(shown) == sorted(clock["name"] for clocks in told for clock in clocks)


def test_its_clock_table_has_the_numbers_of_timeline(browser: Browser, program: Program, one: Path) -> None:
    browser.open(one)
    shown = {
        tuple(row.split("\t"))[0]: row.split("\t")
        for row in browser.texts("#clocks h3:first-of-type + .scroll tbody tr")
    }
    told = as_json(program, "timeline", FAILING)
    events, clocks = told["events"], [clock for clock in told["clocks"] if clock["kind"] == "clocksource"]
    for clock in clocks:
        row = " ".join(shown[clock["name"]])
        assert f"{clock['frequency_hz'] / 1e6:.3f} MHz" in row or f"{clock['frequency_hz']} Hz" in row
        if clock["rating"] is not None:
            assert f" {clock['rating']} " in row
        if clock["registered"]:
            event = next(one for one in events if one["seq"] == clock["registered"]["seq"])
            assert values.milliseconds(event["time_ns"]) in row


def test_its_findings_are_those_of_diagnose_and_lead_to_the_evidence(
    browser: Browser, program: Program, one: Path
) -> None:
    browser.open(one)
    (finding,) = as_json(program, "diagnose", FAILING)["files"][0]["findings"]
    (shown,) = browser.texts(".finding")
    for text in (finding["symptom"], finding["cause"], *finding["try"], finding["references"][0]["commit"]):
        assert text in shown
    links = browser.evaluate("[...document.querySelectorAll('.evidence a')].map(link => link.hash)")
    kinds = {row["place"]: row for row in reversed(finding["evidence"])}  # the first of each
    assert links == [f"#A-{row['seq']}" for row in sorted(kinds.values(), key=lambda row: int(row["seq"]))]
    assert all(
        f"{sum(row['place'] == place for row in finding['evidence'])} times, last at" in shown for place in kinds
    )
    browser.click(".evidence li:nth-child(2) a")  # an event
    assert browser.texts("#details h2") == ["calibration retried"]
    assert f"{finding['evidence'][1]['run_ns']}" in browser.texts("#details")[0]
    browser.click(".evidence li:nth-child(1) a")  # a call of a traced function
    assert browser.texts("#details h2") == ["tsc_read_refs"]
    assert "returned 0xffffffffffffffff" in browser.texts("#details")[0]


def test_its_findings_begin_with_one_sentence(browser: Browser, program: Program, one: Path, two: Path) -> None:
    browser.open(one)
    (finding,) = as_json(program, "diagnose", FAILING)["files"][0]["findings"]
    assert browser.texts("#findings > h2 + .answer") == [finding["symptom"]]
    browser.open(two)
    said = " ".join(program("diff", HEALTHY, FAILING).stdout.partition("\n\n")[2].partition("\n\n")[0].split())
    assert browser.texts("#findings > h2 + .answer") == [said] and said.startswith("B lacks tsc")


def test_its_differences_are_those_of_diff(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    told = as_json(program, "diff", HEALTHY, FAILING)
    first = told["first_divergence"]
    shown = browser.texts(".decision")[0]
    for text in (first["function"], first["source"], first["a"]["instruction"], f"{first['a']['value']:#x}"):
        assert text in shown
    rows = browser.texts("#differences > .scroll tbody tr")
    assert len(rows) == sum(len(told["clocks"][key]) for key in ("only_a", "only_b", "differ"))
    shown_mhz = {f"{one['frequency_hz'] / 1e6:.3f} MHz" for one in told["clocks"]["only_a"]}
    assert shown_mhz and all(any(mhz in row for row in rows) for mhz in shown_mhz)


def test_the_decision_that_differs_is_marked_in_both_graphs(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    told = as_json(program, "diff", HEALTHY, FAILING)
    for item in told["functions"]["differ"]:
        if item["divergence"] is None:
            continue
        marked = browser.texts(f"[id='function-{item['function']}'] .node.marked")
        ways = ["jump taken" if item["divergence"][side]["taken"] else "jump not taken" for side in "ab"]
        assert [f"the decision that differs: {way}" in block for way, block in zip(ways, marked, strict=True)] == [
            True
        ] * 2
    assert browser.evaluate("document.querySelectorAll('#function-tsc_read_refs .cluster.window').length") == 2


def test_graphs_tell_how_often_each_block_ran(browser: Browser, program: Program, one: Path) -> None:
    browser.open(one, place="#function-tsc_read_refs")  # which opens it
    (graph,) = as_json(program, "cfg", "--trace", FAILING, "tsc_read_refs")
    blocks = browser.evaluate("[...document.querySelectorAll('#function-tsc_read_refs .node')].map(b => b.textContent)")
    assert len(blocks) == len(graph["blocks"])
    for block in graph["blocks"]:
        if block["runs"]:
            assert any(f"B{block['number']} {block['from']} ×{block['runs']}" in text for text in blocks)
    rows = browser.texts("#function-tsc_read_refs tbody tr")
    calls = as_json(program, "path", FAILING, "tsc_read_refs")["invocations"]
    with Trace(str(FAILING)) as trace:
        axis = Axis(trace.timeline())
    shown = [re.search(r"\t~?(-?\d+\.\d{3})\t", row) for row in rows]
    assert len(calls) == len(rows) and all(
        found and abs(float(found[1]) - axis.of(call)) < 0.0011 for found, call in zip(shown, calls)
    )


def test_what_two_guests_are_told_differently(browser: Browser, program: Program, tmp_path: Path) -> None:
    other = ROOT / "traces" / "linux-xen.trace"
    html = write(tmp_path / "xen.html", HEALTHY, other)
    browser.open(html)
    told = as_json(program, "diff", HEALTHY, other)["guest"]
    assert len(browser.texts("#told > .scroll tbody tr")) == len(told)
    leaves = as_json(program, "cpuid", other)["leaves"]
    shown = " ".join(
        browser.evaluate("[...document.querySelectorAll('#told details:last-of-type .raw')].map(p => p.textContent)")
    )
    assert all(f"{leaf['eax']} {leaf['ebx']} {leaf['ecx']} {leaf['edx']}" in shown for leaf in leaves)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A trace that says of itself that a branch was forced, once to the other way."""
    path = tmp_path / "changed.trace"
    shutil.copy(FAILING, path)
    with sqlite3.connect(path) as database:
        ((address,),) = database.execute(
            "SELECT i.address FROM instruction i JOIN function f ON f.id = i.function"
            " WHERE f.name = 'tsc_refine_calibration_work' AND i.kind = 'branch' LIMIT 1"
        )
        database.execute(
            "INSERT INTO intervention VALUES (1, 'force', 'tsc_refine_calibration_work:1348=not', 'tsc_refine_calibration_work',"
            " 'arch/x86/kernel/tsc.c', 1348, ?), (2, 'set', '<b>x</b>=1', 'never', '', 0, 4096)",
            [address],
        )
        seqs = "SELECT seq FROM event UNION SELECT seq FROM invocation UNION SELECT seq FROM stop"
        database.execute(
            f"INSERT INTO intervention_use SELECT max(seq) + 1, 1, 11300000000, 0, 'taken', 'not taken' FROM ({seqs})"
        )
    database.close()
    return path


def test_what_was_changed_is_plainly_shown(browser: Browser, program: Program, changed: Path, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "changed.html", changed))
    told = as_json(program, "timeline", changed)["interventions"]
    (banner,) = browser.texts(".change")
    assert "clockscope changed it while it ran" in banner and "made once" in banner and "never reached" in banner
    assert all(f"--{one['kind']} {one['option']}" in banner for one in told)
    assert "changed: --force" in browser.evaluate("document.querySelector('.node.marked').textContent")
    browser.click(".change a")
    assert "taken → not taken" in browser.texts("#details")[0] and "ms on vCPU 0" in browser.texts("#details")[0]
    assert len(browser.texts('#events [data-kind="changed"]')) == 1
    assert browser.complaints() == []


def test_an_experiment(browser: Browser, program: Program, tmp_path: Path) -> None:
    trace = ROOT / "traces" / "linux-samples-accepted.trace"
    browser.open(write(tmp_path / "experiment.html", trace))
    (told,) = as_json(program, "timeline", trace)["interventions"]
    (banner,) = browser.texts(".change")
    assert f"--force {told['option']}" in banner and f"made {told['times']} times" in banner
    assert len(browser.texts('#events [data-kind="changed"]')) == told["times"]
    assert browser.complaints() == []


def test_source_with_counts_and_truths(browser: Browser, program: Program, tmp_path: Path) -> None:
    trace = ROOT / "traces" / "netbsd-healthy.trace"
    run = program("report", trace, "--source", ROOT, "-o", tmp_path / "source.html")
    assert run.returncode == 0
    browser.open(tmp_path / "source.html", place="#function-tsc_tc_init")
    told = as_json(program, "path", trace, "tsc_tc_init", "--source", ROOT)
    own = told["annotated"][0]["lines"]
    rows = browser.evaluate(
        "[...document.querySelector('#function-tsc_tc_init .source').tBodies[0].rows]"
        ".map(row => [row.className, ...[...row.cells].slice(0, 2).map(cell => cell.textContent)])"
    )
    for (state, count, line), said in zip(rows, own, strict=True):
        assert int(line) == said["line"]
        assert state == ("none" if said["runs"] is None else "ran" if said["runs"] else "never")
        assert count == {"none": "", "never": "-----"}.get(state, str(said["runs"]))
    notes = browser.texts("#function-tsc_tc_init .source .note")
    assert any(note.startswith("true") for note in notes) and any(note.startswith("false") for note in notes)
    printed = program("path", trace, "tsc_tc_init", "--source", ROOT).stdout
    assert all(note in printed for note in notes)


# ---------------------------------------------------------------- how it is used


def test_zoom_and_pan(browser: Browser, two: Path) -> None:
    browser.open(two)
    browser.evaluate("document.getElementById('chart').focus()")
    first, last = browser.evaluate(VIEW)
    browser.press("+", "+")
    near, far = browser.evaluate(VIEW)
    assert first < near < far < last and abs((far - near) - (last - first) / 4) < 1
    browser.press("ArrowRight")
    assert browser.evaluate(VIEW)[0] > near
    browser.press("ArrowLeft", "-")
    assert browser.evaluate(VIEW)[1] > far
    browser.press("0")
    assert browser.evaluate(VIEW) == [first, last]
    browser.click("[data-zoom=in]")
    assert browser.evaluate(VIEW)[0] > first
    browser.click("[data-zoom=all]")
    browser.wheel("#chart", -200, (600, 100))
    browser.wait(f"{VIEW}[0] > {first}")


def place_of(browser: Browser, guest: Record, event: Record) -> tuple[float, float]:
    """Where the first mark of an event is, by the layout: names to the left, lanes of one height."""
    lane = next(lane for seq, lane in guest["marks"] if seq == event["seq"])
    first, last = browser.evaluate(VIEW)
    width = browser.evaluate("document.getElementById('chart').clientWidth") - 150 - 16
    return 150 + width * (event["time_ns"] / MS - first) / (last - first), 4 + 26 * (lane + 0.5)


def test_a_click_on_a_mark_shows_the_event(browser: Browser, program: Program, one: Path) -> None:
    browser.open(one)
    event = next(e for e in as_json(program, "timeline", FAILING)["events"] if e["clock"] == "acpi_pm")
    browser.evaluate("document.getElementById('chart').scrollIntoView({block: 'center'})")
    browser.click("#chart", place_of(browser, embedded(one)[0], event))
    browser.wait("!document.getElementById('details').hidden")
    shown = browser.texts("#details")[0]
    assert "acpi_pm" in shown and str(event["run_ns"]) in shown and event["source"] in shown
    for name, value in event["values"].items():
        assert str(value) in shown, name
    assert [frame["function"] for frame in event["backtrace"]] == browser.texts("#details .backtrace code:first-child")


def test_source_lines_are_shown_where_the_trace_has_them(browser: Browser, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "sourced.trace"
    writer = write_sample(path, end=None)
    writer.source("kernel/time/clocksource.c", 1211, "list_add(&cs->list, &clocksource_list);")
    writer.close(True, "the guest was idle")
    browser.open(write(tmp_path / "sourced.html", path), place="#A-2")
    assert "list_add(&cs->list, &clocksource_list);" in browser.texts("#details pre")


def test_all_by_keyboard(browser: Browser, one: Path) -> None:
    browser.open(one)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.evaluate("document.querySelector('#events a').focus()")
    browser.press("Tab")
    second = browser.evaluate("document.activeElement.hash")
    browser.press("Enter")
    browser.wait("document.activeElement.tagName === 'H2'")
    assert browser.evaluate("location.hash") == second
    browser.press("Escape")
    assert browser.evaluate("document.getElementById('details').hidden")
    assert browser.evaluate("document.activeElement.hash") == second
    browser.evaluate("document.getElementById('chart').focus()")
    browser.press("ArrowDown", "ArrowDown", "ArrowUp")
    browser.wait("location.hash === document.querySelector('#events a').hash")
    outline = browser.evaluate("getComputedStyle(document.getElementById('chart')).outlineStyle")
    assert outline == "solid"


def test_search(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    browser.press("/")
    browser.type("calibration retried")
    retried = [e for e in as_json(program, "timeline", FAILING)["events"] if e["what"] == "calibration.retried"]
    browser.wait(f"document.querySelectorAll('#events li').length === {len(retried)}")
    assert browser.texts("#found") == [f"{len(retried)} events, 0 functions"]
    browser.press("Escape", "/")
    browser.type("tsc_read_refs")
    browser.wait("document.querySelectorAll('.function:not([hidden])').length === 1")
    browser.press("Escape")
    assert browser.texts("#found") == [""]


def test_search_steps_through_what_it_found(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    browser.press("/")
    browser.type("tsc_read")
    browser.press("Enter")
    found = browser.evaluate("document.querySelectorAll('#events li').length") + 1  # and the function
    assert browser.texts("#found") == [f"1 of {found}"]
    browser.press("Shift+Enter")
    assert browser.texts("#found") == [f"{found} of {found}"]
    assert browser.evaluate("location.hash") == "#function-tsc_read_refs"
    browser.press("Control+A")
    browser.type("acpi_pm")
    browser.press("Enter", "Enter")
    assert browser.texts("#found") == ["2 of 2"] and "acpi_pm" in browser.texts("#details")[0]
    assert set(browser.texts("#events mark")) == {"acpi_pm"}
    browser.click("[data-step='1']")
    assert browser.texts("#found") == ["1 of 2"]
    assert len(browser.texts("#events [aria-current]")) == 1
    browser.press("/", "Escape")
    assert browser.evaluate("document.querySelector('[data-step]').hidden") and not browser.texts("#events mark")


def test_guests_are_aligned_by_an_event(browser: Browser, program: Program, two: Path) -> None:
    browser.open(two)
    key = "calibration started tsc"
    choose = f"(() => {{ const s = document.getElementById('align'); s.value = '{key}'; s.dispatchEvent(new Event('change')); }})()"
    browser.evaluate(choose)
    assert f"Counted from {key}" in browser.texts("#chart-view")[0]
    before, after = [], []
    for guest, trace in zip(embedded(two), (HEALTHY, FAILING), strict=True):
        events = as_json(program, "timeline", trace)["events"]
        start = next(e for e in events if e["what"] == "calibration.started" and e["clock"] == "tsc")["time_ns"] / MS
        before.append(start - guest["begin"])
        after.append(guest["end"] - start)
    first, last = browser.evaluate(VIEW)
    margin = 0.015 * (max(before) + max(after))
    assert abs(first + max(before) + margin) < 0.01 and abs(last - max(after) - margin) < 0.01
    browser.evaluate(choose.replace(key, ""))
    assert browser.evaluate(VIEW)[0] > first and browser.complaints() == []


def test_a_range_is_measured(browser: Browser, program: Program, one: Path) -> None:
    browser.open(one)
    events = as_json(program, "timeline", FAILING)["events"]
    browser.evaluate("document.getElementById('chart').focus()")
    browser.press("ArrowDown", "m", "ArrowDown")
    begin, end = (event["time_ns"] / MS for event in events[:2])
    (said,) = browser.texts("#chart-measure")
    assert said == f"From {begin:.3f} ms to {end:.3f} ms: {(end - begin) * 1000:.3f}".rstrip("0").rstrip(".") + " µs"
    browser.press("Escape")
    browser.evaluate("document.getElementById('chart').scrollIntoView({block: 'center'})")
    browser.click("#measure")
    one_event, other = (next(e for e in events if e["clock"] == clock) for clock in ("hpet", "acpi_pm"))
    guest = embedded(one)[0]
    for event in (one_event, other):
        browser.click("#chart", place_of(browser, guest, event))
    took = (other["time_ns"] - one_event["time_ns"]) / MS
    assert browser.texts("#chart-measure")[0].endswith(f": {round(took, 3):.10g} ms")
    assert browser.evaluate("document.getElementById('details').hidden")  # a click that measures opens nothing
    assert not browser.evaluate("document.querySelector('.range').hidden || document.querySelector('.cursor').hidden")
    assert re.fullmatch(r"[\d.]+ s", browser.texts(".cursor")[0])
    browser.click("#measure")
    assert browser.evaluate("document.querySelector('.range').hidden") and browser.complaints() == []


def test_kinds_can_be_hidden(browser: Browser, one: Path) -> None:
    browser.open(one)
    browser.click("#legend [data-kind=registered]")
    assert browser.evaluate("document.querySelector('#legend [data-kind=registered]').ariaPressed") == "false"
    assert browser.complaints() == []


def test_guests_of_unlike_length_have_axes_of_their_own(browser: Browser, program: Program, tmp_path: Path) -> None:
    html = write(tmp_path / "unlike.html", ROOT / "traces" / "netbsd-healthy.trace", HEALTHY)
    browser.open(html)
    own = browser.evaluate(VIEW)
    browser.click(".tools [aria-pressed=false]")
    assert browser.evaluate(VIEW)[0] < own[0]


# ---------------------------------------------------------------- for every reader


# What is wider than its box, and so cut off or only there for who scrolls.
CLIPPED = """
[...document.querySelectorAll('details')].forEach(one => { one.open = true; }),
[...document.querySelectorAll('main *, header *')]
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'visible')
    .map(one => `${one.tagName} ${one.textContent.trim().slice(0, 60)}`)"""
# Texts beside each other that lie on one another.
OVERPRINTED = """
[...document.querySelectorAll('.events a, tr, .facts, .evidence li, .leaf dl div, summary')].flatMap(row => {
    const boxes = [...row.children].map(one => one.getBoundingClientRect()).filter(box => box.width && box.height);
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    return boxes.some((a, n) => boxes.slice(n + 1).some(b => meet(a, b))) ? [row.textContent.trim()] : [];
})"""


@pytest.mark.parametrize("width", [1920, 1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen(browser: Browser, two: Path, width: int, scheme: str) -> None:
    """No page scrolls sideways; the pictures are kept to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.open(two, width=width, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    browser.screenshot(SHOTS / f"two-{width}-{scheme}.png", whole=True)
    if scheme == "light":
        assert browser.evaluate(CLIPPED) == []
    back, text = browser.evaluate("['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])")
    assert contrast(back, text) >= 7 and (luminance(back) < 0.5) == (scheme == "dark")
    for selector in (".quiet", "a", ".finding .sign", ".badge.A"):
        colour = browser.evaluate(f"getComputedStyle(document.querySelector('main {selector}')).color")
        assert contrast(back, colour) >= (3 if "sign" in selector else 4.5), selector


def luminance(colour: str) -> float:
    """As WCAG 2 defines it, of "rgb(…)"."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4) for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_print(browser: Browser, two: Path, tmp_path: Path) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.open(two, scheme="dark")
    browser.media("print", "dark")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('.top')).display") == "none"
    browser.pdf(SHOTS / "two.pdf")
    browser.open(two, width=718, scheme="dark")  # a sheet of A4 without its margins
    browser.media("print", "dark")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    browser.wait("document.querySelector('#chart canvas').clientWidth <= document.getElementById('chart').clientWidth")
    assert browser.evaluate(OVERPRINTED) == [] and browser.evaluate("document.documentElement.scrollWidth") == 718
    browser.screenshot(SHOTS / "two-print.png", whole=True)
    assert (SHOTS / "two.pdf").read_bytes().startswith(b"%PDF")
    assert browser.complaints() == []


def test_marks_differ_by_shape_as_well_as_by_colour(browser: Browser, two: Path) -> None:
    browser.open(two)
    shapes = browser.evaluate(
        "[...document.querySelectorAll('#legend button')].map(one => getComputedStyle(one, '::before').content)"
    )
    assert len(shapes) == len(set(shapes)) >= 5


# ---------------------------------------------------------------- much, and evil


def test_ten_thousand_events(browser: Browser, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "many.trace"
    writer = TraceWriter(str(path))
    kinds = ["clock.registered", "clock.selected", "calibration.started", "calibration.finished", "quality.changed"]
    for number in range(10_000):
        writer.event(run_ns=number * MS, cpu=number % 4, what=kinds[number % 5], rule="r", clock=f"clock-{number % 20}",
                     function="f", file="f.c", line=number + 1, values=[("rating", number), ("attempt", number)],
                     backtrace=[("f", "f.c", number + 1, 4096, False), ("main", "m.c", 7, 8192, False)])  # fmt: skip
    writer.close(True, "")
    html = write(tmp_path / "many.html", path)
    took = browser.open(html)
    print(f"10,000 events ({html.stat().st_size / 1e6:.1f} MB) were drawn in {took:.0f} ms", file=sys.stderr)
    assert browser.complaints() == []
    assert len(browser.texts("#events li")) == 200
    browser.evaluate("document.getElementById('chart').focus()")
    browser.press("+", "+", "0", "ArrowDown")
    assert browser.texts("#details h2") == ["clock registered"]
    browser.press("/")
    browser.type("9999.000")
    browser.wait("document.querySelectorAll('#events li').length === 1")
    browser.screenshot(SHOTS / "many.png")


EVIL = [
    "<img src=x onerror=document.title='hurt'>",
    "</script><script>document.title='hurt'</script>",
    "<!--<script>",
    '"onfocus=document.title="hurt" autofocus x="',
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[2J\x9b31m\u2028\u202e\x07\r\n",
    "javascript:document.title='hurt'",
    "{a|x}\\l\\N\\G&#60;b&#62;",
]


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A trace whose every text is hostile: a real one, its texts replaced."""
    path = tmp_path / "evil.trace"
    writer = write_sample(path, end=None)
    for number, text in enumerate([*EVIL, "x" * 1_000_000]):
        for what in ("clock.registered", "calibration.refused", "clock.unstable", text):
            writer.event(run_ns=(2000 + number) * MS, cpu=number, what=what, rule=text, clock=text, function=text, file=text,
                         line=1, thread=text, values=[("name", text), (text, text), ("reason", text), ("message", text)],
                         backtrace=[(text, text, 1, 4096, False)])  # fmt: skip
        writer.source(text, 1, text)
        writer.expect(text, text, text, "planted", text)
    writer.meta("guest.release", EVIL[1])
    writer.close(True, EVIL[1])
    return path


def test_hostile_texts_are_harmless(browser: Browser, program: Program, evil: Path, tmp_path: Path) -> None:
    with sqlite3.connect(evil) as database:
        database.execute("UPDATE event SET clock = CAST(x'fffe3c623e' AS TEXT) WHERE seq = 3")
    database.close()
    html = write(tmp_path / "evil.html", evil, FAILING)
    browser.open(html)
    assert html.stat().st_size < 8_000_000
    events = browser.evaluate("document.querySelectorAll('#events a').length")
    for number in range(events):
        browser.evaluate(f"location.hash = document.querySelectorAll('#events a')[{number}].hash")
    assert browser.complaints() == []
    assert "hurt" not in browser.evaluate("document.title")
    assert not browser.evaluate("document.querySelectorAll('main img, aside img, main script, aside script').length")
    assert browser.evaluate("document.documentElement.scrollWidth") == 1280
    longest = browser.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')].map(e => e.children.length ? 0 : e.textContent.length))"
    )
    assert longest < 3000


def test_hostile_functions_are_harmless(browser: Browser, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "functions.trace"
    shutil.copy(FAILING, path)
    with sqlite3.connect(path) as database:
        for number, text in enumerate([*EVIL, "x" * 60_000]):
            database.execute(
                "UPDATE function SET name = ?, file = ?, note = ? WHERE id = ?", (text, text, text, number + 1)
            )
        for number, text in enumerate(EVIL):
            database.execute(
                "UPDATE instruction SET text = ?, inlined = ?, file = ? WHERE address % 9 = ?",
                (text, text, text, number),
            )
        database.execute("UPDATE invocation SET caller_name = ?, task = ?", (EVIL[1], EVIL[0]))
    database.close()
    html = write(tmp_path / "functions.html", path, HEALTHY)
    browser.open(html)
    assert browser.complaints() == [] and "hurt" not in browser.evaluate("document.title")
    assert not browser.evaluate("document.querySelectorAll('main img, main script').length")


def test_json_in_a_page_ends_no_script() -> None:
    text = page.embedded({"a": "</script><!--\u2028&é"})
    assert not set("<>&") & set(text) and text.isascii()
    assert json.loads(text) == {"a": "</script><!--\u2028&é"}


# ---------------------------------------------------------------- mistakes


def test_mistakes_are_one_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "there.html").touch()
    mistakes: list[list[str | Path]] = [
        ["none.trace", "-o", "x.html"],
        [HEALTHY, HEALTHY, HEALTHY, "-o", "x.html"],
        [HEALTHY, "-o", "there.html"],
        [HEALTHY, "-o", "no/such/folder.html"],
        [HEALTHY],
    ]
    for arguments in mistakes:
        run = program("report", *arguments, cwd=tmp_path)
        assert run.returncode == 2 and run.stderr.count("\n") == 1 and not run.stdout
    assert program("report", HEALTHY, "-o", "there.html", "--overwrite", cwd=tmp_path).returncode == 0


def test_a_page_that_was_not_built_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "BUNDLE", tmp_path)
    with pytest.raises(UserError, match="make -f setup.mk page"):
        page.render([], None, lambda done, total, what: None)


def test_a_trace_without_branches_or_events(browser: Browser, program: Program, tmp_path: Path) -> None:
    TraceWriter(str(tmp_path / "empty.trace")).close(False, "killed")
    browser.open(write(tmp_path / "empty.html", tmp_path / "empty.trace"))
    assert browser.complaints() == []
    assert "This recording is incomplete: killed" in browser.texts(".warning")[0]


def test_of_a_damaged_trace_what_is_left_is_shown(browser: Browser, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "damaged.trace"
    write_sample(path)
    content = path.read_bytes()
    at = content.index(b"clocksource watchdog") & ~4095
    path.write_bytes(content[:at] + b"\x7f" * 64 + content[at + 64 :])
    run = program("report", path, "-o", tmp_path / "damaged.html")
    assert run.returncode == 2 and run.stderr.startswith("Wrote ")
    browser.open(tmp_path / "damaged.html")
    assert "damaged" in browser.texts(".card .warning")[0]
    assert browser.texts("#events li") and not browser.texts(".good")
    assert browser.complaints() == []


def test_in_gdb(gdb: Callable[..., Any], program: Program, tmp_path: Path) -> None:
    transcript = gdb([f"clock report {FAILING} -o {tmp_path}/gdb.html"])
    assert "Wrote" in transcript.text
    assert (tmp_path / "gdb.html").read_text() == write(tmp_path / "plain.html", FAILING).read_text()
