"""The power goes, at every step: with `fsync` nothing acknowledged is lost, by the rules of any
file system; without, it is stated here what may be lost, and what may not.

What is tried is exhaustive where nothing else is said: every position of a history, every
state that a model (`proofs.power`) lets a cut there leave of each job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from proofs.careless import CARELESS
from proofs.cuts import Recorded, cut_everywhere, rooms
from proofs.history import History, at_once
from proofs.relay import DEATHS, Relay


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """An empty place whose disk is recorded."""
    with rooms() as room:
        place = room()
        place.mkdir()
        yield Recorded(place)


def told(recorded: Recorded, *, fsync: bool) -> None:
    """Have the whole history happen there."""
    with at_once():
        History(recorded.data, recorded.ledger, disk=recorded.disk(), fsync=fsync).run()


def test_with_fsync_a_power_cut_at_any_step_loses_nothing_acknowledged(recorded: Recorded) -> None:
    told(recorded, fsync=True)

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
            told(recorded, fsync=True)
        else:
            Relay(recorded, where).run()
    since = next(at for at, step in enumerate(recorded.steps) if path in step.path)

    # Where the least is promised, the most can be seen.
    verdict = cut_everywhere(recorded, models=("strict",), since=since)

    assert len(verdict.violations) == 1
