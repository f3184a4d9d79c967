"""System checks of a backend: its OPTIONS, its directory, and whether locks work there.

They must change nothing that exists.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from semiont_jobs.django.options import faults, queue_settings
from semiont_jobs.errors import StoreError, UnsafeStore
from semiont_jobs.queue import JobQueue
from semiont_jobs.stores import MEMORY


def messages(alias: str, options: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """What is wrong with a backend, with ids from ``semiont_jobs.E001``."""
    whose = f"TASKS[{alias!r}]"
    found = list(faults(options))
    for fault in found:
        yield Error(f"{whose}: {fault.text}.", fault.hint, id=f"semiont_jobs.{fault.number}")
    place = options.get("data_dir") or options.get("url")
    if not found and place is not None and place != MEMORY and "://" not in os.fspath(place):
        yield from _place(whose, Path(place), queue_settings(options))


def _place(whose: str, path: Path, settings: dict[str, Any]) -> Iterator[CheckMessage]:
    try:
        if (path / "jobs").is_dir():
            _probe(path, settings)
        else:
            # Nothing is created before the first task: the nearest existing folder shows as much.
            with tempfile.TemporaryDirectory(dir=_nearest(path), prefix=".probe-") as probe:
                _probe(Path(probe), settings)
    except UnsafeStore as error:
        hint = "Give a directory of a local file system that others cannot write to."
        yield Error(f"{whose}: jobs would not be safe: {error}", hint, id="semiont_jobs.E005")
    except (StoreError, OSError) as error:
        hint = "Make it, and let the user that Django runs as write there."
        text = f"{whose}: the directory {path} cannot be used: {error}"
        yield Error(text, hint, id="semiont_jobs.E004")
    else:
        if not path.exists():
            text = f"{whose}: the directory {path} does not exist yet."
            hint = "It is made with the first task; if that is a surprise, look at the path."
            yield Warning(text, hint, id="semiont_jobs.W001")


def _probe(path: Path, settings: dict[str, Any]) -> None:
    with JobQueue(**{**settings, "data_dir": path}):
        pass


def _nearest(path: Path) -> Path:
    path = path.absolute()
    # `lexists`: a dangling link exists, and is what cannot be used.
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path
