"""Real concurrency, threads and processes: every job's history is one a sequential job could have."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from linearizability.checker import Operation, check
from linearizability.clients import IDS, crowd
from linearizability.histories import histories
from linearizability.one_job import OneJob
from proofs.soak import new_seed, seconds
from proofs.witness import Line, Witness, lines_in
from storms.storm import TESTS

from semiont_jobs import FileStore, MemoryStore

pytestmark = pytest.mark.proof

PATIENCE = 60.0

THREADS = 4


def explained(lines: list[Line], seed: int) -> dict[str, list[Operation]]:
    """The history of every job, each of which must have an explanation."""
    found = histories(lines, IDS)
    for id_, history in found.items():
        try:
            check(history, OneJob())
        except AssertionError as error:
            error.add_note(f"job {id_}, seed {seed}")
            raise
    return found


def in_threads(kind: str, path: Path, seed: int, calls: int) -> list[Line]:
    """What threads saw that work on one place."""
    (path / "logs").mkdir(parents=True)
    if kind == "memory":
        crowd([MemoryStore()] * THREADS, Witness(path / "logs", "t"), "t", seed, calls)
    else:
        stores = [FileStore(path / "data", fsync=False) for _ in range(THREADS)]
        crowd(stores, Witness(path / "logs", "t"), "t", seed, calls)
    return lines_in(path / "logs")


@contextmanager
def client_process(
    path: Path, who: str, seed: int, calls: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Clients in a process of their own, which begin when told."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            part for part in (str(TESTS), os.environ.get("PYTHONPATH")) if part
        )
    }
    arguments = [str(path / "data"), str(path / "logs"), who, str(seed), str(calls)]
    process = subprocess.Popen(
        [sys.executable, "-m", "linearizability.clients", *arguments],
        stdin=subprocess.PIPE,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def in_processes(path: Path, seed: int, calls: int) -> list[Line]:
    """What processes saw that work on one directory; one of them was killed."""
    logs = path / "logs"
    logs.mkdir(parents=True)
    note = Witness(logs, "undertaker")
    with (
        client_process(path, "p0", seed, calls) as one,
        client_process(path, "p1", seed + 1, calls) as other,
        client_process(path, "p2", seed + 2, 1_000_000) as victim,
    ):
        begun, pause = time.monotonic(), threading.Event()
        while sum(line.word == "ready" for line in lines_in(logs)) < 3:
            assert time.monotonic() < begun + PATIENCE
            pause.wait(0.01)
        for process in (one, other, victim):
            assert process.stdin is not None
            process.stdin.close()
        # Somewhere in the middle of what it does.
        chance = random.Random(seed)
        while sum(line.word == "call" for line in lines_in(logs, "p2")) < chance.randrange(
            100, 200
        ):
            assert time.monotonic() < begun + PATIENCE
            pause.wait(chance.uniform(0.001, 0.01))
        given = {"process": "p2/"}
        note("call", who="undertaker", number=0, name="die", given=given)
        victim.send_signal(signal.SIGKILL)
        victim.wait(PATIENCE)
        note("return", who="undertaker", number=0, answer=None)
        assert (one.wait(PATIENCE), other.wait(PATIENCE)) == (0, 0)
    return lines_in(logs)


@pytest.mark.parametrize("kind", ["memory", "files"])
@pytest.mark.parametrize("seed", range(3))
def test_what_threads_see_of_a_job_has_a_sequential_explanation(
    kind: str, seed: int, tmp_path: Path
) -> None:
    found = explained(in_threads(kind, tmp_path, seed, 150), seed)

    assert all(len(history) > 50 for history in found.values())


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs a monotonic clock that processes share"
)
@pytest.mark.parametrize("seed", [10, 20])
def test_what_processes_see_of_a_job_has_a_sequential_explanation(
    seed: int, tmp_path: Path
) -> None:
    found = explained(in_processes(tmp_path, seed, 120), seed)

    assert all(len(history) > 50 for history in found.values())


@pytest.mark.soak
def test_histories_of_every_seed_have_a_sequential_explanation(tmp_path: Path) -> None:
    end = time.monotonic() + seconds(0.3)
    seed = new_seed()
    while time.monotonic() < end:
        path = tmp_path / f"{seed}"
        print(f"seed {seed}")
        if seed % 3 == 0:
            explained(in_processes(path, seed, 400), seed)
        else:
            explained(in_threads(("memory", "files")[seed % 3 - 1], path, seed, 400), seed)
        shutil.rmtree(path)
        seed += 10
