"""How long it takes to list and to count many finished jobs.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from actors import actors_for
from measuring import Run

FINISHED: Final = 100_000
ROUNDS: Final = 3
"""At most: some read all jobs for a list, for seconds."""


def reading(run: Run) -> None:
    """List and stats with a hundred thousand finished jobs."""
    kinds = run.chosen(
        lambda kind: bool(kind.lists or kind.counts) and kind.backlog and not kind.waits_only
    )
    with actors_for(kinds) as actors, ExitStack() as places:
        for kind in kinds:
            actor = actors[kind.name][0]
            with run.excusing("list", kind):
                actor.ask("open", place=str(places.enter_context(run.scratch(kind))))
                actor.ask("fill_finished", count=run.jobs(FINISHED))
        for kind, counts in run.turns("list", kinds, ROUNDS):
            actor = actors[kind.name][0]
            with run.excusing("list", kind):
                looks = {"list": "list_finished"} if kind.lists else {}
                for row, look in (
                    looks | ({"stats": "count_finished"} if kind.counts else {})
                ).items():
                    taken = actor.span(look).seconds
                    if counts:
                        run.figures.add(row, kind.name, 1e3 * taken)
