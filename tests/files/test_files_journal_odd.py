"""What stands among journals and is none stops nobody."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files.journals import files
from files.places import Actors, Place, claimed, job, journalled

from semiont_jobs.stores.files.forcing import DURABILITIES, Durability


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def symlink(path: Path) -> None:
    path.symlink_to("elsewhere")


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have a hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.fixture(params=[folder, fifo, symlink, unix_socket])
def odd(request: pytest.FixtureRequest, actor: Actors, place: Place) -> Path:
    """Something of a journal's name."""
    make: Callable[[Path], None] = request.param
    journalled(actor).close()
    path = place.jobs / ".journal" / "0-odd-1.journal"
    make(path)
    return path


@pytest.mark.parametrize("durability", DURABILITIES)
def test_what_is_no_file_among_journals_stops_nobody(
    odd: Path, actor: Actors, durability: Durability
) -> None:
    queue = actor(durability=durability, fsync=durability != "process")

    queue.create_job(job())
    claimed(queue).complete()
    assert queue.remove_job("j")
    queue.store._sweep()  # type: ignore[attr-defined]

    assert queue.get_stats().complete == 0
    assert os.path.lexists(odd)


def test_it_is_told_of_once(odd: Path, actor: Actors, caplog: pytest.LogCaptureFixture) -> None:
    queue = actor()
    queue.store._sweep()  # type: ignore[attr-defined]

    told = [each.getMessage() for each in caplog.records]

    assert told == [f"{odd} is no journal: it is not a regular file"]


def test_the_doctor_finds_it_beside_those_that_are(odd: Path, actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    store: Any = queue.store

    found = store.inspect()

    assert found.bad == ((f".journal/{odd.name}", "it is not a regular file"),)
    assert len(found.journals) == 1
    assert len(files(place.path)) == 2
