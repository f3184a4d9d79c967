"""All deliberate faults, by layer.

It must not know how they are tried, or shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from mutants import (
    of_databases,
    of_folders,
    of_interrupts,
    of_jobs,
    of_journal,
    of_loops,
    of_moves,
    of_pools,
    of_queues,
    of_races,
    of_work,
)
from mutants.fault import Fault

LAYERS: Mapping[str, tuple[Fault, ...]] = {
    "What a job is and becomes": of_jobs.FAULTS,
    "The file store": of_moves.FAULTS + of_journal.FAULTS + of_folders.FAULTS,
    "What is interrupted or dropped": of_interrupts.FAULTS,
    "What two threads do at once": of_races.FAULTS,
    "What a loop puts off": of_loops.FAULTS,
    "Work under way": of_work.FAULTS + of_pools.FAULTS,
    "What callers use": of_queues.FAULTS,
    "The PostgreSQL store": of_databases.FAULTS,
}

FAULTS: tuple[Fault, ...] = tuple(fault for layer in LAYERS.values() for fault in layer)
