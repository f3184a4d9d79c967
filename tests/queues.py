"""A job put into a queue, by its id."""

from __future__ import annotations

from typing import Any

from semiont_jobs import JobQueue, PendingJob


def put(queue: JobQueue, /, id: str, **options: Any) -> PendingJob[Any]:
    return queue.enqueue({"page": 1}, **{"type": "task", "id": id, **options})
