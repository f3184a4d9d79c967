"""The conformance suite over PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from postgres.servers import plant, sql
from reopening import Reopened

from semiont_jobs import JobQueue
from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.testing import ProcessConformance


class TestPostgres(Reopened, ProcessConformance):
    """A schema."""

    url: str
    server_url: str
    planted = 0

    @pytest.fixture(autouse=True)
    def _schema(self, url: str, server_url: str) -> None:
        self.url, self.server_url = url, server_url

    def make_queue(self, **settings: Any) -> JobQueue:
        return self.open_first(**settings)

    def new_store(self) -> PostgresStore:
        return PostgresStore(self.url, pool_size=4)

    def plant_bad_entry(self, data: bytes) -> str:
        with JobQueue(self.url):  # the schema may not be there yet
            self.planted += 1
            name = f"bad-{self.planted}"
            plant(self.stores[0], self.server_url, name, data)
        return name

    def opener(self) -> Callable[[], JobQueue]:
        return partial(JobQueue, self.url)

    def test_what_was_set_aside_is_kept_whole_beside_its_reason(self) -> None:
        queue = self.queue()
        name = self.plant_bad_entry(b'{"half": ')

        queue.claim_next_job()

        table = f"{self.stores[0].address.schema}.quarantine"
        [(kept, data, reason)] = sql(self.server_url, f"SELECT name, document, reason FROM {table}")
        assert (kept, data) == (name, b'{"half": ')
        assert reason
