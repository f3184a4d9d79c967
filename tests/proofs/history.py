"""A scripted history of a queue that uses every verb it has, told to a ledger as it goes.

It must not know what becomes of it: crashes and errors come from the disk, and what they may
leave is judged by `proofs.judge`.

With `at_once` and a `SteadyDisk` it makes the same calls every time.
"""

from __future__ import annotations

from typing import Any

from files.places import Place
from proofs.session import Session, at_once

from semiont_jobs import CompleteJob, PermanentError, RunningJob, evolve

__all__ = ["BAD", "History", "at_once"]

BAD = "bad.json"
"""The name of an entry in ``pending`` that is no job."""


class History(Session):
    """Run it once, on an empty directory."""

    def run(self) -> None:
        """All of it. At its end one job is running, and some wait."""
        self.do("open", [], self.queue.initialize)
        self._create()
        self._complete()
        self._fail()
        self._put_back()
        self._cancel()
        self._by_hand()
        self._die()
        self._set_aside()
        self._reopen()
        self._remove()
        self.claim("held")
        self.end("checkpoint", "held", lambda c: c.checkpoint(["a"]), units=["a"], cursors={})

    def _create(self) -> None:
        self.create("done")
        self.create_batch(["failing", "broken", "snoozed", "asked"])
        self.create_batch(["dying", "doomed", "held"])
        self.create_again(["done"])
        self.create_again(["never", "broken"], as_batch=True)

    def _complete(self) -> None:
        self.claim("done")
        self.end("report", "done", lambda c: c.report({"page": 1}), progress={"page": 1})
        self.end(
            "checkpoint",
            "done",
            lambda c: c.checkpoint(["a", "b"], {"c": 7}),
            units=["a", "b"],
            cursors={"c": 7},
        )
        self.end("complete", "done", lambda c: c.complete({"pages": 2}), result={"pages": 2})
        self.create_again(["done"])

    def _fail(self) -> None:
        """With budget, without, by hand once more; and for good whatever the budget."""
        for _ in range(2):
            self.claim("failing")
            self.end("fail", "failing", lambda c: c.fail("not now"), is_permanent=False)
        self.do("retry", "failing", lambda: self.queue.retry_job("failing"))
        self.claim("broken")
        self.end("fail", "broken", lambda c: c.fail(PermanentError("never")), is_permanent=True)

    def _put_back(self) -> None:
        self.claim("snoozed")
        self.end("snooze", "snoozed", lambda c: c.snooze(0))
        self.claim("snoozed")
        self.end("release", "snoozed", lambda c: c.release())

    def _cancel(self) -> None:
        """One that waits; one that runs, whose holder obeys; and by hand once more."""
        self.do("cancel", "failing", lambda: self.queue.cancel_job("failing"))
        self.claim("asked")
        self.do("cancel", "asked", lambda: self.queue.cancel_job("asked"))
        self.end("obey", "asked", lambda c: c.cancel())
        self.do("retry", "failing", lambda: self.queue.retry_job("failing"))

    def _by_hand(self) -> None:
        """The seed's manual loop: every step of a job by `update_job`."""
        self.create("manual")
        self.do("edit", "manual", self._edit, params={"of": "its editor"})
        self.do("claim", "manual", self._start)
        self.end("report", "manual", lambda _c: self._progress(), progress={"page": 3})
        self.end("complete", "manual", lambda _c: self._finished(), result=[3])

    def _die(self) -> None:
        """One worker after the other, until the job is given up; and one that was to stop."""
        self._midway = self.clock.advance(1)
        for _ in range(2):
            self.claim("dying")
            self.end("checkpoint", "dying", lambda c: c.checkpoint(["a"]), units=["a"], cursors={})
            self.lose_holder("dying")
            if "dying" not in self.spoiled:
                self.rescue(["dying"])
        self.claim("doomed")
        self.do("cancel", "doomed", lambda: self.queue.cancel_job("doomed"))
        self.lose_holder("doomed")
        if "doomed" not in self.spoiled:
            self.rescue(["doomed"])

    def _set_aside(self) -> None:
        """A foreign program leaves something that is no job; whoever claims sets it aside."""
        self.ledger.begun("plant", BAD, {})
        Place(self.data_dir).put("pending", '{"half": ', BAD)
        for _ in range(3):
            self.do("look", [], lambda: self.try_to_claim("nothing"))

    def _reopen(self) -> None:
        self.claim("snoozed")
        self.reopen()
        self.claim("snoozed")
        self.end("complete", "snoozed", lambda c: c.complete("late"), result="late")

    def _remove(self) -> None:
        """What ended before the workers died; then what was cancelled before that, too."""
        self.remove(["broken", "done", "manual"], self._midway)
        self.remove(["asked"], self._midway, cancelled=True)

    # -- by hand -------------------------------------------------------------------------

    def _found(self, job_id: str) -> Any:
        return self.queue.get_job(job_id)

    def _edit(self) -> object:
        edited = evolve(self._found("manual"), params={"of": "its editor"})
        return self.queue.update_job(edited, "pending")

    def _start(self) -> None:
        job = self._found("manual")
        running: RunningJob[Any, Any] = RunningJob(
            metadata=job.metadata, params=job.params, started_at=self.clock()
        )
        self.queue.update_job(running, "pending")
        self.claims["manual"] = self.queue._claims["manual"]

    def _progress(self) -> object:
        return self.queue.update_job(evolve(self._found("manual"), progress={"page": 3}))

    def _finished(self) -> object:
        job = self._found("manual")
        complete: CompleteJob[Any, Any] = CompleteJob(
            metadata=job.metadata,
            params=job.params,
            started_at=job.started_at,
            completed_at=self.clock(),
            result=[3],
        )
        return self.queue.update_job(complete)
