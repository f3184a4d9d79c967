"""Job files written directly into a queue's folders: a hundred thousand in two seconds.

It must not know what is measured on them. They are what the queue would have written, without the
protocol of writing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from semiont_jobs import JobQueue
from semiont_jobs.model import AnyJob


def plant(queue: JobQueue, data_dir: Path, example: AnyJob, count: int, first: int = 0) -> None:
    """Write `count` copies of a job, each with its own id and its own number in the params."""
    text = queue.codec.encode(example)
    params: dict[str, Any] = example.params
    old_id, old_number = example.metadata.id.encode(), b'"n": %d,' % params["n"]
    assert text.count(old_id) == text.count(old_number) == 1
    folder = os.open(data_dir / "jobs" / example.status, os.O_RDONLY | os.O_DIRECTORY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        for number in range(first, first + count):
            new_id = b"job-%026d" % number
            data = text.replace(old_id, new_id).replace(old_number, b'"n": %d,' % number)
            fd = os.open(new_id + b".json", flags, 0o600, dir_fd=folder)
            os.write(fd, data)
            os.close(fd)
    finally:
        os.close(folder)
