"""Moving house: every job arrives as it was, once, wherever the move is broken off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moving import dies

from semiont_jobs import InvalidValue, JobQueue, PermanentError
from semiont_jobs.cli.main import main
from semiont_jobs.testing.waiting import eventually
from semiont_jobs.transfer import transfer

FINISHED = ("complete", "failed", "cancelled")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., JobQueue]]:
    made: list[JobQueue] = []

    def open_at(name: str) -> JobQueue:
        made.append(JobQueue(tmp_path / name, fsync=False).initialize())
        return made[-1]

    yield open_at
    for queue in made:
        queue.close()


def fill(queue: JobQueue) -> None:
    """A job of every status that stays, and one that waits for another attempt."""
    for number, status in enumerate(("pending", "retried", *FINISHED)):
        queue.enqueue({"n": number, "text": "é\u2028"}, type="t", id=status, priority=number)
    for job_id in ("retried", "complete", "failed"):
        claim = queue.claim_next_job(accept=wanting(job_id))
        assert claim is not None
        if job_id == "complete":
            claim.complete({"ok": 1.5})
        else:
            claim.fail(PermanentError("no") if job_id == "failed" else LookupError("again"))
    queue.cancel_job("cancelled")


def wanting(job_id: str) -> Callable[[Any], bool]:
    return lambda job: bool(job.metadata.id == job_id)


def texts(place: Path, *folders: str) -> dict[str, bytes]:
    """Every job's file, by folder and name."""
    found = folders or ("pending", "running", *FINISHED)
    return {
        f"{folder}/{path.name}": path.read_bytes()
        for folder in found
        for path in (place / "jobs" / folder).glob("*.json")
    }


def on_the_way(place: Path) -> list[str]:
    """Ids of the jobs on their way to a place, and from it."""
    return [path.stem for way in ("arriving", "leaving")
            for path in (place / "jobs").glob(f".{way}/*/*.json")]  # fmt: skip


def test_every_job_arrives_as_it_was_and_the_old_place_is_empty(
    make: Callable[..., JobQueue], tmp_path: Path
) -> None:
    one, other = make("one"), make("other")
    fill(one)
    before = texts(tmp_path / "one")

    report = transfer(one, other)

    assert {"pending": 2, "complete": 1, "failed": 1, "cancelled": 1} == report.moved
    assert (True, 5, 0) == (report.is_whole, report.total, report.resumed)
    assert before == texts(tmp_path / "other")
    assert {} == texts(tmp_path / "one")
    assert [] == on_the_way(tmp_path / "other") == on_the_way(tmp_path / "one")


def test_jobs_in_their_new_place_can_be_run_and_retried(make: Callable[..., JobQueue]) -> None:
    one, other = make("one"), make("other")
    fill(one)
    transfer(one, other)

    claim = other.claim_next_job()
    assert claim is not None
    other.retry_job("failed")

    assert "pending" == claim.complete().metadata.id
    assert "pending" == other.get_job("failed").status  # type: ignore[union-attr]


def test_a_job_at_work_is_waited_for_and_goes_once_it_has_ended(
    make: Callable[..., JobQueue],
) -> None:
    one, other, worker = make("one"), make("other"), make("one")
    one.enqueue({}, type="t", id="slow")
    one.enqueue({}, type="t", id="waiting")
    claim = worker.claim_next_job(accept=wanting("slow"))
    assert claim is not None

    report = transfer(one, other, wait=60.0, on_moved=lambda job: job.metadata.id == "waiting"
                      and claim.complete({"ok": True}))  # fmt: skip

    assert (True, 2) == (report.is_whole, report.total)
    assert "complete" == other.get_job("slow").status  # type: ignore[union-attr]


def test_a_job_that_stays_at_work_stays_and_goes_the_next_time(
    make: Callable[..., JobQueue],
) -> None:
    one, other, worker = make("one"), make("other"), make("one")
    one.enqueue({}, type="t", id="slow")
    claim = worker.claim_next_job()
    assert claim is not None

    first = transfer(one, other)
    claim.release()
    second = transfer(one, other)

    assert (["slow"], 0) == (first.running, first.total)
    assert (True, 1) == (second.is_whole, second.total)


def test_a_dead_worker_s_job_is_rescued_first(make: Callable[..., JobQueue]) -> None:
    one, other, worker = make("one"), make("other"), make("one")
    one.enqueue({}, type="t", id="j")
    claim = worker.claim_next_job()
    assert claim is not None
    worker.store.kill_holder("j")  # type: ignore[attr-defined]

    report = transfer(one, other)

    assert (True, 1) == (report.is_whole, report.total)
    assert 1 == other.get_job("j").metadata.crash_count  # type: ignore[union-attr]


def test_a_job_whose_id_is_taken_there_stays(make: Callable[..., JobQueue]) -> None:
    one, other = make("one"), make("other")
    one.enqueue({"of": "one"}, type="t", id="j")
    other.enqueue({"of": "other"}, type="t", id="j")

    report = transfer(one, other)

    assert (0, ["j"]) == (report.total, list(report.refused))
    assert {"of": "one"} == one.get_job("j").params  # type: ignore[union-attr]
    assert {"of": "other"} == other.get_job("j").params  # type: ignore[union-attr]


def test_jobs_in_memory_cannot_be_moved(make: Callable[..., JobQueue]) -> None:
    with JobQueue("memory:") as memory, pytest.raises(InvalidValue, match="a MemoryStore"):
        transfer(memory, make("other"))


# -- broken off at every step ------------------------------------------------------------


@pytest.mark.parametrize("side", ["one", "other"])
def test_a_move_that_dies_at_any_step_loses_no_job_and_doubles_none(
    make: Callable[..., JobQueue], tmp_path: Path, side: str
) -> None:
    filling = make("full")
    filling.enqueue({}, type="t", id="waiting")
    filling.enqueue({}, type="t", id="cancelled")
    filling.cancel_job("cancelled")
    filling.close()
    before = texts(tmp_path / "full")
    step = 0
    is_through = False
    while not is_through:
        place = tmp_path / str(step)
        shutil.copytree(tmp_path / "full", place / "one")
        is_through = not dies(place, side, step)

        here, there = texts(place / "one"), texts(place / "other")
        arrived = set(on_the_way(place / "other"))
        assert not here.keys() & there.keys(), f"before step {step}"
        ids = {Path(name).stem for name in (*here, *there)} | arrived
        assert ids == {Path(name).stem for name in before}, f"before step {step}"
        with (
            JobQueue(place / "one", fsync=False) as one,
            JobQueue(place / "other", fsync=False) as other,
        ):
            assert transfer(one, other).is_whole, f"before step {step}"
        assert before == texts(place / "other"), f"before step {step}"
        assert {} == texts(place / "one")
        step += 1
    assert step > 30


# -- the command -------------------------------------------------------------------------


def test_the_command_tells_what_was_moved(
    make: Callable[..., JobQueue], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(make("one"))

    code = main(["transfer", str(tmp_path / "one"), str(tmp_path / "other")])
    again = main(["transfer", "--json", str(tmp_path / "one"), str(tmp_path / "other")])

    out = capsys.readouterr().out.splitlines()
    assert (0, 0) == (code, again)
    assert "5 moved: 2 pending, 1 complete, 1 failed, 1 cancelled" == out[0]
    assert "5 are there now, 0 stay" == out[1]
    assert {"moved": dict.fromkeys(("pending", *FINISHED), 0), "resumed": 0, "running": [],
            "refused": {}, "waiting": 0, "halfway": 0} == json.loads(out[2])  # fmt: skip


def test_what_stays_is_told_and_the_exit_code_says_so(
    make: Callable[..., JobQueue], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = make("one"), make("other")
    one.enqueue({}, type="t", id="slow")
    claim = one.claim_next_job()
    assert claim is not None
    one.enqueue({}, type="t", id="taken")
    other.enqueue({}, type="t", id="taken")

    code = main(["transfer", str(tmp_path / "one"), str(tmp_path / "other"), "--wait", "0s"])

    told = capsys.readouterr()
    assert 1 == code
    assert "0 moved\n1 are there now, 2 stay\n" == told.out
    assert "still at work: slow\n" in told.err
    assert "taken stays: a job of this id stands in the new place already\n" in told.err
    claim.release()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere", "other"], 1, "there is no data directory at nowhere"),
        (["one", "one"], 2, "the same place"),
        (["one", "./one"], 2, "the same place"),
        (["one", "one/jobs"], 2, "in the other's 'jobs' folder"),
        (["one", "one/jobs/pending/deep"], 2, "in the other's 'jobs' folder"),
        (["memory:", "other"], 2, "in one process only"),
        (["one", "mysql://host/db"], 1, "a postgresql:// URL is needed"),
        (["one"], 2, "Missing argument 'TO'"),
    ],
)
def test_a_wrong_place_is_told_in_a_line_and_nothing_is_made(
    make: Callable[..., JobQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    make("one").enqueue({}, type="t", id="j")
    monkeypatch.chdir(tmp_path)

    assert code == main(["transfer", *arguments])

    assert said in capsys.readouterr().err.splitlines()[-1]
    assert ["one"] == [path.name for path in tmp_path.iterdir()]
    assert eventually(lambda: (tmp_path / "one/jobs/pending/j.json").exists())
