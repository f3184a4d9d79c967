"""Random histories over PostgreSQL agree with the plain model."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from postgres.servers import a_schema
from reopening import Reopened

from semiont_jobs import JobQueue
from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.testing import JobQueueMachine

SOME = settings(
    max_examples=4,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class PostgresMachine(Reopened, JobQueueMachine):
    server_url = ""

    def make_queue(self, **given: Any) -> JobQueue:
        self.place = a_schema(self.server_url)
        self.schema = self.place.__enter__()
        return self.open_first(**given)

    def new_store(self) -> PostgresStore:
        return PostgresStore(self.server_url, schema=self.schema, pool_size=2)

    def teardown(self) -> None:
        super().teardown()
        self.place.__exit__(None, None, None)


def test_random_histories_agree_with_the_model(server_url: str) -> None:
    machine = type("Machine", (PostgresMachine,), {"server_url": server_url})

    run_state_machine_as_test(machine, settings=SOME)
