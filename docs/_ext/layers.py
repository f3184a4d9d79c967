"""The layers of the library: pyproject's contract, the modules' own words, the real imports.

It must not know how any of it is drawn.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "semiont_jobs"


@cache
def contracts() -> list[dict[str, Any]]:
    """The import linter's contracts."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def layers() -> list[list[str]]:
    """The names in each layer, from the top down."""
    (stack,) = (each for each in contracts() if each["type"] == "layers")
    return [layer.split(" | ") for layer in stack["layers"]]


def owned() -> Iterator[tuple[str, str]]:
    """Each dependency that has owners, with a module or package that is one of them."""
    for contract in contracts():
        if contract["type"] == "protected":
            for name in contract["protected_modules"]:
                for owner in contract["allowed_importers"]:
                    yield name, owner


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """What each module of the library imports of the library, by full names."""
    import grimp  # here: tests without the import linter are collected all the same

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    return {
        module: frozenset(graph.find_modules_directly_imported_by(module))
        for module in graph.modules
    }


def words_of(name: str) -> str:
    """What a module or package says it knows: the first paragraph of its docstring.

    :raises FileNotFoundError: there is no such module.
    """
    home = ROOT / PACKAGE / name.replace(".", "/")
    path = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(told.partition("\n\n")[0].split())
