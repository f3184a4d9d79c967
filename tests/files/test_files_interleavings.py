"""Two actors on one job, the one at work between any two steps of the other; and what is left
when the one then dies there. The laws hold whatever comes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.disks import Died
from files.places import PATIENCE, Actors, Unattended, claimed, job, seen

from semiont_jobs import (
    ClaimLost,
    InvalidTransition,
    JobExists,
    JobHeld,
    JobNotFound,
    StoreError,
)

REFUSALS = (ClaimLost, InvalidTransition, JobExists, JobHeld, JobNotFound, StoreError)
TURN = 0.01
"""Seconds that the other gets between two steps. Where it waits for the one, both go on."""

STEPS = "[elour]*"
"""The calls before which the other acts: exists, link, lock, open, unlink, read, rename. It
makes no difference to it what goes on in between."""

FIRST = ("claim", "complete", "fail", "checkpoint", "cancel", "retry", "rescue", "clean")
SECOND = ("claim", "cancel", "retry", "rescue", "clean", "create")


class Story:
    """The job j in the status in which the first verb finds it, and what each actor is told."""

    def __init__(self, path: Path, verb: str) -> None:
        self.actor = Actors(path)
        self.one = self.actor()
        self.other = self.actor()
        self.ran: list[str] = []
        self.one.create_job(job(max_retries=0 if verb in ("retry", "clean") else 3))
        self.claim: Any = None
        if verb in ("claim", "cancel"):
            return
        self.claim = claimed(self.one)
        if verb == "rescue":
            self.one.disk.bury()
            self.one = self.actor()
        elif verb in ("retry", "clean"):
            self.claim.fail("broken")

    def tell(self, queue: Unattended, verb: str) -> object:
        """Have an actor do its part; what it was told, refusals too."""
        verbs: dict[str, Callable[[], object]] = {
            "claim": lambda: self._run(queue),
            "complete": lambda: self.claim.complete({"by": "the one"}),
            "fail": lambda: self.claim.fail("broke"),
            "checkpoint": lambda: self.claim.checkpoint(["a"]),
            "cancel": lambda: queue.cancel_job("j"),
            "retry": lambda: queue.retry_job("j"),
            "rescue": queue.rescue_orphans,
            "clean": lambda: queue.cleanup_completed_jobs(timedelta(minutes=-1), cancelled=True),
            "create": lambda: queue.create_job(job(params={"by": "the other"})),
        }
        try:
            return verbs[verb]()
        except REFUSALS as error:
            return error

    def _run(self, queue: Unattended) -> object:
        claim = queue.claim_next_job()
        if claim is None:
            return None
        with suppress(ClaimLost):
            return claim.complete({"by": "a claimer"})
        return None


def step_by_step(tmp_path: Path, first: str, second: str, *, dies: bool) -> int:
    """Play the story once per step of the first actor; how many steps there were."""
    step = 0
    with ThreadPoolExecutor(1) as thread:
        while True:
            story = Story(tmp_path / f"{step}", first)
            answers: list[Future[object]] = []

            def act(story: Story = story, answers: list[Future[object]] = answers) -> None:
                answer = thread.submit(story.tell, story.other, second)
                answers.append(answer)
                with suppress(TimeoutError):
                    answer.exception(TURN)
                if dies:
                    story.one.disk.kill()

            story.one.disk.before(STEPS, "*", act, skip=step)
            told: object = None
            with suppress(Died):
                told = story.tell(story.one, first)
            if not answers:
                story.actor.close()
                return step
            judge(story, first, told, second, answers[0].result(PATIENCE), step)
            story.actor.close()
            step += 1


def judge(story: Story, first: str, told: object, second: str, answered: object, step: int) -> None:
    """The laws: nothing acknowledged is lost, undone or done twice; one copy in the end."""
    where = f"{second} before step {step} of {first}: {told!r}, {answered!r}"
    place = story.actor.place
    last = story.actor()
    last.rescue_orphans()
    found = last.get_job("j")
    assert found is not None or "clean" in (first, second), where
    if isinstance(answered, JobExists) and found is not None:
        assert "by" not in seen(found).params, where
    for answer in (told, answered):
        if getattr(answer, "status", None) == "complete":
            assert seen(found).status == "complete", where
            assert [place.document("complete")["result"]] == [seen(answer).result], where
    if True in (told, answered) and "cancel" in (first, second) and found is not None:
        # Cancelled, or told so at the next claim, unless somebody retried it since.
        assert found.metadata.run is not None or last.claim_next_job() is None, where
    # Whoever is left works on it until it has ended; then it is there once or not at all.
    while (claim := last.claim_next_job()) is not None:
        claim.complete()
    if story.claim is not None and story.claim.is_open and not story.one.disk.is_dead:
        with suppress(*REFUSALS, Died):
            story.claim.complete()
    ended = last.get_job("j")
    if ended is not None and ended.status in ("complete", "failed", "cancelled"):
        last._store.hold("j").let_go()
    copies = place.copies()
    assert len(copies) == (0 if ended is None else 1), f"{where}: {copies}"
    assert copies.keys() <= {"complete", "failed", "cancelled"}, f"{where}: {copies}"
    assert place.names(".quarantine") == [], where


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_whatever_another_does_between_two_steps_the_laws_hold(
    tmp_path: Path, first: str, second: str
) -> None:
    assert step_by_step(tmp_path, first, second, dies=False) >= 2


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_whatever_another_does_before_the_one_dies_the_laws_hold(
    tmp_path: Path, first: str, second: str
) -> None:
    assert step_by_step(tmp_path, first, second, dies=True) >= 2
