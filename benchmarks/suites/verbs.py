"""What each call of our queue takes, by durability.

It must not know other queues.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from measuring import Run
from peers.ours import new_job
from peers.peer import RESULT, payload_of

from semiont_jobs import JobQueue, PermanentError

OURS: Final = {"ours": "process", "ours-journal": "journal", "ours-fsync": "fsync"}
TIMES: Final = 100
"""For each call in a round."""


def verbs(run: Run) -> None:
    """Each call, a hundred times a round; the durabilities take turns."""
    kinds = [kind for kind in run.kinds if kind.name in OURS]
    for kind, counts in run.turns("verbs", kinds):
        with run.scratch() as place, JobQueue(place, durability=OURS[kind.name]) as queue:
            tried = _Tried(queue)
            count = run.jobs(TIMES)
            for _ in range(count):
                tried.once()
        for verb, spent in tried.spent.items() if counts else ():
            run.figures.add(f"verb {verb}", kind.name, 1e6 * spent / count)


class _Tried:
    """A queue, and the seconds that its calls took."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.spent: dict[str, float] = {}
        self.number = 0

    def once(self) -> None:
        """Every call, on jobs that go through all of them."""
        queue, new = self.queue, self._new
        completed, failed, withdrawn = new(), new(), new()
        self._spend("create", queue.create_job, completed)
        claim = self._spend("claim", queue.claim_next_job)
        self._spend("release", claim.release)
        claim = queue.claim_next_job()
        assert claim is not None
        self._spend("checkpoint", claim.checkpoint, ["a"])
        self._spend("complete", claim.complete, RESULT)
        self._spend("remove", queue.remove_job, completed.metadata.id)
        queue.create_job(failed)
        claim = queue.claim_next_job()
        assert claim is not None
        self._spend("fail", claim.fail, PermanentError("no"))
        self._spend("retry", queue.retry_job, failed.metadata.id)
        claim = queue.claim_next_job()
        assert claim is not None
        claim.complete(RESULT)
        queue.create_job(withdrawn)
        self._spend("cancel", queue.cancel_job, withdrawn.metadata.id)

    def _new(self) -> Any:
        self.number += 1
        return new_job(payload_of(self.number))

    def _spend(self, verb: str, call: Callable[..., Any], *arguments: object) -> Any:
        begun = time.perf_counter()
        answer = call(*arguments)
        self.spent[verb] = self.spent.get(verb, 0.0) + time.perf_counter() - begun
        return answer
