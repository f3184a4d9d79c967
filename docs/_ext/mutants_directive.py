"""A Sphinx directive that lists the deliberate faults of the catalogue: ``.. mutants::``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

TESTS = str(Path(__file__).parents[2] / "tests")
if TESTS not in sys.path:
    sys.path.append(TESTS)  # last: names of the tests' modules must hide nothing of the library

from mutants.catalogue import FAULTS, LAYERS  # noqa: E402 - found through the path set above
from mutants.fault import Fault  # noqa: E402

HEADINGS = ("Fault, and where it is", "What it breaks, and what finds it")
WIDTHS = (30, 70)
"""Two columns only: the name of a test is never broken."""


class Mutants(Directive):
    """One table for each layer."""

    def run(self) -> list[nodes.Node]:
        return [node for layer, faults in LAYERS.items() for node in _told(layer, faults)]


class MutantsCount(Directive):
    """A sentence that tells how many there are."""

    def run(self) -> list[nodes.Node]:
        text = f"There are {len(FAULTS)} of them."
        return [nodes.paragraph(text, text)]


def _told(layer: str, faults: Sequence[Fault]) -> Iterator[nodes.Node]:
    yield nodes.rubric(layer, layer)
    table = nodes.table()
    group = nodes.tgroup(cols=len(HEADINGS))
    group += [nodes.colspec(colwidth=width) for width in WIDTHS]
    group += nodes.thead("", _row([[nodes.paragraph(text, text)] for text in HEADINGS]))
    group += nodes.tbody("", *(_row(_cells(fault)) for fault in faults))
    table += group
    yield table


def _cells(fault: Fault) -> list[list[nodes.Node]]:
    tests = [test.rpartition("::")[2].partition("[")[0] for test in fault.tests]
    return [
        [_code(fault.name), nodes.paragraph(fault.file, fault.file)],
        [nodes.paragraph(fault.breaks, fault.breaks), *map(_code, tests)],
    ]


def _row(cells: Sequence[Sequence[nodes.Node]]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


def _code(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.literal(text, text))


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("mutants", Mutants)
    app.add_directive("mutants-count", MutantsCount)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
