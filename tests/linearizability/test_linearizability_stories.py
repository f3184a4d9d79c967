"""Possible and impossible stories of one job, told by hand and by stores that are broken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from linearizability.checker import NotLinearizable, Operation, check
from linearizability.clients import Client
from linearizability.histories import histories
from linearizability.one_job import OneJob
from proofs.witness import Notebook

from semiont_jobs import FileStore, MemoryStore, lifecycle
from semiont_jobs.model import STATUSES, AnyJob
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.reader import Reader
from semiont_jobs.stores.memory import MemoryHold

pytestmark = pytest.mark.proof


def explain(note: Notebook, id: str = "a") -> None:
    """Find an explanation of what was noted of a job."""
    check(histories(note.lines, [id])[id], OneJob())


def facts(status: str, revision: int, **changes: Any) -> dict[str, Any]:
    return {
        "job": {
            "status": status,
            "revision": revision,
            "maker": "m",
            "priority": 0,
            "retries": 0,
            "crashes": 0,
            "attempts": 0,
            "units": [],
            "holder": None,
            "result": None,
        }
        | changes
    }


CREATED = Operation("m", "create", 0, 10, {"maker": "m"}, facts("pending", 0))
CLAIMED = Operation("w", "claim", 20, 30, {"holder": "w1"}, facts("running", 1, holder="w1"))
COMPLETED = Operation(
    "w", "complete", 40, 60, {"holder": "w1", "result": "r"},
    facts("complete", 2, attempts=1, result="r"),
)  # fmt: skip
DIED = Operation("u", "die", 70, 80, {"process": "w"})


def op(name: str, called: int, returned: int | None, answer: Any, **given: Any) -> Operation:
    return Operation("o", name, called, returned, given, answer)


def denied(called: int, returned: int) -> list[Operation]:
    """A cancel that is told to be too late; meanwhile its request could be seen."""
    request = Operation("o", "request", called, None, gone=returned)
    return [op("cancel", called, returned, False), request]


OBEYED_AND_RETRIED = [
    CREATED,
    CLAIMED,
    Operation("w", "snooze", 32, 35, {"holder": "w1"}, facts("pending", 2)),
    Operation("g", "get", 36, 38, {}, facts("cancelled", 3)),
    Operation("r", "retry", 40, 45, {}, facts("pending", 4)),
]
# fmt: off
REFUSED_BESIDE_A_FAILURE = [
    Operation("w", "claim", 46, 48, {"holder": "w2"}, facts("running", 5, holder="w2")),
    Operation("w", "fail", 50, 52, {"holder": "w2"}, facts("pending", 6, attempts=1, retries=1)),
    Operation(
        "w", "claim", 54, 56, {"holder": "w3"},
        facts("running", 7, attempts=1, retries=1, holder="w3"),
    ),
    Operation("w", "fail", 60, 90, {"holder": "w3"}, facts("failed", 8, attempts=2, retries=1)),
    Operation("r", "retry", 75, 80, {}, {"refused": "InvalidTransition"}),
]
# fmt: on


GOOD: dict[str, list[Operation]] = {
    "a cancel that asks while the work completes": [
        CREATED, CLAIMED, COMPLETED, op("cancel", 50, 55, True)
    ],
    "a cancel that is too late while the work completes": [
        CREATED, CLAIMED, COMPLETED, op("cancel", 50, 55, False)
    ],
    "an orphan is pending again": [
        CREATED, CLAIMED, DIED,
        op("get", 90, 99, facts("pending", 2, crashes=1, attempts=1)),
    ],
    "an asked orphan is cancelled": [
        CREATED, CLAIMED, op("cancel", 35, 39, True), DIED,
        op("get", 90, 99, facts("cancelled", 2, attempts=1)),
    ],
    "two reads beside a completion see it in turn": [
        CREATED, CLAIMED, COMPLETED,
        op("get", 41, 45, facts("running", 1, holder="w1")),
        op("get", 46, 50, facts("complete", 2, attempts=1, result="r")),
    ],
    "a request is obeyed, the job retried by hand, and then its asker told so": [
        *OBEYED_AND_RETRIED, op("cancel", 31, 70, True)
    ],
    "a request comes too late, and the job is retried by hand before its asker is told": [
        CREATED, CLAIMED,
        Operation("w", "stop", 32, 35, {"holder": "w1"}, facts("cancelled", 2, attempts=1)),
        Operation("r", "retry", 40, 45, {}, facts("pending", 3, attempts=1)),
        op("cancel", 31, 70, True),
    ],
    "a retry is refused that nobody knows to come before a failure": [
        *OBEYED_AND_RETRIED, op("cancel", 31, 70, True), *REFUSED_BESIDE_A_FAILURE
    ],
}  # fmt: skip

BAD: dict[str, list[Operation]] = {
    "an acknowledged create is lost": [CREATED, op("get", 20, 30, {"job": None})],
    "two creates of one id are acknowledged": [
        CREATED, op("create", 5, 15, facts("pending", 0), maker="m")
    ],
    "two claims of one job": [
        CREATED, CLAIMED, op("claim", 21, 31, facts("running", 1, holder="v1"), holder="v1")
    ],
    "a living holder is robbed": [
        CREATED, CLAIMED, op("get", 40, 50, facts("pending", 2, crashes=1, attempts=1))
    ],
    "an outcome is undone": [
        CREATED, CLAIMED, COMPLETED, op("get", 61, 65, facts("running", 1, holder="w1"))
    ],
    "two reads beside a completion go back": [
        CREATED, CLAIMED, COMPLETED,
        op("get", 41, 45, facts("complete", 2, attempts=1, result="r")),
        op("get", 46, 50, facts("running", 1, holder="w1")),
    ],
    "a request that was acknowledged is not seen": [
        CREATED, CLAIMED, op("cancel", 31, 33, True), op("look", 35, 38, None, holder="w1")
    ],
    "a request that nobody made is seen": [
        CREATED, CLAIMED, op("look", 35, 38, "cancelled", holder="w1")
    ],
    "a job is cancelled twice": [
        CREATED, op("cancel", 11, 12, True), op("cancel", 13, 14, True)
    ],
    "an obeyed request was denied": [
        CREATED, CLAIMED,
        op("cancel", 31, 60, False), Operation("o", "request", 31, None, gone=60),
        op("look", 32, 34, "cancelled", holder="w1"),
        op("stop", 40, 45, facts("cancelled", 2, attempts=1), holder="w1"),
    ],
    "an obeyed request is denied when the job was retried by hand": [
        *OBEYED_AND_RETRIED, *denied(31, 70)
    ],
    "an obeyed request is denied when a later life has failed": [
        *OBEYED_AND_RETRIED, *denied(31, 100), *REFUSED_BESIDE_A_FAILURE[:-1]
    ],
    "an obeyed request is denied when the job was made anew, and is complete": [
        *OBEYED_AND_RETRIED[:-1], *denied(31, 100), op("remove", 40, 45, ["a"]),
        op("create", 50, 55, facts("pending", 0), maker="m"),
        Operation("w", "claim", 60, 65, {"holder": "w2"}, facts("running", 1, holder="w2")),
        Operation(
            "w", "complete", 70, 75, {"holder": "w2", "result": "r"},
            facts("complete", 2, attempts=1, result="r"),
        ),
    ],
    "an obeyed request is denied when the job was removed": [
        *OBEYED_AND_RETRIED[:-1], *denied(31, 70), op("remove", 40, 45, ["a"])
    ],
    "a waiting job is told to be finished": [
        *OBEYED_AND_RETRIED, op("cancel", 31, 70, True),
        op("cancel", 71, 75, False), op("get", 80, 85, facts("pending", 4)),
    ],
    # What a soak found: the search took the false answer for a sign that the failure was there
    # already, and nothing was left to explain the retry that was refused after it.
    "an obeyed request is denied while a later life fails": [
        *OBEYED_AND_RETRIED, *denied(31, 70), *REFUSED_BESIDE_A_FAILURE
    ],
    "held, although nobody else was there": [CREATED, op("retry", 20, 30, {"refused": "JobHeld"})],
    "an update of a stale job": [
        CREATED,
        op("update", 11, 12, facts("pending", 1, priority=5), revision=0, maker="m", priority=5),
        op("update", 13, 14, facts("pending", 2, priority=6), revision=0, maker="m", priority=6),
    ],
    "a running job is removed": [
        CREATED, CLAIMED, op("remove", 35, 38, ["a"]), op("get", 40, 45, {"job": None})
    ],
}  # fmt: skip


@pytest.mark.parametrize("story", GOOD)
def test_a_possible_story_is_accepted(story: str) -> None:
    check(GOOD[story], OneJob())


@pytest.mark.parametrize("story", BAD)
def test_an_impossible_story_is_rejected(story: str) -> None:
    with pytest.raises(NotLinearizable):
        check(BAD[story], OneJob())


# -- broken stores -----------------------------------------------------------------------


class ForgetfulStore(MemoryStore):
    """Takes an outcome from whoever brings one."""

    def _holds(self, hold: MemoryHold) -> bool:
        return hold.job.metadata.id in self._records


def two_outcomes(store: MemoryStore) -> Notebook:
    """A worker counts as dead, another does its job, and the first comes back."""
    note = Notebook()
    first, second = (Client(store, note, f"{who}/") for who in "xy")
    first.create("a")
    first.take()
    death = {"who": "undertaker", "number": 0}
    note("call", **death, name="die", given={"process": "x/"})
    store.kill_holder("a")
    note("return", **death, answer=None)
    second.rescue()
    second.take()
    second.hold("complete")
    first.hold("complete")
    return note


def test_a_store_that_does_not_check_the_fence_is_found_out() -> None:
    with pytest.raises(NotLinearizable):
        explain(two_outcomes(ForgetfulStore()))


def test_a_store_that_checks_the_fence_is_not() -> None:
    explain(two_outcomes(MemoryStore()))


class HastyStore(MemoryStore):
    """Looks for a job and takes it in two steps, between which others may do the same."""

    def __init__(self) -> None:
        super().__init__()
        self._met = threading.Barrier(2, timeout=30)

    def claim(self, wanted: Any, stamp: Any, now: Any) -> Any:
        ((_record, job),) = self._due(wanted, now)
        self._met.wait()
        with self._lock:
            hold = MemoryHold(self, job)
            self._records[job.metadata.id].holder = hold
            hold.move(lifecycle.claim(job, stamp, now))
        return hold


@pytest.mark.parametrize("store", [HastyStore, MemoryStore])
def test_a_store_that_gives_one_job_to_two_claimers_is_found_out(
    store: Callable[[], MemoryStore],
) -> None:
    place, note = store(), Notebook()
    clients = [Client(place, note, f"{who}/") for who in "xy"]
    clients[0].create("a")
    threads = [threading.Thread(target=client.take) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    if store is MemoryStore:
        explain(note)
    else:
        with pytest.raises(NotLinearizable):
            explain(note)


class HastyReader(Reader):
    """Looks once, and answers with the first copy it comes upon."""

    def get(self, job_id: str) -> AnyJob | None:
        for status in STATUSES:
            copy = self._copies.read(status, job_id)
            if isinstance(copy, Copy):
                return copy.job
        return None


def a_read_amid_a_release(path: Path, reader: type[Reader]) -> Notebook:
    """A job goes back to pending when a reader has looked there and not yet in running."""
    note, disk = Notebook(), WatchedDisk()
    holder = Client(FileStore(path, fsync=False), note, "x/")
    store = FileStore(path, fsync=False, disk=disk)
    other = Client(store, note, "y/")
    other.queue.initialize()
    store._reader = reader(store._copies)
    holder.create("a")
    holder.take()
    disk.before("open_to_read", "running/a.json", lambda: holder.hold("release"))
    other.get("a")
    return note


def test_a_reader_that_looks_once_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(NotLinearizable):
        explain(a_read_amid_a_release(tmp_path, HastyReader))


def test_a_reader_that_looks_again_is_not(tmp_path: Path) -> None:
    explain(a_read_amid_a_release(tmp_path, Reader))
