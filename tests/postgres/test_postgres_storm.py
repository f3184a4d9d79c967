"""Storms over one server: workers killed and stopped, sessions ended, the server restarted."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from postgres.servers import FAST, Server, a_schema, sql
from proofs.witness import Line
from storms.evidence import Stint
from storms.judge import Judge
from storms.places import FOLDERS, Database
from storms.storm import Aftermath, Storm, rage

from semiont_jobs import JobQueue


class DatabaseJudge(Judge):
    """Judges by the rows that stand.

    Where sessions are ended, one that is not made again in time is taken for its process's death:
    whoever was robbed so held the job for sure only when it began, and must not have ended it: a
    living worker, one that began another job afterwards, or one whose job somebody else began. If
    the claim's own session was ended, it never began: the answer came too late.
    """

    def __init__(self, aftermath: Aftermath) -> None:
        super().__init__(aftermath)
        self.robbed: list[Stint] = []
        self.robbed_at_once: list[str] = []
        """Whose crashes are on record of attempts that they did not begin."""
        self.last = {stint.who: stint.begun_at for stint in self.stints}
        if self.storm.is_cut_off:
            self.robbed = [stint for stint in self.stints if self._is_robbed(stint)]
            begun = {(stint.id, stint.who, stint.started) for stint in self.stints}
            self.robbed_at_once = [
                who
                for id_, attempts in self._records().items()
                for who, started, outcome in attempts
                if outcome == "crashed" and (id_, who, started) not in begun
            ]
        for stint in self.robbed:
            stint.over_at = stint.begun_at

    def _is_robbed(self, stint: Stint) -> bool:
        if stint.ended is not None:
            return False
        if stint.who not in self.killed or stint.begun_at < self.last[stint.who]:
            return True
        heirs = [
            each.begun_at
            for each in self.stints
            if each.id == stint.id and each.revision > stint.revision
        ]
        return min(heirs, default=stint.over_at) < stint.over_at

    def _most_crashes(self, who: str) -> int:
        return super()._most_crashes(who) + self._all_robbed().count(who)

    def _deaths(self) -> set[str]:
        return super()._deaths().union(self._all_robbed())

    def _all_robbed(self) -> list[str]:
        return [*(stint.who for stint in self.robbed), *self.robbed_at_once]

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


def all_are_there(judge: DatabaseJudge, aftermath: Aftermath) -> None:
    """All that were acknowledged: a producer may be killed in the midst of creating one."""
    begun, created = (
        {line.id for line in aftermath.said(word)} for word in ("creating", "created")
    )
    assert len(begun) == aftermath.storm.jobs
    assert created <= judge.documents.keys() <= begun


def test_a_storm_of_kills_loses_no_job_and_robs_no_living_worker(tmp_path: Path, url: str) -> None:
    storm = Storm(seed=1, jobs=120, kill_every=0.3, seconds=3, workers=4, rescuers=1)
    judge, aftermath = judged(storm, tmp_path, url)

    # It was one: requests to cancel met jobs, and jobs were removed. That kills meet work, too,
    # the next one makes sure of: on a busy machine they meet workers that begin, mostly.
    assert judge.killed
    for word in ("stop", "forked", "cancelled", "retried", "removed"):
        assert aftermath.said(word), f"nothing was {word}"


def test_jobs_that_kill_their_workers_fail_and_the_others_are_done(
    tmp_path: Path, url: str
) -> None:
    storm = Storm(
        seed=4,
        jobs=24,
        seconds=1,
        kill_every=None,
        workers=4,
        rescuers=1,
        crowd=False,
        kinds=("plain", "reports", "kills", "stumbles"),
        max_crashes=1,
        retention=3600,
    )
    judge, _ = judged(storm, tmp_path, url)

    assert len(judge.documents) == 24
    for document in judge.documents.values():
        crashes = document["metadata"].get("crashCount", 0)
        is_killer = document["params"]["kind"] == "kills"
        assert (document["status"], crashes) == (("failed", 2) if is_killer else ("complete", 0))


def test_a_storm_of_ended_sessions_gives_every_job_one_outcome(tmp_path: Path, url: str) -> None:
    name = f"storm-{os.getpid()}"
    storm = Storm(
        seed=2,
        jobs=120,
        kill_every=0.3,
        sever_every=0.02,
        seconds=3,
        workers=4,
        rescuers=1,
        crowd=False,
        is_cut_off=True,
        application=name,
    )
    judge, aftermath = judged(storm, tmp_path, f"{url}&application_name={name}")

    all_are_there(judge, aftermath)
    assert judge.killed
    severed = len(aftermath.said("sever"))
    assert severed > 15
    assert (len(judge.robbed) + len(judge.robbed_at_once)) * 10 < severed


def test_a_storm_over_a_server_that_restarts_gives_every_job_one_outcome(tmp_path: Path) -> None:
    server = Server(f"stormy-{os.getpid()}", {**FAST, "fsync": "on"})
    try:
        with a_schema(server.url) as schema:
            restart = threading.Timer(1.2, lambda: (server.stop(), server.start()))
            restart.start()
            storm = Storm(
                seed=3,
                jobs=80,
                kill_every=0.3,
                seconds=3,
                workers=4,
                rescuers=1,
                crowd=False,
                is_cut_off=True,
            )
            judge, aftermath = judged(storm, tmp_path, f"{server.url}&schema={schema}")
            restart.join()

            [(since,)] = sql(server.url, "SELECT now() - pg_postmaster_start_time()")
            assert since.total_seconds() > 0
            all_are_there(judge, aftermath)
            assert judge.killed
            assert not judge.robbed
            assert set(judge.robbed_at_once) <= judge.killed.keys()
    finally:
        server.end()


@pytest.mark.parametrize("is_ended", [False, True])
def test_the_judge_knows_who_was_cut_off_before_being_killed(
    is_ended: bool, tmp_path: Path
) -> None:
    """Of two crashes of one worker the end of its session made the first, even if nobody began that
    job before the worker was killed in its next one: unless it was told that the first had ended."""
    for folder in FOLDERS:
        (tmp_path / "jobs" / folder).mkdir(parents=True)
    for number, id_ in enumerate(("one", "two")):
        started = f"2026-01-01T00:00:00.00{number}Z"
        attempt = {"worker": "w.1", "startedAt": started, "outcome": "crashed"}
        document = {"status": "failed", "metadata": {"attempts": [attempt], "crashCount": 1}}
        path = tmp_path / "jobs" / "failed" / f"{id_}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
    begun = {"life": "", "revision": 1, "started": 1_767_225_600_000}
    lines = [
        Line(1, "w.1", "start", "one", begun),
        Line(2, "w.1", "ending", "one", {"how": "complete"}),
        Line(4, "w.1", "start", "two", begun | {"started": begun["started"] + 1}),
        Line(5, "director", "kill", facts={"victim": "w.1"}),
    ]
    if is_ended:
        ended = {"life": "", "revision": 2, "status": "complete"}
        lines.insert(2, Line(3, "w.1", "completed", "one", ended))
    storm = Storm(seed=0, jobs=2, is_cut_off=True)
    judge = DatabaseJudge(Aftermath(storm, str(tmp_path), lines, ""))

    if is_ended:
        with pytest.raises(AssertionError, match="one kill, two crashes"):
            judge.crashes_are_counted_once_and_only_of_the_killed()
    else:
        judge.crashes_are_counted_once_and_only_of_the_killed()
        assert [stint.id for stint in judge.robbed] == ["one"]
