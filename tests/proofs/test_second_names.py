"""A second name of a job's file, in whatever other folder, changes nothing that any verb does.

`rename` of a file onto another name of itself does nothing and says that it went well: a move
that then removed the old name, or the new one, would remove the only copy.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.places import FOLDERS, Actors, Unattended, claimed, job

from semiont_jobs import JobQueue, PendingJob, SemiontJobsError, evolve

pytestmark = pytest.mark.proof

AT_ONCE = timedelta(0)


def stand_in(folder: str, queue: Unattended) -> None:
    """Bring a job into that status through the queue, and let go of it."""
    queue.create_job(job(max_retries=0))
    if folder == "running":
        queue.store.kill_holder(claimed(queue).job.metadata.id)  # type: ignore[attr-defined]
    elif folder == "complete":
        claimed(queue).complete({"n": 1})
    elif folder == "failed":
        claimed(queue).fail("no")
    elif folder == "cancelled":
        queue.cancel_job("j")


def claim_and_complete(queue: JobQueue) -> object:
    claim = queue.claim_next_job()
    return None if claim is None else claim.complete({"n": 2}).status


def claim_and_give_up(queue: JobQueue) -> object:
    claim = queue.claim_next_job()
    return None if claim is None else claim.fail("no").status


def claim_report_and_release(queue: JobQueue) -> object:
    claim = queue.claim_next_job()
    if claim is None:
        return None
    claim.report({"at": 1})
    claim.checkpoint(["a"])
    return claim.release().status


def edit(queue: JobQueue) -> object:
    found = queue.get_job("j")
    assert found is not None
    metadata = evolve(found.metadata, priority=5)
    return queue.update_job(PendingJob(metadata=metadata, params=found.params), "pending").status


VERBS: dict[str, Callable[[JobQueue], object]] = {
    "create": lambda queue: queue.create_job(job()).status,
    "claim and complete": claim_and_complete,
    "claim and fail": claim_and_give_up,
    "claim, report, release": claim_report_and_release,
    "update": edit,
    "cancel": lambda queue: queue.cancel_job("j"),
    "retry": lambda queue: queue.retry_job("j").status,
    "rescue": lambda queue: queue.rescue_orphans(),
    "remove": lambda queue: queue.cleanup_completed_jobs(AT_ONCE, cancelled=True),
    "get": lambda queue: getattr(queue.get_job("j"), "status", None),
    "list": lambda queue: [each.status for each in queue.query_jobs()],
    "count": lambda queue: queue.get_stats(),
}


def told(queue: JobQueue, verb: str) -> object:
    """What a verb answers, or the class of what it raises."""
    try:
        return VERBS[verb](queue)
    except SemiontJobsError as error:
        return type(error)


def what_comes_of_it(path: Path, folder: str, verb: str, second: str | None) -> Any:
    """The answer of a verb, and the job once everybody has looked after it."""
    actors = Actors(path)
    stand_in(folder, actors(max_crashes=9))
    if second is not None:
        known = actors.place.jobs / folder / "j.json"
        (actors.place.jobs / second / "j.json").hardlink_to(known)
    queue = actors(max_crashes=9, fsync=True)
    answer = told(queue, verb)
    seen = queue.get_job("j")
    queue.rescue_orphans()
    claim = queue.claim_next_job()
    if claim is not None:
        claim.complete()
    left = queue.get_job("j")
    copies = actors.place.copies()
    actors.close()
    return (
        answer,
        seen and (seen.status, seen.metadata.revision, seen.params),
        left and (left.status, left.metadata.revision),
        # Debris beside a finished job goes when it is removed.
        {name: copies[name] for name in copies if left and name == left.status},
    )


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_second_name_of_a_jobs_file_changes_nothing_that_a_verb_does(
    tmp_path: Path, folder: str, verb: str
) -> None:
    alone = what_comes_of_it(tmp_path / "alone", folder, verb, None)

    for second in FOLDERS:
        if second != folder:
            assert alone == what_comes_of_it(tmp_path / second, folder, verb, second), second


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_rename_of_a_jobs_file_onto_itself_loses_nothing(tmp_path: Path, folder: str) -> None:
    actors = Actors(tmp_path / "data")
    stand_in(folder, actors())
    path = str(actors.place.jobs / folder / "j.json")
    queue = actors()

    queue.disk.rename(path, path)

    assert getattr(queue.get_job("j"), "status", None) == folder
    actors.close()
