"""A scripted history of a queue that uses every verb it has, told to a ledger as it goes.

It must not know what becomes of it: crashes and errors come from the disk, and what they may
leave is judged by `proofs.judge`.

With `at_once` and a `SteadyDisk` it makes the same calls every time.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from files.places import Place
from proofs.loops import in_turn
from proofs.session import Session, at_once
from proofs.states import possible

from semiont_jobs import CompleteJob, PermanentError, RunningJob, StoreError, evolve
from semiont_jobs.claim import AnyClaim

__all__ = ["BAD", "CHAPTERS", "History", "at_once"]

BAD = "bad.json"
"""The name of an entry in ``pending`` that is no job."""


class History(Session):
    """Run it once, on an empty directory."""

    def run(self, chapters: Sequence[str] = ()) -> None:
        """All of it, or some chapters, each of which makes the jobs it needs. At the end of
        all one job is running, and some wait."""
        self.do("open", [], self.queue.initialize)
        for chapter in chapters or CHAPTERS:
            CHAPTERS[chapter](self)

    def succeed(self) -> None:
        """Create, claim, report, checkpoint, complete; and a refused duplicate at either end."""
        self.create("done")
        self.create_again(["done"])
        self.claim("done")
        self.end("report", "done", self._report, progress={"page": 1})
        self.end(
            "checkpoint",
            "done",
            lambda c: c.checkpoint(["a", "b"], {"c": 7}),
            units=["a", "b"],
            cursors={"c": 7},
        )
        self.end("complete", "done", lambda c: c.complete({"pages": 2}), result={"pages": 2})
        self.create_again(["done"])

    def fail(self) -> None:
        """With budget, without, by hand once more; and for good whatever the budget."""
        self.create_batch(["failing", "broken", "other"])
        self.create_again(["never", "broken"], as_batch=True)
        for _ in range(2):
            self.claim("failing")
            self.end("fail", "failing", lambda c: c.fail("not now"), is_permanent=False)
        self.do("retry", "failing", lambda: self.queue.retry_job("failing"))
        self.claim("broken")
        self.end("fail", "broken", lambda c: c.fail(PermanentError("never")), is_permanent=True)

    def put_back(self) -> None:
        """Snooze, release, and a queue that is closed with a job in hand."""
        self.create("later", is_drawn=True)
        self.claim("later")
        self.end("snooze", "later", lambda c: c.snooze(0))
        self.claim("later")
        self.end("release", "later", lambda c: c.release())
        self.claim("later")
        self.reopen()
        self.claim("later")
        self.end("complete", "later", lambda c: c.complete("late"), result="late")

    def cancel(self) -> None:
        """One that waits, and by hand once more; one that runs, whose holder obeys."""
        self.create_batch(["waiting", "asked"], are_drawn=True)
        self.do("cancel", "waiting", lambda: self.queue.cancel_job("waiting"))
        self.do("retry", "waiting", lambda: self.queue.retry_job("waiting"))
        self.claim("asked")
        self.do("cancel", "asked", lambda: self.queue.cancel_job("asked"))
        self.end("obey", "asked", lambda c: c.cancel())

    def by_hand(self) -> None:
        """The seed's manual loop: every step of a job by `update_job`."""
        self.create("manual", is_drawn=True)
        self.do("edit", "manual", self._edit, params={"of": "its editor"})
        self.do("claim", "manual", self._start)
        self.end("report", "manual", lambda _c: self._progress(), progress={"page": 3})
        self.end("complete", "manual", lambda _c: self._finished(), result=[3])

    def die(self) -> None:
        """One worker after the other, until the job is given up; and one that was to stop."""
        self.create_batch(["dying", "doomed"])
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

    def set_aside(self) -> None:
        """A foreign program leaves something that is no job; whoever claims sets it aside."""
        self.ledger.begun("plant", BAD, {})
        Place(self.data_dir).put("pending", '{"half": ', BAD)
        for _ in range(3):
            self.do("look", [], lambda: self.try_to_claim("nothing"))

    def remove_old(self) -> None:
        """What has been over for a while; then what was cancelled, too."""
        self.create_batch(["old", "gone", "kept"])
        self.claim("old")
        self.end("complete", "old", lambda c: c.complete(), result={})
        self.do("cancel", "gone", lambda: self.queue.cancel_job("gone"))
        now = self.clock.advance(1)
        old, cancelled = self._over("complete", "failed"), self._over("cancelled")
        self.claim("kept")
        self.end("complete", "kept", lambda c: c.complete([1]), result=[1])
        self.remove(old, now)
        self.remove(cancelled, now, cancelled=True)

    def follow(self) -> None:
        """A worker's jobs: what it stores of them is made durable together."""
        self.create_batch(["loop1", "loop2", "loop3"])
        in_turn(
            self,
            {
                "loop1": ("complete", lambda c: c.complete([1]), {"result": [1]}),
                "loop2": ("fail", lambda c: c.fail("not now"), {"is_permanent": False}),
                "loop3": ("complete", lambda c: c.complete([3]), {"result": [3]}),
            },
        )

    def go_on(self) -> None:
        """One is at work when the history ends."""
        self.create("held")
        self.claim("held")
        self.end("checkpoint", "held", lambda c: c.checkpoint(["a"]), units=["a"], cursors={})

    def _over(self, *statuses: str) -> list[str]:
        return [
            job_id
            for job_id, states in possible(self.ledger.entries()).items()
            if any(state.status in statuses for state in states)
        ]

    # -- by hand -------------------------------------------------------------------------

    def _found(self, job_id: str) -> Any:
        return self.queue.get_job(job_id)

    def _report(self, claim: AnyClaim) -> None:
        """A report that the disk refuses is kept, and raises nothing: here that is a refusal."""
        claim.report({"page": 1})
        if claim._unwritten is not None:
            code = getattr(self.disk, "code", errno.EIO)
            raise StoreError(code, "not stored yet", "done.json", job_id="done")

    def _edit(self) -> object:
        edited = evolve(self._found("manual"), params={"of": "its editor"})
        return self.queue.update_job(edited, "pending")

    def _start(self) -> object:
        job = self._found("manual")
        running: RunningJob[Any, Any] = RunningJob(
            metadata=job.metadata, params=job.params, started_at=self.clock()
        )
        self.queue.update_job(running, "pending")
        self.claims["manual"] = self.queue._claims.get("manual")
        return self.claims["manual"]

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


CHAPTERS: Final[Mapping[str, Callable[[History], None]]] = {
    "succeed": History.succeed,
    "fail": History.fail,
    "put back": History.put_back,
    "cancel": History.cancel,
    "by hand": History.by_hand,
    "die": History.die,
    "set aside": History.set_aside,
    "remove": History.remove_old,
    "follow": History.follow,
    "go on": History.go_on,
}
"""In order. One alone is a short history, for proofs that run it a thousand times."""
