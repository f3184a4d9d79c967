"""What may stand on a disk after a power cut, by the rules of several file systems.

It must not know jobs, or how a trace came about.

A machine replays a trace. At each position a model names the states that a cut may leave:
choices of which names and which contents had become durable. Three models:

* `ordered`: a metadata journal, as of ext4, xfs or apfs. Names change on the disk in the
  order in which they were changed, and forcing anything forces all earlier changes of names.
* `eager`: names that are made last at once; names that are taken away may come back until
  their folder is forced, so that a rename may have left both.
* `strict`: what POSIX promises, and no more. Of every name in a folder any state since the
  folder was last forced, independently of all other names. Forcing a file does nothing for its
  names, forcing a folder nothing for the files in it; and a folder is a name in its parent.

In all three, a file that was written and not forced is whole, empty, cut in half or zeros.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from proofs.recording import Step

FOLDER: Final = 0
Value: TypeAlias = int | None
"""What a name stands for: a file's number, `FOLDER`, or nothing."""

Names: TypeAlias = dict[str, Value]

MOST: Final = 4096
"""States of one job at one position that are all tried; of more, as many are drawn. With
forcing there are never so many."""


@dataclass
class Machine:
    """Names and files of one disk, as programs see them and as they are safe."""

    now: Names = field(default_factory=dict)
    past: dict[str, list[Value]] = field(default_factory=dict)
    """All that a name has stood for since its folder was last forced, the safe state first."""
    safe: Names = field(default_factory=dict)
    journal: list[Names] = field(default_factory=list)
    """Changes of names since anything was last forced, each of them atomic."""
    content: dict[int, bytes] = field(default_factory=dict)
    safe_content: dict[int, bytes] = field(default_factory=dict)

    def apply(self, step: Step) -> None:
        """Make one step."""
        match step.verb:
            case "create":
                self.content[step.inode] = b""
                self._change({step.path: step.inode})
            case "write":
                self.content[step.inode] += step.data
            case "write_at":
                was = self.content[step.inode].ljust(step.offset, b"\0")
                end = step.offset + len(step.data)
                self.content[step.inode] = was[: step.offset] + step.data + was[end:]
            case "link":
                self._change({step.path: step.inode})
            case "rename":
                self._change({step.path: step.inode, step.source: None})
            case "unlink":
                self._change({step.path: None})
            case "make_folder":
                self._change({step.path: FOLDER})
            case "plant":
                self.content[step.inode] = self.safe_content[step.inode] = step.data
                self.now[step.path] = self.safe[step.path] = step.inode
            case "fsync":
                self.safe_content[step.inode] = self.content[step.inode]
                self._commit()
            case "fdatasync":
                # Bytes that have their place need no commit of names, and may get none.
                self.safe_content[step.inode] = self.content[step.inode]
            case "fsync_folder":
                for path in [path for path in self.past if os.path.dirname(path) == step.path]:
                    del self.past[path]
                self._commit()
            case "syncfs":
                self.safe_content = dict(self.content)
                self.past.clear()
                self._commit()

    def _change(self, names: Names) -> None:
        for path, value in names.items():
            self.past.setdefault(path, [self.now.get(path)]).append(value)
        self.now |= names
        self.journal.append(names)

    def _commit(self) -> None:
        for names in self.journal:
            self.safe |= names
        self.journal.clear()

    def contents(self, inode: int) -> list[bytes]:
        """What may be in a file after a cut."""
        whole, kept = self.content[inode], self.safe_content.get(inode, b"")
        lost = len(whole) - len(kept)
        half = whole[: len(kept) + lost // 2]
        zeros = kept + bytes(lost)
        # Where bytes were only added, they are there up to some point, or zeros.
        torn = () if whole.startswith(kept) else _overwritten(whole, zeros)
        # As a dict: what is the same need not be tried twice.
        return list(dict.fromkeys((whole, kept, half, zeros, *torn)))


def _overwritten(new: bytes, old: bytes) -> Iterator[bytes]:
    """Where bytes were written over others, of equally long ones: either half of the change."""
    changed = [at for at in range(len(new)) if new[at] != old[at]]
    if changed:
        middle = (changed[0] + changed[-1] + 1) // 2
        yield new[:middle] + old[middle:]
        yield old[:middle] + new[middle:]


Choices: TypeAlias = dict[str, Sequence[Value]]
"""What each name may stand for, independently."""
Model: TypeAlias = Callable[[Machine], Iterator[Choices]]


def ordered(machine: Machine) -> Iterator[Choices]:
    """Any number of the changes that were not forced, from the first on."""
    names = dict(machine.safe)
    yield {path: (value,) for path, value in names.items()}
    for change in machine.journal:
        names |= change
        yield {path: (value,) for path, value in names.items()}


def eager(machine: Machine) -> Iterator[Choices]:
    """All names that were made; of those that were taken away, any."""
    choices: Choices = {}
    for path, value in machine.now.items():
        been = [each for each in machine.past.get(path, ()) if each is not None]
        choices[path] = (value,) if value is not None or not been else (None, been[-1])
    yield choices


def strict(machine: Machine) -> Iterator[Choices]:
    """Of each name, anything that it has stood for since its folder was forced."""
    yield {
        path: tuple(dict.fromkeys(machine.past.get(path, (value,))))
        for path, value in machine.now.items()
    }


SHARED: Final = "*"
"""The owner of files that are looked at to decide about everybody's."""

MODELS: Final[dict[str, Model]] = {"ordered": ordered, "eager": eager, "strict": strict}

# -- states -------------------------------------------------------------------------------

Part: TypeAlias = frozenset[tuple[str, int, bytes]]
"""The names of one owner that stand, the files they stand for, and what is in those."""


@dataclass(frozen=True)
class State:
    """What stands after a cut: folders in the order in which they are made, and files."""

    folders: tuple[str, ...]
    parts: frozenset[Part]
    scratch: Part

    def build(self, old: str, new: str) -> None:
        """Make it real, with all paths below `old` moved to below `new`, and as old as if
        the machine had been off for a day."""
        for folder in self.folders:
            os.mkdir(new + folder.removeprefix(old), 0o700)
        made: dict[int, str] = {}
        # Scratch last: what is in a file that has a name elsewhere too was chosen there.
        for path, inode, data in itertools.chain(*self.parts, self.scratch):
            real = new + path.removeprefix(old)
            if inode in made:
                os.link(made[inode], real)
            else:
                made[inode] = real
                fd = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                os.write(fd, data)
                os.utime(fd, (0, 0))
                os.close(fd)
        for folder in self.folders:
            os.utime(new + folder.removeprefix(old), (0, 0))


@dataclass
class Cutter:
    """Cuts the power at every position of a trace.

    Every file belongs to one owner (a job, or the house), and no step of a recovery looks at
    two owners' files to decide. So not every combination of the jobs' states is built: at each
    position every state of every job stands in at least one of the directories, beside
    states of the other jobs drawn at random. A state of a job that was judged before,
    with nothing said about that job since, is not built for its own sake again.
    """

    owner_of: Callable[[str], str | None]
    """Whose a path is; None: it is scratch. Of names in scratch all stand that may, or none of
    those that need not. What is `SHARED` is looked at for every other owner: each of its states
    stands beside each of theirs."""
    draw: random.Random
    most: int = MOST
    left_out: int = 0
    """States of a job that were not tried because there were too many."""
    _seen: set[tuple[object, ...]] = field(default_factory=set)

    def cuts(
        self, model: Model, steps: Sequence[Step], since: int = 0, share: float = 1.0
    ) -> Iterator[tuple[int, State]]:
        """Positions (how many steps were made), from one on, and states after a cut there.

        :param share: of the positions, how many are looked at; drawn at random.
        """
        machine = Machine()
        said: dict[str, int] = {}
        for position in range(len(steps) + 1):
            if position:
                step = steps[position - 1]
                machine.apply(step)
                if step.verb == "mark":
                    said[step.path] = said.get(step.path, 0) + 1
            if position < since or self.draw.random() >= share:
                continue
            if position == len(steps) or steps[position].verb != "mark":
                for choices in model(machine):
                    for state in self._states(machine, choices, said):
                        yield position, state

    def _states(self, machine: Machine, choices: Choices, said: dict[str, int]) -> Iterator[State]:
        for folders in _folders(choices):
            standing = frozenset(folders)
            owned: dict[str, Choices] = {}
            scratch: Choices = {}
            for path, values in choices.items():
                if FOLDER in values:
                    continue
                owner = self.owner_of(path)
                # Also an owner all of whose folders are gone has a state: nothing.
                names = scratch if owner is None else owned.setdefault(owner, {})
                if os.path.dirname(path) in standing:
                    names[path] = values
            parts = {owner: self._parts(machine, owner, owned[owner]) for owner in owned}
            for shared in parts.pop(SHARED, [frozenset()]):
                fresh: dict[str, list[Part]] = {}
                for owner, all_ in parts.items():
                    for part in all_:
                        key = (owner, part, shared, folders, said.get(owner, 0), said.get("", 0))
                        if key not in self._seen:
                            self._seen.add(key)
                            fresh.setdefault(owner, []).append(part)
                for turn in range(max(map(len, fresh.values()), default=0)):
                    chosen = [
                        fresh[owner][turn]
                        if turn < len(fresh.get(owner, ()))
                        else self.draw.choice(parts[owner])
                        for owner in parts
                    ]
                    names = frozenset((*chosen, shared))
                    yield State(folders, names, self._scratch(machine, scratch))

    def _scratch(self, machine: Machine, choices: Choices) -> Part:
        is_full = self.draw.random() < 0.5
        return frozenset(
            (path, inode, machine.content[inode])
            for path, values in choices.items()
            if (inode := next(filter(None, reversed(values)), None))
            and (is_full or None not in values)
        )

    def _parts(self, machine: Machine, owner: str, choices: Choices) -> list[Part]:
        """All states of one owner's files."""
        parts: dict[Part, None] = {}
        for values in self._combinations(list(choices.values())):
            standing = [(path, v) for path, v in zip(choices, values, strict=True) if v]
            inodes = list(dict.fromkeys(inode for _path, inode in standing))
            options = [machine.contents(inode) for inode in inodes]
            for contents in self._combinations(options):
                inside = dict(zip(inodes, contents, strict=True))
                parts[frozenset((path, inode, inside[inode]) for path, inode in standing)] = None
        return list(parts)

    def _combinations(self, options: list[Sequence[object]]) -> Iterator[tuple[object, ...]]:
        count = math.prod(map(len, options))
        if count <= self.most:
            yield from itertools.product(*options)
            return
        self.left_out += count - self.most
        for _ in range(self.most):
            yield tuple(self.draw.choice(each) for each in options)


def _folders(choices: Choices) -> Iterator[tuple[str, ...]]:
    """Sets of folders that may stand, each with its parents, parents first: all of them; and
    those without one, or two, of the doubtful, and what is below."""
    possible = sorted(path for path, values in choices.items() if FOLDER in values)
    doubtful = [path for path in possible if None in choices[path]]
    sets: dict[tuple[str, ...], None] = {}
    for count in range(3):
        for gone in itertools.combinations(doubtful, count):
            lost = tuple(f"{path}/" for path in gone)
            sets[tuple(path for path in possible if not f"{path}/".startswith(lost))] = None
    yield from sets
