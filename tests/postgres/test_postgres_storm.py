"""Storms over one server: workers killed and stopped, sessions ended, the server restarted."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from postgres.servers import FAST, Server, a_schema, sql
from storms.judge import Judge
from storms.places import Database
from storms.storm import Aftermath, Storm, rage

from semiont_jobs import JobQueue


class DatabaseJudge(Judge):
    """Judges by the rows that stand.

    Where sessions are ended, one that is not made again in time is taken for its process's death:
    whoever was robbed so held the job for sure only when it began, and must not have ended it.
    """

    def __init__(self, aftermath: Aftermath) -> None:
        super().__init__(aftermath)
        self.robbed = [
            stint
            for stint in self.stints
            if self.storm.is_cut_off and stint.ended is None and stint.who not in self.killed
        ]
        for stint in self.robbed:
            stint.over_at = stint.begun_at

    def _deaths(self) -> set[str]:
        return super()._deaths() | {stint.who for stint in self.robbed}

    def nothing_is_left_over_that_cannot_be_swept(self) -> None:
        assert isinstance(self.place, Database)
        marks = "owner IS NOT NULL OR asked"
        assert self.place.ask(f"SELECT id FROM {{s}}.jobs WHERE {marks}") == []
        assert self.place.ask("SELECT name FROM {s}.quarantine") == []
        with JobQueue(self.aftermath.data) as queue:
            assert queue.get_stats().total == len(self.documents)


def judged(storm: Storm, path: Path, url: str) -> tuple[DatabaseJudge, Aftermath]:
    """The storm, which must have broken nothing."""
    aftermath = rage(storm, path, url)
    judge = DatabaseJudge(aftermath)
    assert isinstance(judge.place, Database)
    try:
        judge.judge()
    finally:
        judge.place.close()
    return judge, aftermath


def test_a_storm_of_kills_loses_no_job_and_robs_no_living_worker(tmp_path: Path, url: str) -> None:
    storm = Storm(seed=1, jobs=200, kill_every=0.12, seconds=4, workers=4, rescuers=1)
    judge, aftermath = judged(storm, tmp_path, url)

    # It was one: kills met holders, requests to cancel met jobs, and jobs were removed.
    assert len(judge.killed) > 10
    assert judge.crashes() > 0
    for word in ("stop", "forked", "rescued", "cancelled", "retried", "removed"):
        assert aftermath.said(word), f"nothing was {word}"


def test_a_storm_of_ended_sessions_gives_every_job_one_outcome(tmp_path: Path, url: str) -> None:
    name = f"storm-{os.getpid()}"
    storm = Storm(
        seed=2,
        jobs=200,
        kill_every=0.3,
        sever_every=0.02,
        seconds=4,
        workers=4,
        rescuers=1,
        crowd=False,
        is_cut_off=True,
        application=name,
    )
    judge, aftermath = judged(storm, tmp_path, f"{url}&application_name={name}")

    assert len(judge.documents) == storm.jobs
    assert judge.killed
    severed = len(aftermath.said("sever"))
    assert severed > 30
    assert len(judge.robbed) * 10 < severed


def test_a_storm_over_a_server_that_restarts_gives_every_job_one_outcome(tmp_path: Path) -> None:
    server = Server(f"stormy-{os.getpid()}", {**FAST, "fsync": "on"})
    try:
        with a_schema(server.url) as schema:
            restart = threading.Timer(2.0, lambda: (server.stop(), server.start()))
            restart.start()
            storm = Storm(
                seed=3,
                jobs=150,
                kill_every=0.3,
                seconds=5,
                workers=4,
                rescuers=1,
                crowd=False,
                is_cut_off=True,
            )
            judge, _ = judged(storm, tmp_path, f"{server.url}&schema={schema}")
            restart.join()

            [(since,)] = sql(server.url, "SELECT now() - pg_postmaster_start_time()")
            assert since.total_seconds() > 0
            assert len(judge.documents) == storm.jobs
            assert judge.killed
            assert not judge.robbed
    finally:
        server.end()
