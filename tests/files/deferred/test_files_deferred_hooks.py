"""Hooks, and what a worker's loop has put off: told once, when it is durable; one that hangs holds up
nothing but its thread."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from files.loops import Hanging, worked_off
from files.places import PATIENCE, Actors, Unattended, job, meanwhile

from semiont_jobs import (
    Event,
    PendingJob,
    claimer,
    committing,
)
from semiont_jobs.hooks import Hooks
from semiont_jobs.stores.files.deferred import _taken_from


@pytest.fixture
def hanging(queue: Unattended) -> Iterator[Hanging]:
    """A hook that hangs when it is told of one job."""
    hook = Hanging("a")
    queue.subscribe(hook)
    yield hook
    hook.goes_on.set()


def test_a_hook_that_hangs_keeps_nobody_from_seeing_what_is_durable(
    queue: Unattended, hanging: Hanging
) -> None:
    loop = worked_off(queue)

    with meanwhile(loop.end):
        assert hanging.hangs.wait(PATIENCE)

        assert queue.wait_for("b", PATIENCE).status == "complete"
        assert sum(each.events["completed"] for each in queue.metrics().process) == 3
        assert queue.remove_job("c")
        hanging.goes_on.set()


def test_what_a_hook_that_hangs_keeps_from_being_told_the_thread_tells(
    queue: Unattended, hanging: Hanging
) -> None:
    loop = worked_off(queue)

    with meanwhile(loop.end):
        assert hanging.hangs.wait(PATIENCE)
        queue.committer.keep_house()
        queue.committer.tell_all()

        assert hanging.heard == ["b", "c"]
        hanging.goes_on.set()


def test_a_hook_that_hangs_holds_no_job(
    queue: Unattended, actor: Actors, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = worked_off(queue, 1)
    monkeypatch.setattr(claimer, "SHORT", 0.0)

    with meanwhile(loop.commit_if_due):
        assert hanging.hangs.wait(PATIENCE)

        other = actor()
        assert [claim.complete().metadata.id for claim in other.claims()] == ["b", "c"]
        hanging.goes_on.set()


def test_several_may_commit_and_tell_at_once(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    queue.subscribe(lambda event: heard.append(event.job_id) if event.name == "completed" else None)
    was = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    monkeypatch.setattr(committing, "LATE", 0.0)
    try:
        for _ in range(40):
            jobs = [job_of(number) for number in range(8)]
            queue.create_jobs(jobs)
            heard.clear()
            loop = worked_off(queue, len(jobs), types=["burst"])
            errors = raised_by([loop.end, queue.committer.commit_all, queue.committer.tell_all] * 2)
            queue.committer.tell_all()
            assert errors == []
            assert sorted(heard) == sorted(each.metadata.id for each in jobs)
            queue.cleanup_completed_jobs(timedelta(seconds=-1))
    finally:
        sys.setswitchinterval(was)


def job_of(number: int) -> PendingJob[Any]:
    """One of a burst."""
    return job(f"burst-{number}", "burst")


def raised_by(calls: list[Callable[[], object]]) -> list[BaseException]:
    """What these raise, each in a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as threads:
        errors = [future.exception() for future in [threads.submit(call) for call in calls]]
    return [error for error in errors if error is not None]


def test_loops_share_what_may_be_put_off(queue: Unattended) -> None:
    loops = [worked_off(queue, 1) for _ in range(2)]

    assert queue.committer.share == committing.MOST // 2
    del loops


def test_an_interrupt_in_a_hook_keeps_nothing_from_being_told(queue: Unattended) -> None:
    heard: list[str] = []

    def hear(event: Event) -> None:
        if event.name == "completed":
            heard.append(event.job_id)
            if event.job_id == "a":
                raise KeyboardInterrupt

    queue.subscribe(hear)
    loop = worked_off(queue)

    with pytest.raises(KeyboardInterrupt):
        loop.end()
    loop.end()

    assert heard == ["a", "b", "c"]


def test_who_waits_for_hooks_may_come_before_their_thread_is_started() -> None:
    hooks = Hooks(())
    hooks._teller = threading.Thread()

    with meanwhile(hooks.finish) as finished:
        hooks._teller = None

        assert finished.result(PATIENCE) is None


def test_who_comes_to_tell_what_somebody_else_has_just_told_goes_on() -> None:
    class Taken(deque[str]):
        """Empty when it is come to, and not before."""

        def __bool__(self) -> bool:
            return True

    assert list(_taken_from(Taken())) == []
