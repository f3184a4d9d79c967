"""A map of nothing, with wrong arguments, in processes, and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pool import labour

from semiont_jobs import InvalidValue, JobHeld, JobQueue, WorkerPool
from semiont_jobs.testing.suite import some

TIMEOUT = 60.0


def test_processes_map_a_function_that_they_can_import(tmp_path: Path) -> None:
    with (
        JobQueue(tmp_path, fsync=False) as queue,
        WorkerPool(queue, threads=1, processes=2) as pool,
    ):
        results = list(pool.map(labour.squared_there, [1, 2, 3], name="run-1"))
        again = list(pool.map(labour.squared_there, [1, 2, 3], name="run-1"))
        with pytest.raises(InvalidValue, match="another process cannot import it"):
            pool.map(lambda _: 1, [1])

    assert [1, 4, 9] == [square for square, _ in results]
    assert os.getpid() not in {process for _, process in results}
    assert results == again


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"fn": 5}, "fn = 5"),
        ({"items": 5}, "an iterable is needed"),
        ({"name": ""}, "a run's name is 1 to 64"),
        ({"name": "a/b"}, "a run's name is 1 to 64"),
        ({"name": "x" * 65}, "a run's name is 1 to 64"),
        ({"name": 7}, "a run's name is 1 to 64"),
        ({"key": "path"}, "key = 'path'"),
        ({"retries": -1}, "max_retries"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    memory: JobQueue, options: dict[str, Any], rule: str
) -> None:
    with pytest.raises(InvalidValue, match=rule):
        WorkerPool(memory).map(**{"fn": len, "items": [], **options})


BAR = """
import sys
from semiont_jobs import JobQueue, WorkerPool

with JobQueue("memory:") as queue, WorkerPool(queue) as pool:
    print(list(pool.map(len, ["a", "bb", "ccc"], progress=True)))
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_is_shown_on_a_terminal_only(is_terminal: bool) -> None:
    terminal, far = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-c", BAR],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=far if is_terminal else subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    os.close(far)
    shown = os.read(terminal, 100_000).decode() if is_terminal else ran.stderr
    os.close(terminal)

    assert (0, "[1, 2, 3]\n") == (ran.returncode, ran.stdout)
    assert ("3/3" in shown, "len" in shown) == (is_terminal, is_terminal)


@pytest.mark.parametrize("was", ["failed", "cancelled", "pending"])
def test_what_is_done_again_is_done_on_the_terms_of_the_new_run(queue: JobQueue, was: str) -> None:
    made = queue.enqueue(
        {"item": -7}, type="map:run-1", id="map-run-1-00000000", max_retries=0, timeout=0.2
    )
    if was == "failed":
        some(queue.claim_next_job(types=["map:run-1"])).fail(OSError("away"))
    elif was == "cancelled":
        queue.cancel_job(made.metadata.id)
    terms: list[tuple[int, float | None]] = []
    queue.subscribe(
        lambda event: (
            terms.append((event.job.metadata.max_retries, event.job.metadata.timeout))
            if event.name == "claimed" and event.job is not None
            else None
        )
    )

    with WorkerPool(queue) as pool:
        assert [7] == list(pool.map(abs, [-7], name="run-1", retries=3, timeout=60))

    assert [(3, 60)] == terms


def test_what_is_being_made_durable_is_waited_for_and_done_again(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, tries = queue.update_job, []

    def held_first(*given: Any) -> Any:
        tries.append(given)
        if len(tries) == 1:
            raise JobHeld(given[0].metadata.id)
        return update(*given)

    queue.enqueue({"item": -7}, type="map:run-1", id="map-run-1-00000000")
    queue.cancel_job("map-run-1-00000000")
    monkeypatch.setattr(queue, "update_job", held_first)

    with WorkerPool(queue) as pool:
        assert [7] == list(pool.map(abs, [-7], name="run-1"))

    assert len(tries) == 2


def test_no_items_are_no_results(memory: JobQueue) -> None:
    with WorkerPool(memory) as pool:
        assert [] == list(pool.map(len, []))
