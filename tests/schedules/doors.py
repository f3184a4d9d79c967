"""Doors to the disk for actors whose turns are decided, and a world whose pauses take no time.

A door does what `Disk` does, on the real disk, and keeps the world informed: which file stands
under which name, who has its lock. It must not know who goes on when.
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from semiont_jobs import by_hand, desk, in_hand, retry
from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.stores.files import (
    batch,
    copies,
    hold,
    moves,
    pending,
    reader,
    store,
    taking,
    upkeep,
)
from semiont_jobs.stores.files.descriptors import Descriptor, Descriptors
from semiont_jobs.stores.files.door import Disk

if TYPE_CHECKING:
    from schedules.scheduler import Actor, World

FAR_FUTURE = 10**18
"""Nanoseconds: by the clock every mtime is old."""


class Crashed(BaseException):
    """This actor is dead, or its run is over: nothing of it happens any more."""


@dataclass(eq=False)
class Node:
    """A file, whatever its names."""

    key: tuple[int, int]
    """Who made it, and its how-manieth it was."""
    place: str
    """Where it was first opened by anyone but its maker, or is to be."""
    content: int = 0


@dataclass(frozen=True)
class Folder:
    """What `stat` tells of a folder: an mtime that counts changes."""

    st_mode: int
    st_mtime_ns: int


class SteppedDisk(Disk):
    """The real disk, whose every primitive is a step of an actor."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor
        self._files: dict[int, Node] = {}
        self._skip = len(actor.world.root) + 1
        self.die_before: tuple[str, str] | None = None

    def close_all(self) -> None:
        """What the kernel does for the dead."""
        while self._files:
            fd, node = self._files.popitem()
            self._drop(fd, node)
            os.close(fd)

    def _drop(self, fd: int, node: Node) -> None:
        locks = self.actor.world.locks
        if locks.get(node) == (self.actor.number, fd):
            del locks[node]

    def node(self, fd: int) -> Node:
        """The file that a descriptor is open on."""
        return self._files[fd]

    # -- steps ---------------------------------------------------------------------------

    def _step(self, verb: str, place: str, *things: object, changes: bool = False) -> None:
        """Wait for the turn, if the step could be noticed."""
        actor = self.actor
        world = actor.world
        if actor.is_dead or world.is_cut:
            raise Crashed
        if not world.is_scheduled:
            if self.die_before == (verb, place):
                raise Crashed
            return
        if place[:5] != ".tmp/" and world.is_noticed(actor, things, changes=changes):
            world.turn(actor)
        world.note(actor, verb, place)

    def _changed(self, *folders: str) -> None:
        world = self.actor.world
        world.change += 1
        self.actor.changed = True
        for folder in folders:
            world.versions[folder] += 1

    def _tell(self, verb: str, place: str, told: object) -> None:
        self.actor.remember(verb, place, told)

    # -- files ---------------------------------------------------------------------------

    def create(self, path: str, mode: int) -> int:
        place = path[self._skip :]
        self._step("create", place, place, changes=True)
        try:
            fd = super().create(path, mode)
        except FileExistsError:
            self._tell("create", place, False)
            raise
        actor = self.actor
        actor.serial += 1
        node = Node((actor.number, actor.serial), place)
        self._files[fd] = actor.world.names[place] = node
        if place[:5] != ".tmp/":
            self._changed()
        self._tell("create", "", True)
        return fd

    def open(self, path: str) -> int:
        return self._opened("open", path, super().open)

    def open_to_read(self, path: str) -> int:
        return self._opened("read", path, super().open_to_read)

    def _opened(self, verb: str, path: str, opener: Any) -> int:
        place = path[self._skip :]
        self._step(verb, place, place)
        try:
            fd: int = opener(path)
        except FileNotFoundError:
            self._tell(verb, place, None)
            raise
        node = self.actor.world.names[place]
        self._files[fd] = node
        self._tell(verb, place, (node.key, node.content))
        return fd

    def lock(self, fd: int) -> bool:
        node = self._files[fd]
        self._step("lock", node.place, ("lock", node.place), changes=True)
        taken = super().lock(fd)
        world = self.actor.world
        assert taken == (node not in world.locks), "the world is wrong about a lock"
        if taken:
            world.locks[node] = (self.actor.number, fd)
            if node.place[:5] != ".tmp/":
                self._changed()
        self._tell("lock", node.place, taken)
        return taken

    def write(self, fd: int, data: bytes) -> None:
        self._step("write", ".tmp/")
        super().write(fd, data)
        self._files[fd].content = hash(data)

    def close(self, fd: int) -> None:
        node = self._files.get(fd)
        if node is None:
            return  # the dead have closed it
        if self.actor.world.locks.get(node) == (self.actor.number, fd):
            with_place = node.place
            try:
                self._step("close", with_place, ("lock", with_place), changes=True)
            except Crashed:
                # Not its turn any more: the file goes with all the others.
                return
            if self._files.pop(fd, None) is None:
                return
            self._drop(fd, node)
            self._changed()
        else:
            del self._files[fd]
        super().close(fd)

    # -- names ---------------------------------------------------------------------------

    def stat(self, path: str) -> Any:
        place = path[self._skip :]
        world = self.actor.world
        if "/" not in place:
            self._step("stat", place, place)
            version = world.versions[place]
            self._tell("stat", place, version)
            # Near the clock's time an mtime is never old enough to prove anything.
            return Folder(0o40700, version if world.mtime_tells else FAR_FUTURE + version)
        self._step("stat", place, place)
        try:
            found = super().stat(path)
        except FileNotFoundError:
            self._tell("stat", place, None)
            raise
        self._tell("stat", place, world.names[place].key)
        return found

    def exists(self, path: str) -> bool:
        place = path[self._skip :]
        self._step("exists", place, place)
        found = super().exists(path)
        self._tell("exists", place, found)
        return found

    def seems_there(self, path: str) -> bool:
        return self.exists(path)

    def names(self, folder: str) -> list[str]:
        place = folder[self._skip :]
        self._step("names", place, place)
        found = sorted(super().names(folder))
        self._tell("names", place, tuple(found))
        return found

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        place = folder[self._skip :]
        self._step("names", place, place)
        found = sorted(super().entries(folder))
        self._tell("names", place, tuple(name for name, _inode in found))
        return iter(found)

    def link(self, source: str, target: str) -> None:
        place = target[self._skip :]
        folder = place.partition("/")[0]
        self._step("link", place, place, folder, changes=True)
        try:
            super().link(source, target)
        except FileExistsError:
            self._tell("link", place, False)
            raise
        world = self.actor.world
        node = world.names[source[self._skip :]]
        world.names[place] = node
        node.place = place
        self._changed(folder)
        self._tell("link", place, True)

    def rename(self, source: str, target: str) -> None:
        old, place = source[self._skip :], target[self._skip :]
        folder, old_folder = place.partition("/")[0], old.partition("/")[0]
        things = (place, folder) if old_folder == ".tmp" else (place, folder, old, old_folder)
        self._step("rename", place, *things, changes=True)
        super().rename(source, target)
        world = self.actor.world
        node = world.names.pop(old)
        world.names[place] = node
        if old_folder == ".tmp":
            node.place = place
        self._changed(folder, old_folder)

    def unlink(self, path: str) -> None:
        place = path[self._skip :]
        folder = place.partition("/")[0]
        self._step("unlink", place, place, folder, changes=True)
        try:
            super().unlink(path)
        except FileNotFoundError:
            self._tell("unlink", folder, False)
            raise
        world = self.actor.world
        del world.names[place]
        if folder != ".tmp":
            self._changed(folder)
            self._tell("unlink", place, True)


class Unlocked:
    """Instead of the lock that keeps forks out while files are opened. Here nobody forks, and
    an actor that waits for its turn inside must not keep the others out."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_error: object) -> None:
        return None


FORGETFUL: tuple[tuple[type, str], ...] = (
    (copies.Copies, "hold"),
    (moves.Moves, "settle"),
    (moves.Moves, "check_absent"),
    (reader.Reader, "get"),
    (reader.Reader, "counts"),
    (taking.Taking, "settled"),
    (upkeep.Upkeep, "_orphan"),
    (upkeep.Upkeep, "_hold_spent"),
    (hold.FileHold, "move"),
    (hold.FileHold, "publish"),
    (store.FileStore, "hold"),
    (store.FileStore, "request_cancel"),
)
"""Calls of which nothing stays in an actor's mind but their answer: by which way they came to
it makes no difference to what it does next. Without this two runs that differ only in what a
loop saw in its last round would count as different for ever."""


def _gist(world: World, answer: object) -> object:
    """What an answer tells."""
    if isinstance(answer, hold.FileHold):
        answer = answer.descriptor
    if isinstance(answer, Descriptor):
        node = world.current.disk.node(answer.fd)  # type: ignore[union-attr]
        return (node.key, node.content)
    if hasattr(answer, "metadata"):
        return (answer.status, repr(answer.metadata), repr(answer.params))  # type: ignore[attr-defined]
    return repr(answer)


def _forgetful(world: World, call: Any) -> Any:
    def called(*args: Any, **kwargs: Any) -> Any:
        actor = world.current
        if actor is None:
            return call(*args, **kwargs)
        before = actor.memory
        try:
            answer = call(*args, **kwargs)
        except (SemiontJobsError, OSError) as error:
            actor.memory = hash((before, type(error), actor.serial))
            raise
        actor.memory = hash((before, _gist(world, answer), actor.serial))
        return answer

    return called


@contextmanager
def timeless(world: World) -> Iterator[None]:
    """The library's pauses are steps of the scheduler, and its clocks the actors' own; nothing
    that it does depends on the machine's speed or on chance."""

    def monotonic() -> float:
        actor = world.current
        return actor.clock if actor is not None else 0.0

    class Pause:
        """What a loop waits on. The loop's every round begins with nothing in mind."""

        def __init__(self) -> None:
            self._memory = world.current.memory if world.current else 0

        def wait(self, seconds: float | None = None) -> bool:
            if (actor := world.current) is not None:
                actor.memory = hash((self._memory, "again", actor.serial))
            world.pause(0.0 if seconds is None else seconds)
            return False

    class CountedPause(Pause):
        """One whose loop counts its rounds."""

        def wait(self, seconds: float | None = None) -> bool:
            world.pause(0.0 if seconds is None else seconds)
            return False

    def token_hex(_size: int) -> str:
        actor = world.current
        if actor is None:
            return "run"
        actor.serial += 1
        return f"run{actor.number}{actor.serial}"

    clock = types.SimpleNamespace(
        monotonic=monotonic, time_ns=lambda: FAR_FUTURE, time=lambda: FAR_FUTURE / 1e9
    )
    held = Descriptors()
    held._lock = Unlocked()  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        for module in (copies, pending, reader, retry, in_hand, desk):
            patch.setattr(module, "time", clock)
        patch.setattr(moves, "threading", types.SimpleNamespace(Event=Pause))
        patch.setattr(retry, "pause", lambda seconds: Pause().wait(seconds))
        patch.setattr(reader, "threading", types.SimpleNamespace(Event=CountedPause))
        for module in (copies, moves, batch):
            patch.setattr(module, "HELD", held)
        patch.setattr(by_hand, "secrets", types.SimpleNamespace(token_hex=token_hex))
        for owner, name in FORGETFUL:
            patch.setattr(owner, name, _forgetful(world, getattr(owner, name)))
        # The folders stand: looking at all of them again for every run is half of its time.
        patch.setattr(store, "prepare", lambda *_args, **_kwargs: None)
        yield
