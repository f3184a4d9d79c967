"""What stands in a folder of jobs, written as another program might."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from semiont_jobs import JobQueue

SOON = timedelta(minutes=-1)


def document(status: str = "pending", id: str = "j", **changes: Any) -> dict[str, Any]:
    """A job as the TypeScript package would write it."""
    made: dict[str, Any] = {
        "status": status,
        "metadata": {
            "id": id,
            "type": "task",
            "userId": "local",
            "created": "2026-01-01T00:00:00.000Z",
            "retryCount": 0,
            "maxRetries": 3,
        },
        "params": {},
    }
    if status != "pending":
        made["startedAt"] = "2026-01-01T00:00:01.000Z"
    if status == "running":
        made["progress"] = {}
    if status == "complete":
        made |= {"completedAt": "2026-01-01T00:00:02.000Z", "result": {"by": "another"}}
    made["metadata"] |= changes
    return made


def text(status: str = "pending", id: str = "j", **changes: Any) -> str:
    return json.dumps(document(status, id, **changes), indent=2, ensure_ascii=False)


def look_after(queue: JobQueue) -> None:
    """Claim, rescue and clean: whoever comes upon a bad entry sets it aside."""
    queue.claim_next_job(types=["nothing"])
    queue.rescue_orphans()
    queue.cleanup_completed_jobs(SOON)
