"""A double of the TypeScript package: reads, writes and moves jobs as `@semiont/jobs` does.

It must not import the library. It takes no locks, writes a file by truncating it first, moves a
job by unlinking it first, and takes every directory entry for a job. Run as a program it is one
of the package's processes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STATUSES = ("pending", "running", "complete", "failed", "cancelled")
Job = dict[str, Any]


def iso_now() -> str:
    """What `new Date().toISOString()` gives."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def new_job(id: str, type: str = "task", **params: Any) -> Job:
    """A pending job as an application of the package makes it."""
    metadata = {
        "id": id,
        "type": type,
        "userId": "did:web:localhost:users:ada",
        "created": iso_now(),
        "retryCount": 0,
        "maxRetries": 3,
    }
    return {"status": "pending", "metadata": metadata, "params": params}


class TypeScript:
    """One process of the package.

    :param between: called between two of its system calls, with what comes next (``"write"``
        after a truncation, ``"rest"`` after half of a file, ``"publish"`` after an unlink).
    """

    def __init__(
        self, data_dir: Path, between: Callable[[str], object] = lambda _next: None
    ) -> None:
        self.jobs = data_dir / "jobs"
        self.between = between
        self.torn = 0
        """Texts that did not parse, which its own code would have thrown at its caller."""
        for status in STATUSES:
            (self.jobs / status).mkdir(parents=True, exist_ok=True)

    def path(self, status: str, id: str) -> Path:
        """Where it looks for a job."""
        return self.jobs / status / f"{id}.json"

    def write(self, job: Job) -> None:
        """``fs.writeFile``: open with O_TRUNC, then write, in as many calls as it takes."""
        data = json.dumps(job, indent=2, ensure_ascii=False).encode()
        with self.path(job["status"], job["metadata"]["id"]).open("wb", buffering=0) as file:
            self.between("write")
            file.write(data[: len(data) // 2])
            self.between("rest")
            file.write(data[len(data) // 2 :])

    def create_job(self, job: Job) -> None:
        """Write it into ``pending``."""
        self.write(job)

    def get_job(self, id: str) -> Job | None:
        """The first copy in lifecycle order."""
        for status in STATUSES:
            job = self._read(self.path(status, id))
            if job is not None:
                return job
        return None

    def _read(self, path: Path) -> Job | None:
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return None
        try:
            job: Job = json.loads(text)
        except ValueError:
            self.torn += 1
            return None
        return job

    def list_jobs(self, status: str) -> Iterator[Job]:
        """Every entry of a folder, whatever its name."""
        for path in sorted((self.jobs / status).iterdir()):
            job = self._read(path)
            if job is not None:
                yield job

    def poll_next_pending_job(self) -> Job | None:
        """The first by name."""
        return next(self.list_jobs("pending"), None)

    def update_job(self, job: Job, old_status: str | None = None) -> None:
        """Unlink the old file, then write the new one."""
        if old_status is not None and old_status != job["status"]:
            self.path(old_status, job["metadata"]["id"]).unlink(missing_ok=True)
            self.between("publish")
        self.write(job)

    def cancel_job(self, id: str) -> bool:
        """Move a pending or running job, also one that somebody works on."""
        job = self.get_job(id)
        if job is None or job["status"] not in ("pending", "running"):
            return False
        kept = {key: job[key] for key in ("metadata", "params", "startedAt") if key in job}
        self.update_job({"status": "cancelled", **kept, "completedAt": iso_now()}, job["status"])
        return True

    def start(self, job: Job) -> Job:
        """What its worker does first: unknown top-level keys are dropped."""
        running = {
            "status": "running",
            "metadata": job["metadata"],
            "params": job["params"],
            "startedAt": iso_now(),
            "progress": {},
        }
        self.update_job(running, "pending")
        return running

    def complete(self, job: Job, result: Any) -> None:
        """What its worker does last."""
        kept = {key: job[key] for key in ("metadata", "params", "startedAt")}
        self.update_job(
            {"status": "complete", **kept, "completedAt": iso_now(), "result": result}, "running"
        )

    def retry(self, id: str) -> None:
        """What an application does by hand to a job that failed."""
        job = self.get_job(id)
        assert job is not None
        metadata = {**job["metadata"], "retryCount": 0}
        self.update_job(
            {"status": "pending", "metadata": metadata, "params": job["params"]}, job["status"]
        )

    def cleanup(self, before: str) -> int:
        """Unlink complete and failed jobs that ended before an instant."""
        removed = 0
        for status in ("complete", "failed"):
            for job in list(self.list_jobs(status)):
                if job["completedAt"] < before:
                    self.path(status, job["metadata"]["id"]).unlink(missing_ok=True)
                    removed += 1
        return removed

    def look_around(self) -> None:
        """Read everything once, as a dashboard does; count what does not parse, and take
        nothing but whole jobs under their own names."""
        for status in STATUSES:
            for path in sorted((self.jobs / status).iterdir()):
                assert path.suffix == ".json", path
                job = self._read(path)
                assert job is None or job["metadata"]["id"] == path.stem, path
                assert job is None or job["status"] == status, path


def main(data_dir: str, role: str, *arguments: str) -> None:
    """``produce PREFIX COUNT``; or, until the file ``stop`` is made, ``work``, which runs
    jobs, or ``read``, which looks around again and again.
    """
    package = TypeScript(Path(data_dir))
    if role == "produce":
        prefix, count = arguments
        for number in range(int(count)):
            package.create_job(new_job(f"{prefix}-{number}", text="é" * 200))
    elif role == "read":
        looks = 0
        while not (Path(data_dir) / "stop").exists():
            package.look_around()
            looks += 1
        print(looks, package.torn)
    else:
        while not (Path(data_dir) / "stop").exists():
            job = package.poll_next_pending_job()
            if job is not None:
                package.complete(package.start(job), {"by": "TypeScript"})


if __name__ == "__main__":
    main(*sys.argv[1:])
