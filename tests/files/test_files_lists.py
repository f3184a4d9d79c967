"""A short list decodes few files, and is as right as one that decodes all."""

from __future__ import annotations

from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, seen
from listed import fill, ids

from semiont_jobs import evolve
from semiont_jobs.stores.files.copies import Copies
from semiont_jobs.stores.files.reader import Reader


@pytest.fixture
def queue(actor: Actors) -> Unattended:
    """A queue with ten jobs, two of each second: the later, the higher the number."""
    queue = actor()
    fill(queue, "j")
    return queue


def test_a_list_decodes_as_many_files_as_it_shows(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    really: Any = Copies.read

    def read(copies: Copies, status: str, job_id: str, **options: Any) -> Any:
        decoded.append(job_id)
        return really(copies, status, job_id, **options)

    monkeypatch.setattr(Copies, "read", read)
    shown = queue.query_jobs(limit=3)

    assert ids(shown) == decoded == ["j8", "j9", "j6"]


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
@pytest.mark.parametrize("offset", [0, 1, 4, 100])
@pytest.mark.parametrize(
    "filters", [{}, {"type": "odd"}, {"user_id": "ann", "queue": "q1"}, {"status": "failed"}]
)
def test_a_page_is_a_part_of_the_whole_list(
    queue: Unattended, limit: int, offset: int, filters: dict[str, Any]
) -> None:
    whole = queue.query_jobs(**filters, limit=None)

    assert queue.query_jobs(**filters, limit=limit, offset=offset) == whole[offset:][:limit]


def test_a_file_that_looks_like_a_job_and_is_none_takes_no_place(
    queue: Unattended, place: Place
) -> None:
    path = place.jobs / "pending" / "j9.json"
    path.write_text(path.read_text().replace('"retryCount": 0', '"retryCount": -1'))

    assert ids(queue.query_jobs(limit=3)) == ["j8", "j6", "j7"]


def test_files_that_look_like_jobs_are_waited_for_together(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (8, 9):
        path = place.jobs / "pending" / f"j{n}.json"
        path.write_text(path.read_text().replace('"maxRetries": 3', '"maxRetries": "many"'))
    noted: list[int] = []
    really: Any = Reader._found

    def found(reader: Reader, job_id: str) -> Any:
        noted.append(len(reader._copies.suspects()))
        return really(reader, job_id)

    monkeypatch.setattr(Reader, "_found", found)
    shown = queue.query_jobs(limit=1)

    assert ids(shown) == ["j6"]
    assert noted == [2, 2]


@pytest.mark.parametrize(
    ("filters", "shown"),
    [({}, ["j8", "j9", "j6"]), ({"status": "pending"}, ["j8", "j6", "j7"])],
)
def test_a_job_that_moves_between_its_two_readings_is_shown_where_it_is(
    queue: Unattended, actor: Actors, filters: dict[str, Any], shown: list[str]
) -> None:
    other = actor()
    waiting = seen(other.get_job("j9"))
    other.update_job(evolve(waiting, metadata=evolve(waiting.metadata, priority=9)))
    claims: list[Any] = []
    claim = lambda: claims.append(claimed(other))  # noqa: E731
    queue.disk.before("open_to_read", "pending/j9.json", claim, skip=1)

    found = queue.query_jobs(**filters, limit=3)

    assert ids(found) == shown
    assert [each.status for each in found if each.metadata.id == "j9"] in ([], ["running"])
    assert claims[0].job.metadata.id == "j9"
