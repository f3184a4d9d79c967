"""A short list reads few rows, and is as right as one that reads all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from listed import fill, ids
from postgres.servers import sql

from semiont_jobs import JobMetadata, JobQueue, PendingJob
from semiont_jobs.stores.postgres import PostgresStore

Make = Callable[..., JobQueue]


@pytest.fixture
def queue(make_queue: Make) -> JobQueue:
    """A queue with ten jobs, two of each second: the later, the higher the number."""
    queue = make_queue()
    fill(queue, "job-")
    return queue


def test_a_list_decodes_as_many_jobs_as_it_shows(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    really: Any = PostgresStore._listed

    def listed(store: PostgresStore, job_id: str, *row: Any) -> Any:
        decoded.append(job_id)
        return really(store, job_id, *row)

    monkeypatch.setattr(PostgresStore, "_listed", listed)
    shown = queue.query_jobs(limit=3)

    assert ids(shown) == decoded == ["job-8", "job-9", "job-6"]


@pytest.mark.parametrize("limit", [0, 1, 3, 100, 10**30])
@pytest.mark.parametrize("offset", [0, 1, 4, 10**30])
@pytest.mark.parametrize(
    "filters",
    [{}, {"type": "odd"}, {"user_id": "ann", "queue": "q1"}, {"status": "failed"}, {"type": "%"}],
)
def test_a_page_is_a_part_of_the_whole_list(
    queue: JobQueue, limit: int, offset: int, filters: dict[str, Any]
) -> None:
    whole = queue.query_jobs(**filters, limit=None)

    assert queue.query_jobs(**filters, limit=limit, offset=offset) == whole[offset:][:limit]


def test_rows_that_are_no_jobs_take_no_place_in_a_list(
    queue: JobQueue, server_url: str, schema: str
) -> None:
    sql(server_url, f"UPDATE {schema}.jobs SET document = 'no job' WHERE id >= 'job-5'")

    assert ids(queue.query_jobs(limit=3)) == ["job-4", "job-2", "job-3"]
    assert ids(queue.query_jobs(limit=3, offset=3)) == ["job-0", "job-1"]


def test_a_row_whose_columns_were_changed_is_listed_as_what_it_is(
    queue: JobQueue, server_url: str, schema: str
) -> None:
    sql(server_url, f"UPDATE {schema}.jobs SET type = 'odd' WHERE id = 'job-8'")

    assert ids(queue.query_jobs(type="odd", limit=2)) == ["job-9", "job-7"]


@pytest.mark.parametrize("name", ["DOMAIN\\user", "a\nb", "\u00a0", "x" * 2000])
def test_names_that_a_column_holds_in_another_form_are_found(queue: JobQueue, name: str) -> None:
    metadata = JobMetadata(id="odd", type=name, user_id=name, queue=name)
    job = queue.create_job(PendingJob(metadata=metadata, params={}))

    assert queue.query_jobs(type=name, user_id=name, queue=name) == [job]


@pytest.mark.parametrize("name", ["\0", "\ud800", ""])
def test_names_that_no_job_has_are_found_nowhere(queue: JobQueue, name: str) -> None:
    assert queue.query_jobs(type=name) == queue.query_jobs(user_id=name) == []
