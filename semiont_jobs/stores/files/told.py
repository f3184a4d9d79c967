"""Telling the disk's errors: which job, which file, in this library's own class.

It must not know what was being done.
"""

from __future__ import annotations

import errno

from semiont_jobs.errors import SemiontJobsError, StoreError


class told:  # noqa: N801 - reads as a statement: `with told(job_id):`
    """Raise what the disk refuses in this block as a `StoreError` of that job."""

    __slots__ = ("_job_id",)

    def __init__(self, job_id: str | None = None) -> None:
        self._job_id = job_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, SemiontJobsError):
            raise store_error(error, self._job_id) from error


def store_error(error: OSError, job_id: str | None = None) -> StoreError:
    """What the disk refused as a `StoreError` of that job.

    For the hottest paths, where entering and leaving `told` shows in a profile.
    """
    return StoreError(
        error.errno or errno.EIO,
        error.strerror or str(error),
        error.filename,
        job_id=job_id,
    )
