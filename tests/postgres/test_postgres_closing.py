"""A queue that is closed while a thread is in the midst of a verb: the thread ends its verb, nobody
else touches its session, and the job is neither lost nor had by two nor taken for an orphan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import test_closing as closing
from postgres.owners import Make
from postgres.servers import sql

from semiont_jobs import JobMetadata, JobQueue, PendingJob, QueueClosed, StoreError
from semiont_jobs.claim import AnyClaim
from semiont_jobs.stores.postgres.sessions import Session
from semiont_jobs.stores.postgres.told import LOST
from semiont_jobs.testing.suite import PATIENCE, eventually, some

MOMENT = 0.2
"""Seconds that a verb stands still for a close that waits for it."""

Verb = Callable[[JobQueue], object]


def job(name: str) -> PendingJob[Any]:
    return PendingJob(metadata=JobMetadata(type="task", id=name), params={})


def the_claim(queue: JobQueue) -> AnyClaim:
    (found,) = queue._claims.all()
    return found


# -- verbs ---------------------------------------------------------------------------------


def create(queue: JobQueue) -> object:
    return queue.create_job(job("new"))


def create_many(queue: JobQueue) -> object:
    return queue.create_jobs([job("new"), *(job(f"new-{n}") for n in range(4))])


def claim(queue: JobQueue) -> object:
    return queue.claim_next_job()


def claim_accepted(queue: JobQueue) -> object:
    return queue.claim_next_job(accept=lambda _job: True)


def complete(queue: JobQueue) -> object:
    return the_claim(queue).complete()


def fail(queue: JobQueue) -> object:
    return the_claim(queue).fail("broke")


def checkpoint(queue: JobQueue) -> object:
    return the_claim(queue).checkpoint(["a"])


def release(queue: JobQueue) -> object:
    return the_claim(queue).release()


def cancel(queue: JobQueue) -> object:
    return queue.cancel_job("j")


def retry(queue: JobQueue) -> object:
    return queue.retry_job("j")


def remove(queue: JobQueue) -> object:
    return queue.remove_job("j")


def read(queue: JobQueue) -> object:
    return queue.get_job("j")


def taken(queue: JobQueue) -> object:
    return some(queue.claim_next_job())


def cancelled(queue: JobQueue) -> object:
    return queue.cancel_job("j")


BEFORE: dict[Verb, Callable[[JobQueue], object]] = {
    create: lambda _queue: None,
    create_many: lambda _queue: None,
    claim: lambda _queue: None,
    claim_accepted: lambda _queue: None,
    complete: taken,
    fail: taken,
    checkpoint: taken,
    release: taken,
    cancel: lambda _queue: None,
    retry: cancelled,
    remove: cancelled,
    read: lambda _queue: None,
}
"""What is done before each verb."""

AFTER: dict[Verb, dict[str, set[str]]] = {
    create: {"j": {"pending"}, "new": {"pending"}},
    create_many: {
        "j": {"pending"},
        **{f"new{n}": {"pending"} for n in ("", *["-0", "-1", "-2", "-3"])},
    },
    complete: {"j": {"complete"}},
    fail: {"j": {"pending", "failed"}},
    checkpoint: {"j": {"running", "pending"}},
    release: {"j": {"pending"}},
    cancel: {"j": {"cancelled"}},
    retry: {"j": {"pending"}},
    remove: {},
    read: {"j": {"pending"}},
}
"""Where the jobs are afterwards, if the verb says that it was done."""


class Closed:
    """One verb, before whose K-th question to the server something is closed by another thread."""

    def __init__(self, queue: JobQueue, verb: Verb, k: int, close: Callable[[], None]) -> None:
        self.steps = 0
        self.k = k
        self.closer = threading.Thread(target=close, daemon=True)
        queue.create_job(job("j"))
        # Kept, or it would be given back.
        self._before = BEFORE[verb](queue)
        self._thread = threading.get_ident()
        wait = Session.wait
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                Session,
                "wait",
                lambda session, *given, **more: self._step(wait, session, given, more),
            )
            try:
                self.answer: object = verb(queue)
            except QueueClosed as error:
                self.answer = error
        if self.steps >= k:
            self.closer.join(PATIENCE)
            assert not self.closer.is_alive(), "closing never ended"

    def _step(self, wait: Any, session: Session, given: Any, more: Any) -> Any:
        if threading.get_ident() == self._thread:
            self.steps += 1
            if self.steps == self.k:
                self.closer.start()
                self.closer.join(MOMENT)
        return wait(session, *given, **more)


@pytest.mark.parametrize("what", ["queue", "store"])
@pytest.mark.parametrize("verb", BEFORE, ids=lambda verb: verb.__name__)
def test_wherever_it_is_closed_the_verb_ends_and_nothing_is_lost_or_taken_for_an_orphan(
    make_queue: Make, url: str, server_url: str, verb: Verb, what: str
) -> None:
    other = make_queue()
    for k in count(1):
        name = f"closed-{k}-{threading.get_ident()}"
        queue = make_queue(f"{url}&application_name={name}").initialize()
        closed = Closed(queue, verb, k, queue.close if what == "queue" else queue.store.close)
        if closed.steps < k:
            break

        standing = {each.metadata.id: each.status for each in other.query_jobs(limit=None)}
        assert other.rescue_orphans() == 0
        theirs = other.claim_next_job()
        if verb in (claim, claim_accepted):
            _check_claim(closed, theirs, is_queue_closed=what == "queue")
        elif not isinstance(closed.answer, QueueClosed):
            assert standing.keys() == AFTER[verb].keys()
            assert all(standing[each] in AFTER[verb][each] for each in standing)
        else:
            assert verb is checkpoint
        if theirs is not None:
            assert theirs.complete().metadata.crash_count == 0

        # The last one out turned off the light.
        del closed._before
        queue.close()
        seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        eventually(lambda: sql(server_url, seen, name) == [(0,)])  # noqa: B023
        for each in other.query_jobs(limit=None):
            assert each.metadata.crash_count == 0
            _clear(other, each.metadata.id)
    assert k > 1


def _check_claim(closed: Closed, theirs: AnyClaim | None, *, is_queue_closed: bool) -> None:
    if isinstance(closed.answer, QueueClosed):
        assert theirs is not None
    else:
        assert not is_queue_closed
        assert theirs is None
        mine: Any = closed.answer
        assert mine.complete().metadata.crash_count == 0


def _clear(queue: JobQueue, job_id: str) -> None:
    queue.cancel_job(job_id)
    queue.remove_job(job_id)


def test_a_claim_in_whose_midst_the_store_is_closed_is_none(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = make_queue().initialize(), make_queue()
    queue.create_job(job("j"))
    liveness = queue.store._opened.liveness  # type: ignore[attr-defined]
    begin, calls = liveness.begin, count(1)

    def begun() -> int:
        key: int = begin()
        if next(calls) == 2:  # the claim's own: it has the key, and notes its hold next
            queue.store.close()
        return key

    monkeypatch.setattr(liveness, "begin", begun)
    with pytest.raises(QueueClosed):
        queue.claim_next_job()

    assert next(calls) == 3
    assert some(other.claim_next_job()).complete().metadata.crash_count == 0


def test_a_verb_that_finds_the_store_just_closed_goes_on_with_a_connection_of_its_own(
    make_queue: Make, url: str, server_url: str
) -> None:
    name = f"late-{threading.get_ident()}"
    queue = make_queue(f"{url}&application_name={name}").initialize()
    queue.store.close()

    queue.store.create(job("j"))

    assert some(queue.store.get("j")).status == "pending"
    seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    eventually(lambda: sql(server_url, seen, name) == [(0,)])


def test_while_a_store_is_opened_again_a_verb_goes_on_with_the_opening_before(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue().initialize()
    queue.close()
    came: list[object] = []

    def prepares(*given: Any, **more: Any) -> None:
        came.append(queue.store.create(job("j")))
        came.append(some(queue.store.get("j")).status)

    monkeypatch.setattr("semiont_jobs.stores.postgres.store.prepare", prepares)
    queue.initialize()

    assert came == [None, "pending"]


def test_a_job_whose_stored_answer_was_lost_is_created_once_though_the_queue_was_closed_meanwhile(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue().initialize()
    store: Any = queue.store
    create, calls = store._create, count(1)

    def creates(batch: Any) -> None:
        create(batch)
        if next(calls) == 1:
            store._in_doubt.update(batch)
            queue.close()
            queue.initialize()
            raise StoreError(LOST, "the connection was lost")

    monkeypatch.setattr(store, "_create", creates)
    queue.create_job(job("j"))

    assert next(calls) == 3
    assert queue.get_stats().pending == 1


def test_a_close_that_was_interrupted_while_it_waited_is_made_good_by_the_next(
    make_queue: Make, url: str, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"interrupted-{threading.get_ident()}"
    queue = make_queue(f"{url}&application_name={name}")
    queue.create_job(job("j"))
    some(queue.claim_next_job()).release()
    thread = queue.store._opened.liveness._thread  # type: ignore[attr-defined]

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(thread, "join", interrupt)
        queue.close()
    queue.close()

    assert not thread.is_alive()
    seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    eventually(lambda: sql(server_url, seen, name) == [(0,)])


def test_a_thread_that_goes_on_while_another_closes_the_queue_is_never_left_waiting(
    make_queue: Make,
) -> None:
    queue = make_queue()
    stop = threading.Event()
    stored: list[str] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                number = f"{threading.get_ident()}-{len(stored)}"
                stored.append(queue.enqueue({}, type="task", id=number).metadata.id)
                try:
                    claim = queue.claim_next_job()
                except QueueClosed:
                    continue
                if claim is not None:
                    claim.complete()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        threading.Event().wait(0.1)
        queue.close()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert not any(thread.is_alive() for thread in threads)
    assert not failures
    jobs = list(make_queue().query_jobs(limit=None))
    assert {each.metadata.id for each in jobs} == set(stored)
    assert not any(each.metadata.crash_count for each in jobs)


# -- what is so wherever the jobs are ------------------------------------------------------

for _name, _test in vars(closing).items():
    if _name.startswith("test_"):
        globals()[_name] = _test
