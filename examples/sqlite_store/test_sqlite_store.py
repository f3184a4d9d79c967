"""The store behaves as every store must."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlite_store import SqliteStore

from semiont_jobs import JobQueue, StoreError
from semiont_jobs.testing import JobQueueMachine, StoreConformance


class Tried(SqliteStore):
    """A store with methods for accidents, such as the death of a holder."""

    def kill_holder(self, job_id):
        self._holds.pop(job_id, None)

    def plant(self, name, data):
        with self._transaction() as database:
            values = (name, "pending", data)
            database.execute("INSERT INTO jobs (id, status, text) VALUES (?, ?, ?)", values)

    def lose_a_table(self):
        with self._transaction() as database:
            database.execute("DROP TABLE cancels")


class TestSqliteStore(StoreConformance):
    """Tests every row of the requirements; each test has a file of its own."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = tmp_path / "jobs.db"
        self.store = Tried(self.path)
        self.planted = 0
        yield
        self.store.leave()

    def make_queue(self, **settings):
        self.settings = settings
        return self.reopen().initialize()

    def reopen(self):
        return JobQueue(self.store, **self.settings)

    def kill_holder(self, claim):
        self.store.kill_holder(claim.job.metadata.id)

    def plant_bad_entry(self, data):
        self.planted += 1
        self.store.plant(f"bad-{self.planted}", data)
        return f"bad-{self.planted}"

    # Tests of what is special about this store.

    def test_a_process_that_died_leaves_its_jobs_to_the_next(self):
        job = self.held(self.queue()).job
        self.store.leave()

        self.store = Tried(self.path)
        after = self.another()

        assert after.rescue_orphans() == 1
        assert after.get_job(job.metadata.id).metadata.crash_count == 1

    def test_a_second_process_is_refused(self):
        self.queue()

        with pytest.raises(StoreError, match="locked"):
            JobQueue(SqliteStore(self.path)).initialize()

    def test_what_sqlite_refuses_is_an_error_of_the_store_and_changes_nothing(self):
        queue = self.queue()
        job = self.put(queue)
        self.store.lose_a_table()

        with pytest.raises(StoreError, match="no such table"):
            queue.claim_next_job()

        assert queue.get_job(job.metadata.id) == job


class SqliteMachine(JobQueueMachine):
    """Runs random histories and compares them with a model of a queue."""

    def make_queue(self, **settings):
        self.place = tempfile.TemporaryDirectory()
        self.store = Tried(Path(self.place.name, "jobs.db"))
        self.settings = settings
        return self.reopen()

    def reopen(self):
        return JobQueue(self.store, **self.settings)

    def kill_holder(self, claim):
        self.store.kill_holder(claim.job.metadata.id)

    def teardown(self):
        super().teardown()
        self.store.leave()
        self.place.cleanup()


TestHistories = SqliteMachine.TestCase
TestHistories.settings = settings(
    max_examples=10,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
