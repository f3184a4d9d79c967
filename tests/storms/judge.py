"""What must be true after a storm, from the testimony of witnesses and the files that stand.

It must not import the library, but for the last look: a queue that opens the directory anew
must be able to sweep what is left over.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections import Counter, defaultdict

from storms.evidence import Evidence
from storms.places import Directory

from semiont_jobs import JobQueue

RECORDED = {"completed": "completed", "failed": "failed", "retrying": "failed"} | {
    "cancelled": "cancelled"
}
"""The outcome that an attempt must have on record after such an acknowledgement."""


class Judge(Evidence):
    """Judges one storm; every method raises `AssertionError` or finds nothing wrong."""

    def judge(self) -> None:
        """All of it; an error says which storm it was."""
        try:
            self.nobody_died_of_anything_else()
            self.every_job_is_in_one_status_and_none_is_left_to_do()
            self.no_acknowledged_create_is_lost()
            self.no_change_is_acknowledged_twice()
            self.an_acknowledged_outcome_stands()
            self.no_work_starts_after_an_outcome()
            self.no_living_holder_is_robbed()
            self.every_start_is_on_record_and_every_record_was_a_start()
            self.crashes_are_counted_once_and_only_of_the_killed()
            self.nothing_is_left_over_that_cannot_be_swept()
        except AssertionError as error:
            error.add_note(f"after {self.storm}")
            raise

    # -- the truths ----------------------------------------------------------------------

    def nobody_died_of_anything_else(self) -> None:
        """An error in any process ends it, or is printed; a child never had its parent's job."""
        assert not self.aftermath.errors, self.aftermath.errors
        for line in self.aftermath.said("gone"):
            expected = -9 if line["victim"] in self._deaths() else 0
            # A process may be done at the moment it is killed.
            assert line["code"] in (expected, 0), f"{line['victim']} died of {line['code']}"
        assert not self.aftermath.said("usurped", "quarantined")

    def every_job_is_in_one_status_and_none_is_left_to_do(self) -> None:
        """Copies that crashes left behind are gone too."""
        left = [id_ for status, id_, _ in self.standing if status in ("pending", "running")]
        assert not left, left
        times = Counter(id_ for _, id_, _ in self.standing)
        twice = [id_ for id_, n in times.items() if n > 1]
        assert not twice, f"in two folders: {twice}"
        for status, id_, document in self.standing:
            assert document["status"] == status, f"{status}/{id_} is {document['status']}"

    def no_acknowledged_create_is_lost(self) -> None:
        """It stands, or a cleaner removed it, of which a killed cleaner may not have told."""
        removed = Counter(line.id for line in self.aftermath.said("removed"))
        assert not [id_ for id_, times in removed.items() if times > 1], "removed twice"
        assert not removed.keys() & self.documents.keys(), "removed, yet there"
        created = {line.id for line in self.aftermath.said("created")}
        interrupted = list(self._interrupted_cleanings())
        for id_ in created - self.documents.keys() - removed.keys():
            finishing = [s.over_at for s in self.stints if s.id == id_] + [
                line.at for line in self.changes if line.id == id_
            ]
            assert any(min(finishing) < end for end in interrupted), f"{id_} is lost"
        begun = {line.id for line in self.aftermath.said("creating")}
        assert self.documents.keys() <= begun, "jobs that nobody created"
        assert len(begun) == self.storm.jobs

    def no_change_is_acknowledged_twice(self) -> None:
        """Every acknowledged change of a job has a revision of its own; of those that end one
        life of it there is one."""
        changed = Counter((line.id, line["revision"]) for line in self.changes)
        twice = [key for key, times in changed.items() if times > 1]
        assert not twice, f"revisions acknowledged twice: {twice}"
        ended = Counter((line.id, line["life"]) for line in self._outcomes())
        twice = [key for key, times in ended.items() if times > 1]
        assert not twice, f"outcomes acknowledged twice: {twice}"

    def an_acknowledged_outcome_stands(self) -> None:
        """What stands in the end follows the last change that was acknowledged, or is it."""
        retried = {(line.id, line["life"]) for line in self.aftermath.said("retried")}
        for line in self.changes:
            document = self.documents.get(line.id)
            if document is not None:
                revision = document["metadata"].get("revision", 0)
                assert revision >= line["revision"], f"{line} was undone"
                is_last = revision == line["revision"]
                assert not is_last or document["status"] == line["status"], f"not as {line} said"
        for line in self._outcomes():
            document = self.documents.get(line.id)
            if document is not None and line["status"] != document["status"]:
                life = document["metadata"].get("run")
                # Only a retry by hand leads out of it; a killed canceller did not tell.
                assert life is not None, f"{line} did not stand"
                assert life != line["life"], f"{line} did not stand"
                assert (line.id, life) in retried or self._was_killed("canceller"), line
        for id_, document in self.documents.items():
            if document["status"] == "complete":
                by = document["result"]["by"]
                work = [s for s in self.stints if s.id == id_ and s.who == by and s.took_effect]
                assert work, f"{id_} is complete without an effect of {by}"

    def no_work_starts_after_an_outcome(self) -> None:
        """Within one life of a job."""
        outcomes = {(line.id, line["life"]): line for line in self._outcomes()}
        for stint in self.stints:
            outcome = outcomes.get((stint.id, stint.life))
            if outcome is not None:
                assert stint.revision < outcome["revision"], f"{stint} came after {outcome}"
                assert stint.begun_at < outcome.at, f"{stint} came after {outcome}"

    def no_living_holder_is_robbed(self) -> None:
        """The times for which processes held one job for sure do not overlap, and whoever
        lived to end a job could."""
        for id_, stints in self._by_job().items():
            stints.sort(key=lambda stint: stint.begun_at)
            for one, next_ in itertools.pairwise(stints):
                assert one.over_at <= next_.begun_at, f"{id_} was held twice: {one} {next_}"
                assert one.revision < next_.revision, f"{id_}: {one} before {next_}"
        for stint in self.stints:
            if stint.who not in self._deaths():
                assert stint.ended is not None, f"{stint} could not be ended"

    def every_start_is_on_record_and_every_record_was_a_start(self) -> None:
        """An attempt is known by its worker and the millisecond in which it started."""
        starts = defaultdict(list)
        for stint in self.stints:
            starts[stint.id, stint.who, stint.started].append(stint)
        assert all(len(each) == 1 for each in starts.values())
        records = {}
        for id_, attempts in self._records().items():
            for who, started, outcome in attempts:
                assert (id_, who, started) not in records, f"{id_} recorded {who} twice"
                records[id_, who, started] = outcome
                if (id_, who, started) not in starts:
                    # Killed between taking the job and saying so.
                    assert who in self._deaths(), f"{id_}: no such attempt by {who}"
                    assert outcome in ("crashed", "cancelled"), f"{id_}: {outcome} by {who}"
        known = self._records().keys()
        for key, (stint,) in starts.items():
            if stint.id not in known:
                continue  # removed by a cleaner who was killed before it could tell
            outcome = records.get(key)
            if stint.ended is not None:
                assert outcome == RECORDED.get(stint.ended.word), f"{stint} became {outcome}"
            elif outcome is None:
                assert stint.how in ("snooze", "release"), f"{stint} is not on record"

    def crashes_are_counted_once_and_only_of_the_killed(self) -> None:
        """A worker has one job at a time, so a kill hits at most one."""
        crashed = Counter(
            who
            for attempts in self._records().values()
            for who, _started, outcome in attempts
            if outcome == "crashed"
        )
        assert crashed.keys() <= self._deaths(), "a living worker counted as crashed"
        twice = [who for who, times in crashed.items() if times > self._most_crashes(who)]
        assert not twice, f"one kill, two crashes: {twice}"
        removed = self.aftermath.said("removed")
        counts = {line.id: line["crashes"] for line in removed}
        retried = {line.id for line in removed if not line["is_first_life"]}
        for id_, document in self.documents.items():
            counts[id_] = document["metadata"].get("crashCount", 0)
            if "run" in document["metadata"]:
                retried.add(id_)
        for id_, attempts in self._records().items():
            recorded = sum(outcome == "crashed" for _who, _started, outcome in attempts)
            # A retry by hand counts from nothing again.
            assert counts[id_] <= recorded, f"{id_} counts too many crashes"
            assert id_ in retried or counts[id_] == recorded, f"{id_} counts too few crashes"

    def nothing_is_left_over_that_cannot_be_swept(self) -> None:
        """Nobody holds what lies in ``.tmp``; grown old, it goes when the directory is opened."""
        assert isinstance(self.place, Directory)
        jobs = self.place.jobs
        assert not os.listdir(jobs / ".quarantine")
        long_ago = time.time() - 3600
        for folder in (".tmp", ".cancel"):
            for path in (jobs / folder).iterdir():
                with path.open("rb") as left:
                    fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.utime(path, (long_ago, long_ago))
        with JobQueue(self.aftermath.data, fsync=False) as queue:
            assert queue.get_stats().total == len(self.documents)
        for folder in (".tmp", ".cancel"):
            assert not os.listdir(jobs / folder), f"{folder} was not swept"

    def _most_crashes(self, who: str) -> int:
        """How many crashes may be on record of one process."""
        return 1
