"""The directory of a demonstration: made anew where a demonstration made it, else refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from semiont_jobs import InvalidValue
from semiont_jobs.demo.run import MARKER, main


def written(path: Path, text: str = "years of work") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["thesis.txt", "witness/testimony.txt", "jobs/pending/a.json"])
def test_a_directory_of_somebody_else_is_refused_and_stays_as_it_is(
    tmp_path: Path, name: str
) -> None:
    theirs = written(tmp_path / "mine" / name)

    with pytest.raises(InvalidValue, match="not made by a demonstration"):
        main(data_dir=str(tmp_path / "mine"), json=True)

    assert [theirs] == [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]


def test_what_somebody_put_into_a_demonstrations_directory_is_not_removed(tmp_path: Path) -> None:
    written(tmp_path / "demo" / MARKER, "")
    notes = written(tmp_path / "demo" / "notes.txt")
    page = written(tmp_path / "demo" / "pages" / "one.md")

    with pytest.raises(InvalidValue, match=r"it holds notes\.txt"):
        main(data_dir=str(tmp_path / "demo"), json=True)

    assert notes.exists()
    assert page.exists()
