"""Row 18: an entry that is not a valid job does no harm and is not lost.

It must not know where a store puts such entries, before or after.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from semiont_jobs import Event, JobQueue
from semiont_jobs.testing.suite import AnyClaim, Suite, eventually, pytest

DOCUMENT: Final[dict[str, Any]] = {
    "status": "pending",
    "metadata": {
        "id": "job-of-another-name",
        "type": "task",
        "userId": "local",
        "created": "2026-01-01T00:00:00.000Z",
        "retryCount": 0,
        "maxRetries": 3,
    },
    "params": {},
}
"""A valid job, except that no entry has its name."""


def text(**changes: Any) -> bytes:
    """The job with other values; ``metadata_`` before a key selects its metadata."""
    document = json.loads(json.dumps(DOCUMENT))
    for key, value in changes.items():
        place = document["metadata"] if key.startswith("metadata_") else document
        place[key.removeprefix("metadata_")] = value
    return json.dumps(document).encode()


BAD: Final[dict[str, bytes]] = {
    "empty": b"",
    "truncated": text()[:60],
    "filled with NUL": bytes(300),
    "not UTF-8": b"\xff\xfe" + text(),
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "an object of nothing": b"{}",
    "of another job": text(),
    "of an unknown status": text(status="waiting"),
    "of another status": text(status="complete", startedAt=1, completedAt=2, result={}),
    "without metadata": text(metadata=None),
    "text where a number belongs": text(metadata_retryCount="0"),
    "a number where a time belongs": text(metadata_created=1767225600),
    "params that are a list": text(params=[]),
    "NaN": text(params={"n": float("nan")}),
    "a number of 5000 digits": b'{"status": ' + b"9" * 5000 + b"}",
    "very deep": b"[" * 200_000,
}


class SettingAside(Suite):
    """An invalid entry is moved to quarantine, reported, and does not affect any job."""

    def test_whatever_cannot_be_read_is_told_of_by_name_with_its_reason(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        names = {kind: self.plant_bad_entry(data) for kind, data in BAD.items()}

        eventually(lambda: self.offer(queue) or len(told(events)) >= len(BAD))

        assert {kind for kind, name in names.items() if name in told(events)} == set(BAD)
        assert all(told(events).values())

    def test_what_was_set_aside_is_told_of_once(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        name = self.plant_bad_entry(b"{")
        eventually(lambda: self.offer(queue) or told(events))

        for _ in range(20):
            self.offer(queue)
            self.put(queue)
            self.claim(queue).complete()

        assert [event.job_id for event in events if event.name == "quarantined"] == [name]
        assert [event.job for event in events if event.name == "quarantined"] == [None]

    def test_a_bad_entry_keeps_no_job_waiting(self) -> None:
        queue = self.queue()
        for data in (b"", b"{}", text()):
            self.plant_bad_entry(data)
        job = self.put(queue)

        claim = queue.claim_next_job()

        assert claim is not None
        assert claim.job.metadata.id == job.metadata.id
        assert claim.complete().status == "complete"

    def test_a_bad_entry_hides_no_job_from_a_list(self) -> None:
        queue = self.queue()
        waiting, done = self.bring(queue, "pending"), self.bring(queue, "complete")
        self.plant_bad_entry(b"[]")

        assert queue.query_jobs(status="pending") == [waiting]
        assert queue.query_jobs(status="complete") == [done]
        assert queue.get_job(waiting.metadata.id) == waiting

    def test_what_was_set_aside_is_counted_nowhere(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        self.put(queue, "unwanted")
        self.plant_bad_entry(b"null")

        eventually(lambda: self.offer(queue) or told(events))

        assert queue.get_stats().total == 1
        assert len(queue.query_jobs()) == 1

    def test_what_was_set_aside_does_not_come_back_in_a_second_queue_object(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        self.plant_bad_entry(b"null")
        eventually(lambda: self.offer(queue) or told(events))

        other = self.another()
        events = self.heard(other)
        job = self.put(queue)

        assert self.claim(other).job.metadata.id == job.metadata.id
        assert told(events) == {}

    @pytest.mark.parametrize("verb", ["retry", "rescue", "clean", "cancel"])
    def test_a_bad_entry_disturbs_no_other_verb(self, verb: str) -> None:
        queue = self.queue()
        self.plant_bad_entry(b"{}")
        failed = self.bring(queue, "failed")
        self.later(1)

        counts: dict[str, Callable[[], int]] = {
            "retry": lambda: queue.retry_job(failed.metadata.id).metadata.retry_count,
            "rescue": queue.rescue_orphans,
            "clean": lambda: queue.cleanup_completed_jobs(self.clock()) - 1,
            "cancel": queue.cancel_jobs,
        }

        assert counts[verb]() == 0

    def offer(self, queue: JobQueue) -> AnyClaim | None:
        """Look for a job that does not exist: that finds invalid entries."""
        return queue.claim_next_job(types=["nothing"])


def told(events: list[Event]) -> dict[str, str]:
    """The names of what was moved to quarantine, each with its reason."""
    return {event.job_id: event.reason for event in events if event.name == "quarantined"}
