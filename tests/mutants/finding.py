"""Where a test is: the catalogue names tests as the documentation does, not the files they are in.

It must not know faults. Files of tests are split and merged; a name that states a truth stays.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_DEFINED: Final = re.compile(r"^(?:def|class) (test_\w+|Test\w+)\b", re.MULTILINE)


class NoSuchTest(LookupError):
    """No test has that name, or several have."""


def node_id(test: str, root: Path = ROOT) -> str:
    """The node id of a test: ``test_it``, ``test_it[parameter]``, ``TestStore::test_it``.

    :raises NoSuchTest: it is not there, or in several places.
    """
    outermost = re.split(r"\[|::", test, maxsplit=1)[0]
    paths = _places_in(root).get(outermost, [])
    if len(paths) != 1:
        raise NoSuchTest(f"{outermost} is in {len(paths)} files: {', '.join(paths)}")
    return f"{paths[0]}::{test}"


@cache
def _places_in(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name in _DEFINED.findall(path.read_text("utf-8")):
            found.setdefault(name, []).append(path.relative_to(root).as_posix())
    return found
