"""One random history in memory, in files and in PostgreSQL at once: every call gives the same
result or refusal, and the same jobs are left, to the last key of their documents."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from postgres.servers import a_schema
from proofs.soak import factor
from reopening import Mortal, Reopened

from semiont_jobs import FileStore, JobQueue, MemoryStore
from semiont_jobs.claim import Claim
from semiont_jobs.codec import Codec
from semiont_jobs.model import JOB_CLASSES, AnyJob, evolve
from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.testing import JobQueueMachine
from semiont_jobs.testing.waiting import eventually

SOME = settings(
    # Few, for each takes a second: a soak has sixty of them, or as many as it is given time for.
    max_examples=6 * int(factor()),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    # A history that fails is told as it is: each of the thousand tries to shorten it takes a
    # second, or five where something is waited for in vain.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
READS = ("get_job", "get_stats", "poll_next_pending_job", "query_jobs")
"""Calls that may be made again: files need a moment to see what another queue object put there."""
JOBS = tuple(JOB_CLASSES.values())
RANDOM = ("token", "run")
"""Keys of a document that differ between any two histories."""


class Place(Reopened):
    """Where one store's part of the history is."""

    def __init__(self, new_store: Callable[[], Mortal]) -> None:
        self.new_store = new_store  # type: ignore[method-assign]


class Chorus:
    """Queues, or claims, that are asked the same and must answer the same."""

    def __init__(self, voices: list[Any], codec: Codec) -> None:
        self._voices = voices
        self._codec = codec

    def __getattr__(self, name: str) -> Any:
        if not callable(getattr(type(self._voices[0]), name)):
            return self._one([getattr(voice, name) for voice in self._voices])
        return lambda *given, **more: self._asked(name, given, more)

    def __iter__(self) -> Any:
        return iter(self._voices)

    def _asked(self, name: str, given: tuple[Any, ...], more: dict[str, Any]) -> Any:
        answers = [self._answer(voice, name, given, more) for voice in self._voices]
        if name in READS and self._differ(answers):
            eventually(
                lambda: (
                    not self._differ(
                        [self._answer(voice, name, given, more) for voice in self._voices]
                    )
                ),
                timeout=5.0,
            )
            return self._asked(name, given, more)
        return self._one(answers, f"{name}{given}{more}")

    def _answer(
        self, voice: Any, name: str, given: tuple[Any, ...], more: dict[str, Any]
    ) -> object:
        try:
            if name == "update_job":
                given = (_as_of(voice, given[0]), *given[1:])
            return getattr(voice, name)(*given, **more)
        except (Exception, AssertionError) as error:
            return error

    def _differ(self, answers: list[Any]) -> bool:
        first, *others = [self._plain(answer) for answer in answers]
        return any(first != other for other in others)

    def _one(self, answers: list[Any], asked: str = "") -> Any:
        """What they all answered."""
        plain = [self._plain(answer) for answer in answers]
        for other in plain[1:]:
            assert plain[0] == other, asked
        first = answers[0]
        if isinstance(first, Exception):
            raise first
        return Chorus(answers, self._codec) if isinstance(first, Claim) else first

    def _plain(self, answer: Any) -> Any:
        """An answer without what chance gave."""
        if isinstance(answer, Exception):
            return type(answer), getattr(answer, "job_id", None)  # in what words is its own affair
        if isinstance(answer, Claim):
            return self._plain(answer.job)
        if isinstance(answer, list):
            return [self._plain(each) for each in answer]
        if isinstance(answer, JOBS):
            return _settled(json.loads(self._codec.encode(answer)))
        return answer


def _as_of(queue: JobQueue, given: AnyJob) -> AnyJob:
    """A job that is given to a queue, as that queue's own is where chance had a part in it."""
    own = queue.get_job(given.metadata.id)
    if own is None:
        return given
    metadata = evolve(given.metadata, run=own.metadata.run, claim=own.metadata.claim)
    return evolve(given, metadata=metadata)


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "random" if key in RANDOM else _settled(each) for key, each in value.items()}
    return [_settled(each) for each in value] if isinstance(value, list) else value


class Agreement(JobQueueMachine):
    """The rules, and the laws after each, for three stores in one."""

    server_url = ""

    def make_queue(self, **given: Any) -> JobQueue:
        self.directory = tempfile.TemporaryDirectory()
        self.space = a_schema(self.server_url)
        schema = self.space.__enter__()
        memory = MemoryStore()
        self.places = [
            Place(lambda: memory),
            Place(lambda: FileStore(Path(self.directory.name, "data"), fsync=False)),
            Place(lambda: PostgresStore(self.server_url, schema=schema, pool_size=2)),
        ]
        return self.together([place.open_first(**given) for place in self.places])

    def reopen(self) -> JobQueue:
        return self.together([place.reopen() for place in self.places])

    def together(self, queues: list[JobQueue]) -> Any:
        return Chorus(queues, queues[0].codec)

    def kill_holder(self, claim: Any) -> None:
        for place, each in zip(self.places, claim, strict=True):
            place.kill_holder(each)

    def teardown(self) -> None:
        super().teardown()
        self.space.__exit__(None, None, None)
        self.directory.cleanup()


@pytest.mark.scaled
def test_memory_files_and_postgresql_agree_on_random_histories(server_url: str) -> None:
    machine = type("Machine", (Agreement,), {"server_url": server_url})

    run_state_machine_as_test(machine, settings=SOME)
