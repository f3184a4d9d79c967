"""One run: where, how often, which queues; and the rounds, in which queues take turns.

It must not know what is measured.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from actors import Actor, ActorFailed
from attrs import field, frozen
from figures import Figures
from peers.peer import Kind


@frozen(kw_only=True)
class Run:
    """What every suite is given."""

    place: Path
    """This run's own folder."""
    rounds: int
    kinds: Sequence[Kind]
    """The kinds that can be measured here."""
    figures: Figures
    scale: float = 1.0
    """How many jobs there are, relative to a full run."""
    watch: float = 30.0
    """Seconds to wait for a killed worker's job."""
    broken: set[tuple[str, str]] = field(factory=set)
    """Rows and kinds that failed once, and are left alone after that."""

    def jobs(self, count: int) -> int:
        """`count` jobs, or fewer in a quick run."""
        return max(20, int(count * self.scale))

    def chosen(self, suits: Callable[[Kind], bool]) -> list[Kind]:
        """The kinds that suit."""
        return [kind for kind in self.kinds if suits(kind)]

    def has(self, name: str) -> bool:
        """Whether a kind takes part."""
        return any(kind.name == name for kind in self.kinds)

    @contextmanager
    def scratch(self, kind: Kind | None = None) -> Iterator[Path]:
        """A place for a queue to make, removed afterwards.

        Its name is unique: on a server it names the queue.
        """
        path = Path(tempfile.mkdtemp(prefix=f"{kind.name if kind else 'ours'}-", dir=self.place))
        try:
            yield path / path.name
        finally:
            # A worker that was just killed may have a child that still writes.
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def excusing(self, row: str, kind: Kind) -> Iterator[None]:
        """Note a queue's failure in its row, and go on with the others."""
        try:
            yield
        except ActorFailed as error:
            self.broken.add((row, kind.name))
            self.figures.note(row, kind.name, f"failed: {error}"[:200])

    def turns(
        self, row: str, kinds: Sequence[Kind], most: int = 1000
    ) -> Iterator[tuple[Kind, bool]]:
        """Each kind in turn, and whether the round counts: one that warms up, then `rounds` more,
        or `most`.

        Interleaved, since a machine that is slow for a while is slow for all of them.
        """
        for turn in range(min(self.rounds, most) + 1):
            for kind in self.each(row, kinds):
                yield kind, turn > 0

    def each(self, row: str, kinds: Sequence[Kind]) -> Iterator[Kind]:
        """Each kind in turn, once."""
        for kind in kinds:
            if (row, kind.name) not in self.broken:
                yield kind


def count_outcomes(ran: Sequence[int], count: int) -> tuple[int, int]:
    """How many of `count` jobs were not run, and how many runs were one too many."""
    distinct = len(set(ran))
    return count - distinct, len(ran) - distinct


def drained(
    run: Run, row: str, actor: Actor, count: int, *, threads: int = 1, do: str = "drain"
) -> float:
    """Jobs a second, each counted once; adds a note if some ran twice, or never."""
    # One thread stops at the last job; several cannot know which it is, and look for more.
    most = count if threads == 1 else 10 * count
    answer = actor.ask(do, most=most, threads=threads)
    lost, repeated = count_outcomes(answer["ran"], count)
    if repeated:
        run.figures.note(row, actor.kind.name, "some jobs run more than once")
    elif lost:
        run.figures.note(row, actor.kind.name, "some jobs not run")
    return (count - lost) / (answer["ended"] - answer["began"])
