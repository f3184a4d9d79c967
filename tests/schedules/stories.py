"""Stories of a few actors on one job: where it stands at first, and what each of them does.

It must not know schedules (`explorer`) or laws (`laws`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import tenacity
from schedules import laws
from schedules.doors import Crashed, Node, SteppedDisk
from schedules.scheduler import World

from semiont_jobs import FileStore, JobMetadata, JobQueue, PendingJob, RetryPolicy, job_id
from semiont_jobs.errors import JobCancelled, PermanentError, SemiontJobsError
from semiont_jobs.events import Event
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.deferred import FileDeferred
from semiont_jobs.stores.files.forcing import Forcing
from semiont_jobs.testing import FakeClock

MOST_ACTORS = 3
SOON = timedelta(minutes=-1)
"""A cutoff a minute ahead: everything finished is older."""
AT_ONCE = RetryPolicy(wait=tenacity.wait_none())


class Unattended(JobQueue):
    """A queue that does nothing by itself."""

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._keeper.start = lambda: None  # type: ignore[method-assign]
        self.committer.look = lambda: True  # type: ignore[method-assign]

    def _rescue_if_due(self) -> None:
        """Left to the story."""


class _Wanted(Forcing):
    """Nothing is forced, and all might have to be: a worker's loop puts it off."""

    def is_wanted(self, job: AnyJob) -> bool:
        return True


class PuttingOff(FileStore):
    """A store whose loops put off what makes a copy durable, and the end of the older ones."""

    def deferred(self) -> FileDeferred:
        return FileDeferred(self._claiming, self._pending.index, _Wanted(self._disk, self.layout))

    def _replay_journals(self) -> None:
        """There are none, and a stage is opened ten thousand times."""

    def _sweep(self) -> None:
        """Where there is anything to sweep."""
        disk: Any = self._disk
        if any(name.startswith((".tmp/", ".cancel/")) for name in disk.actor.world.names):
            super()._sweep()


@dataclass
class Deed:
    """One call of a verb by an actor, and what came of it."""

    actor: int
    verb: str
    key: tuple[int, int]
    """Whose deed, and which of its own."""
    preceding: frozenset[tuple[int, int]]
    """The deeds that had ended when this one began."""
    has_ended: bool = False
    answer: Any = None
    refusal: str | None = None
    events: list[laws.Fact] = field(default_factory=list)


class Stage:
    """A directory with its actors, used for one run after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock = FakeClock()
        self.world = World(str(path / "jobs"), MOST_ACTORS + 1, self._queue)
        self.judge = self.world.cast[-1]
        self.deeds: list[Deed] = []
        self._now: dict[int, Deed] = {}
        self._starts: dict[str, dict[str, bytes]] = {}
        for actor in self.world.cast:
            actor.queue.subscribe(lambda event, number=actor.number: self._hear(number, event))
        self.judge.queue.initialize()  # makes the folders, which stay
        self.judge.queue.close()
        self.world.names.pop(".format")

    def _queue(self, disk: SteppedDisk) -> Unattended:
        store = PuttingOff(self._path, fsync=False, allow_network_fs=True, disk=disk)
        return Unattended(store, retry_policy=AT_ONCE, clock=self.clock)

    def _hear(self, number: int, event: Event) -> None:
        if event.job is not None and number in self._now:
            self._now[number].events.append(laws.Fact.of(event.job, event.name))

    # -- deeds ---------------------------------------------------------------------------

    def new_job(self, by: str) -> PendingJob[Any]:
        """The job j, marked with who made it."""
        metadata = JobMetadata(id=job_id("j"), type="task", created=self.clock())
        return PendingJob(metadata=metadata, params={"by": by})

    def act(self, number: int, verb: str) -> Deed:
        """Have an actor do something, and note what it was told."""
        actor = self.world.cast[number]
        ended = frozenset(deed.key for deed in self.deeds if deed.has_ended)
        key = (number, sum(deed.actor == number for deed in self.deeds))
        deed = self._now[number] = Deed(number, verb, key, ended)
        self.deeds.append(deed)
        try:
            deed.answer = VERBS[verb](self, actor)
        except (SemiontJobsError, JobCancelled) as error:
            deed.refusal = type(error).__name__
        deed.has_ended = True
        return deed

    def script(self, number: int, verbs: tuple[str, ...]) -> Callable[[], None]:
        """An actor's part: one deed after the other."""
        actor = self.world.cast[number]

        def play() -> None:
            for at, verb in enumerate(verbs):
                if at:  # others may have ended something before this begins
                    self.world.turn(actor)
                self.act(number, verb)

        return play

    # -- starts --------------------------------------------------------------------------

    def set_up(self, start: str, players: int) -> None:
        """The job as the story finds it. "running" is held by the first actor."""
        files = self._files(start)
        self.world.reset()
        for at, (place, data) in enumerate(files.items()):
            path = f"{self.world.root}/{place}"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, data)
            os.close(fd)
            self.world.names[place] = Node((-1, at), place, hash(data))
        for actor in self.world.cast[:players]:
            self._make_new(actor)
        self.deeds.clear()
        self._now.clear()
        if start == "running":
            first = self.world.cast[0]
            first.claim = first.queue.claim_next_job()
        self.world.trace.clear()

    def _make_new(self, actor: Any) -> None:
        actor.queue.reset_after_fork()
        actor.queue._token = f"token{actor.name}"
        actor.queue.initialize()

    def make_judge(self) -> None:
        """Somebody who comes when all is over."""
        self._make_new(self.judge)

    def _files(self, start: str) -> dict[str, bytes]:
        start = "pending" if start == "running" else start
        if start not in self._starts:
            self.world.reset()
            self._make_new(self.judge)
            STARTS[start](self)
            self.judge.die()
            self._starts[start] = {
                place: Path(self.world.root, place).read_bytes() for place in self.world.names
            }
        return self._starts[start]

    def leave(self, *verbs: str, dies_before: tuple[str, str] | None = None) -> None:
        """Somebody's deeds before the story begins; it may die in the last of them."""
        judge = self.judge
        for at, verb in enumerate(verbs):
            if at == len(verbs) - 1:
                judge.disk.die_before = dies_before
            try:
                VERBS[verb](self, judge)
            except Crashed:
                assert dies_before is not None
            finally:
                judge.disk.die_before = None

    def orphan(self) -> None:
        """A running job whose worker died."""
        self.leave("create", "claim")
        self.judge.die()
        self.judge.reset()
        self._make_new(self.judge)


STARTS: dict[str, Callable[[Stage], None]] = {
    "none": lambda stage: None,
    "pending": lambda stage: stage.leave("create"),
    "orphan": Stage.orphan,
    "complete": lambda stage: stage.leave("create", "claim", "complete"),
    "failed": lambda stage: stage.leave("create", "claim", "give up"),
    "cancelled": lambda stage: stage.leave("create", "cancel"),
    # What movers leave that die after they published the new copy.
    "claim cut": lambda stage: stage.leave(
        "create", "claim", dies_before=("unlink", "pending/j.json")
    ),
    "cancel cut": lambda stage: stage.leave(
        "create", "cancel", dies_before=("unlink", "pending/j.json")
    ),
    "complete cut": lambda stage: stage.leave(
        "create", "claim", "complete", dies_before=("unlink", "running/j.json")
    ),
    "fail cut": lambda stage: stage.leave(
        "create", "claim", "fail", dies_before=("unlink", "running/j.json")
    ),
    "give up cut": lambda stage: stage.leave(
        "create", "claim", "give up", dies_before=("unlink", "running/j.json")
    ),
    "retry cut": lambda stage: stage.leave(
        "create", "claim", "give up", "retry", dies_before=("unlink", "failed/j.json")
    ),
}


def _claim(stage: Stage, actor: Any) -> bool:
    actor.claim = actor.queue.claim_next_job()
    return actor.claim is not None


def _work(stage: Stage, actor: Any) -> bool:
    """As a worker does: what it stores of the job stands beside all older copies until the end."""
    loop = actor.queue.claimer()
    claim = loop()
    if claim is None:
        return False
    claim.put_off()
    claim.complete({"by": actor.name})
    loop.end()
    return True


def _with_claim(act: Callable[[Any, Any], object]) -> Callable[[Stage, Any], object]:
    def acts(stage: Stage, actor: Any) -> object:
        if actor.claim is None:
            return "has no claim"
        act(actor.claim, actor)
        return "done"

    return acts


def _seen(stage: Stage, actor: Any) -> laws.Fact | None:
    job = actor.queue.get_job("j")
    return None if job is None else laws.Fact.of(job, "seen")


VERBS: dict[str, Callable[[Stage, Any], Any]] = {
    "create": lambda stage, actor: actor.queue.create_job(stage.new_job(actor.name)) and None,
    "create many": lambda stage, actor: (
        actor.queue.create_jobs([stage.new_job(actor.name)]) and None
    ),
    "claim": _claim,
    "work": _work,
    "complete": _with_claim(lambda claim, actor: claim.complete({"by": actor.name})),
    "fail": _with_claim(lambda claim, _actor: claim.fail("broke")),
    "give up": _with_claim(lambda claim, _actor: claim.fail(PermanentError("never"))),
    "checkpoint": _with_claim(lambda claim, actor: claim.checkpoint([actor.name])),
    "report": _with_claim(lambda claim, actor: claim.report({"by": actor.name})),
    "release": _with_claim(lambda claim, _actor: claim.release()),
    "cancel": lambda _stage, actor: actor.queue.cancel_job("j"),
    "retry": lambda _stage, actor: actor.queue.retry_job("j") and None,
    "rescue": lambda _stage, actor: actor.queue.rescue_orphans(),
    "clean": lambda _stage, actor: actor.queue.cleanup_completed_jobs(SOON, cancelled=True),
    "get": _seen,
    "list": lambda _stage, actor: tuple(
        (each.metadata.id, each.status) for each in actor.queue.query_jobs()
    ),
    "count": lambda _stage, actor: actor.queue.get_stats().total,
}


class Story:
    """A start, and one script per actor: what an exploration plays again and again."""

    def __init__(self, stage: Stage, start: str, *scripts: tuple[str, ...]) -> None:
        self.stage = stage
        self.world = stage.world
        self.start = start
        self.scripts = scripts

    def begin(self) -> list[Callable[[], None]]:
        """See `explorer.Play`."""
        self.stage.set_up(self.start, len(self.scripts))
        return [self.stage.script(at, verbs) for at, verbs in enumerate(self.scripts)]

    def facts(self) -> object:
        """See `explorer.Play`."""
        return tuple(
            (
                deed.actor,
                deed.verb,
                deed.preceding,
                deed.has_ended,
                deed.answer,
                deed.refusal,
                tuple(deed.events),
            )
            for deed in sorted(self.stage.deeds, key=lambda deed: deed.actor)
        )

    def verdict(self) -> str | None:
        """See `explorer.Play`."""
        return laws.verdict(self.stage, self.start)


@contextmanager
def a_stage(path: Path) -> Iterator[Stage]:
    """A stage in memory where there is such a place, else under `path`."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else path))
    try:
        stage = Stage(place)
        try:
            yield stage
        finally:
            stage.world.close()
    finally:
        shutil.rmtree(place)
