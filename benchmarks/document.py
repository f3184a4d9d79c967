"""The tables and the picture of the documentation, from the figures of runs.

    python benchmarks/document.py [performance.json [DISK.json ...]] [--tmpfs TMPFS.json]

DISK.json: figures of runs on slower disks (see slow_disk.py), for their own table. TMPFS.json: of a
run on a file system in memory, for its own. What is not given stays as it was.

It must not measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from chart import draw
from figures import Figures, figures_of
from table import of_disks, of_tmpfs, rst
from targets import verdicts

FOLDER: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kept = FOLDER / "performance.json"
    parser.add_argument("performance", type=Path, nargs="?", default=kept)
    parser.add_argument("disks", type=Path, nargs="*")
    parser.add_argument("--tmpfs", type=Path)
    given = parser.parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    data, figures = _judged(_read(given.performance))
    _write("performance.json", data)
    (FOLDER / "tables.inc").write_text(rst(data, figures), encoding="utf-8")
    draw(data, figures, FOLDER / "performance.svg")
    disks = [_read(path) for path in given.disks] or _read(FOLDER / "disks.json")
    runs = [_judged(each) for each in disks]
    _write("disks.json", [each for each, _figures in runs])
    (FOLDER / "disks.inc").write_text(of_disks(runs), encoding="utf-8")
    _document_tmpfs(given.tmpfs)


def _document_tmpfs(path: Path | None) -> None:
    kept = FOLDER / "tmpfs.json"
    run = _judged(_read(path or kept)) if path or kept.exists() else None
    if run is not None:
        if run[0]["system"]["file system"] != "tmpfs":
            sys.exit(f"{path or kept} was not measured on a tmpfs")
        _write(kept.name, run[0])
    (FOLDER / "tmpfs.inc").write_text(of_tmpfs(run), encoding="utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(name: str, data: Any) -> None:
    (FOLDER / name).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _judged(data: dict[str, Any]) -> tuple[dict[str, Any], Figures]:
    """A run, with the verdicts on its figures as they are rounded."""
    figures = figures_of(data["figures"])
    return data | {"targets": verdicts(figures)}, figures


if __name__ == "__main__":
    main()
