"""Huey on files, SQLite and Redis, as measured queues.

It must not know other queues. Jobs are taken and run as the worker of its consumer does, by
`dequeue` and `execute`, with results recorded; to serve, the consumer itself runs with its
defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from peers import servers
from peers.peer import Kind, Payload, SimplePeer, Work, payload_of


class HueyPeer(SimplePeer):
    """A `Huey` with one task."""

    def __init__(self, huey: Any) -> None:
        super().__init__()
        self.huey = huey
        self.work: Callable[[Payload], object] = self._note
        self.task = huey.task(name="bench")(self._run)

    def _run(self, payload: Payload) -> object:
        return self.work(payload)

    def put(self, payload: Payload) -> None:
        self.task(payload)

    def run_one(self, work: Callable[[Payload], object]) -> bool:
        self.work = work
        task = self.huey.dequeue()
        if task is None:
            return False
        self.huey.execute(task)
        return True

    def serve(self, work: Work) -> None:
        self.work = lambda payload: work(payload, time.time())
        self.huey.create_consumer().run()

    @contextmanager
    def working(self, work: Work) -> Iterator[None]:
        self.work = lambda payload: work(payload, time.time())
        consumer = self.huey.create_consumer()
        consumer.start()
        try:
            yield
        finally:
            consumer.stop(graceful=True)

    def fill_finished(self, count: int) -> None:
        """Copy the result of one: all that it keeps of a job."""
        result = self.task(payload_of(0))
        self.run_one(self._note)
        stored = self.huey.storage.peek_data(result.id)
        for number in range(1, count):
            self.huey.storage.put_data(f"{number:032}", stored, is_result=True)

    def list_finished(self) -> object:
        return self.huey.all_results()

    def count_finished(self) -> object:
        return self.huey.result_count()

    def fate(self) -> str:
        return f"{self.huey.pending_count()} in the queue, {self.huey.result_count()} results"

    def close(self) -> None:
        self.huey.storage.close()


def _on_files(place: Path) -> HueyPeer:
    from huey import FileHuey

    return HueyPeer(FileHuey(path=str(place)))


def _on_sqlite(place: Path, *, fsync: bool) -> HueyPeer:
    from huey import SqliteHuey

    place.mkdir(exist_ok=True)
    # Its default is SQLite's own, synchronous=FULL in WAL mode: the same as fsync=True.
    return HueyPeer(SqliteHuey(filename=str(place / "huey.db"), fsync=fsync))


def _on_redis(place: Path) -> HueyPeer:
    from huey import RedisHuey

    return HueyPeer(RedisHuey(place.name, connection_pool=servers.redis_pool()))


_FILES: Final = Kind(
    name="huey-files",
    label="Huey, FileHuey",
    durability="process",
    open=_on_files,
    package="huey",
    wakes_within=True,
    lists="all_results()",
    counts="result_count()",
)
KINDS: Final = (
    _FILES,
    evolve(
        _FILES,
        name="huey-sqlite",
        label="Huey, SqliteHuey(fsync=False)",
        open=partial(_on_sqlite, fsync=False),
        threads=True,
    ),
    evolve(
        _FILES,
        name="huey-sqlite-fsync",
        label="Huey, SqliteHuey",
        durability="power",
        open=partial(_on_sqlite, fsync=True),
        threads=True,
        backlog=False,
    ),
    evolve(
        _FILES,
        name="huey-redis",
        label="Huey on Redis",
        durability="1 s",
        open=_on_redis,
        missing=servers.why_no_redis,
    ),
)
