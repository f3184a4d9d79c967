"""Waking up by file-system events, and without them where they cannot be had."""

from __future__ import annotations

import errno
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from files.children import Children
from files.places import Actors, Place, Unattended, claimed, job, meanwhile

from semiont_jobs import JobQueue
from semiont_jobs.stores.files import pending
from semiont_jobs.stores.files.watch import Watch
from semiont_jobs.testing.suite import eventually

pytest.importorskip("watchdog", reason="the extra [watch] is not installed")
if sys.platform != "linux":
    pytest.skip("only Linux has inotify", allow_module_level=True)

from semiont_jobs.stores.files import inotify


@pytest.fixture
def only_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself while events are to wake him."""
    monkeypatch.setattr(pending, "LONG_TICK", 3600.0)


def watch_of(queue: Unattended) -> Watch:
    return queue._store._pending._watch  # type: ignore[attr-defined, no-any-return]


def wait(queue: Unattended, stop: threading.Event | None = None, *, interval: float = 60.0) -> None:
    """Wait for work until there is some."""
    stop = stop or threading.Event()
    while not stop.is_set() and queue.poll_next_pending_job() is None:
        queue.wait_for_work(stop, interval)


@pytest.mark.usefixtures("only_events")
def test_a_job_of_another_process_wakes_who_waits_by_an_event_alone(actor: Actors) -> None:
    worker, other = actor(), actor()

    with meanwhile(lambda: wait(worker)) as waiting:
        eventually(lambda: watch_of(worker).is_armed)
        worker.disk.calls.clear()
        assert not waiting.done()
        other.create_job(job())
        waiting.result(60)

    assert claimed(worker).job.metadata.id == "j"


@pytest.mark.usefixtures("only_events")
@pytest.mark.parametrize("how", ["renamed into it", "written there"])
def test_a_job_that_another_program_puts_there_wakes_who_waits(
    actor: Actors, place: Place, how: str
) -> None:
    worker, other = actor(), actor()
    other.create_job(job("k"))
    text = (place.jobs / "pending" / "k.json").read_bytes().replace(b'"k"', b'"j"')
    claimed(worker).complete()

    with meanwhile(lambda: wait(worker)) as waiting:
        eventually(lambda: watch_of(worker).is_armed)
        if how == "written there":
            place.put("pending", text)
        else:
            (place.path / "j.json").write_bytes(text)
            (place.path / "j.json").rename(place.jobs / "pending" / "j.json")
        waiting.result(60)

    assert claimed(worker).job.metadata.id == "j"


@pytest.mark.usefixtures("only_events")
def test_who_waits_is_woken_again_and_again(actor: Actors) -> None:
    worker, other = actor(), actor()
    done = []
    for number in range(3):
        with meanwhile(lambda: wait(worker)) as waiting:
            eventually(lambda: watch_of(worker).is_armed)
            other.create_job(job(f"j{number}"))
            waiting.result(60)
        done.append(claimed(worker).complete().metadata.id)

    assert done == ["j0", "j1", "j2"]


@pytest.mark.usefixtures("only_events")
def test_a_job_that_comes_right_before_the_watch_is_armed_and_after_a_slow_listing_is_found(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other = actor(), actor()
    watch = watch_of(worker)
    arm = watch.arm

    def late() -> None:
        monkeypatch.setattr(watch, "arm", arm)
        worker._store._pending._listing_took = 0.2  # type: ignore[attr-defined]
        other.create_job(job())
        arm()

    monkeypatch.setattr(watch, "arm", late)
    with meanwhile(lambda: wait(worker)) as waiting:
        waiting.result(60)

    assert claimed(worker).job.metadata.id == "j"


def observing() -> set[threading.Thread]:
    """The threads of observers: queues of tests before may begin or end others at any moment."""
    modules = ("watchdog.", inotify.__name__)
    return {each for each in threading.enumerate() if type(each).__module__.startswith(modules)}


@pytest.mark.usefixtures("only_events")
def test_all_threads_of_a_process_share_one_observer(actor: Actors) -> None:
    worker, other = actor(), actor()
    before = observing()
    stop = threading.Event()
    # As workers wait, who look once a second whatever rings.
    threads = [
        threading.Thread(target=wait, args=(worker, stop), kwargs={"interval": 1.0})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: watch_of(worker).is_armed)

    came = observing() - before
    other.create_job(job())
    for thread in threads:
        thread.join(60)

    assert 1 <= len(came) <= 3  # those of one observer
    assert not any(thread.is_alive() for thread in threads)


def test_a_storm_rings_once(actor: Actors) -> None:
    worker, other = actor(), actor()
    stop = threading.Event()
    rung: list[int] = []
    watch = watch_of(worker)
    watch._ring = lambda: rung.append(1)
    with meanwhile(lambda: wait(worker, stop)):
        eventually(lambda: watch.is_armed)
        stop.set()
        worker.wake()

    other.create_jobs([job(f"j{n}") for n in range(300)])
    eventually(lambda: not watch.is_armed)
    other.create_jobs([job(f"k{n}") for n in range(300)])

    assert rung == [1]


def test_where_something_comes_all_the_time_the_watch_is_not_armed(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "CALM", 3600.0)
    worker, other = actor(), actor()

    with meanwhile(lambda: wait(worker)) as waiting:
        eventually(lambda: worker.disk.count("stat", "jobs/pending") > 20)
        assert watch_of(worker)._bell is None
        other.create_job(job())
        waiting.result(60)

    assert claimed(worker).job.metadata.id == "j"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("what", ["schedule", "__init__", "start"])
def test_where_events_cannot_be_had_it_is_told_once_and_the_ticks_go_on(
    actor: Actors,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
    code: int,
) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(code, "inotify watch limit reached")

    monkeypatch.setattr(inotify._Observer, what, refuse)
    worker, other = actor(), actor()
    done = []
    with caplog.at_level(logging.WARNING, "semiont_jobs"):
        for number in range(2):
            with meanwhile(lambda: wait(worker)) as waiting:
                eventually(lambda: not watch_of(worker).is_of_use)
                other.create_job(job(f"j{number}"))
                waiting.result(60)
            done.append(claimed(worker).complete().metadata.id)

    assert done == ["j0", "j1"]
    (told,) = caplog.records
    assert "limit reached" in told.getMessage()
    assert "every tick" in told.getMessage()


def test_without_watchdog_the_ticks_go_on_and_nothing_is_told(
    actor: Actors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "semiont_jobs.stores.files.inotify", None)
    worker, other = actor(), actor()

    with caplog.at_level(logging.DEBUG), meanwhile(lambda: wait(worker)) as waiting:
        eventually(lambda: not watch_of(worker).is_of_use)
        other.create_job(job())
        waiting.result(60)

    assert claimed(worker).job.metadata.id == "j"
    assert not [each for each in caplog.messages if "file-system events" in each]


def test_closing_the_queue_ends_the_observer_and_it_can_be_used_again(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    open_before = len(os.listdir("/proc/self/fd"))
    queue = JobQueue(tmp_path, fsync=False)
    for _ in range(2):
        with queue:
            stop = threading.Event()
            with meanwhile(lambda stop=stop: wait(queue, stop)):  # type: ignore[misc, arg-type]
                eventually(lambda: watch_of(queue).is_armed)  # type: ignore[arg-type]
                stop.set()
                queue.wake()

        assert set(threading.enumerate()) - before == set()
        assert len(os.listdir("/proc/self/fd")) <= open_before + 1


def test_a_worker_waiting_on_a_closed_queue_does_not_watch_again(actor: Actors) -> None:
    worker = actor()
    stop = threading.Event()
    with meanwhile(lambda: wait(worker, stop)):
        eventually(lambda: watch_of(worker).is_armed)
        watch = watch_of(worker)
        worker._store.close()  # type: ignore[attr-defined]
        watch.arm()
        stop.set()
        worker.wake()

    assert not watch.is_armed


def test_a_forked_child_is_woken_by_events_of_its_own(children: Children) -> None:
    children.start("""
        import warnings
        warnings.simplefilter("ignore")
        from semiont_jobs.stores.files import pending
        pending.LONG_TICK = 3600.0

        def waiting():
            while queue.poll_next_pending_job() is None:
                queue.wait_for_work(threading.Event(), 60.0)

        def armed(word):
            queue.initialize()
            thread = threading.Thread(target=waiting, daemon=True)
            thread.start()
            deadline = time.monotonic() + 60
            while not queue.store._pending._watch.is_armed:
                assert time.monotonic() < deadline
                threading.Event().wait(0.005)
            witness(word)
            return thread

        armed("parent")
        if os.fork() == 0:
            armed("armed").join(60)
            # Its creator may hold it still: it stands there before that has let go of it.
            while (claim := queue.claim_next_job()) is None:
                threading.Event().wait(0.005)
            witness(f"claimed:{claim.job.metadata.id}")
            os._exit(0)
        wait_for("never")
    """)
    children.witnessed("armed")

    with JobQueue(children.data, fsync=False) as queue:
        queue.create_job(job())

    children.witnessed("claimed:j")


def has_waited(queue: JobQueue) -> None:
    """A job was done, and another one woke who waited then."""
    queue.enqueue({}, type="task")
    for claim in queue.claims():
        claim.complete()
    with meanwhile(lambda: wait(queue)) as waiting:
        eventually(lambda: watch_of(queue).is_armed)
        queue.enqueue({}, type="task")
        waiting.result(60)


@pytest.mark.usefixtures("only_events")
def test_a_queue_that_nobody_has_any_more_is_watched_no_more(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    has_waited(JobQueue(tmp_path, fsync=False))
    assert set(threading.enumerate()) - before

    gc.collect()

    eventually(lambda: not set(threading.enumerate()) - before)


def test_a_forked_child_leaves_its_parents_watch_alone(tmp_path: Path) -> None:
    script = """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore")  # of threads beside a fork
        from semiont_jobs import JobQueue
        from semiont_jobs.stores.files import pending

        pending.LONG_TICK = 3600.0
        queue, stop = JobQueue(sys.argv[1], fsync=False).initialize(), threading.Event()
        while not queue.store._pending._watch.is_armed:
            assert queue.claim_next_job() is None
            queue.wait_for_work(stop, 0.1)

        if not (child := os.fork()):
            assert queue.get_stats().total == 0  # it opens the place anew: what it had is gone
            threading.Event().wait(0.5)
            os._exit(0)
        os.waitpid(child, 0)

        if not (child := os.fork()):
            threading.Event().wait(0.5)
            JobQueue(sys.argv[1], fsync=False).enqueue({}, type="task")
            os._exit(0)
        while (claim := queue.claim_next_job()) is None:
            queue.wait_for_work(stop, 3600.0)
        print(claim.job.status)
    """

    told = subprocess.check_output(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], text=True, timeout=60
    )

    assert told == "running\n"
