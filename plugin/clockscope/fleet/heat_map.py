# SPDX-License-Identifier: MIT
"""A page to look at: boots, in the order of their recording, against clocks and findings. Needs no script and no network."""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockscope.base.ui import counted, cut, one_line
from clockscope.fleet import grouping
from clockscope.fleet.database import Fleet
from clockscope.reports import fleet as report

Record = dict[str, Any]

_ROWS_MAX = 160
_COLUMNS_MAX = 60
_NAME_MAX = 60
_PALEST = 0.3

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --clock: 9 105 218; --lost: 188 76 0; --found: 207 34 46; --line: #d0d7de; }}
@media (prefers-color-scheme: dark) {{ :root {{ --clock: 88 166 255; --lost: 219 109 40; --found: 248 81 73; --line: #3d444d; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 75rem; }}
h1 {{ font-size: 1.3rem; }} h2 {{ font-size: 1.05rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th {{ font-weight: 400; text-align: left; }}
thead th {{ vertical-align: bottom; height: 9rem; padding: 0; }}
thead th span {{ writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; padding: .3rem 0; }}
tbody th {{ font-size: .75rem; white-space: nowrap; padding: 0 .6rem 0 0; line-height: 1.1; }}
td {{ width: 1.5rem; min-width: 1.1rem; height: .55rem; padding: 0; border: 1px solid var(--line); }}
td.clock {{ background: rgb(var(--clock) / var(--share)); }}
td.lost {{ background: linear-gradient(rgb(var(--lost) / var(--lost-share)), rgb(var(--lost) / var(--lost-share))),
  rgb(var(--clock) / var(--share)); }}
td.found {{ background: rgb(var(--found) / var(--share)); }}
.key i {{ display: inline-block; width: .9rem; height: .9rem; vertical-align: -.1rem; margin: 0 .3rem 0 .8rem; }}
li {{ margin: .5rem 0; overflow-wrap: anywhere; }} li p {{ margin: 0; }}
@media print {{ td {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }} }}
</style>
<h1>{title}</h1>
<p>{sum}</p>
<h2>Groups</h2>
<ol>
{groups}
</ol>
<h2>Boots against clocks and findings</h2>
<p class="key">In the order of their recording, {each} a row.
<i style="background: rgb(var(--clock))"></i>the clock was there at the end
<i style="background: rgb(var(--lost))"></i>it was lost
<i style="background: rgb(var(--found))"></i>found; paler: in a part of the row's boots</p>
<div class="wide"><table>
<thead><tr><th></th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
</html>
"""


class _Bin:
    """Boots that share a row."""

    def __init__(self, first: int, recorded: str) -> None:
        self.first, self.recorded = first, recorded
        self.groups: Counter[str] = Counter()

    @property
    def boots(self) -> int:
        return sum(self.groups.values())


def page(fleet: Fleet, name: str) -> str:
    found = grouping.differences(fleet)
    contents = grouping.contents(fleet)
    size = max(1, -(-found["boots"] // _ROWS_MAX))
    columns = _columns(contents)
    title = f"Fleet {cut(one_line(name), 200)}".strip()
    bins = list(_bins(fleet, size))
    return _PAGE.format(
        title=html.escape(title),
        sum=f"{counted(found['boots'], 'boot')}, {counted(found['groups'], 'group')} of those that are alike.",
        groups="\n".join(_group(number, group) for number, group in enumerate(found["shown"])),
        each=counted(size, "boot"),
        heads="".join(f"<th scope=col><span>{_escaped(column[1])}</span></th>" for column in columns),
        rows="\n".join(_row(one, columns, contents) for one in bins),
    )


def _bins(fleet: Fleet, size: int) -> Iterator[_Bin]:
    made: _Bin | None = None
    for number, (recorded, alike) in enumerate(fleet.in_order(("recorded", "alike"))):
        if number % size == 0:
            if made is not None:
                yield made
            made = _Bin(number + 1, str(recorded))
        assert made is not None
        made.groups[str(alike)] += 1
    if made is not None:
        yield made


def _columns(contents: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Clocks, devices, findings that any group has: kind and name."""
    found: Counter[tuple[str, str]] = Counter()
    for one in contents.values():
        found.update(("device" if kind == "event device" else "clock", name) for name, kind, _, _ in one["clocks"])
        found.update(("found", name) for name in one["findings"])
    shown = [column for column, _ in found.most_common(_COLUMNS_MAX)]
    return sorted(shown, key=lambda column: (("clock", "device", "found").index(column[0]), column[1]))


def _row(one: _Bin, columns: Sequence[tuple[str, str]], contents: Mapping[str, Record]) -> str:
    last = one.first + one.boots - 1
    name = f"{one.first}" if last == one.first else f"{one.first}–{last}"
    cells = "".join(_cell(one, column, contents) for column in columns)
    return f"<tr><th scope=row>{name} <small>{_escaped(one.recorded)}</small></th>{cells}</tr>"


def _cell(one: _Bin, column: tuple[str, str], contents: Mapping[str, Record]) -> str:
    kind, name = column
    there = lost = 0
    for key, count in one.groups.items():
        state = _state(contents.get(key), column)
        there += count * (state == "there")
        lost += count * (state == "lost")
    boots = one.boots
    said = (
        f"found in {there} of {boots}"
        if kind == "found"
        else f"there in {there} of {boots}" + f", lost in {lost}" * bool(lost)
    )
    share = _seen(there / boots) if kind == "found" else there / boots
    style = f"--share: {share:.3f}" + (f"; --lost-share: {_seen(lost / boots):.3f}" if lost else "")
    return f'<td class="{"found" if kind == "found" else "lost" if lost else "clock"}" style="{style}" title="{_escaped(name)}: {said}"></td>'


def _seen(share: float) -> float:
    """How dark it is drawn: one boot in a thousand is seen too."""
    return _PALEST + (1 - _PALEST) * share if share else 0


def _state(content: Record | None, column: tuple[str, str]) -> str:
    if content is None:
        return ""
    kind, name = column
    if kind == "found":
        return "there" if name in content["findings"] else ""
    states = [
        state for one, of, _, state in content["clocks"] if one == name and (of == "event device") == (kind == "device")
    ]
    return "" if not states else "lost" if states[0] == "lost" else "there"


def _group(number: int, group: Record) -> str:
    if number == 0:
        said = [f"{counted(group['boots'], 'boot')} alike: {group['current'] or 'no clock'} in use"]
        said += [f"found: {', '.join(group['findings'])}"] if group["findings"] else []
    else:
        said = [f"{counted(group['boots'], 'boot')}: {'; '.join(group['apart'])}"]
        said += [*(report.common(one) for one in group["common"]), report.decision(group)]
    return "<li>" + "".join(f"<p>{html.escape(one_line(one))}</p>" for one in said) + "</li>"


def _escaped(text: str) -> str:
    return html.escape(cut(one_line(text), _NAME_MAX))
