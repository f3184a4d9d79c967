"""Which of equally urgent jobs a process tries first while others claim from the same folder.

It must not know what a job is, or how it is claimed.

Processes that all know the same jobs in the same order all try the same one: one wins, and each of
the others has opened a file for nothing, at every job. So a process that keeps losing passes over
all but a random part of the ids. It takes another part after every listing, which drops what the
others took meanwhile. A process that wins all the time has no rivals, and passes over nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

MOST_PARTS: Final = 16
"""The most parts, of which one is tried first. With sixteen, eight processes lose one attempt in
three; more would only make own parts run out sooner."""
ROUND: Final = 16
"""Attempts after which the number of parts is reconsidered: few enough to learn within
milliseconds, too many for a coincidence."""
MANY_LOST: Final = ROUND // 2
FEW_LOST: Final = ROUND // 8
"""Lost attempts of a round. Between the two the number of parts is right."""


class Share:
    """The part of one process. Its caller's lock guards it."""

    def __init__(self, draw: Callable[[int], int] = random.getrandbits) -> None:
        self._draw = draw
        self._parts = 1
        self._mine = 0
        self._attempts = 0
        self._lost = 0
        self.is_done: bool = False
        """The own part is used up, and the rest is tried as well until `renew`."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is passed over."""
        return self._parts == 1 or self.is_done

    def leaves(self, name: str) -> bool:
        """Whether to pass over a job for now."""
        if self.is_whole:
            return False
        # The hash of a string differs from process to process, but not in a forked one. So the own
        # part is drawn as well.
        return (hash(name) ^ self._mine) & (self._parts - 1) != 0

    def tried(self, *, lost: bool) -> None:
        """Note an attempt; lost: another process was faster.

        It does not count once the own part is used up: what is tried then, others took or passed
        over as well.
        """
        if self.is_done:
            return
        self._attempts += 1
        self._lost += lost
        if self._attempts < ROUND:
            return
        if self._lost >= MANY_LOST and self._parts < MOST_PARTS:
            self._parts *= 2
            self.renew()
        elif self._lost <= FEW_LOST and self._parts > 1:
            self._parts //= 2
        self._attempts = self._lost = 0

    def renew(self) -> None:
        """Draw another part: what one passes over, another may take, and nothing waits long."""
        self.is_done = False
        self._mine = self._draw(4)
