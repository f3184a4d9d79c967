"""A run: the jobs made of the items of an iterable, under a name that a script can use again.

It must not know who does them.

An item's job has an id made of the run's name and the item's index or key. So the same script, run
again, finds the same jobs, and what is finished is not done again.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from attrs import frozen

from semiont_jobs import lifecycle
from semiont_jobs.by_hand import BUSY_PATIENCE
from semiont_jobs.errors import (
    InvalidTransition,
    InvalidValue,
    ItemFailed,
    JobEncodeError,
    JobExists,
    JobHeld,
    JobNotFound,
    JobTimeout,
    StaleJob,
)
from semiont_jobs.ids import JobId
from semiont_jobs.model import (
    OF_NAMELESS_RUNS,
    OF_RUNS,
    UNFINISHED,
    AnyJob,
    CompleteJob,
    JobMetadata,
    PendingJob,
)
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import poll

BATCH: Final = 100
"""Items whose jobs are created together: made durable together they cost a tenth."""
SLOW: Final = 0.05
"""Seconds after which no more items are waited for, so that the jobs of those taken can begin."""
_REFUSALS: Final = (InvalidValue, JobEncodeError)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER: Final = re.compile(r"~[0-9a-f]{16}")


@frozen
class Item:
    """One argument that the function is called with."""

    index: int
    value: Any
    id: JobId


@frozen
class Outcome:
    """What became of an item."""

    index: int
    """The item's place in the iterable, from 0."""
    item: Any
    """As the iterable gave it."""
    job: AnyJob
    """Its job, finished."""

    def result(self) -> Any:
        """What the function returned, as JSON returns it.

        :raises ItemFailed: the function raised, or the job was cancelled, or another program
            completed it.
        """
        job = self.job
        if isinstance(job, CompleteJob):
            if isinstance(job.result, Mapping) and "value" in job.result:
                return job.result["value"]
            raise ItemFailed(
                "what completed its job was not this run",
                index=self.index,
                item=self.item,
                job_id=job.metadata.id,
            )
        attempts = job.metadata.attempts
        last = attempts[-1] if attempts and job.status == "failed" else None
        raise ItemFailed(
            getattr(job, "error", "it was cancelled"),
            index=self.index,
            item=self.item,
            job_id=job.metadata.id,
            error_type=last.error_type if last else None,
            error_traceback=last.traceback if last else None,
        )


class Run:
    """Creates jobs for items, or finds those of an earlier run."""

    def __init__(
        self,
        queue: JobQueue,
        name: str | None,
        items: Iterable[Any],
        *,
        key: Callable[[Any], object] | None,
        retries: int,
        timeout: float | None,
    ) -> None:
        self.is_nameless: Final[bool] = name is None
        self.name: Final[str] = secrets.token_hex(8) if name is None else name
        self.type: Final[str] = (
            f"{OF_NAMELESS_RUNS}{self.name}" if name is None else type_of(self.name)
        )
        self._queue = queue
        self._key = key
        self._retries = retries
        self._timeout = timeout
        self._items = self._numbered(items)
        self._keys: set[bytes] = set()
        self.is_continued: bool = False
        """Whether jobs of an earlier run were found, which may be finished."""
        self.is_exhausted: bool = False
        """Whether there are no more items."""
        self._trouble: Exception | None = None
        """Why, if not because the iterable ended."""

    def take(self) -> list[Item]:
        """The next items that are available, at most a batch, after creating their jobs. Items
        behind one for which `check_complete` raises are never taken."""
        batch: list[Item] = []
        until = time.monotonic() + SLOW
        try:
            for item in islice(self._items, BATCH):
                batch.append(item)
                if time.monotonic() > until:
                    break
            else:
                self.is_exhausted = len(batch) < BATCH
        except Exception as error:  # noqa: BLE001 - from the iterable, or from its items' keys
            self._end_with(error)
        if not batch:
            return batch
        try:
            self._put({item.id: self._job(item) for item in batch})
        except _REFUSALS:  # of one of them
            batch = list(self._each_put(batch))
        return batch

    def check_complete(self) -> None:
        """Raise the error that ended the run early: what the iterable or `key` raised, or what is
        wrong with an item.

        :raises InvalidValue: the item was another one in an earlier run of this name, or its key
            comes twice.
        :raises JobEncodeError: JSON cannot represent it.
        """
        trouble, self._trouble = self._trouble, None
        try:
            if trouble is not None:
                raise trouble
        finally:
            del trouble  # it refers to this frame, and so to all that the run has

    def outcome(self, item: Item) -> Outcome | None:
        """The item's outcome, or None while it has none.

        :raises JobNotFound: its job was removed.
        """
        job = self._queue.get_job(item.id)
        if job is None:
            raise JobNotFound(item.id)
        if job.status in UNFINISHED:
            return None
        return Outcome(item.index, item.value, job)

    # -- private -------------------------------------------------------------------------

    def _end_with(self, trouble: Exception) -> None:
        self.is_exhausted, self._trouble = True, trouble

    def _each_put(self, batch: Iterable[Item]) -> Iterator[Item]:
        """The items before the first that is refused."""
        for item in batch:
            try:
                self._put({item.id: self._job(item)})
            except _REFUSALS as error:
                self._end_with(error)
                return
            yield item

    def _numbered(self, items: Iterable[Any]) -> Iterator[Item]:
        for index, value in enumerate(items):
            yield Item(index, value, JobId(f"map-{self.name}-{self._mark(index, value)}"))

    def _mark(self, index: int, value: Any) -> str:
        if self._key is None:
            return f"{index:08d}"
        key = self._key(value)
        if isinstance(key, bool) or not isinstance(key, str | int):
            rule = "an item's key is a text or a whole number"
            raise InvalidValue(rule, field=f"key of item {index}", value=key)
        text = f"{type(key).__name__} {key}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(text).digest()[:12]
        if digest in self._keys:
            rule = "another item of this run has the same key"
            raise InvalidValue(rule, field=f"key of item {index}", value=key)
        self._keys.add(digest)
        return f"k{digest.hex()}"

    def _job(self, item: Item) -> PendingJob[Any]:
        metadata = JobMetadata(
            id=item.id, type=self.type, max_retries=self._retries, timeout=self._timeout
        )
        return PendingJob(metadata=metadata, params={"item": item.value})

    def _put(self, jobs: dict[JobId, PendingJob[Any]]) -> None:
        if not self.is_continued:
            try:
                self._queue.create_jobs(jobs.values())
                return
            except JobExists:
                self.is_continued = True
        missing = [job for job in jobs.values() if not self._is_found(job)]
        while missing:
            try:
                self._queue.create_jobs(missing)
                return
            except JobExists:  # the same script runs a second time beside this one
                missing = [job for job in missing if not self._is_found(job)]

    def _is_found(self, job: PendingJob[Any]) -> bool:
        """Whether an earlier run created that job. A failed or cancelled job gets another try. That
        job, and one that is pending, gets the retries and time limit of this run."""
        found = self._queue.get_job(job.metadata.id)
        if found is None:
            return False
        codec = self._queue.codec
        if found.params != codec.decode(codec.encode(job)).params:
            rule = (
                f"run {self.name!r} had {found.params.get('item')!r} here before: give the items"
                " keys, the run another name, or forget it"
            )
            raise InvalidValue(rule, field=f"item {job.metadata.id}", value=job.params["item"])
        if lifecycle.allows("retry", found.status) or (
            found.status == "pending" and _terms(found) != _terms(job)
        ):
            self._renew(found, job)
        return True

    def _renew(self, found: AnyJob, job: PendingJob[Any]) -> None:
        """Make a job that is not running pending, with the retries and time limit of this run."""
        retries, timeout = _terms(job)
        # In one step: a pending job may be claimed at once.
        metadata = lifecycle.evolve_metadata(
            found.metadata, retry_count=0, max_retries=retries, timeout=timeout
        )
        again = PendingJob(metadata=metadata, params=found.params)

        def renew() -> bool | None:
            try:
                self._queue.update_job(again, found.status)
            except JobHeld:
                return None  # being claimed or made durable
            except (InvalidTransition, StaleJob):
                pass  # another program has just done that
            return True

        with suppress(JobTimeout):
            poll(renew, timeout=BUSY_PATIENCE)


def _terms(job: AnyJob) -> tuple[int, float | None]:
    return job.metadata.max_retries, job.metadata.timeout


def type_of(name: str) -> str:
    """The type of a run's jobs.

    :raises InvalidValue: that is not a valid name of a run.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        rule = "a run's name is 1 to 64 letters, digits, hyphens and underscores"
        raise InvalidValue(rule, field="name", value=name)
    return f"{OF_RUNS}{name}"


def type_of_any(name: str) -> str:
    """The same; a run without a name is called ``~`` and its number.

    :raises InvalidValue: it is neither.
    """
    if isinstance(name, str) and _NUMBER.fullmatch(name):
        return f"{OF_RUNS}{name}"
    return type_of(name)
