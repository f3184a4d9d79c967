"""The commands that CONTRIBUTING tells to type are there."""

from __future__ import annotations

import re
from configparser import RawConfigParser
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text()


def expanded(names: str) -> set[str]:
    """What ``a, b{1,2}`` stands for."""
    written = re.findall(r"(?:[^\s,{]|\{[^}]*\})+", names)
    parts = [[each.strip("{}").split(",") for each in re.split(r"(\{.*?\})", x)] for x in written]
    return {"".join(chosen) for each in parts for chosen in product(*each)}


def environments() -> set[str]:
    tox = RawConfigParser()
    tox.read(ROOT / "tox.ini")
    sections = [name.removeprefix("testenv:") for name in tox if name.startswith("testenv:")]
    return expanded(", ".join([tox["tox"]["env_list"], *sections]))


def test_each_environment_it_names_is_in_tox_ini() -> None:
    named = {
        name for names in re.findall(r"tox -e ([\w,]+)", CONTRIBUTING) for name in names.split(",")
    }

    assert {"sdist", "lowest", "py312"} <= named
    assert set() == named - environments()


def test_each_file_and_folder_it_names_is_there() -> None:
    named = re.findall(
        r"``(?:python )?([\w/]+(?:/[\w.]+|\.(?:cfg|ini|py|rst|toml)))``", CONTRIBUTING
    )

    assert {"semiont_jobs/version.py", "tests/release", "setup.cfg"} <= set(named)
    assert [] == [name for name in named if not (ROOT / name).exists()]
