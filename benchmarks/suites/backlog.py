"""What a claim costs, and a worker's memory, as more and more jobs are pending.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from actors import Actor, actors_for
from measuring import Run
from peers.ours import new_job
from peers.peer import Kind, payload_of
from planting import plant

from semiont_jobs import JobQueue, PendingJob

SMALL: Final = 1_000
LARGE: Final = 100_000
ENOUGH: Final = 0.25
"""Seconds of claims in a round; the first few say how many fit."""
EARLY: Final = 200
"""Claims after the first of a million, at most."""
MOST: Final = 100
"""Claims in a round at most: of a thousand pending jobs, half are left at the end."""


def backlog(run: Run) -> None:
    """Claim and complete with a thousand and with a hundred thousand pending."""
    for kind in run.chosen(lambda kind: kind.backlog and not kind.waits_only):
        sizes = [small_of(run), run.jobs(LARGE)]
        if kind.name == "ours":
            sizes.insert(1, run.jobs(LARGE) // 10)
        with run.excusing(f"claim {LARGE}", kind):
            _against_backlogs(run, kind, dict(zip(_rows(sizes), sizes, strict=True)))
    if run.has("ours"):
        _ours_refusing(run)


def million(run: Run) -> None:
    """Ours with a million pending, once; in a database also with finished jobs, which are kept.

    First some claims while the index is being read, the slowest of which counts, then as many as
    with any backlog once it is complete.
    """
    for kind in run.chosen(lambda kind: kind.name in ("ours", "ours-postgres")):
        sizes = {f"{SMALL}": small_of(run), "1000000": run.jobs(1_000_000)}
        # An ext4 that mkfs makes by default has an inode for every 16 KiB of the disk, and no more.
        free = os.statvfs(run.place).f_favail
        if kind.name == "ours" and 0 < free < 1.1 * sizes["1000000"]:
            run.figures.note("claim 1000000", kind.name, f"room for {free} files only")
            continue
        with run.excusing("claim 1000000", kind):
            _against_backlogs(run, kind, sizes, remember="first 1000000")


def small_of(run: Run) -> int:
    """A thousand; in a tiny run as many as its claims need."""
    return max(run.jobs(SMALL), min(SMALL, 3 * MOST + MOST * run.rounds))


def _rows(sizes: list[int]) -> list[str]:
    return [str(SMALL), *(["10000"] if len(sizes) == 3 else []), str(LARGE)]


def _against_backlogs(
    run: Run, kind: Kind, sizes: dict[str, int], remember: str = f"first {LARGE}"
) -> None:
    """One actor for each size, all with their backlog; their claims take turns."""
    with actors_for([kind], each=len(sizes)) as made:
        actors = dict(zip(sizes, made[kind.name], strict=True))
        opened: dict[str, float] = {}
        taken: dict[str, int] = {}
        with run.scratch(kind) as place:
            places = {size: f"{place}-{size}" for size in sizes}
            _fill(kind, {places[size]: sizes[size] for size in sizes})
            for size, actor in actors.items():
                opened[size] = _seconds_to_first(actor, places[size])
                if size == "1000000":
                    for _ in range(min(EARLY, sizes[size] // 10)):
                        run.figures.add(f"early {size}", kind.name, _cost(actor, 1) * 1e3)
                    actor.ask("settle")
                taken[size] = _how_many(actor)
            last = list(sizes)[-1]
            run.figures.add(remember, kind.name, opened[last])
            for _ in range(run.rounds):
                for size, actor in actors.items():
                    cost = _cost(actor, taken[size])
                    if f"claim {size}" != f"claim {SMALL}" or last == str(LARGE):
                        run.figures.add(f"claim {size}", kind.name, cost * 1e6)
            if last == str(LARGE):
                small, large = (actors[size].ask("memory")["bytes"] for size in (str(SMALL), last))
                run.figures.add("memory", kind.name, large / 1e6)
                if kind.name == "ours":
                    each = (large - small) / (sizes[last] - sizes[str(SMALL)])
                    run.figures.add("memory a job", kind.name, each)


def _fill(kind: Kind, places: dict[str, int]) -> None:
    """Use an extra process, so that those measured have the memory of a worker only."""
    with Actor(kind) as filler:
        for place, size in places.items():
            filler.ask("open", place=place)
            filler.ask("fill", first=0, count=size)
            filler.ask("close")


def _seconds_to_first(actor: Actor, place: str) -> float:
    """Seconds to open a place and run one job."""
    begun = time.monotonic()
    actor.ask("open", place=place)
    actor.ask("drain", most=1)
    return time.monotonic() - begun


def _how_many(actor: Actor) -> int:
    cost = _cost(actor, 5)
    return max(5, min(MOST, int(ENOUGH / cost)))


def _cost(actor: Actor, count: int) -> float:
    """Seconds for each job."""
    answer = actor.ask("drain", most=count)
    return float((answer["ended"] - answer["began"]) / max(1, len(answer["ran"])))


def _ours_refusing(run: Run) -> None:
    """The same with jobs that are not wanted: asked about and refused, or of another type."""

    def is_ours(job: PendingJob[Any]) -> bool:
        return job.metadata.type == "bench"

    for row, wanted in (("refused", {"accept": is_ours}), ("unwanted", {"types": ["bench"]})):
        with run.scratch() as one, run.scratch() as other:
            queues = {
                str(SMALL): _with_unwanted(one, small_of(run)),
                str(LARGE): _with_unwanted(other, run.jobs(LARGE)),
            }
            for turn in range(run.rounds + 1):  # the first reads the folder
                for size, queue in queues.items():
                    cost = _claims(queue, partial(queue.claim_next_job, **wanted))
                    if turn > 0:
                        run.figures.add(f"{row} {size}", "ours", cost * 1e6)
            for queue in queues.values():
                queue.close()


def _with_unwanted(place: Any, size: int) -> JobQueue:
    queue = JobQueue(place, fsync=False).initialize()
    plant(queue, place, new_job(payload_of(0), "unwanted"), size)
    return queue


def _claims(queue: JobQueue, claim_next: Callable[[], Any]) -> float:
    queue.create_jobs([new_job(payload_of(number)) for number in range(MOST)])
    begun = time.monotonic()
    for _ in range(MOST):
        claim_next().complete({"ok": True})
    return (time.monotonic() - begun) / MOST
