"""Moving house from a directory to PostgreSQL and back, also broken off in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from postgres.servers import sql

from semiont_jobs import Event, JobQueue, PermanentError
from semiont_jobs.cli.main import main
from semiont_jobs.demo.annotators import ANNOTATORS
from semiont_jobs.demo.corpus import titles
from semiont_jobs.demo.judge import judge
from semiont_jobs.demo.plan import plan
from semiont_jobs.demo.witness import OUTCOME, Witness, account
from semiont_jobs.testing.waiting import eventually
from semiont_jobs.transfer import transfer

TIMEOUT = 120.0


class Cut(BaseException):
    """The process is gone, as far as the move knows."""


def fill(queue: JobQueue) -> None:
    for number in range(4):
        queue.enqueue(
            {"n": number, "text": "é\u2028\x00"}, type="t", id=f"j{number}", priority=-number
        )
    claims = [queue.claim_next_job() for _ in range(2)]
    claims[0].complete({"ok": 1.5})  # type: ignore[union-attr]
    claims[1].fail(PermanentError("no"))  # type: ignore[union-attr]
    queue.cancel_job("j2")


def files(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.glob("jobs/*/*.json"))}


def test_a_directory_moves_to_a_database_and_back_with_every_byte(
    make_queue: Callable[..., JobQueue], url: str, tmp_path: Path
) -> None:
    one, back = JobQueue(tmp_path / "one"), JobQueue(tmp_path / "back")
    database = make_queue()
    fill(one)
    before = files(tmp_path / "one")

    there = transfer(one, database)
    listed = {job.metadata.id: job.status for job in database.query_jobs()}
    again = transfer(database, back)

    assert (4, True, 4, True) == (there.total, there.is_whole, again.total, again.is_whole)
    assert {"j0": "complete", "j1": "failed", "j2": "cancelled", "j3": "pending"} == listed
    assert before == files(tmp_path / "back")
    assert (0, {}) == (database.get_stats().total, files(tmp_path / "one"))
    one.close()
    back.close()


@pytest.mark.parametrize("to_database", [True, False])
@pytest.mark.parametrize("verb", ["arrive", "arrival", "leave", "admit", "forget"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_move_that_is_broken_off_is_finished_by_another(
    make_queue: Callable[..., JobQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to_database: bool,
    verb: str,
    is_done: bool,
) -> None:
    directory, database = JobQueue(tmp_path), make_queue()
    one, other = (directory, database) if to_database else (database, directory)
    fill(one)
    store: Any = one.store if verb in ("leave", "forget") else other.store
    act = getattr(store, verb)
    left = [2]

    def cut(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0]:
            return act(*arguments)
        if is_done:
            act(*arguments)
        raise Cut

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(type(store), verb, lambda _store, *arguments: cut(*arguments))
        transfer(one, other)
    standing = [
        {str(job.metadata.id) for job in queue.query_jobs(limit=None)} for queue in (one, other)
    ]
    arrived = {job_id for _source, job_id in other.store.arrived()}  # type: ignore[attr-defined]
    report = transfer(one, other)

    assert not standing[0] & standing[1]
    assert {"j0", "j1", "j2", "j3"} == standing[0] | standing[1] | arrived
    assert report.is_whole
    assert 4 == other.get_stats().total
    assert 0 == one.get_stats().total
    directory.close()


@pytest.mark.parametrize("to_database", [True, False])
@pytest.mark.parametrize("verb", ["leave", "admit"])
def test_what_one_source_left_halfway_waits_for_that_one_and_is_never_doubled(
    make_queue: Callable[..., JobQueue], tmp_path: Path, to_database: bool, verb: str
) -> None:
    directory, database, third = JobQueue(tmp_path / "one"), make_queue(), JobQueue(tmp_path / "3")
    one, other = (directory, database) if to_database else (database, directory)
    one.enqueue({"of": "one"}, type="t", id="j")
    third.enqueue({"of": "third"}, type="t", id="k")

    def die(*_arguments: Any) -> None:
        raise Cut

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Cut):
        patched.setattr((one if verb == "leave" else other).store, verb, die)
        transfer(one.initialize(), other.initialize())
    from_third = transfer(third, other)
    to_third = transfer(one, third)
    again = transfer(one, other)
    found = [str(job.metadata.id) for queue in (one, other, third) for job in queue.query_jobs()]

    assert (1, 1) == (from_third.total, from_third.waiting)
    assert (verb == "leave", verb == "admit") == (to_third.is_whole, bool(again.resumed))
    assert ["j", "k"] == sorted(found)
    assert [] == other.store.arrived() == one.store.departed()  # type: ignore[attr-defined]
    directory.close()
    third.close()


def test_a_second_transfer_into_a_database_is_refused_in_one_line(
    make_queue: Callable[..., JobQueue],
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store: Any = make_queue().initialize().store
    with JobQueue(tmp_path) as queue:
        queue.enqueue({}, type="t", id="j")

    with store.turn():
        refused = main(["transfer", str(tmp_path), url])
    code = main(["transfer", str(tmp_path), url])

    (line,) = capsys.readouterr().err.splitlines()
    assert (1, 0) == (refused, code)
    assert "another transfer to there is under way" in line


@contextmanager
def at_work(queue: JobQueue, place: Path) -> Iterator[None]:
    """The demonstration's six workers, and a witness who writes down what they do."""
    witness = Witness(place / "witness")

    def tell(event: Event) -> None:
        if event.name in ("completed", "failed"):
            witness.saw(OUTCOME, event.job_id)

    stop_telling = queue.subscribe(tell)
    workers = [annotator(queue, place, witness) for annotator in ANNOTATORS]
    for worker in workers:
        worker.start()
    yield
    for worker in workers:
        worker.stop()
    stop_telling()


def test_a_demonstration_begun_on_files_is_finished_in_the_database(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with JobQueue(tmp_path, fsync=False) as queue:
        planned = plan(dict(islice(titles().items(), 10)), queue.job_types)
        queue.create_jobs(planned)
        with at_work(queue, tmp_path):
            eventually(lambda: queue.get_stats().complete >= len(planned) // 2, TIMEOUT)
        code = main(["transfer", str(tmp_path), url])
        left = queue.get_stats().total
    with JobQueue(url) as queue, at_work(queue, tmp_path):
        waiting = queue.get_stats().pending
        eventually(lambda: queue.get_stats().complete == len(planned), TIMEOUT)
        verdict = judge(
            (job.metadata.id for job in planned),
            queue.query_jobs(limit=None),
            account(tmp_path / "witness"),
        )

    assert (0, 0) == (code, left)
    assert waiting > 0
    assert f"{len(planned)} are there now, 0 stay\n" in capsys.readouterr().out
    assert verdict.is_clean, verdict


def test_a_schema_that_is_not_there_is_told_and_not_made(
    url: str, server_url: str, schema: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["transfer", url, str(tmp_path / "new")])

    assert (1, True) == (code, "the schema is not there" in capsys.readouterr().err)
    assert [(0,)] == sql(server_url, "SELECT count(*) FROM pg_namespace WHERE nspname = %s", schema)
    assert not (tmp_path / "new").exists()


def test_a_database_that_is_not_there_is_one_line_and_moves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with JobQueue(tmp_path) as queue:
        queue.enqueue({}, type="t", id="j")

    code = main(["transfer", str(tmp_path), "postgresql://nobody@127.0.0.1:1/none"])

    assert 1 == code
    assert 1 == len(capsys.readouterr().err.splitlines())
    assert ["j.json"] == list(files(tmp_path))
