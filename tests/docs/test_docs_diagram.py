"""The diagram in the documentation shows the whole lifecycle, and is legible markup."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from semiont_jobs.lifecycle import TRANSITIONS, Transition
from semiont_jobs.model import STATUSES

SVG = "{http://www.w3.org/2000/svg}"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "lifecycle.rst"


def diagram() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "_ext" / "lifecycle_diagram.py"
    spec = importlib.util.spec_from_file_location("lifecycle_diagram", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts() -> list[str]:
    drawing = ElementTree.fromstring(diagram().draw())
    return ["".join(each.itertext()) for each in drawing.iter(f"{SVG}text")]


def test_every_status_and_every_transition_is_drawn_once() -> None:
    arrows = [t.verb + (f" ({t.when})" if t.when else "") for t in TRANSITIONS]

    assert sorted(texts()) == sorted([*STATUSES, *arrows])


def test_arrows_that_lead_between_the_same_statuses_share_one_line() -> None:
    pairs = {(t.source, t.target) for t in TRANSITIONS}

    drawn = re.findall(r'marker-end="url\(#tip\)"', diagram().draw())

    assert len(drawn) == len(pairs)


def test_an_arrow_that_nobody_laid_out_is_an_error() -> None:
    with pytest.raises(KeyError):
        diagram().draw((*TRANSITIONS, Transition("undo", "complete", "running")))


@pytest.mark.parametrize("status", STATUSES)
def test_the_page_has_a_section_for_every_status(status: str) -> None:
    assert f"\n{status}\n{'-' * len(status)}\n\n.. lifecycle-table:: {status}\n" in PAGE.read_text()
