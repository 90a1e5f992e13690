# SPDX-License-Identifier: MIT
"""The traced functions' graphs in Graphviz's DOT, one after the other."""

from clockscope.model import flow_graph
from clockscope._core import Trace
from clockscope.exports.stream import Progress, Write
from clockscope.reports import cfg


def export(trace: Trace, write: Write, progress: Progress) -> None:
    graphs = flow_graph.each_from_trace(trace, "*")
    for number, one in enumerate(graphs, 1):
        write(cfg.dot(one).encode())
        progress(number, 0, "functions")
