"""A hold to which nothing refers any more, as after an interrupt: its file is closed, and its job is
free."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from files.places import PATIENCE, Actors, Place, claimed, job, seen

from semiont_jobs import JobHeld
from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.told import told


def test_a_hold_that_is_dropped_lets_go_of_its_job(actor: Actors) -> None:
    queue, other = actor(), actor()
    queue.create_job(job())
    hold = queue.store.hold("j")

    with pytest.raises(JobHeld):
        other.store.hold("j")
    del hold
    gc.collect()
    other.store.hold("j").let_go()


def test_a_claim_dropped_in_a_circle_is_given_back_and_not_taken_for_a_crash(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job())
    circle: list[object] = [claimed(queue)]
    circle.append(circle)

    del circle
    gc.collect()
    queue._claims.give_back_dropped()

    assert place.copies().keys() == {"pending"}
    assert seen(queue.get_job("j")).metadata.crash_count == 0


def test_a_dropped_job_whose_worker_lives_on_is_rescued_by_the_same_queue(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job())
    hold = queue.store.claim(Wanted(), queue.stamp(None), queue.clock())
    assert hold is not None

    del hold
    gc.collect()

    assert queue.rescue_orphans() == 1
    assert place.copies().keys() == {"pending"}


def test_dropping_waits_for_no_thread_that_has_the_lock_of_all_descriptors(actor: Actors) -> None:
    queue, other = actor(), actor()
    queue.create_job(job())
    hold = queue.store.hold("j")
    is_taken, is_over = threading.Event(), threading.Event()
    is_in_time = []

    def take() -> None:
        with HELD._lock:
            is_taken.set()
            is_in_time.append(is_over.wait(PATIENCE))

    thread = threading.Thread(target=take)
    thread.start()
    assert is_taken.wait(PATIENCE)
    try:
        del hold
        gc.collect()
    finally:
        is_over.set()
        thread.join(PATIENCE)

    assert is_in_time == [True]
    queue.create_job(job("next"))  # opens a file, and closes what was dropped
    other.store.hold("j").let_go()


def test_an_interrupted_call_holds_no_job_while_its_traceback_is_kept(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = actor(), actor()
    queue.create_job(job())

    def strike(*_exc: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(told, "__exit__", strike)
    with pytest.raises(KeyboardInterrupt) as kept:
        queue.cancel_job("j")

    other.store.hold("j").let_go()
    assert kept.tb is not None


def test_an_outcome_after_an_interrupted_one_counts(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    rename = queue.disk.rename

    def struck(source: str, target: str) -> None:
        rename(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(queue.disk, "rename", struck)
    with pytest.raises(KeyboardInterrupt):
        claim.complete()
    monkeypatch.undo()
    claim.release()
    claimed(queue).complete()

    assert place.copies().keys() == {"complete"}
    assert not place.names(".quarantine")


@pytest.mark.proof
def test_a_forked_child_that_drops_its_parents_hold_closes_no_other_file(actor: Actors) -> None:
    queue, other = actor(), actor()
    queue.create_job(job())
    hold = queue.store.hold("j")

    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
            del hold
            gc.collect()
            for fd in own:
                os.fstat(fd)
            code = 0
        finally:
            os._exit(code)
    _pid, status = os.waitpid(child, 0)

    assert status == 0
    with pytest.raises(JobHeld):
        other.store.hold("j")
    hold.let_go()


AT_EXIT = """
import sys
from semiont_jobs import JobQueue
queue = JobQueue(sys.argv[1], fsync=False)
queue.enqueue({}, type="t", id="j")
queue.enqueue({}, type="t", id="k")
held = queue.store.hold("j")
circle = [queue.store.hold("k"), queue]
circle.append(circle)
sys.kept = held
del circle
"""


def test_a_process_ends_in_silence_with_files_held(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (0, "") == (ended.returncode, ended.stderr)
