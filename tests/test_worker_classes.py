"""Classes of workers: which of their methods does the work, and what is refused where it is written."""

from __future__ import annotations

import functools
from typing import Any
from unittest.mock import Mock

import pytest
from iterating import TIMEOUT, Iterating

from semiont_jobs import CompleteJob, InvalidValue, JobQueue, JobWorker, WorkerPool


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


def test_a_class_that_gives_both_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="Both gives execute_job and iterate_job: one of them"):

        class Both(JobWorker):
            def execute_job(self, job: Any) -> object:
                return None

            def iterate_job(self, job: Any, cursor: Any) -> Any:
                yield 1


async def sleeps(_worker: JobWorker, _job: Any) -> object:
    return None


async def sleeps_and_yields(_worker: JobWorker, _job: Any, _cursor: Any) -> Any:
    yield 1


def unit_by_unit(_worker: JobWorker, _job: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("name", "function", "why"),
    [
        ("execute_job", sleeps, r"W\.execute_job is async, .* call asyncio\.run in it"),
        ("can_process_job", sleeps, r"W\.can_process_job is async"),
        ("iterate_job", sleeps, r"W\.iterate_job is async"),
        ("iterate_job", sleeps_and_yields, r"W\.iterate_job is async"),
        ("execute_job", unit_by_unit, r"W\.execute_job yields: .* is called iterate_job"),
        ("can_process_job", unit_by_unit, r"W\.can_process_job yields"),
    ],
)
@pytest.mark.parametrize("is_inherited", [False, True])
def test_a_method_that_would_not_run_when_it_is_called_is_refused_with_its_class(
    name: str, function: Any, why: str, is_inherited: bool
) -> None:
    given = {name: function}
    bases = (type("Mixin", (), given), JobWorker) if is_inherited else (JobWorker,)
    with pytest.raises(TypeError, match=why):
        type("W", bases, {} if is_inherited else given)


@pytest.mark.parametrize(
    ("name", "function", "call"),
    [
        ("execute_job", lambda self: None, r"execute_job\(self, job\) is meant"),
        ("execute_job", lambda self, job, more: None, r"execute_job\(self, job\) is meant"),
        ("iterate_job", lambda self, job: iter(()), r"iterate_job\(self, job, cursor\) is meant"),
        ("can_process_job", lambda self: True, r"can_process_job\(self, job\) is meant"),
    ],
)
def test_a_method_that_cannot_be_called_as_it_will_be_is_refused_with_its_class(
    name: str, function: Any, call: str
) -> None:
    with pytest.raises(TypeError, match=rf"W\.{name} cannot be called: {call}"):
        type("W", (JobWorker,), {name: function})


@pytest.mark.parametrize(
    "function",
    [
        lambda *_all: None,
        lambda self, job, more=None: None,
        staticmethod(lambda job: None),
        classmethod(lambda cls, job: None),
        Mock(return_value=None),
    ],
)
def test_a_method_that_can_be_called_so_is_taken(queue: JobQueue, function: Any) -> None:
    kind: Any = type("W", (JobWorker,), {"execute_job": function})
    job = queue.enqueue({}, type="task")

    with kind(queue):
        assert queue.wait_for(job.metadata.id, TIMEOUT).status == "complete"


def with_a_session(function: Any) -> Any:
    @functools.wraps(function)
    def called(*given: Any) -> object:
        return function(*given, "session")

    return called


def test_a_method_to_which_a_decorator_gives_more_is_taken(queue: JobQueue) -> None:
    class Decorated(JobWorker):
        @with_a_session
        def execute_job(self, job: Any, session: str) -> object:
            return {"by": session}

    job = queue.enqueue({}, type="task")
    with Decorated(queue):
        done = queue.wait_for(job.metadata.id, TIMEOUT)
    assert isinstance(done, CompleteJob)
    assert done.result == {"by": "session"}


def test_a_job_type_that_means_something_else_is_left_alone(queue: JobQueue) -> None:
    class Asks(JobWorker):
        @property
        def job_type(self) -> str:
            return str(self.claim.job.metadata.type)

        def execute_job(self, job: Any) -> object:
            return {"type": self.job_type}

    class Decides(JobWorker):
        job_type = "mail"

        def can_process_job(self, job: Any) -> bool:
            return bool(job.metadata.type == self.job_type)

        def execute_job(self, job: Any) -> object:
            return {"type": self.job_type}

    for kind in (Asks, Decides):
        job = queue.enqueue({}, type="mail")
        with kind(queue):
            done = queue.wait_for(job.metadata.id, TIMEOUT)
        assert isinstance(done, CompleteJob)
        assert done.result == {"type": "mail"}


def test_a_worker_that_names_its_type_under_a_wrong_name_does_not_take_all(
    queue: JobQueue,
) -> None:
    class Wrong(JobWorker):
        job_type = "mail"

        def execute_job(self, job: Any) -> object:
            return None

    with pytest.raises(InvalidValue, match="job_types is what names the types"):
        Wrong(queue).start()
    with pytest.raises(InvalidValue, match="job_types is what names the types"):
        WorkerPool(queue, [Wrong])

    class Right(Wrong):
        job_types = ("mail",)

    with Right(queue):
        pass


def test_a_class_that_gives_neither_cannot_be_used(queue: JobQueue) -> None:
    class Neither(JobWorker):
        """Nothing."""

    with pytest.raises(TypeError, match="abstract"):
        Neither(queue)  # type: ignore[abstract]


def test_the_most_derived_class_decides(queue: JobQueue) -> None:
    class Mixin:
        def iterate_job(self, job: Any, cursor: Any) -> Any:
            yield 1
            return "iterated"

    class Mixed(Mixin, JobWorker):  # type: ignore[misc]
        """Iterates by inheritance."""

    class Executing(Mixed):
        def execute_job(self, job: Any) -> object:
            return "executed"

    class Again(Executing):
        def iterate_job(self, job: Any, cursor: Any) -> Any:
            yield 1
            return "iterated again"

    class Heir(Again):
        """Nothing of its own."""

    results = []
    for kind in (Mixed, Executing, Again, Heir):
        job = queue.enqueue({}, type="task")
        with kind(queue):  # type: ignore[abstract]
            results.append(queue.wait_for(job.metadata.id, TIMEOUT).result)  # type: ignore[union-attr]

    assert ["iterated", "executed", "iterated again", "iterated again"] == results


@pytest.mark.parametrize("bad", [-1, float("nan"), "5", True, None])
def test_an_interval_that_is_none_is_refused(queue: JobQueue, bad: Any) -> None:
    with pytest.raises(InvalidValue, match="checkpoint_interval"):
        Iterating(queue, lambda *_: None, checkpoint_interval=bad)
