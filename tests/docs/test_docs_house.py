"""The rules of the house that can be counted: how long a module is, and what it says of itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for folder in ("benchmarks", "docs", "examples", "semiont_jobs", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
LIBRARY = [path for path in MODULES if path.is_relative_to(ROOT / "semiont_jobs")]
LONGEST = 400
"""Lines. There is no exception: what is longer is two things."""
FAMILIES = [ROOT / "semiont_jobs" / name / "__init__.py" for name in ("pool", "stores/postgres")]
"""Packages that say what each of their modules is for."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def is_empty(path: Path) -> bool:
    """Whether it is only there to make a folder a package."""
    return len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}

    assert len(lengths) > 400
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(
    # Of the examples some are files that Django makes.
    "path",
    [path for path in MODULES if not path.is_relative_to(ROOT / "examples")],
    ids=name_of,
)
def test_a_module_says_in_its_first_words_what_it_is(path: Path) -> None:
    first = docstring(path).partition("\n\n")[0]

    assert re.match(r"\S.*[.:!?][`)]*$", first, re.DOTALL)


@pytest.mark.parametrize(
    "path", [path for path in LIBRARY if path.name != "__init__.py"], ids=name_of
)
def test_a_module_says_what_it_must_not_know_or_do(path: Path) -> None:
    told = " ".join(docstring(path).split())

    assert re.search(r"\b(It|They) must (not|never|change nothing)\b|, and nothing else:", told)


@pytest.mark.parametrize(
    "path",
    [path for path in LIBRARY if path.name == "__init__.py" and not is_empty(path)],
    ids=name_of,
)
def test_a_package_says_more_than_what_it_is(path: Path) -> None:
    _first, _blank, more = docstring(path).partition("\n\n")

    assert more


@pytest.mark.parametrize("path", FAMILIES, ids=name_of)
def test_a_family_says_what_each_of_its_modules_is_for(path: Path) -> None:
    members = {each.stem for each in path.parent.glob("*.py")} - {"__init__"}

    assert set(re.findall(r"``(\w+)``", docstring(path))) == members


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_a_module_has_a_name_of_its_own_and_waits_for_something(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert path.stem not in ("base", "common", "helpers", "manager", "misc", "utils")
    assert "time.sleep(" not in text
