"""procrastinate on PostgreSQL, as a measured queue.

It must not know other queues. Its job is a row that gets a status; it has no results.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from peers import servers
from peers.peer import RESULT, Kind, Payload, Peer, Span, Work, payload_of


class Procrastinate(Peer):
    """Two apps on one database: one that defers, in plain threads, and one that works."""

    def __init__(self, place: Path) -> None:
        from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

        super().__init__()
        address, is_new = servers.database(place.name)
        self.work: Callable[[Payload], object] = self._note
        self.producer = App(connector=SyncPsycopgConnector(conninfo=address))
        self.producer.open()
        if is_new:
            self.producer.schema_manager.apply_schema()
        self.task = self.producer.task(name="bench")(lambda payload: payload)
        self.consumer = App(connector=PsycopgConnector(conninfo=address))

        async def run_job(payload: Payload) -> object:
            return self.work(payload)

        self.consumer.task(name="bench")(run_job)
        self._left = 0
        self._full = asyncio.Event()

    def _note(self, payload: Payload) -> object:
        self.ran.append(payload["n"])
        self._left -= 1
        if self._left <= 0:
            self._full.set()
        return RESULT

    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        began = time.monotonic()
        for payload in payloads:
            self.task.defer(payload=payload)
        return Span(began, time.monotonic())

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        began = time.monotonic()
        self.task.batch_defer(*({"payload": payload} for payload in payloads))
        return Span(began, time.monotonic())

    def drain(self, most: int) -> Span:
        self.work, self._left, self._full = self._note, most, asyncio.Event()
        return asyncio.run(self._drain())

    async def _drain(self) -> Span:
        async with self.consumer.open_async():
            began = time.monotonic()
            full = asyncio.create_task(self._full.wait())
            worker = asyncio.create_task(
                self.consumer.run_worker_async(wait=False, install_signal_handlers=False)
            )
            await asyncio.wait((full, worker), return_when=asyncio.FIRST_COMPLETED)
            # The last outcome is stored when the worker has ended, which takes no time then.
            for task in (full, worker):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            return Span(began, time.monotonic())

    def serve(self, work: Work) -> None:
        self.work = lambda payload: work(payload, time.time())
        self.consumer.run_worker()

    @contextmanager
    def working(self, work: Work) -> Iterator[None]:
        self.work = lambda payload: work(payload, time.time())
        loop = asyncio.new_event_loop()
        ended = asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(self._until(ended),))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join()
            loop.close()

    async def _until(self, ended: asyncio.Event) -> None:
        async with self.consumer.open_async():
            run = self.consumer.run_worker_async(install_signal_handlers=False)
            worker = asyncio.create_task(run)
            await ended.wait()
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    def fill_finished(self, count: int) -> None:
        """Copy one that was run."""
        self.enqueue([payload_of(0)])
        self.drain(1)
        columns = "queue_name, task_name, priority, args, status, attempts"
        self.producer.connector.get_sync_connector().execute_query(
            f"INSERT INTO procrastinate_jobs ({columns}) SELECT {columns}"
            " FROM procrastinate_jobs, generate_series(2, %(count)s::bigint)",
            count=count,
        )

    def list_finished(self) -> object:
        return self.producer.job_manager.list_jobs(status="succeeded")

    def count_finished(self) -> object:
        return self.producer.job_manager.list_queues()

    def fate(self) -> str:
        rows: Any = self.producer.connector.get_sync_connector().execute_query_all(
            "SELECT status::text AS status, count(*) AS n FROM procrastinate_jobs GROUP BY 1"
        )
        return ", ".join(f"{row['n']} {row['status']}" for row in rows)

    def close(self) -> None:
        self.producer.close()


KINDS: Final = (
    Kind(
        name="procrastinate",
        label="procrastinate on PostgreSQL",
        durability="power",
        open=Procrastinate,
        package="procrastinate",
        missing=servers.why_no_postgres,
        batches=True,
        wakes_within=True,
        lists="list_jobs()",
        counts="list_queues()",
        outcomes="status",
    ),
)
