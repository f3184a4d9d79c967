"""The power goes, at every step: with `fsync` nothing acknowledged is lost, by the rules of any
file system; without, it is stated here what may be lost, and what may not.

What is tried is exhaustive where nothing else is said: every position of a history, every
state that a model (`proofs.power`) lets a cut there leave of each job; not every combination
of several jobs', and of folders that a cut takes at most two at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from proofs.careless import CARELESS
from proofs.careless_journals import CARELESS_JOURNALS
from proofs.cuts import Judge, Recorded, cut_everywhere, rooms
from proofs.emptied import STORIES, Emptied
from proofs.history import History, at_once
from proofs.journalled import judge_journalled
from proofs.ledger import MemoryLedger
from proofs.power import MODELS
from proofs.recording import RecordingDisk
from proofs.relay import DEATHS, JOURNAL_DEATHS, Relay
from proofs.session import Session
from proofs.soak import factor
from proofs.unforced import found, judge_unforced

from semiont_jobs.stores.files.forcing import Durability

pytestmark = [pytest.mark.proof, pytest.mark.scaled]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """An empty place whose disk is recorded."""
    with rooms() as room:
        place = room()
        place.mkdir()
        yield Recorded(place)


def told(recorded: Recorded, durability: Durability) -> None:
    """Have the whole history happen there."""
    with at_once():
        History(recorded.data, recorded.ledger, disk=recorded.disk(), durability=durability).run()


def test_with_fsync_a_power_cut_at_any_step_loses_nothing_acknowledged(recorded: Recorded) -> None:
    told(recorded, "fsync")

    verdict = cut_everywhere(recorded)

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.left_out == 0
    assert all(verdict.states[model] for model in ("ordered", "eager", "strict"))


@pytest.mark.parametrize("verb", DEATHS)
def test_c18_a_power_cut_after_a_process_died_in_a_verb_and_another_recovered_loses_nothing(
    recorded: Recorded, verb: str
) -> None:
    relay = Relay(recorded, verb)
    relay.run()

    verdict = cut_everywhere(recorded, since=relay.first_death)

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.left_out == 0
    assert verdict.states["ordered"] > 0


@pytest.mark.parametrize("careless", CARELESS, ids=lambda careless: careless.__name__)
def test_the_checker_sees_what_is_lost_by_a_store_that(
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    careless: Callable[[pytest.MonkeyPatch], None],
) -> None:
    where, path = CARELESS[careless]
    with monkeypatch.context() as patch:
        careless(patch)
        if where == "history":
            told(recorded, "fsync")
        else:
            Relay(recorded, where).run()
    since = next(at for at, step in enumerate(recorded.steps) if path in step.path)

    # Where the least is promised, the most can be seen.
    verdict = cut_everywhere(recorded, models=("strict",), since=since)

    assert len(verdict.violations) == 1


# -- with a journal ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_with_a_journal_a_power_cut_at_any_step_loses_nothing_acknowledged(
    recorded: Recorded, model: str
) -> None:
    told(recorded, "journal")

    # Drawn, for the files themselves are seldom forced.
    assert_lawful_where_drawn(recorded, model, judge_journalled, JOURNALLED[model])


def assert_lawful_where_drawn(recorded: Recorded, model: str, judge: Judge, share: float) -> None:
    """Eight states of a job at a position, some of the directories."""
    verdict = cut_everywhere(recorded, judge, models=(model,), most=8, share=share * FACTOR)

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.states[model] >= 50


@pytest.mark.parametrize("story", STORIES)
def test_with_a_journal_a_power_cut_loses_nothing_of_a_job_whose_record_is_gone_or_elsewhere(
    recorded: Recorded, story: str
) -> None:
    emptied = Emptied(recorded, story)
    emptied.run()
    share = DRAWN.get(story, 1.0) * FACTOR

    verdict = cut_everywhere(recorded, judge_journalled, since=emptied.since, most=8, share=share)

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.states


def test_without_syncfs_a_power_cut_loses_nothing_of_a_job_whose_journal_is_being_emptied(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: each file is forced by itself."""
    monkeypatch.setattr(RecordingDisk, "has_syncfs", False)
    monkeypatch.setattr(RecordingDisk, "syncfs", lambda _disk, _folder: False)
    emptied = Emptied(recorded, "checkpoint while the journal is emptied")
    emptied.run()

    verdict = cut_everywhere(recorded, judge_journalled, since=emptied.since, most=8)

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.states


@pytest.mark.parametrize("verb", JOURNAL_DEATHS)
def test_with_a_journal_a_power_cut_after_deaths_and_a_recovery_loses_nothing(
    recorded: Recorded, verb: str
) -> None:
    relay = Relay(recorded, verb, durability="journal")
    relay.run()

    verdict = cut_everywhere(
        recorded, judge_journalled, since=relay.first_death, most=8, share=0.01 * FACTOR
    )

    assert [] == [str(violation) for violation in verdict.violations]
    assert verdict.states


@pytest.mark.parametrize("careless", CARELESS_JOURNALS, ids=lambda careless: careless.__name__)
def test_the_checker_sees_what_is_lost_by_a_journal_that(
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    careless: Callable[[pytest.MonkeyPatch], None],
) -> None:
    story = Emptied(recorded, CARELESS_JOURNALS[careless])
    careless(monkeypatch)
    story.run()

    verdict = cut_everywhere(
        recorded, judge_journalled, models=("strict",), since=story.since, most=8
    )

    assert len(verdict.violations) == 1


JOURNALLED = {"ordered": 0.01, "eager": 0.01, "strict": 0.01}

# Of two jobs, and two files at once: as many cuts as of all other stories together.
DRAWN = {"loop": 0.25}


# -- without fsync: what may be lost, and what may not ---------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_without_fsync_a_job_is_lost_or_is_as_it_once_was_and_the_others_go_on(
    recorded: Recorded, model: str
) -> None:
    told(recorded, "process")

    # Drawn, for there are too many.
    assert_lawful_where_drawn(recorded, model, judge_unforced, SHARE[model])


SHARE = {"ordered": 0.008, "eager": 0.008, "strict": 0.0004}
FACTOR = factor()
"""The soak judges more of the states that are drawn, by this factor."""


@pytest.mark.parametrize("model", MODELS)
def test_without_fsync_a_job_touched_lately_may_be_lost_or_undone_and_one_at_rest_may_not(
    recorded: Recorded, model: str
) -> None:
    with at_once():
        session = Session(recorded.data, recorded.ledger, disk=recorded.disk())
        session.create("resting")
        session.create("moving")
        # What the kernel does by itself after some time, and anybody's `sync` at once.
        recorded.trace.note("syncfs")
        session.claim("moving")
        session.end("complete", "moving", lambda c: c.complete([1]), result=[1])
        session.create("young")
    end = len(recorded.steps)

    states = statuses_found(recorded, model, since=end)

    assert states["resting"] == {"pending"}
    assert states["moving"] == {"absent", "pending", "running", "complete"}
    assert states["young"] == {"absent", "pending"}


def statuses_found(recorded: Recorded, model: str, since: int) -> dict[str, set[str]]:
    """In which statuses a cut at the end may leave each job."""
    statuses: dict[str, set[str]] = {}

    def look(_ledger: MemoryLedger, data_dir: Path) -> list[str]:
        for job_id, state in found(data_dir, ("resting", "moving", "young")).items():
            statuses.setdefault(job_id, set()).add(state.status)
        return []

    cut_everywhere(recorded, look, models=(model,), since=since)
    return statuses
