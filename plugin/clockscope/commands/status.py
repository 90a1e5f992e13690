# SPDX-License-Identifier: MIT
"""`status`: what the stub can do, what is planted, stops so far."""

import argparse

from clockscope.live import connection, session
from clockscope.base.ui import Ui, one_line

NAME = "status"
SUMMARY = "say what the guest's stub can do, what is recorded, and what it cost so far"
NEEDS = "guest"
COMPLETE: dict[str, str] = {}
EXAMPLES = ("",)


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    del parser  # no options


def run(args: argparse.Namespace, ui: Ui) -> int:
    made = connection.require()
    rows = [("guest", f"{made.relay.state}, at {made.address}")]
    if made.guest is not None:
        rows.append(("command", one_line(" ".join(made.guest.command))))
    rows += _stub_rows(made) + _cost_rows(made) + session.describe()
    width = max(len(name) for name, _ in rows)
    ui.out("\n".join(f"{name:{width}}  {text}" for name, text in rows))
    return 0


def _stub_rows(made: connection.Connection) -> list[tuple[str, str]]:
    known = made.relay.capabilities()
    features = [
        f"{name}={value}" if value not in ("+", "", True) else name for name, value in known["features"].items()
    ]
    return [
        ("stub", f"{known['architecture'] or 'architecture not told'}, packets of {known['packet_size']} bytes"),
        ("resumes by", ", ".join(known["vcont"]) or "c, s"),
        ("features", one_line(", ".join(sorted(features))) or "none"),
    ]


def _cost_rows(made: connection.Connection) -> list[tuple[str, str]]:
    counts = made.relay.statistics()
    return [
        ("ran", f"{counts['run_ns'] / 1e6:.3f} ms"),
        (
            "stops",
            f"{counts['gdb_stops']} for GDB, {counts['own_stops']} for entry counters, of {counts['probes']} planted",
        ),
        ("packets", f"{counts['packets_to_stub']} to the stub, {counts['packets_to_gdb']} to GDB"),
    ]
