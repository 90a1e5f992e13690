# SPDX-License-Identifier: MIT
"""Perfetto exports, decoded by what protoc makes of the definitions."""

import importlib.util
import subprocess
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from guest import ROOT

Record = dict[str, Any]


@cache
def messages() -> Any:
    """What protoc, no part of clockscope, makes of the definitions."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["protoc", "-I", str(ROOT / "schemas"), f"--python_out={directory}", "perfetto.proto"]
        subprocess.run(command, check=True)
        spec = importlib.util.spec_from_file_location("decoded", Path(directory) / "perfetto_pb2.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


class Exported:
    """A Perfetto export, decoded and checked: on each track slices begin and end in order, and are nested."""

    def __init__(self, trace: Path, *others: Path) -> None:
        self.path = trace.with_suffix(".pftrace")
        options = ["--format", "perfetto", "-o", str(self.path), "--overwrite"]
        subprocess.run([ROOT / "build/clockscope", "export", trace, *others, *options], check=True, capture_output=True)
        decoded = messages().Trace()
        decoded.ParseFromString(self.path.read_bytes())
        self.packets = list(decoded.packet)
        described = [packet.track_descriptor for packet in self.packets if packet.HasField("track_descriptor")]
        self.tracks = {track.uuid: track for track in described}
        assert len(self.tracks) == len(described)
        self.slices: list[tuple[str, str, int, int, Record]] = []  # track, name, begin, end, values
        self.instants: list[tuple[str, str, int, Record]] = []
        self.lost: list[tuple[str, str, int, Record]] = []  # of clocks' tracks
        self._read()

    def _read(self) -> None:
        under_way: dict[int, list[Any]] = {}
        now: Counter[int] = Counter()
        known = set()
        for packet in self.packets:
            assert packet.trusted_packet_sequence_id == 1
            if packet.HasField("track_descriptor"):
                known.add(packet.track_descriptor.uuid)
                continue
            event, at = packet.track_event, packet.timestamp
            assert event.track_uuid in known
            name = self.tracks[event.track_uuid].name
            if event.type == event.TYPE_INSTANT:
                where = self.lost if name.startswith("clock ") else self.instants
                where.append((name, event.name, at, values_of(event)))
                continue
            assert at >= now[event.track_uuid]
            now[event.track_uuid] = at
            if event.type == event.TYPE_SLICE_BEGIN:
                under_way.setdefault(event.track_uuid, []).append((event, at))
            else:
                begun, begin = under_way[event.track_uuid].pop()
                self.slices.append((name, begun.name, begin, at, values_of(begun)))
        assert not any(under_way.values())

    def calls(self) -> list[tuple[str, str, int, int, Record]]:
        return [one for one in self.slices if one[0].startswith("vCPU ")]

    def clocks(self) -> list[tuple[str, str, int, int, Record]]:
        return [one for one in self.slices if one[0].startswith("clock ")]


def values_of(event: Any) -> Record:
    return {one.name: getattr(one, one.WhichOneof("value")) for one in event.debug_annotations}
