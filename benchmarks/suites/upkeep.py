"""Our queue off its hot path: quarantining invalid files, sweeping.

It must not know other queues.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from measuring import Run

from semiont_jobs import JobQueue

LEFT_OVER: Final = 10_000
OLD: Final = 3600.0
"""Seconds: older than the grace time of left-over files."""
BAD: Final = {
    "bad 17 MiB": b'{"status": "pending", "params": "' + b"x" * (17 << 20) + b'"}',
    "bad depth": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "bad integer": b'{"status": "pending", "params": ' + b"9" * 5_000 + b"}",
    "bad NaN": b'{"status": "pending", "params": NaN}',
}
GRACE: Final = 0.1
"""Seconds between two looks at a bad file, which stays for a second before its quarantine."""
PATIENCE: Final = 30.0


def faults(run: Run) -> None:
    """What the fault table bounds: bad files quarantined, left-overs swept."""
    if not run.has("ours"):
        return
    for turn in range(run.rounds + 1):
        for row, taken in {**_set_aside(run), "leftovers": _sweep(run)}.items():
            if turn > 0:
                run.figures.add(row, "ours", 1e3 * taken)


def _set_aside(run: Run) -> dict[str, float]:
    """The seconds of the longest claim until a bad file is gone: how long others wait behind it.

    The file is looked at again and again in its grace time. Each file has a queue of its own.
    """
    spent = dict.fromkeys(BAD, 0.0)
    end = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        queues: dict[str, tuple[JobQueue, Path]] = {}
        for row, content in BAD.items():
            place = stack.enter_context(run.scratch())
            queue = stack.enter_context(JobQueue(place, fsync=False))
            bad = place / "jobs" / "pending" / "bad.json"
            bad.write_bytes(content)
            queues[row] = queue, bad
        while queues:
            assert time.monotonic() < end
            for row, (queue, bad) in list(queues.items()):
                spent[row] = max(spent[row], _seconds(queue.claim_next_job))
                if not bad.exists():
                    del queues[row]
            threading.Event().wait(GRACE)
    return spent


def _sweep(run: Run) -> float:
    with run.scratch() as place:
        JobQueue(place, fsync=False).initialize().close()
        folder = Path(place, "jobs", ".tmp")
        for number in range(run.jobs(LEFT_OVER)):
            left = folder / f"left-{number}"
            left.write_bytes(b"{}")
            os.utime(left, (time.time() - OLD,) * 2)
        queue = JobQueue(place, fsync=False)
        taken = _seconds(queue.initialize)
        assert list(folder.iterdir()) == []
        queue.close()
    return taken


def _seconds(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
