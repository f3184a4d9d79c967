"""A handler: a function that does the jobs of one type."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from semiont_jobs import Claim, InvalidValue, JobQueue, JobType, RunningJob, job_handler

if TYPE_CHECKING:
    from elsewhere import Unknown

TIMEOUT = 60.0


@frozen
class Thumbnail:
    path: str


@frozen
class Made:
    size: int


@job_handler("thumbnail")
def thumbnail(params: Thumbnail) -> str:
    return params.path + ".png"


@job_handler("sized")
def sized(params: Thumbnail) -> Made:
    return Made(len(params.path))


@job_handler("plain")
def plain(params: dict[str, Any], claim: Claim, *, job: RunningJob) -> list[object]:
    return [params["n"], job.metadata.id == claim.job.metadata.id]


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


def done_by(handler: Any, queue: JobQueue, params: object) -> Any:
    with handler.make_worker(queue):
        job = queue.enqueue(params, type=handler.type)
        return queue.wait_for(job.metadata.id, TIMEOUT)


def test_the_params_class_of_an_annotation_is_what_the_function_is_given(queue: JobQueue) -> None:
    done = done_by(thumbnail, queue, Thumbnail("a"))

    assert ("complete", {"value": "a.png"}) == (done.status, done.result)
    assert "thumbnail" == done.metadata.attempts[0].worker


def test_a_result_class_is_stored_as_it_is(queue: JobQueue) -> None:
    done = done_by(sized, queue, Thumbnail("four"))

    assert Made(4) == done.result


@pytest.mark.parametrize("is_known", [True, False])
def test_a_result_class_is_stored_also_where_the_job_s_type_has_none(
    queue: JobQueue, is_known: bool
) -> None:
    kind = JobType("made", Thumbnail)

    @job_handler(kind if is_known else "made")
    def made(params: Any) -> Made:
        return Made(4)

    done = done_by(made, queue, Thumbnail("a") if is_known else {})
    read = queue.get_job(done.metadata.id)

    assert ("complete", {"size": 4}) == (done.status, getattr(read, "result", None))


@pytest.mark.parametrize("words", ["a number", "Made.Missing", "Unknown", "1[2]"])
def test_a_return_annotation_that_is_no_class_is_none(queue: JobQueue, words: str) -> None:
    def told(params: dict[str, Any]) -> Any:
        return 4

    told.__annotations__["return"] = words

    assert {"value": 4} == done_by(job_handler("told")(told), queue, {}).result


def test_a_handler_gets_the_job_and_the_claim_it_names(queue: JobQueue) -> None:
    done = done_by(plain, queue, {"n": 7})

    assert {"value": [7, True]} == done.result


def test_the_function_is_called_as_before() -> None:
    assert "b.png" == thumbnail(Thumbnail("b"))
    assert "thumbnail" == thumbnail.__name__


def test_a_handler_pickles_by_its_path() -> None:
    assert pickle.loads(pickle.dumps(thumbnail)) is thumbnail


def test_a_job_type_names_the_type_and_checks_the_class(queue: JobQueue) -> None:
    kind = JobType("typed", Thumbnail, result=Made)

    @job_handler(kind, timeout=5, queue="slow")
    def typed(params: Thumbnail) -> Made:
        return Made(1)

    worker = typed.make_worker(queue)

    assert (kind, "typed") == (typed.job_type, typed.type)
    assert (("typed",), "slow", 5) == (worker.job_types, worker.queue_name, worker.timeout)
    with pytest.raises(InvalidValue, match="it takes Made, 'typed' jobs have Thumbnail"):

        @job_handler(kind)
        def other(params: Made) -> Made:
            return params


def test_a_type_that_the_queue_knows_with_another_class_is_refused_before_the_start() -> None:
    queue = JobQueue("memory:", job_types=[JobType("thumbnail", Made)])

    with pytest.raises(InvalidValue, match="the queue's 'thumbnail' jobs have Made"):
        thumbnail.make_worker(queue).start()


def test_a_result_of_another_class_than_the_queue_knows_is_refused_before_it_is_lost(
    queue: JobQueue,
) -> None:
    queue.job_types.register(JobType("shrink", Thumbnail))

    @job_handler("shrink")
    def shrink(params: Thumbnail) -> Made:
        return Made("small")

    with pytest.raises(InvalidValue, match=r"it returns Made, .* no class for that"):
        shrink.register(queue)


@pytest.mark.parametrize("job_type", ["", None, 5, Thumbnail])
def test_a_handler_without_a_type_is_refused(job_type: Any) -> None:
    with pytest.raises(InvalidValue, match="a handler needs the name of its jobs' type"):
        job_handler(job_type)


def test_a_decorator_without_parentheses_is_refused() -> None:
    with pytest.raises(InvalidValue, match="a handler needs the name of its jobs' type"):

        @job_handler  # type: ignore[arg-type]
        def bare(params: dict[str, Any]) -> None: ...


def no_arguments() -> None: ...


def keyword_only(*, params: Thumbnail) -> None: ...


def three(params: Thumbnail, more: int) -> None: ...


def odd(params: int) -> None: ...


def lost(params: Unknown) -> None: ...


async def later(params: Thumbnail) -> None: ...


async def one_by_one(params: Thumbnail) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (no_arguments, "its first argument must take the params"),
        (keyword_only, "its first argument must take the params"),
        (three, "it may ask for job and claim, not more"),
        (odd, "its params are an attrs class, a dataclass or a dict, not int"),
        (lost, "the class of its params cannot be found: name 'Unknown' is not defined"),
        (later, "a plain function is needed"),
        (one_by_one, "a plain function is needed"),
        (Thumbnail, "a handler is a function"),
    ],
)
def test_a_function_that_cannot_be_called_with_params_is_refused(function: Any, rule: str) -> None:
    with pytest.raises(InvalidValue, match=rule):
        job_handler("t")(function)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": True},
        {"queue": ""},
        {"retry_policy": "often"},
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(options))):
        job_handler("t", **options)
