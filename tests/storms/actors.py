"""What the processes of a storm do: work, rescue, cancel, clean, produce.

Each tells its witness what it is about to do, and what the queue acknowledged.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import tenacity
from proofs.witness import Witness, lines_in
from storms.places import place_of
from storms.storm import Storm

from semiont_jobs import (
    ClaimLost,
    InvalidTransition,
    JobHeld,
    JobMetadata,
    JobNotFound,
    JobQueue,
    JobWorker,
    PendingJob,
    PermanentError,
    RetryPolicy,
    Snooze,
    StoreError,
    job_id,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.events import Event
from semiont_jobs.stores.files.journal import journal, segment

ENDS = ("complete", "failed", "cancelled")

BACKLOG = 60
"""Jobs that wait at most: with more, the canceller would meet few that anybody works on."""

PRODUCED_IN = 0.6
"""Part of the storm in which the jobs are created, so that on a fast machine too it rages for
most of its time."""


SMALL_JOURNAL = 64 * 1024
"""Bytes of a journal's file: some eighty records."""


class Actor:
    """One process: its queue, its witness, and the word that it is to stop."""

    def __init__(self, storm: Storm, data: str, logs: str, who: str, chance: int) -> None:
        self.storm = storm
        self.logs = Path(logs)
        self.who = who
        self.note = Witness(logs, who)
        self.chance = random.Random(chance)
        self.stop = threading.Event()
        # By a thread of its own: a handler runs in the midst of whatever the main thread does,
        # which may hold the event's own lock.
        signal.signal(
            signal.SIGTERM, lambda *_: threading.Thread(target=self.stop.set, daemon=True).start()
        )
        segment.MOST_BYTES, segment.FIRST_STEP = SMALL_JOURNAL, SMALL_JOURNAL // 4
        journal.MOST_AGE = 0.5
        self.queue = JobQueue(
            data,
            durability=storm.durability,
            max_crashes=storm.max_crashes,
            retry_policy=RetryPolicy(wait=tenacity.wait_none()),
            hooks=[self.told],
        )
        self.place = place_of(data)
        if storm.is_cut_off:
            self._insist(self.queue.initialize)

    def told(self, event: Event) -> None:
        """The queue acknowledged something."""
        job = event.job
        if job is None:
            self.note(event.name, event.job_id, reason=event.reason)
            return
        facts: dict[str, Any] = {
            "revision": job.metadata.revision,
            "status": job.status,
            "life": job.metadata.life,
        }
        if job.status == "running":
            facts["started"] = milliseconds(job.started_at)
        if job.status in ENDS:
            facts["crashes"] = job.metadata.crash_count
            facts["is_first_life"] = job.metadata.run is None
            facts["attempts"] = [
                [each.worker, milliseconds(each.started_at), each.outcome]
                for each in job.metadata.attempts
            ]
        self.note(event.name, job.metadata.id, **facts)

    # -- roles ---------------------------------------------------------------------------

    def worker(self) -> None:
        """Work as the library's worker does it."""
        actor = self

        class Worker(JobWorker):
            def get_worker_name(self) -> str:
                return actor.who

            def execute_job(self, job: Any) -> object:
                return actor.work(self.claim)

        worker = Worker(self.queue, poll_interval=0.05, error_backoff=0.5)
        worker.start()
        # A signal that comes right before a wait is heard when that is over.
        while not self.stop.wait(0.5):
            continue
        assert worker.stop()

    def claimer(self) -> None:
        """Work with claims in one's own hands; give some back unseen."""
        while not self.stop.is_set():
            claim = self._insist(partial(self.queue.claim_next_job, worker=self.who))
            if claim is None:
                self._insist(self.queue.wait_for_work, self.stop, 0.05)
            elif self.chance.random() < 0.1:
                self._begin(claim)
                self.note("ending", claim.job.metadata.id, how="release")
                self._insist(claim.release)
                # Attempts are told apart by the millisecond in which they start.
                self.stop.wait(0.002)
            else:
                outcome: Callable[[Any], object] = claim.complete
                try:
                    result: Any = self.work(claim)
                except Exception as error:
                    outcome, result = claim.settle, error
                self._insist(outcome, result)
        self.queue.close()

    def rescuer(self) -> None:
        """Give dead workers' jobs back."""
        while not self.stop.wait(0.005):
            self._insist(self.queue.rescue_orphans)

    def canceller(self) -> None:
        """Cancel jobs, and retry by hand what was cancelled or failed."""
        while not self.stop.wait(self.chance.uniform(0.005, 0.04)):
            folder = self.chance.choice(("pending", "running", "running", "cancelled", "failed"))
            ids = self.place.ids(folder)
            if not ids:
                continue
            id_ = self.chance.choice(ids)
            if folder in ENDS:
                with suppress(InvalidTransition, JobHeld, JobNotFound):
                    self.queue.retry_job(id_)
            else:
                self.note("asking", id_)
                self.note("answered", id_, answer=self.queue.cancel_job(id_))

    def cleaner(self) -> None:
        """Remove what finished a while ago."""
        while not self.stop.wait(0.1):
            self.note("cleaning")
            self.queue.cleanup_completed_jobs(
                timedelta(seconds=self.storm.retention), cancelled=True
            )
            self.note("cleaned")

    def producer(self) -> None:
        """Create the jobs: one by one, and some together. Goes on where a killed one stopped."""
        self._insist(self.queue.initialize)
        pace = PRODUCED_IN * self.storm.seconds / self.storm.jobs
        number = sum(line.word == "creating" for line in lines_in(self.logs, "producer*"))
        while number < self.storm.jobs and not self.stop.is_set():
            if len(self.place.ids("pending")) > BACKLOG:
                self.stop.wait(0.005)
                continue
            size = min(8 if number % 5 == 0 else 1, self.storm.jobs - number)
            batch = [self._new(each) for each in range(number, number + size)]
            for job in batch:
                self.note("creating", job.metadata.id)
            if size == 1:
                self._insist(self.queue.create_job, batch[0])
            else:
                self._insist(self.queue.create_jobs, batch)
            number += size
            self.stop.wait(pace * size)

    def _insist(self, verb: Callable[..., Any], *given: Any) -> Any:
        """Again and again, where the server is away at times."""
        while True:
            try:
                return verb(*given)
            except ClaimLost:
                if not self.storm.is_cut_off:
                    raise
                self.note("robbed")
                return None
            except StoreError as error:
                if not self.storm.is_cut_off:
                    raise
                self.note("refused", reason=str(error))
                self.stop.wait(0.05)

    def _new(self, number: int) -> PendingJob[Any]:
        kind = self.storm.kinds[number % len(self.storm.kinds)]
        metadata = JobMetadata(
            id=job_id(f"job-{number:06}"), type="task", max_retries=1, priority=number % 3
        )
        return PendingJob(metadata=metadata, params={"kind": kind})

    # -- the work ------------------------------------------------------------------------

    def work(self, claim: AnyClaim) -> object:
        """The work of a job, witnessed."""
        self._begin(claim)
        id_ = claim.job.metadata.id
        how = "complete"
        try:
            getattr(self, f"_{claim.job.params['kind']}")(claim)
            self.note("effect", id_, started=milliseconds(claim.job.started_at))
        except BaseException as error:
            how = "snooze" if isinstance(error, Snooze) else "fail"
            raise
        finally:
            self.note("ending", id_, how=how)
        return {"by": self.who}

    def _begin(self, claim: AnyClaim) -> None:
        job = claim.job
        self.note(
            "start",
            job.metadata.id,
            revision=job.metadata.revision,
            life=job.metadata.life,
            started=milliseconds(job.started_at),
        )

    def _pause(self) -> None:
        # Long enough that kills meet work and not only the queue's own steps.
        threading.Event().wait(self.chance.uniform(0.0005, 0.004))

    def _plain(self, claim: AnyClaim) -> None:
        self._pause()

    def _stumbles(self, claim: AnyClaim) -> None:
        self._pause()
        if claim.job.metadata.retry_count == 0:
            raise RuntimeError("the first attempt fails")

    def _fails(self, claim: AnyClaim) -> None:
        self._pause()
        raise PermanentError("every attempt fails")

    def _snoozes(self, claim: AnyClaim) -> None:
        if "slept" not in claim.job.metadata.completed_units:
            claim.checkpoint(["slept"])
            raise Snooze(timedelta(milliseconds=20))
        self._pause()

    def _reports(self, claim: AnyClaim) -> None:
        for page in range(3):
            claim.report({"page": page})
            claim.checkpoint([f"page-{page}"], {"page": page})

    def _lingers(self, claim: AnyClaim) -> None:
        for _ in range(5):
            claim.raise_if_cancelled()
            self._pause()

    def _dallies(self, claim: AnyClaim) -> None:
        # On a slow machine too, where workers die before they have a job, kills meet this work.
        if claim.job.metadata.crash_count == 0:
            threading.Event().wait(1.0)

    def _forks(self, claim: AnyClaim) -> None:
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
        if child == 0:
            with suppress(ClaimLost):
                claim.complete({"by": "a child"})
                self.note("usurped", claim.job.metadata.id)
            select.select([], [], [], self.storm.linger)
            os._exit(0)
        self.note("forked", claim.job.metadata.id, child=child)
        self._pause()

    def _kills(self, claim: AnyClaim) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def milliseconds(instant: datetime) -> int:
    """As attempts record it."""
    return round(instant.timestamp() * 1000)
