"""The end of a task, sent once as Django's ``task_finished``.

It must not know what ended it: a worker, a person who cancels it, or a rescue after too many
crashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from semiont_jobs.django.compat import InvalidTaskBackend, task_backends, task_finished
from semiont_jobs.django.results import is_task, result_of
from semiont_jobs.events import Event
from semiont_jobs.model import FINISHED


def tell_of_the_end(event: Event) -> None:
    """A hook of every queue here: sends ``task_finished`` when a job has its final outcome.

    A worker records a failure while the error is being handled, so that what logs the signal finds
    the traceback. Django logs errors of receivers, and they stop nothing: the outcome is stored,
    and no caller could react any more.
    """
    job = event.job
    if job is None or job.status not in FINISHED or event.name == "removed" or not is_task(job):
        return
    try:
        backend = task_backends[job.params.backend]
    except InvalidTaskBackend:
        return  # a task of another project, or of other settings, on the same queue
    with _no_connection_left():
        task_finished.send_robust(sender=type(backend), task_result=result_of(job))


@contextmanager
def _no_connection_left() -> Iterator[None]:
    """Close what receivers open: this may be the queue's own thread, where nothing else would.

    What was open before is in use: by a request, or by a transaction.
    """
    before = {id(one) for one in connections.all(initialized_only=True) if one.connection}
    try:
        yield
    finally:
        for one in connections.all(initialized_only=True):
            if one.connection and id(one) not in before:
                one.close()
