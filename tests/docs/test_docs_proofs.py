"""The pages name tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"``(test_\w+)``")


def test_every_test_that_a_page_names_is_there() -> None:
    pages = [*ROOT.glob("docs/**/*.rst"), ROOT / "README.rst", ROOT / "CONTRIBUTING.rst"]
    named = {name for page in pages for name in NAMED.findall(page.read_text("utf-8"))}

    there = {
        name
        for folder in ("tests", "semiont_jobs/testing")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }

    assert len(named) > 20
    assert named <= there
