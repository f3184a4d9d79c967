"""The command group, the options that all commands share, and the queue they open.

It must not know what the commands do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from semiont_jobs.errors import SemiontJobsError, StoreError
from semiont_jobs.queue import JobQueue
from semiont_jobs.stores import FileStore
from semiont_jobs.version import __version__

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE: Final = "SEMIONT_JOBS_DIR"

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _remember(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    # The option may stand before or after the command; what stands after goes first.
    if value is not None:
        context.ensure_object(dict)["data_dir"] = value
    return value


data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    envvar=VARIABLE,
    expose_value=False,
    callback=_remember,
    help=f"The data directory; jobs stand in its 'jobs' folder. Default: ${VARIABLE}.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="semiont-jobs")
@data_dir
def cli() -> None:
    """A durable job queue that is a directory.

    Works on any data directory, also on one of the TypeScript package, without importing the
    application. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


def location() -> Path:
    """The data directory asked for.

    :raises click.UsageError: none was.
    """
    value = click.get_current_context().ensure_object(dict).get("data_dir")
    if not value:
        raise click.UsageError(f"which data directory? Give --data-dir or set {VARIABLE}")
    return Path(value)


def open_queue() -> JobQueue:
    """The queue of a data directory that is there."""
    return _closed_at_the_end(JobQueue(_existing()).initialize())


def open_to_look() -> JobQueue:
    """The same for a command that changes nothing: for whoever may read the directory."""
    return _closed_at_the_end(JobQueue(FileStore(_existing(), read_only=True)).initialize())


def open_or_make_queue() -> JobQueue:
    """The queue of a data directory that is made with its first job, if it is missing.

    Not before: a job that is refused leaves nothing behind.
    """
    return _closed_at_the_end(JobQueue(location()))


def _existing() -> Path:
    path = location()
    if not (path / "jobs").is_dir():
        raise click.ClickException(f"there is no data directory at {path}: it has no jobs folder")
    return path


def _closed_at_the_end(queue: JobQueue) -> JobQueue:
    click.get_current_context().call_on_close(queue.close)
    return queue


@contextmanager
def naming_the_place() -> Iterator[None]:
    """Say which directory it was where the disk does not: a write that it refuses has no path."""
    try:
        yield
    except StoreError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise StoreError(
            error.errno, error.strerror or "", str(location()), job_id=error.job_id
        ) from error


class Duration(click.ParamType[timedelta]):
    """A time span such as 90s, 30m, 12h, 7d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        """A timedelta."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhdw])", value)
        if found is None:
            self.fail(f"{value!r} is no time span: 90s, 30m, 12h, 7d or 2w", param, ctx)
        span = timedelta(**{_UNITS[found[2]]: int(found[1])})
        try:
            _ends = datetime.now(UTC) - span, datetime.now(UTC) + span
        except OverflowError:
            self.fail(f"{value!r} is longer than any calendar", param, ctx)
        return span


class When(click.ParamType[datetime]):
    """An ISO 8601 instant with a time zone, or a time span from now."""

    name = "when"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """An aware datetime."""
        if isinstance(value, datetime):
            return value
        if re.fullmatch(r"\d{1,6}[smhdw]", value):
            return datetime.now(UTC) + Duration().convert(value, param, ctx)
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither an ISO 8601 instant nor a time span", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no time zone: add Z or an offset", param, ctx)
        try:
            return instant.astimezone(UTC)
        except OverflowError:
            self.fail(f"{value!r} is in no year from 1 to 9999 in UTC", param, ctx)


def each(ids: tuple[str, ...], act: Callable[[str], Any]) -> list[dict[str, Any]]:
    """Do something to every id; the first error does not keep the others from it."""
    rows = []
    for id_ in ids:
        try:
            with naming_the_place():
                rows.append({"id": id_, "done": bool(act(id_)), "error": None})
        except SemiontJobsError as error:
            rows.append({"id": id_, "done": False, "error": str(error)})
    return rows
