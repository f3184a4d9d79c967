"""Every example runs and prints the output written at its end."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# Compiled in any case; run where what it needs beyond this library is installed.
NEEDS = {"flask_app": "flask"}
RUNNABLE = [
    path
    for path in EXAMPLES
    if path.stem not in NEEDS or importlib.util.find_spec(NEEDS[path.stem]) is not None
]


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_an_example_compiles_and_says_what_it_shows(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    compile(source, str(path), "exec")

    assert ast.get_docstring(ast.parse(source))
    assert "\n# Output:\n# " in source


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_an_example_prints_the_output_at_its_end(path: Path, tmp_path: Path) -> None:
    _code, output = path.read_text(encoding="utf-8").split("\n# Output:\n")

    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.stdout, run.stderr) == (re.sub(r"^# ?", "", output, flags=re.MULTILINE), "")
    assert list(tmp_path.iterdir()) == []


def test_the_documentation_shows_every_example() -> None:
    page = (ROOT / "docs" / "examples.rst").read_text(encoding="utf-8")

    shown = re.findall(r"literalinclude:: \.\./examples/(\w+)\.py", page)

    assert sorted(shown) == [path.stem for path in EXAMPLES]


def test_the_store_of_ones_own_keeps_what_every_store_must(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "sqlite_store", tmp_path, dirs_exist_ok=True)

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert re.search(r"^\d+ passed in ", run.stdout, flags=re.MULTILINE), run.stdout[-5000:]
    assert run.returncode == 0
