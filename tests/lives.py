"""Jobs in every state, with every field that can be set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from semiont_jobs import (
    Attempt,
    CancelledJob,
    ClaimStamp,
    FailedJob,
    JobMetadata,
    RunningJob,
    evolve,
)
from semiont_jobs.failure import Failure

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
T1 = T0 + timedelta(minutes=1)
STAMP = ClaimStamp(token="70cen", worker="w-1", host="h", pid=7, extra={"zone": "a"})
EARLIER = Attempt(
    number=4,
    started_at=T0 - timedelta(hours=1),
    ended_at=T0 - timedelta(minutes=59),
    worker="w-0",
    outcome="failed",
    error_type="ValueError",
    message="no",
    traceback="Traceback ...",
)
# Every field differs from its default: whatever a transition drops is seen.
META = JobMetadata(
    id="j",  # type: ignore[arg-type]
    type="task",
    user_id="alice",  # type: ignore[arg-type]
    created=T0 - timedelta(hours=2),
    retry_count=2,
    max_retries=5,
    revision=10,
    queue="night",
    priority=3,
    run_after=T0 - timedelta(seconds=5),
    timeout=90.0,
    run="f00d",
    attempts=(EARLIER,),
    attempt_count=4,
    crash_count=1,
    completed_units=("p1", "p2"),
    unit_cursors={"p3": 40},
    extra={"colour": "red"},
)
PARAMS = {"page": 1}
EXTRA = {"note": {"by": "somebody"}}
RUNNING: RunningJob[Any, Any] = RunningJob(
    metadata=evolve(META, revision=11, claim=STAMP),
    params=PARAMS,
    started_at=T0,
    progress={"done": 5},
    extra=EXTRA,
)
FAILED: FailedJob[Any] = FailedJob(
    metadata=META, params=PARAMS, started_at=T0, completed_at=T1, error="no", extra=EXTRA
)
CANCELLED: CancelledJob[Any] = CancelledJob(
    metadata=META, params=PARAMS, completed_at=T1, extra=EXTRA
)
BROKE = Failure(error_type="OSError", message="no disk", traceback="Traceback: ...")
