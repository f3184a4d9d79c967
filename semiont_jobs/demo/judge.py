"""Whether anything was lost or done twice: compares the plan, the directory and the witnesses.

It must not know how the jobs were run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from semiont_jobs.demo.witness import Account
from semiont_jobs.model import AnyJob


@frozen(kw_only=True)
class Verdict:
    """Each field is a claim about the run: the jobs that contradict it."""

    lost: tuple[str, ...]
    """Planned, but in no folder."""
    invented: tuple[str, ...]
    """In a folder, but not planned."""
    unfinished: tuple[str, ...]
    """Neither complete nor failed."""
    never_started: tuple[str, ...]
    """Ended, but no witness recorded a start."""
    recorded_twice: tuple[str, ...]
    """More than one outcome was acknowledged."""
    undone: tuple[str, ...]
    """An outcome was acknowledged, but the directory does not have it."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing contradicts."""
        return not any(self.contradictions().values())

    def contradictions(self) -> Mapping[str, tuple[str, ...]]:
        """What was checked, and the jobs that fail the check."""
        return {
            "lost": self.lost,
            "not planned": self.invented,
            "unfinished": self.unfinished,
            "complete without a start": self.never_started,
            "outcome recorded twice": self.recorded_twice,
            "outcome undone": self.undone,
        }


def judge(planned: Iterable[str], jobs: Iterable[AnyJob], account: Account) -> Verdict:
    """Compare what was planned, what the directory has, and what the witnesses recorded.

    A worker killed between storing an outcome and recording it leaves an outcome without a witness:
    that is no contradiction. One recorded twice would be.
    """
    ids = frozenset(planned)
    found = {str(job.metadata.id): job for job in jobs}
    ended = {name for name, job in found.items() if job.status in ("complete", "failed")}
    return Verdict(
        lost=_listed(ids - found.keys()),
        invented=_listed(found.keys() - ids),
        unfinished=_listed(found.keys() - ended),
        never_started=_listed(ended - account.starts.keys()),
        recorded_twice=_listed(name for name, times in account.outcomes.items() if times > 1),
        undone=_listed(account.outcomes.keys() - ended),
    )


def _listed(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
