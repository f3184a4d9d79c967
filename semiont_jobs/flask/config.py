"""An application's config for its jobs: keys ``SEMIONT_JOBS_*``.

It must not know Flask: a config is a mapping.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from semiont_jobs.errors import InvalidJob, InvalidValue
from semiont_jobs.model import JobMetadata
from semiont_jobs.settings import CONFIGURABLE
from semiont_jobs.stores import MEMORY

PREFIX: Final = "SEMIONT_JOBS_"
PLACES: Final = ("DIR", "URL")
QUEUE_KEYS: Final[Mapping[str, str]] = {name.upper(): name for name in CONFIGURABLE}
"""The keys that are settings of `JobQueue`."""
ENQUEUE_KEYS: Final[Mapping[str, str]] = {
    "MAX_RETRIES": "max_retries",
    "TIMEOUT": "timeout",
}
"""The keys that are defaults for every job the application enqueues."""


@frozen(kw_only=True)
class Config:
    """The keys, checked."""

    place: str
    queue: Mapping[str, Any]
    enqueue: Mapping[str, Any]


def read(config: Mapping[str, Any], *, root: str) -> Config:
    """Read the keys of an application's config.

    :param root: the base of a relative directory.
    :raises InvalidValue: there is no place, or two; an unknown key, or a value that no job may
        have.
    """
    given = {
        key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)
    }
    places = [key for key in PLACES if given.get(key)]
    if len(places) != 1:
        rule = f"exactly one of {PREFIX}DIR and {PREFIX}URL says where the jobs live"
        raise InvalidValue(rule, field="config", value=[PREFIX + key for key in places])
    for key in given:
        if key not in (*PLACES, *QUEUE_KEYS, *ENQUEUE_KEYS):
            known = ", ".join((*PLACES, *QUEUE_KEYS, *ENQUEUE_KEYS))
            raise InvalidValue(
                f"no such key; there are {known}", field="config", value=PREFIX + key
            )
    for key, name in ENQUEUE_KEYS.items():
        if key in given:
            _check(PREFIX + key, name, given[key])
    return Config(
        place=_place(given[places[0]], places[0], root),
        queue={name: given[key] for key, name in QUEUE_KEYS.items() if key in given},
        enqueue={name: given[key] for key, name in ENQUEUE_KEYS.items() if key in given},
    )


def _check(key: str, name: str, value: Any) -> None:
    try:
        JobMetadata(type="any", **{name: value})
    except InvalidJob as error:
        raise InvalidValue(error.reason, field=key, value=value) from error


def _place(value: Any, key: str, root: str) -> str:
    if not isinstance(value, str | os.PathLike):
        raise InvalidValue("a path is needed", field=PREFIX + key, value=value)
    place = os.fspath(value)
    if key == "URL" or place == MEMORY:
        return place
    # Not from the current directory: the web server and the worker may be started in different
    # ones.
    return os.path.join(root, place)
