"""Why an attempt ended without a result: an exception as it is recorded, its strings cut and made
writable.

It must not know what a failed attempt leads to.
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from semiont_jobs.errors import JobTimeout, WorkerCrashed
from semiont_jobs.model import AttemptOutcome

TEXT_LIMIT: Final = 8 * 1024
"""Characters of a traceback or message: the innermost frames of any sane stack fit."""
NAME_LIMIT: Final = 255
"""Characters of the name of an error's class or module, which every attempt on record repeats: as
many as a worker's name may have, and more than people write; a name made at run time may have any
length."""


@frozen(kw_only=True)
class Failure:
    """Why an attempt ended without a result, as it is recorded."""

    error_type: str
    message: str
    traceback: str | None = None
    outcome: AttemptOutcome = "failed"
    error_module: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The record of an exception, its strings cut and made writable."""
        stack = "".join(tracebacks.format_exception(error)) if error.__traceback__ else None
        return cls(
            error_type=_writable(type(error).__qualname__[:NAME_LIMIT])[:NAME_LIMIT],
            message=_writable(_message(error)[:TEXT_LIMIT])[:TEXT_LIMIT],
            traceback=_writable(stack[-TEXT_LIMIT:])[-TEXT_LIMIT:] if stack else None,
            outcome=_outcome(error),
            error_module=_module(type(error)),
        )

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message}" if self.message else self.error_type


_OUTCOMES: Final[Mapping[type[BaseException], AttemptOutcome]] = {
    JobTimeout: "timeout",
    WorkerCrashed: "crashed",
}


def _outcome(error: BaseException) -> AttemptOutcome:
    for kind, outcome in _OUTCOMES.items():
        if isinstance(error, kind):
            return outcome
    return "failed"


def _module(kind: type[BaseException]) -> str | None:
    # A class made by hand may have anything there; a builtin's is not worth a line in each file.
    module = kind.__module__
    if not isinstance(module, str) or module == "builtins":
        return None
    return _writable(module[:NAME_LIMIT])[:NAME_LIMIT]


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a job's own exception class may have a broken __str__
        return ""


def _writable(text: str) -> str:
    # Lone surrogates (from undecodable file names, say) have no UTF-8 form. Their escapes are
    # longer than themselves: a caller that cuts the string cuts it again afterwards.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
