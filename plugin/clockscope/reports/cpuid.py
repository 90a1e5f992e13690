# SPDX-License-Identifier: MIT
"""CPUID leaves and MSRs in the manuals' names."""

from collections.abc import Iterator
from typing import Any

from clockscope.arch import cpuid_leaves
from clockscope.model import changes_made
from clockscope.reports.table import Column, file_line, render, styled
from clockscope.model.told import Told, raw
from clockscope.base.ui import Ui, one_line

Record = dict[str, Any]


def content(told: Told, only: int | None) -> Record:
    """As schemas/cpuid.schema.json describes it."""
    leaves = [
        {
            "leaf": f"{leaf:#x}",
            "subleaf": subleaf,
            "name": cpuid_leaves.leaf_name(leaf),
            **{name: f"{value:#x}" for name, value in zip(cpuid_leaves.REGISTERS, registers)},
            "fields": [_field(*field) for field in cpuid_leaves.describe(leaf, subleaf, told.leaves)],
        }
        for (leaf, subleaf), registers in sorted(told.leaves.items())
        if only in (None, leaf)
    ]
    msrs = [
        {
            "msr": f"{number:#x}",
            "name": cpuid_leaves.MSRS.get(number, ""),
            "value": f"{value:#x}",
            "fields": [_field(*field) for field in cpuid_leaves.describe_msr(number, value)],
        }
        for number, value in sorted(told.msrs.items())
        if only is None
    ]
    return {"vendor": cpuid_leaves.vendor(told.leaves), "hypervisor": cpuid_leaves.hypervisor(told.leaves), "leaves": leaves,
            "msrs": msrs, "refused": told.refused, "interventions": told.interventions}  # fmt: skip


def _field(place: str, name: str, value: str) -> Record:
    return {"place": place, "name": name, "value": value}


def tables(told: Told, only: int | None, ui: Ui, source: str) -> str:
    """`source`: whose they are."""
    found = content(told, only)
    lines = [file_line(source, ui), *changes_made.lines(told.interventions)]
    for leaf in found["leaves"]:
        number = leaf["leaf"] + (f".{leaf['subleaf']}" if leaf["subleaf"] else "")
        registers = told.leaves[int(leaf["leaf"], 16), leaf["subleaf"]]
        lines += _item(f"{number}  {leaf['name']}", raw(registers), leaf["fields"], ui)
    for msr in found["msrs"]:
        lines += _item(f"MSR {msr['msr']}  {msr['name']}", msr["value"], msr["fields"], ui)
    lines += [f"Not all could be read: {one_line(why)}" for why in told.refused]
    return "\n".join(lines) + "\n"


def _item(title: str, value: str, fields: list[Record], ui: Ui) -> Iterator[str]:
    yield f"{styled(title.rstrip(), 'bold', ui.colour)}  {value}"
    rows = [[field["place"], field["name"], one_line(field["value"])] for field in fields]
    if rows:
        yield from ("    " + line for line in render([Column("")] * 3, rows, ui.colour, header=False))
