# SPDX-License-Identifier: MIT
"""Tables for the terminal: one line a row, whatever the width, so that they can be searched and compared."""

import io
from clockscope.base.ui import cut
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


# Wider than any table: a terminal folds a long line better than a table folds its columns.
_UNLIMITED = 10_000
# … but not one that takes rich seconds to lay out.
_CELL_MAX = 1000
# The padding of the last column, inside or outside of its style.
_TRAILING = re.compile(r" +((?:\x1b\[0m)?)$")


@dataclass(frozen=True)
class Column:
    header: str
    justify: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Cell:
    text: str
    style: str = ""


def styled(text: str, style: str, colour: bool) -> str:
    """One piece of text in a style, where there is colour."""
    return render([Column("")], [[Cell(text, style)]], colour, header=False)[0] if colour else text


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], colour: bool, *, header: bool = True
) -> list[str]:
    """The lines of a table: that of the headers, if wanted, and one for each row. Cells are plain text, not markup."""
    from rich.console import Console  # slow to import, and only tables need it
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="bold")
    for column in columns:
        table.add_column(Text(column.header), justify=column.justify, no_wrap=True)
    for row in rows:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        table.add_row(*(Text(cut(cell.text, _CELL_MAX), style=cell.style) for cell in cells))
    text = io.StringIO()
    console = Console(
        file=text,
        width=_UNLIMITED,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        legacy_windows=False,
    )
    console.print(table, soft_wrap=True)
    # Not splitlines(), which knows more line breaks than a terminal.
    return [_TRAILING.sub(r"\1", line) for line in text.getvalue().split("\n")[:-1]]
