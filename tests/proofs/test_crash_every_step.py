"""A process that dies before any step of any verb loses nothing that it acknowledged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proofs.fast import fast
from proofs.soak import seconds

from semiont_jobs.stores.files.forcing import DURABILITIES, Durability

pytestmark = pytest.mark.proof

PATIENCE = 900.0
"""Seconds: many times what it takes on a machine that does nothing else."""
PAIRS = 30
"""Second crashes in the suite: one for about every forty steps of the history."""
PAIRS_A_SECOND = 20
"""Of two crashes, a recovery and a judgement, on a machine that is busy."""

durabilities = pytest.mark.parametrize("durability", DURABILITIES)


def crashes(mode: str, path: Path, *, durability: Durability, count: int = 0) -> dict[str, Any]:
    """Run the program that forks, dies and judges. Here it could not: a fork copies one thread,
    and whoever runs the tests may have others, which newer Pythons warn of."""
    with fast(path) as place:
        script = [sys.executable, "-m", "proofs.crashes", mode, str(place)]
        done = subprocess.run(
            [*script, durability, str(count)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@durabilities
def test_a_crash_before_any_step_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, durability: Durability
) -> None:
    found = crashes("changes", tmp_path, durability=durability)

    assert {} == found["faults"]
    assert found["steps"] == found["ends"]["killed"] > 200
    assert found["ends"]["survived"] == found["histories"] > 1


@pytest.mark.soak
@durabilities
def test_a_crash_before_any_step_that_only_looks_loses_nothing_either(
    tmp_path: Path, durability: Durability
) -> None:
    found = crashes("parts", tmp_path, durability=durability)

    assert {} == found["faults"]
    assert found["steps"] == found["ends"]["killed"] > 1_000


@durabilities
def test_a_second_crash_in_the_recovery_from_the_first_loses_nothing(
    tmp_path: Path, durability: Durability
) -> None:
    found = crashes("pairs", tmp_path, durability=durability, count=PAIRS)

    assert {} == found["faults"]
    assert found["ends"]["killed"] > PAIRS / 2


@pytest.mark.soak
@durabilities
def test_a_crash_before_any_step_of_the_whole_history_loses_nothing(
    tmp_path: Path, durability: Durability
) -> None:
    found = crashes("whole", tmp_path, durability=durability)

    assert {} == found["faults"]
    assert found["steps"] == found["ends"]["killed"] > 1_000


@pytest.mark.soak
@durabilities
def test_two_crashes_anywhere_lose_nothing(tmp_path: Path, durability: Durability) -> None:
    count = int(seconds(0.1) * PAIRS_A_SECOND)

    found = crashes("pairs", tmp_path, durability=durability, count=count)

    assert {} == found["faults"]
    assert found["ends"]["killed"] > count / 2
