"""A queue whose loops wait for their disk only when they are told to."""

from __future__ import annotations

import pytest
from files.loops import filled
from files.places import Actors, Unattended

from semiont_jobs import claimer
from semiont_jobs.stores.files.forcing import Durability


@pytest.fixture(autouse=True)
def only_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes."""
    monkeypatch.setattr(claimer, "SHORT", 3600.0)


@pytest.fixture(params=["fsync", "journal"])
def durability(request: pytest.FixtureRequest) -> Durability:
    found: Durability = request.param
    return found


@pytest.fixture
def queue(durability: Durability, actor: Actors) -> Unattended:
    """One that waits for its disk, with three jobs that another process has put in."""
    filled(actor(durability=durability))
    return filled(actor(durability=durability), 0)
