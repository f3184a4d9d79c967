"""The threads of a queue in a free-threaded Python beside those in this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


def stand_in(folder: Path, says: str) -> Path:
    """A program in place of a Python, which prints that."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_its_version_is_asked_for(modules: Any, tmp_path: Path) -> None:
    python = stand_in(tmp_path, """echo '["3.14.7", false]'""")

    assert modules("free_threading").version_of(python) == "3.14.7"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("""echo '["3.14.7", true]'""", "is not free-threaded"),
        ("echo 'No module named x' >&2; exit 1", "cannot import the library: No module named x"),
    ],
)
def test_another_python_is_refused(modules: Any, tmp_path: Path, says: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        modules("free_threading").version_of(stand_in(tmp_path, says))


def test_a_python_that_is_not_there_is_refused(modules: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be run: No such file"):
        modules("free_threading").version_of(tmp_path / "none")


def test_the_threads_of_a_twin_are_measured_in_its_python(modules: Any, tmp_path: Path) -> None:
    measuring, throughput = modules("measuring"), modules("suites.throughput")
    kinds = [modules("registry").KINDS["ours-journal"]]
    told = tmp_path / "told"
    # Any Python will do, to see that it is the one that is started.
    python = stand_in(tmp_path, f'echo "$@" >>{told}; exec {sys.executable} "$@"')
    twins = modules("free_threading").twins(kinds, python)
    figures = modules("figures").Figures(print)

    throughput.power(
        measuring.Run(place=tmp_path, rounds=1, kinds=twins, figures=figures, scale=0.02)
    )

    assert [who for _row, who in figures.by_key] == ["ours-journal-free"] * len(figures.by_key)
    assert {"drain 8 threads", "drain singly 8 threads"} <= {row for row, _who in figures.by_key}
    assert told.read_text(encoding="utf-8").split()[2:] == ["ours-journal", "watchdog"]


def test_kinds_whose_threads_cannot_share_have_no_twin(modules: Any) -> None:
    kinds = modules("registry").KINDS.values()

    twins = modules("free_threading").twins(kinds, Path("python"))

    assert {twin.twin_of for twin in twins} == {kind.name for kind in kinds if kind.threads} - {
        "ours-watch"
    }
    assert not any(twin.processes or twin.wakes or twin.batches for twin in twins)
