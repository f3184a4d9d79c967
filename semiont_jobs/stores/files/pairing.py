"""An outcome and the claim of the next job, forced together.

It must not know how something is forced, or which job is claimed.

Of the two new copies neither is forced before both are published; then both are, and only then do
the two older copies go. So every step keeps the rules that it keeps by itself, and two changes wait
for the disk as long as one. Were the claim's older copy removed in between, there would be
something new to commit, and the outcome would wait for that.

The calls, from a loop's outcome down, for `Claimer` asked at its beginning (`Pairing.pair`) to be
called in the midst of it::

    Claim.complete                   the outcome
      FileHold.move
        Moves.move                   publishes it
          outcome_forced             here
            Claimer._claim           the next job, if the loop goes on
              FileStore.claim_at_hand
                FileHold.move
                  Moves.move         publishes the claim
                    claim_forced     here: forces both
                                     and removes the claim's older copy
                                     and removes the outcome's
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Force: TypeAlias = Callable[[], None]


class Once:
    """Forces something once, by whoever comes first, and tells everybody the same of it: of a
    forcing that failed nothing is known, though the next one succeeds."""

    def __init__(self, force: Force) -> None:
        self._force = force
        self._is_done = False
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Return when it is forced.

        :raises OSError: it may not be.
        """
        if self._error is not None:
            raise self._error
        if not self._is_done:
            try:
                self._force()
            except BaseException as error:
                self._error = error
                raise
            self._is_done = True


def outcome_forced(claim: Callable[[Force], object], force: Force) -> None:
    """Have `claim` called, with what forces the outcome, and see to it that it is forced."""
    once = Once(force)
    claim(once)
    once()


def claim_forced(outcome: Force, force: Force) -> None:
    """Force a claim, and the outcome that was published before it."""
    force()
    outcome()
