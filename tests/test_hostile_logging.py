"""What an application adds to logging, and fails there, ends no thread of the library."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from workers import Worker

from semiont_jobs import JobQueue, MemoryStore, StoreError
from semiont_jobs.events import log_trouble, logger

TIMEOUT = 20.0
OURS = logging.getLogger("semiont_jobs")


class OnlyEvents(logging.Filter):
    """Takes every record for an event's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.job_type != "noisy")  # type: ignore[attr-defined]


def no_record(*_args: Any, **_options: Any) -> logging.LogRecord:
    raise RuntimeError("the factory")


@pytest.fixture
def filtered() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OnlyEvents())
    OURS.addHandler(handler)
    yield
    OURS.removeHandler(handler)


@pytest.fixture
def unrecorded() -> Iterator[None]:
    was = logging.getLogRecordFactory()
    logging.setLogRecordFactory(no_record)
    yield
    logging.setLogRecordFactory(was)


class Broken(io.StringIO):
    """Nobody reads it any more."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("filtered", "AttributeError: 'LogRecord' object has no attribute 'job_type'"),
        ("unrecorded", "RuntimeError: the factory"),
    ],
    ids=["filter", "factory"],
)
@pytest.mark.parametrize("is_heard", [True, False], ids=["heard", "unheard"])
def test_what_logging_raises_ends_no_worker(
    trouble: str,
    told: str,
    is_heard: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put: Any = store._put  # type: ignore[attr-defined]
    refusals = [StoreError(28, "No space left on device")]

    def refuse(hold: Any, job: Any) -> object:
        if job.status == "complete" and refusals:
            raise refusals.pop()
        return put(hold, job)

    monkeypatch.setattr(store, "_put", refuse)
    request.getfixturevalue(trouble)
    if not is_heard:
        monkeypatch.setattr(sys, "stderr", Broken())
    job = queue.enqueue({}, type="t")

    with Worker(queue, lambda *_: {}):
        done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert (done.status, refusals) == ("complete", [])
    assert not is_heard or told in capsys.readouterr().err


@pytest.mark.parametrize(
    "log", [lambda: logger.info("told"), lambda: log_trouble(OSError(), "told")]
)
def test_a_record_names_the_place_that_logged_it(
    log: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    log()

    assert [("<lambda>", __file__)] == [(each.funcName, each.pathname) for each in caplog.records]


OF_THE_APPLICATION = """
import logging, sys

class Logger(logging.Logger):
    __slots__ = ("tenant",)

    def makeRecord(self, *args, **options):
        record = super().makeRecord(*args, **options)
        record.request = "of a request"
        return record

logging.setLoggerClass(Logger)
logging.basicConfig(stream=sys.stdout, format="%(request)s: %(message)s")
from semiont_jobs import JobQueue, PermanentError
queue = JobQueue("memory:")
queue.enqueue({}, type="t", id="a")
queue.claim_next_job().fail(PermanentError("bad"))
"""


def test_the_applications_logger_class_makes_the_records() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OF_THE_APPLICATION],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ("of a request: failed a: 'PermanentError: bad'\n", "") == (ran.stdout, ran.stderr)
