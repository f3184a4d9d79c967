"""The application's one queue."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import attrs
import pytest
import tenacity

from semiont_jobs import (
    JobQueue,
    JobType,
    MemoryStore,
    QueueNotInitialized,
    RetryPolicy,
    get_job_queue,
    initialize_job_queue,
)
from semiont_jobs.testing.suite import some


@attrs.frozen
class Page:
    number: int


pytestmark = pytest.mark.usefixtures("no_queue_yet")


def test_before_it_is_made_there_is_none_and_the_error_says_what_to_call() -> None:
    with pytest.raises(QueueNotInitialized, match="initialize_job_queue") as told:
        get_job_queue()

    assert isinstance(told.value, RuntimeError)


def test_it_is_made_once_and_had_anywhere(tmp_path: Path) -> None:
    queue = initialize_job_queue(data_dir=tmp_path / "data", fsync=False)

    assert get_job_queue() is queue
    assert isinstance(queue, JobQueue)
    assert (tmp_path / "data" / "jobs" / "pending").is_dir()


def test_again_with_the_same_settings_it_is_the_same(tmp_path: Path) -> None:
    policy = RetryPolicy()
    queue = initialize_job_queue(tmp_path, fsync=False, retry_policy=policy)

    assert initialize_job_queue(tmp_path, fsync=False, retry_policy=policy) is queue


@pytest.mark.parametrize(
    ("settings", "again"),
    [
        ({}, {"fsync": True}),
        ({"fsync": True}, {}),
        ({}, {"retry_policy": None}),
        ({}, {"retry_policy": RetryPolicy()}),
        ({}, {"max_crashes": 3, "dir_mode": 0o700, "hooks": []}),
        (
            {"retry_policy": RetryPolicy(wait=tenacity.wait_fixed(1))},
            {"retry_policy": RetryPolicy(wait=tenacity.wait_fixed(1))},
        ),
        (
            {"job_types": [JobType("page", Page, retry_policy=RetryPolicy(permanent=(OSError,)))]},
            {"job_types": (JobType("page", Page, retry_policy=RetryPolicy(permanent=(OSError,))),)},
        ),
        ({"hooks": [print]}, {"hooks": (each for each in (print,))}),
    ],
)
def test_settings_that_mean_the_same_are_the_same(
    tmp_path: Path, settings: dict[str, Any], again: dict[str, Any]
) -> None:
    queue = initialize_job_queue(tmp_path, **settings)

    assert initialize_job_queue(tmp_path, **again) is queue


@pytest.mark.parametrize(
    "other",
    [
        {"fsync": True},
        {"max_crashes": 2},
        {"dir_mode": 0o750},
        {"retry_policy": RetryPolicy(wait=tenacity.wait_fixed(1))},
        {"hooks": [print]},
    ],
)
def test_settings_that_mean_something_else_are_not(tmp_path: Path, other: dict[str, Any]) -> None:
    queue = initialize_job_queue(tmp_path, fsync=False)

    assert initialize_job_queue(tmp_path, **{"fsync": False, **other}) is not queue
    queue.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_child_forked_while_another_thread_makes_the_queue_can_make_its_own() -> None:
    script = """
        import os, sys, threading, warnings
        from semiont_jobs import MemoryStore, initialize_job_queue

        class Slow(MemoryStore):
            def open(self, codec, notify):
                entered.set()
                go_on.wait(60)
                super().open(codec, notify)

        entered, go_on = threading.Event(), threading.Event()
        maker = threading.Thread(target=initialize_job_queue, args=(Slow(),))
        maker.start()
        entered.wait(60)
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
        if child == 0:
            # Without a queue of its own in time, the alarm ends it.
            import signal
            signal.alarm(20)
            initialize_job_queue(MemoryStore()).enqueue({}, type="t")
            os._exit(7)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        go_on.set()
        maker.join()
        print(status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("7\n", "") == (done.stdout, done.stderr)


def test_a_place_is_the_same_as_text_path_or_relative_to_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue = initialize_job_queue(tmp_path / "data", fsync=False)

    assert initialize_job_queue(str(tmp_path / "data"), fsync=False) is queue
    assert initialize_job_queue("data", fsync=False) is queue
    assert initialize_job_queue("./data/", fsync=False) is queue


def test_the_same_words_mean_another_place_in_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        made.append(initialize_job_queue("data", fsync=False))

    assert made[0] is not made[1]
    assert (tmp_path / "two" / "data" / "jobs").is_dir()
    made[0].close()


def test_a_store_of_ones_own_is_the_same_when_it_is_that_object() -> None:
    store = MemoryStore()
    queue = initialize_job_queue(store)

    assert initialize_job_queue(store) is queue
    assert initialize_job_queue(MemoryStore()) is not queue


def test_with_other_settings_it_is_replaced_and_claims_finish_on_the_old_one(
    tmp_path: Path,
) -> None:
    old = initialize_job_queue(tmp_path, fsync=False)
    old.enqueue({}, type="task", id="j")
    claim = some(old.claim_next_job())

    new = initialize_job_queue(tmp_path, fsync=False, max_crashes=1)

    assert get_job_queue() is new
    assert new is not old
    assert claim.complete().status == "complete"
    assert some(new.get_job("j")).status == "complete"
    old.close()


def test_a_queue_that_cannot_be_made_leaves_the_one_there_is(tmp_path: Path) -> None:
    queue = initialize_job_queue(tmp_path / "data", fsync=False)
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        initialize_job_queue(tmp_path / "file", fsync=False)

    assert get_job_queue() is queue
