"""Storing the outcome of a job whose code has ended, so that it does not run twice.

It must not know how the job's code is run, nor when a failed attempt is retried.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import ClaimLost, StoreError
from semiont_jobs.events import logger
from semiont_jobs.floor import Floor
from semiont_jobs.retry import error_pace
from semiont_jobs.threads import pause


def record(
    claim: AnyClaim, outcome: Callable[[], object], *, error_backoff: float, floor: Floor
) -> None:
    """Store an outcome. While the disk refuses, the claim and its result are kept, and the call is
    repeated after pauses of at most `error_backoff` seconds. If the outcome is invalid, the attempt
    fails."""
    pace = error_pace(error_backoff)
    errors = 0
    is_failing = False
    while claim.is_open:
        try:
            outcome()
        except ClaimLost:
            return  # told already in the log
        except StoreError as error:
            claim.waits_for_disk = True
            errors += 1
            logger.error("outcome not stored yet: %s", error)
            floor.leave()
            pause(pace(errors))
        except BaseException as error:  # noqa: BLE001 - a result that is not JSON, say
            if is_failing:  # no room for one more attempt: kept as while the disk is full
                errors += 1
                logger.error("outcome not stored yet: %s", error)
                floor.leave()
                pause(pace(errors))
            is_failing = True
            outcome = partial(claim.fail, error)
