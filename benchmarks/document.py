"""The tables and the picture of the documentation, from the figures of runs.

    python benchmarks/document.py [performance.json [DISK.json ...]]

DISK.json: figures of runs on slower disks (see slow_disk.py), for their own table.

It must not measure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from chart import draw
from figures import Figures, figures_of
from table import of_disks, rst
from targets import verdicts

FOLDER: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance"


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "performance.json"
    data, figures = _judged(json.loads(source.read_text(encoding="utf-8")))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "performance.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "tables.inc").write_text(rst(data, figures), encoding="utf-8")
    draw(data, figures, FOLDER / "performance.svg")
    kept = FOLDER / "disks.json"
    disks = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[2:]]
    disks = disks or json.loads(kept.read_text(encoding="utf-8"))
    runs = [_judged(each) for each in disks]
    kept.write_text(
        json.dumps([each for each, _figures in runs], indent=1) + "\n", encoding="utf-8"
    )
    (FOLDER / "disks.inc").write_text(of_disks(runs), encoding="utf-8")


def _judged(data: dict[str, Any]) -> tuple[dict[str, Any], Figures]:
    """A run, with the verdicts on its figures as they are rounded."""
    figures = figures_of(data["figures"])
    return data | {"targets": verdicts(figures)}, figures


if __name__ == "__main__":
    main()
