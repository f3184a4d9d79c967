"""How many jobs a second: enqueued, singly and in batches, and drained, by threads and processes.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from actors import Actor, actors_for, at_once, together
from measuring import Run, count_outcomes, drained
from peers import servers
from peers.peer import Kind

BATCH: Final = 1000
MOST_THREADS: Final = 8
"""Threads that wait for a disk cost nothing: enough of them to share its commits."""
THREADS: Final = (4, MOST_THREADS)
CONTENDERS: Final = 8
CROWDED_ROUNDS: Final = 3
"""At most, if there are many processes: to start them takes longer than what they do."""
CROWDS: Final = (1, 4, 16)
"""Processes that take from one server; sixteen are more than most machines have cores."""
CROWD_JOBS: Final = 800
CONTENDED: Final = 1000
"""Jobs for eight processes, in a round: so many for each that they meet often."""


def process(run: Run) -> None:
    """What survives a crash of a process, or all but a second of a power cut."""
    _one_process(run, lambda kind: kind.durability != "power" and not kind.waits_only)


def power(run: Run) -> None:
    """What survives a power cut."""
    _one_process(run, lambda kind: kind.durability == "power")


def _one_process(run: Run, suits: Callable[[Kind], bool]) -> None:
    kinds = run.chosen(suits)
    with actors_for(kinds) as actors:
        for kind, counts in run.turns("drain", kinds):
            with run.excusing("drain", kind), run.scratch(kind) as place:
                found = _one_round(run, actors[kind.name][0], place)
                if counts:
                    for row, rate in found.items():
                        run.figures.add(row, kind.name, rate)


def _one_round(run: Run, actor: Actor, place: Path) -> dict[str, float]:
    kind, count = actor.kind, run.jobs(actor.kind.jobs)
    actor.ask("open", place=str(place))
    found = {
        "enqueue": count / actor.span("enqueue", first=0, count=count).seconds,
        "drain": drained(run, "drain", actor, count),
    }
    if kind.takes_ids:
        span = actor.span("enqueue_given", first=count, count=count)
        found["enqueue given"] = count / span.seconds
        if kind.ends_singly:
            span = actor.span("drain_singly", most=count)
            found["drain singly"] = count / span.seconds
        else:
            actor.span("drain", most=count)
    for threads in THREADS if kind.threads else ():
        share = count - count % threads
        span = actor.span("enqueue", first=0, count=share, threads=threads)
        if threads == MOST_THREADS:
            found[f"enqueue {threads} threads"] = share / span.seconds
        row = f"drain {threads} threads"
        found[row] = drained(run, row, actor, share, threads=threads)
        if kind.ends_singly:
            actor.ask("enqueue", first=0, count=share, threads=threads)
            row = f"drain singly {threads} threads"
            found[row] = drained(run, row, actor, share, threads=threads, do="drain_singly")
    actor.ask("close")
    return found


def batch(run: Run) -> None:
    """Many jobs at once, if there is a call for it."""
    kinds = run.chosen(lambda kind: kind.batches and not kind.waits_only)
    count = run.jobs(BATCH)
    with actors_for(kinds) as actors:
        for kind, counts in run.turns("batch", kinds):
            with run.excusing("batch", kind), run.scratch(kind) as place:
                actor = actors[kind.name][0]
                actor.ask("open", place=str(place))
                span = actor.span("enqueue_batch", first=0, count=count)
                actor.ask("close")
                if counts:
                    run.figures.add("batch", kind.name, count / span.seconds)


def processes(run: Run) -> None:
    """Two processes, against one."""
    kinds = run.chosen(lambda kind: kind.processes and not kind.waits_only)
    with actors_for(kinds, each=2) as actors:
        for kind, counts in run.turns("drain 2 processes", kinds):
            with run.excusing("drain 2 processes", kind):
                # Half as many as for one process alone, since they are drained twice. As many for
                # two processes as for one: with some queues the time for a job depends on how many
                # there are.
                count = run.jobs(kind.jobs // 2)
                one = _drained_by(run, actors[kind.name][:1], kind, count)[0]
                two = _drained_by(run, actors[kind.name], kind, count)[0]
                if counts:
                    run.figures.add("drain 1 process", kind.name, one)
                    run.figures.add("drain 2 processes", kind.name, two)


def contending(run: Run) -> None:
    """Eight processes: is each job run exactly once?"""
    row = "contending"
    kinds = run.chosen(lambda kind: kind.processes and not kind.waits_only and kind.has_worker)
    for kind in _crowded(run, row, kinds):
        # One kind at a time: eight idle processes of each would be a hundred.
        with run.excusing(row, kind), actors_for([kind], each=CONTENDERS) as actors:
            count = run.jobs(CONTENDED)
            rate, lost, repeated = _drained_by(run, actors[kind.name], kind, count)
            run.figures.add(row, kind.name, rate)
            run.figures.add("not run", kind.name, lost)
            run.figures.add("run again", kind.name, repeated)


def _crowded(run: Run, row: str, kinds: Sequence[Kind]) -> Iterator[Kind]:
    """Rounds of new processes each time, which nothing could warm up."""
    for _ in range(min(run.rounds, CROWDED_ROUNDS)):
        yield from run.each(row, kinds)


def crowds(run: Run) -> None:
    """One, four and sixteen processes on one server."""
    kinds = run.chosen(lambda kind: kind.missing is servers.why_no_postgres)
    for crowd in CROWDS:
        row = f"drain {crowd} workers"
        for kind in _crowded(run, row, kinds):
            with run.excusing(row, kind), actors_for([kind], each=crowd) as actors:
                count = run.jobs(CROWD_JOBS)
                rate, lost, repeated = _drained_by(run, actors[kind.name], kind, count)
                assert not lost, f"{lost} not run"
                assert not repeated, f"{repeated} run again"
                run.figures.add(row, kind.name, rate)


def _drained_by(run: Run, actors: list[Actor], kind: Kind, count: int) -> tuple[float, int, int]:
    """Distinct jobs a second; how many were not run; how many runs were one too many."""
    with run.scratch(kind) as place:
        for index, actor in enumerate(actors):
            actor.ask("open", place=str(place), index=index, of=len(actors))
        actors[0].ask("enqueue", first=0, count=count)
        answers = at_once(actors, "drain", most=10 * count)
        lost, repeated = count_outcomes([n for answer in answers for n in answer["ran"]], count)
        for actor in actors:
            actor.ask("close")
    return (count - lost) / together(answers).seconds, lost, repeated
