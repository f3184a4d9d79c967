"""persist-queue's ack queue and litequeue, both on SQLite, as measured queues.

It must not know other queues.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from attrs import evolve

from peers.peer import Kind, Payload, SimplePeer, Work, payload_of


class PersistQueue(SimplePeer):
    """`SQLiteAckQueue`, which has no results: it records only an acknowledgement."""

    def __init__(self, place: Path, *, fsync: bool) -> None:
        from persistqueue import SQLiteAckQueue

        super().__init__()
        self.queue = SQLiteAckQueue(str(place), multithreading=True)
        # It has no setting for it; SQLite's own default is FULL.
        for connection in (self.queue._putter, self.queue._getter):
            connection.execute(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")

    def put(self, payload: Payload) -> None:
        self.queue.put(payload)

    def run_one(self, work: Callable[[Payload], object]) -> bool:
        from persistqueue import Empty

        try:
            item = self.queue.get(block=False, raw=True)
        except Empty:
            return False
        work(item["data"])
        self.queue.ack(id=item["pqid"])
        return True

    @contextmanager
    def working(self, work: Work) -> Iterator[None]:
        """It has no worker, but a `get` that waits."""

        def run() -> None:
            while (item := self.queue.get(raw=True))["data"] is not None:
                work(item["data"], time.time())
                self.queue.ack(id=item["pqid"])
            self.queue.ack(id=item["pqid"])

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self.queue.put(None)
            thread.join()

    def fill_finished(self, count: int) -> None:
        from persistqueue.sqlackqueue import AckStatus

        for number in range(count):
            self.put(payload_of(number))
        connection = self.queue._putter
        connection.execute(f"UPDATE {self.queue._table_name} SET status = ?", (AckStatus.acked,))
        connection.commit()

    def count_finished(self) -> object:
        return self.queue.acked_count()

    def fate(self) -> str:
        return f"{self.queue.ready_count()} ready, {self.queue.unack_count()} unacknowledged"

    def close(self) -> None:
        self.queue.close()


class LiteQueuePeer(SimplePeer):
    """`LiteQueue`, which has no results: it records only that a job is done."""

    def __init__(self, place: Path) -> None:
        from litequeue import LiteQueue

        super().__init__()
        place.mkdir(exist_ok=True)
        self.queue = LiteQueue(place / "queue.db")

    def put(self, payload: Payload) -> None:
        self.queue.put(json.dumps(payload))

    def run_one(self, work: Callable[[Payload], object]) -> bool:
        message = self.queue.pop()
        if message is None:
            return False
        work(json.loads(message.data))
        # Later versions, for later Pythons, tell one claim from the next.
        claim = {"claim_id": message.claim_id} if hasattr(message, "claim_id") else {}
        self.queue.done(message.message_id, **claim)
        return True

    def fate(self) -> str:
        locked = len(list(self.queue.list_locked(0)))
        # Earlier versions count the locked ones among those that wait.
        count = getattr(self.queue, "ready_count", lambda: self.queue.qsize() - locked)
        return f"{count()} ready, {locked} locked"

    def close(self) -> None:
        self.queue.close()


_PERSIST: Final = Kind(
    name="persist-queue",
    label="persist-queue, ack queue, NORMAL",
    durability="process",
    open=partial(PersistQueue, fsync=False),
    package="persist-queue",
    # Opening it takes back what all others are working on; a `get` that waits is woken only by a
    # `put` of its own process.
    processes=False,
    wakes=False,
    wakes_within=True,
    counts="acked_count()",
    outcomes="acknowledged",
)
KINDS: Final = (
    _PERSIST,
    evolve(
        _PERSIST,
        name="persist-queue-fsync",
        label="persist-queue, ack queue",
        durability="power",
        open=partial(PersistQueue, fsync=True),
        backlog=False,
    ),
    Kind(
        name="litequeue",
        label="litequeue",
        durability="process",
        open=LiteQueuePeer,
        package="litequeue",
        outcomes="done",
    ),
)
