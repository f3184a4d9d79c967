"""Clients of a queue who write down when they called what, and when it answered what.

As a program, ``python -m linearizability.clients DATA LOGS WHO SEED CALLS``: two such clients in a
process that begins when its standard input is closed.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from files.places import AT_ONCE, Unattended
from proofs.witness import Witness

from semiont_jobs import (
    FileStore,
    JobCancelled,
    JobMetadata,
    MemoryStore,
    PendingJob,
    SemiontJobsError,
    job_id,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.model import AnyJob, evolve

IDS = ("a", "b", "c")
"""Few jobs, so that clients meet at them."""

ENDS = ("complete", "fail", "release", "snooze", "stop")

VERBS = (
    "create",
    "create",
    "claim",
    "claim",
    "claim",
    "get",
    "get",
    "get",
    "cancel",
    "retry",
    "update",
    "clean",
    "rescue",
)


class Client:
    """One thread's dealings with the queue, on a queue object of its own."""

    def __init__(self, store: FileStore | MemoryStore, note: Callable[..., None], who: str) -> None:
        self.queue = Unattended(
            store, retry_policy=AT_ONCE, max_crashes=1_000_000, hooks=[self._told]
        )
        self.note = note
        self.who = who
        self.claim: AnyClaim | None = None
        self._serial = itertools.count()
        # Far apart from that of any other client.
        self._epoch = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=crc32(who.encode()))
        self._removed: list[str] = []
        self._seen: dict[str, AnyJob] = {}

    def _told(self, event: Any) -> None:
        if event.name == "removed":
            self._removed.append(event.job_id)

    def record(self, name: str, id: str, call: Callable[[], Any], **given: Any) -> Any:
        """Make a call, between a line before it and a line after it."""
        number = next(self._serial)
        self.note("call", id, who=self.who, number=number, name=name, given=given)
        try:
            answer = call()
        except (SemiontJobsError, JobCancelled) as error:
            is_sign = isinstance(error, JobCancelled)
            answer = "cancelled" if is_sign else {"refused": type(error).__name__}
        self.note("return", id, who=self.who, number=number, answer=answer)
        return answer

    # -- verbs on any job ----------------------------------------------------------------

    def create(self, id: str) -> None:
        number = next(self._serial)
        maker = f"{self.who}:{number}"
        metadata = JobMetadata(
            id=job_id(id),
            type="task",
            user_id=maker,
            max_retries=1,
            # The first life of a job goes by the millisecond of its creation. Of jobs with one id
            # no two may share it, or a request for the first would hit the second.
            created=self._epoch + timedelta(milliseconds=number),
        )
        job = PendingJob(metadata=metadata, params={})
        self.record("create", id, lambda: shown(self.queue.create_job(job)), maker=maker)

    def get(self, id: str) -> None:
        def call() -> Any:
            found = self.queue.get_job(id)
            if found is not None and found.status == "pending":
                self._seen[id] = found
            return shown(found)

        self.record("get", id, call)

    def cancel(self, id: str) -> None:
        self.record("cancel", id, lambda: self.queue.cancel_job(id))

    def retry(self, id: str) -> None:
        self.record("retry", id, lambda: shown(self.queue.retry_job(id)))

    def update(self, id: str) -> None:
        """Another priority for a job seen pending before."""
        seen = self._seen.get(id)
        if seen is None:
            return
        priority = next(self._serial) % 100
        given = evolve(seen, metadata=evolve(seen.metadata, priority=priority))
        self.record(
            "update",
            id,
            lambda: shown(self.queue.update_job(given)),
            priority=priority,
            revision=seen.metadata.revision,
            maker=seen.metadata.user_id,
        )

    # -- verbs on no job in particular ---------------------------------------------------

    def clean(self) -> None:
        def call() -> list[str]:
            self._removed = []
            # With the future for a cutoff, what finished in this millisecond goes too.
            self.queue.cleanup_completed_jobs(timedelta(seconds=-1), cancelled=True)
            return self._removed

        self.record("clean", "", call)

    def rescue(self) -> None:
        self.record("rescue", "", self.queue.rescue_orphans)

    def take(self) -> None:
        """Claim whatever is next."""
        holder = f"{self.who}:{next(self._serial)}"

        def call() -> Any:
            self.claim = self.queue.claim_next_job(worker=holder)
            return None if self.claim is None else shown(self.claim.job)

        self.record("claim", "", call, holder=holder)

    # -- verbs of the holder -------------------------------------------------------------

    def hold(self, verb: str) -> None:
        """One verb of the claim in hand, which stays there whatever comes of it."""
        claim = self.claim
        assert claim is not None
        unit = f"{next(self._serial) % 3}"
        result = f"{self.who}:{next(self._serial)}"
        verbs: dict[str, Callable[[], Any]] = {
            "checkpoint": lambda: _after(claim.checkpoint([unit]), shown(claim.job)),
            "look": claim.raise_if_cancelled,
            "complete": lambda: shown(claim.complete({"by": result})),
            "fail": lambda: shown(claim.fail("no reason")),
            "release": lambda: shown(claim.release()),
            "snooze": lambda: shown(claim.snooze(0)),
            "stop": lambda: shown(claim.cancel()),
        }
        job = claim.job
        assert job.metadata.claim is not None
        given = {"holder": job.metadata.claim.worker, "unit": unit, "result": result}
        self.record(verb, job.metadata.id, verbs[verb], **given)

    # -- a busy day ----------------------------------------------------------------------

    def run(self, chance: random.Random, calls: int) -> None:
        """So many calls of all kinds."""
        for _ in range(calls):
            self.once(chance)
        self.queue._keeper.stop()

    def once(self, chance: random.Random) -> None:
        """One call on whatever job, or a claim and all that the holder does."""
        verb = chance.choice(VERBS)
        if verb in ("clean", "rescue"):
            getattr(self, verb)()
        elif verb == "claim":
            self.take()
            if self.claim is not None:
                for _ in range(chance.randrange(4)):
                    self.hold(chance.choice(("checkpoint", "look", "look")))
                self.hold(chance.choice(ENDS))
                if chance.random() < 0.2:
                    self.hold(chance.choice(ENDS))  # a second outcome, which is refused
                self.claim = None
        else:
            getattr(self, verb)(chance.choice(IDS))


def _after(_done: None, answer: Any) -> Any:
    return answer


def shown(job: AnyJob | None) -> dict[str, Any]:
    """A job's facts, as an answer."""
    if job is None:
        return {"job": None}
    metadata = job.metadata
    facts = {
        "status": job.status,
        "revision": metadata.revision,
        "maker": metadata.user_id,
        "priority": metadata.priority,
        "retries": metadata.retry_count,
        "crashes": metadata.crash_count,
        "attempts": metadata.attempt_count,
        "units": sorted(metadata.completed_units),
        "holder": metadata.claim.worker if metadata.claim else None,
        "result": job.result["by"] if job.status == "complete" else None,
    }
    return {"job": facts, "id": metadata.id}


def crowd(
    stores: list[FileStore] | list[MemoryStore],
    note: Callable[..., None],
    who: str,
    seed: int,
    calls: int,
) -> None:
    """Have a client per store, each in a thread of its own, make so many calls."""
    clients = [Client(store, note, f"{who}/{number}.") for number, store in enumerate(stores)]
    for client in clients:
        client.queue.initialize()
    begin = threading.Barrier(len(clients))

    def run(client: Client, chance: random.Random) -> None:
        begin.wait()
        client.run(chance, calls)

    threads = [
        threading.Thread(target=run, args=(client, random.Random(seed * 1000 + number)))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Two clients, when standard input is closed."""
    data, logs, who, seed, calls = sys.argv[1:]
    note = Witness(Path(logs), who)
    note("ready")
    sys.stdin.read()
    crowd([FileStore(data, fsync=False) for _ in range(2)], note, who, int(seed), int(calls))


if __name__ == "__main__":
    main()
