"""The processes that do what is measured: started, given commands, listened to, killed.

It must not know any queue, or what the figures are for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from peers.peer import Kind, Span

SCRIPT: Final = Path(__file__).with_name("actor.py")
PATIENCE: Final = 180.0
"""Seconds to wait for an answer: the slowest one, to the first claim of a million jobs, takes a
quarter of that."""
CROWDED: Final = 60.0
"""The same if several take from one place: ten times what the slowest needs. Some block each other
for ever."""


class ActorFailed(RuntimeError):
    """The queue raised, or its process is gone or silent."""


class Actor:
    """One process with one kind of queue; it has its own process group, so that all of it can be
    killed."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.process = subprocess.Popen(
            [
                *(kind.python or sys.executable, str(SCRIPT)),
                *(kind.family, kind.twin_of or kind.name, *kind.hidden),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._heard = b""
        self.hear()

    def tell(self, do: str, **asked: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **asked}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise ActorFailed("its process has ended") from error

    def hear(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Its next line."""
        answer = self.hear_within(timeout)
        if answer is None:
            raise ActorFailed(f"no answer within {timeout:.0f} s")
        if "error" in answer:
            raise ActorFailed(answer["error"])
        return answer

    def hear_within(self, timeout: float) -> dict[str, Any] | None:
        """Its next line, or None."""
        assert self.process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._heard:
            ready, _, _ = select.select(
                [self.process.stdout], [], [], max(0, end - time.monotonic())
            )
            if not ready:
                return None
            more = self.process.stdout.read(1 << 20)
            if not more:
                raise ActorFailed("its process has ended")
            self._heard += more
        line, self._heard = self._heard.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **asked: Any) -> dict[str, Any]:
        self.tell(do, **asked)
        return self.hear()

    def span(self, do: str, **asked: Any) -> Span:
        answer = self.ask(do, **asked)
        return Span(answer["began"], answer["ended"])

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


@contextmanager
def actors_for(kinds: Sequence[Kind], each: int = 1) -> Iterator[dict[str, list[Actor]]]:
    """`each` actors for each kind, by the kind's name."""
    with ExitStack() as stack:
        yield {kind.name: [stack.enter_context(Actor(kind)) for _ in range(each)] for kind in kinds}


def at_once(actors: Sequence[Actor], do: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask all of them before listening to any; none may take longer than `CROWDED`."""
    for actor in actors:
        actor.tell(do, **asked)
    return [actor.hear(CROWDED) for actor in actors]


def together(answers: Sequence[dict[str, Any]]) -> Span:
    """From the first's begin to the last's end."""
    return Span(min(a["began"] for a in answers), max(a["ended"] for a in answers))
