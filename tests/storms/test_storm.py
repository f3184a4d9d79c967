"""Eight workers, killed and stopped all the time, amid rescuers, cancellers and cleaners."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest
from proofs.soak import new_seed, seconds
from storms.judge import Judge
from storms.storm import Aftermath, Storm, rage

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"),
        reason="a monotonic clock that all processes share, sigtimedwait and nice are Linux's",
    ),
]


def judged(storm: Storm, path: Path) -> tuple[Judge, Aftermath]:
    """The storm, which must have broken nothing."""
    aftermath = rage(storm, path)
    judge = Judge(aftermath)
    judge.judge()
    return judge, aftermath


@pytest.mark.parametrize(
    "storm",
    [
        Storm(seed=1, jobs=600, kill_every=0.01, seconds=6, least_kills=50),
        Storm(seed=2, jobs=200, kill_every=0.02, seconds=6, least_kills=50, durability="fsync"),
        Storm(seed=3, jobs=300, kill_every=0.02, seconds=6, least_kills=50, durability="journal"),
    ],
    ids=lambda storm: storm.durability,
)
def test_a_storm_of_kills_loses_no_job_and_robs_no_living_worker(
    storm: Storm, tmp_path: Path
) -> None:
    judge, aftermath = judged(storm, tmp_path)

    # It was one: kills met holders, requests to cancel met jobs, and jobs were removed.
    assert len(judge.killed) >= storm.least_kills
    assert judge.crashes() > 0
    for word in ("stop", "forked", "rescued", "cancelled", "retried", "removed"):
        assert aftermath.said(word), f"nothing was {word}"


def test_jobs_that_kill_their_workers_fail_and_the_others_are_done(tmp_path: Path) -> None:
    storm = Storm(
        seed=3,
        jobs=80,
        seconds=1,
        kill_every=None,
        crowd=False,
        kinds=("plain", "reports", "kills", "stumbles"),
        max_crashes=3,
        retention=3600,
    )
    judge, _ = judged(storm, tmp_path)

    assert len(judge.documents) == 80
    for document in judge.documents.values():
        crashes = document["metadata"].get("crashCount", 0)
        if document["params"]["kind"] == "kills":
            assert (document["status"], crashes) == ("failed", 4)
            assert "died" in document["error"]
        else:
            assert (document["status"], crashes) == ("complete", 0)


@pytest.mark.soak
def test_storms_of_every_seed_break_nothing(tmp_path: Path) -> None:
    end = time.monotonic() + seconds(0.4)
    seed = new_seed()
    while time.monotonic() < end:
        storm = Storm(
            seed=seed,
            jobs=400 if seed % 3 == 0 else 2500,
            durability=("fsync", "process", "journal")[seed % 3],
            kill_every=(0.005, 0.01, 0.02)[seed % 3],
            seconds=max(5.0, min(40.0, end - time.monotonic())),
            linger=5.0,
        )
        print(storm)
        judged(storm, tmp_path / f"{seed}")
        shutil.rmtree(tmp_path / f"{seed}")
        seed += 1
