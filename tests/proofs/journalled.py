"""What a power cut may undo where there is a journal: a claim, and nothing else.

It must not know file systems. A claim is told to nobody but the one who works: undone, the job
waits, as it did before, and its work begins again, which a worker's death has cost it anyway.
"""

from __future__ import annotations

from pathlib import Path

from proofs.cuts import OF_A_BATCH, done_though_undone, judge_after_power_cut
from proofs.ledger import Entry, MemoryLedger
from proofs.states import State, possible


def with_claims_undone(entries: list[Entry]) -> dict[str, frozenset[State]]:
    """In which states each job may be, where a claim that was acknowledged is done or not done,
    unless something was acknowledged that came of it."""
    return possible(entries, done_though_undone, undoable=("claim", "take"))


def judge_journalled(ledger: MemoryLedger, data_dir: Path) -> list[str]:
    """Which laws are broken after a power cut. Of a batch that was not acknowledged any part may
    stand, for its files are not forced before the first of them has its name."""
    faults = judge_after_power_cut(ledger, data_dir, with_claims_undone)
    return [fault for fault in faults if OF_A_BATCH not in fault]
