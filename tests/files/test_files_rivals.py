"""Several processes that claim from one folder, and claimers that come and go: who tries what."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from files.places import Actors, claimed, job

from semiont_jobs import JobMetadata, job_id
from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.index import SLACK, PendingIndex
from semiont_jobs.stores.files.shares import MOST_PARTS, ROUND, Share

ANY = Wanted()
START = datetime(2026, 1, 1, tzinfo=UTC)


def metadata(id: str, **settings: object) -> JobMetadata:
    return JobMetadata(id=job_id(id), **{"type": "task", **settings})  # type: ignore[arg-type]


def lose(index: PendingIndex, rounds: int) -> None:
    """Have a claimer be beaten at every job."""
    for _ in range(rounds * ROUND):
        index.tried(lost=True)


def drain(index: PendingIndex, wanted: Wanted = ANY) -> list[str]:
    """Take all there is, as a claimer does who wins."""
    order: list[str] = []
    while (entry := index.take(wanted, 0.0)) is not None:
        index.forget(entry.id)
        order.append(entry.id)
    return order


# -- the share ---------------------------------------------------------------------------

NAMES = [f"job-{n}" for n in range(2_000)]


def passed_over(share: Share) -> int:
    return sum(share.leaves(name) for name in NAMES)


def test_who_has_no_rivals_passes_nothing_over() -> None:
    share = Share()
    for number in range(20 * ROUND):
        share.tried(lost=number % ROUND < ROUND // 2 - 1)  # not quite half is chance

    assert passed_over(share) == 0


def test_who_keeps_losing_passes_over_more_and_more_but_never_all() -> None:
    share = Share()
    counts = []
    for _ in range(10):
        for _ in range(ROUND):
            share.tried(lost=True)
        counts.append(passed_over(share))

    assert counts == sorted(counts)
    assert 800 < counts[0] < 1_200
    assert 1_800 < counts[-1] < 2_000 - 2_000 // (MOST_PARTS * 2)


def test_who_wins_again_passes_nothing_over_in_the_end() -> None:
    share = Share()
    for _ in range(10 * ROUND):
        share.tried(lost=True)
    for _ in range(4 * ROUND):
        share.tried(lost=False)

    assert passed_over(share) == 0


def test_what_is_passed_over_is_not_passed_over_for_ever() -> None:
    numbers = itertools.cycle(range(MOST_PARTS))
    share = Share(draw=lambda _bits: next(numbers))
    for _ in range(10 * ROUND):
        share.tried(lost=True)
    left = set(NAMES)
    for _ in range(MOST_PARTS):
        share.renew()
        left = {name for name in left if share.leaves(name)}

    assert left == set()


# -- the index ---------------------------------------------------------------------------


def test_with_rivals_every_job_is_still_offered_once() -> None:
    index = PendingIndex()
    for name in NAMES:
        index.put(metadata(name))
    lose(index, 3)

    order = drain(index)

    assert order != NAMES
    assert sorted(order) == sorted(NAMES)


def test_with_rivals_priorities_hold() -> None:
    index = PendingIndex()
    for number, name in enumerate(NAMES):
        index.put(metadata(name, priority=number % 5))
    lose(index, 4)

    order = [int(name.removeprefix("job-")) % 5 for name in drain(index)]

    assert order == sorted(order, reverse=True)


def test_with_rivals_a_new_job_that_is_more_urgent_goes_first() -> None:
    index = PendingIndex()
    for name in NAMES:
        index.put(metadata(name))
    lose(index, 4)
    for _ in range(50):
        index.forget(index.take(ANY, 0.0).id)  # type: ignore[union-attr]
    urgent = [f"urgent-{n}" for n in range(40)]
    for name in urgent:
        index.put(metadata(name, priority=1))

    assert sorted(drain(index)[:40]) == sorted(urgent)


def test_without_rivals_the_order_is_strict_again_at_once() -> None:
    index = PendingIndex()
    for name in NAMES:
        index.put(metadata(name, created=START + timedelta(seconds=int(name[4:]))))
    lose(index, 1)
    taken = [index.take(ANY, 0.0).id for _ in range(50)]  # type: ignore[union-attr]
    for _ in range(ROUND):
        index.tried(lost=False)

    assert drain(index) == [name for name in NAMES if name not in taken]


def test_a_listing_offers_again_what_was_passed_over_and_forgets_what_is_gone() -> None:
    index = PendingIndex()
    for name in NAMES:
        index.put(metadata(name))
    lose(index, 4)
    for _ in range(50):
        index.forget(index.take(ANY, 0.0).id)  # type: ignore[union-attr]
    standing = NAMES[-100:]

    fresh, changed = index.compare((name, 0) for name in standing)

    assert changed == []
    assert sorted([*drain(index), *fresh]) == sorted(standing)


# -- the folder --------------------------------------------------------------------------


def test_eight_processes_do_not_all_try_the_same_job(actor: Actors) -> None:
    count, processes = 400, 8
    actor().create_jobs([job(f"j{n:03}") for n in range(count)])
    workers = [actor() for _ in range(processes)]
    done: Counter[str] = Counter()
    idle = 0
    for worker in itertools.cycle(workers):
        claim = worker.claim_next_job()
        idle = 0 if claim else idle + 1
        if claim:
            done[claim.complete().metadata.id] += 1
        if idle == processes:
            break

    tries = sum(worker.disk.count("open", "pending/*") for worker in workers)
    assert done == Counter(f"j{n:03}" for n in range(count))
    # Trying the same ones in the same order, each would try each job.
    assert tries / count < processes / 2


def test_one_claimer_keeps_the_order_while_another_process_cancels_jobs(actor: Actors) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"j{n:02}") for n in range(90)])
    assert claimed(worker).complete().metadata.id == "j00"
    worker._store._pending._listing_took = 1e6  # type: ignore[attr-defined] # of a huge folder
    for number in range(1, 60):
        other.cancel_job(f"j{number:02}")

    order = [claimed(worker).complete().metadata.id for _ in range(30)]

    assert order == [f"j{n}" for n in range(60, 90)]


# -- claimers that are gone --------------------------------------------------------------


def held(index: PendingIndex) -> int:
    return sum(len(view.heap) + len(view.passed_over) for view in index._views.values())


def test_a_claimer_that_is_gone_costs_no_memory() -> None:
    index = PendingIndex()
    for n in range(30):
        assert index.take(Wanted(types=frozenset({"task", f"gone-{n}"})), 0.0) is None
    for n in range(4 * SLACK):
        index.put(metadata(f"job-{n}"))
        index.forget(index.take(ANY, 0.0).id)  # type: ignore[union-attr]

    assert list(index._views) == [ANY]
    assert held(index) <= SLACK + 1


def test_a_claimer_that_comes_back_is_offered_what_there_is() -> None:
    index = PendingIndex()
    gone = Wanted(types=frozenset({"task"}))
    assert index.take(gone, 0.0) is None
    for n in range(4 * SLACK):
        index.put(metadata(f"job-{n}"))
        index.forget(index.take(ANY, 0.0).id)  # type: ignore[union-attr]
    index.put(metadata("last"))

    assert drain(index, gone) == ["last"]


def test_a_claimer_in_use_that_never_gets_as_deep_keeps_nothing_out_of_date() -> None:
    index = PendingIndex()
    low = Wanted(types=frozenset({"low"}))
    for n in range(5 * SLACK):
        index.put(metadata(f"low-{n}", type="low", priority=-1))
        index.forget(index.take(low, 0.0).id)  # type: ignore[union-attr]
        index.put(metadata(f"high-{n}"))
        index.forget(index.take(ANY, 0.0).id)  # type: ignore[union-attr]

    assert held(index) <= 2 * (SLACK + 2)


def test_jobs_put_off_again_and_again_leave_nothing_behind() -> None:
    index = PendingIndex()
    for n in range(5 * SLACK):
        index.put(metadata("j"), not_before=1e12 + n)

    assert len(index._waiting) <= SLACK + 3
    assert index.next_due() == 1e12 + 5 * SLACK - 1


@pytest.mark.parametrize("answer", ["refused", "give_back"])
def test_who_first_asks_while_a_job_is_in_anothers_hand_is_offered_it_later(answer: str) -> None:
    index = PendingIndex()
    index.put(metadata("j"))
    entry = index.take(ANY, 0.0)
    assert entry is not None
    newcomer, stranger = (Wanted(types=frozenset({each})) for each in ("task", "else"))
    assert index.take(newcomer, 0.0) is None
    assert index.take(stranger, 0.0) is None

    if answer == "refused":
        index.refused(entry)
    else:
        index.give_back(entry, ANY)

    assert index.take(stranger, 0.0) is None
    assert drain(index, newcomer) == ["j"]


def test_a_job_put_while_names_are_compared_is_not_taken_for_one_that_is_gone() -> None:
    index = PendingIndex()
    index.put(metadata("old"))

    def names() -> Iterator[tuple[str, int]]:
        yield "new", 7
        index.put(metadata("mine"))

    fresh, _changed = index.compare(names())

    assert fresh == ["new"]
    assert drain(index) == ["mine"]
