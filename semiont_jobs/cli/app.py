"""The command group, the options that all commands share, and the queue that they open.

It must not know what the commands do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.model import AnyJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.store import JobStore
from semiont_jobs.stores import MEMORY, is_url, open_store
from semiont_jobs.version import __version__

F = TypeVar("F", bound=Callable[..., Any])

DIR_VARIABLE: Final = "SEMIONT_JOBS_DIR"
URL_VARIABLE: Final = "SEMIONT_JOBS_URL"

_SPAN: Final = r"(\d{1,6})([smhdw])"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    # The option may be before or after the command. The one after it takes precedence, and one that
    # is typed takes precedence over the environment.
    name = parameter.name or ""
    is_typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    kept = context.ensure_object(dict)
    if value is not None and (is_typed or name not in kept):
        kept[name] = value
        kept.setdefault("typed", set()).update({name} if is_typed else ())
    return value


_remembered = partial(click.option, expose_value=False, callback=_remember)
_data_dir = _remembered(
    "--data-dir",
    metavar="DIR",
    envvar=DIR_VARIABLE,
    help=f"The data directory; its 'jobs' folder contains the jobs. Default: ${DIR_VARIABLE}.",
)
_url = _remembered(
    "--url",
    metavar="URL",
    envvar=URL_VARIABLE,
    help=f"Instead, the postgresql:// URL of a database. Default: ${URL_VARIABLE}.",
)


def data_dir(command: F) -> F:
    """Add the option for the directory in which the jobs live."""
    return _data_dir(command)


def place(command: F) -> F:
    """Add the options for the place where the jobs live."""
    return _data_dir(_url(command))


def as_json(command: F) -> F:
    """Add the option of commands whose output a program may read."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(
        command
    )


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="semiont-jobs")
@place
def cli() -> None:
    """A durable job queue that is a directory.

    Works on any data directory, including one of the TypeScript package, without importing the
    application. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


def location() -> str:
    """The given data directory or URL.

    :raises click.UsageError: none was given, or both were, or the URL is not one of a database.
    """
    kept = click.get_current_context().ensure_object(dict)
    given = {name for name in ("data_dir", "url") if kept.get(name)}
    # One that is typed is enough, whatever the environment says about the other.
    given = (given & kept.get("typed", set())) or given
    if not given:
        raise click.UsageError(
            f"which data directory? Give --data-dir or set {DIR_VARIABLE}, or --url, {URL_VARIABLE}"
        )
    if len(given) > 1:
        raise click.UsageError("jobs live in one place: a data directory or a URL, not both")
    name = given.pop()
    value: str = kept[name]
    if name == "url" and not is_url(value):
        raise click.UsageError("a URL is postgresql://USER:PASSWORD@HOST/DATABASE")
    return value


def type_of() -> Callable[[AnyJob], str] | None:
    """Returns a job's type as the application's users know it; None: the job's own type."""
    known: Callable[[AnyJob], str] | None = click.get_current_context().obj.get("type_of")
    return known


def found_jobs(
    source: JobQueue,
    *,
    type_: str | None,
    limit: int | None = None,
    offset: int = 0,
    **filters: Any,
) -> list[AnyJob]:
    """Call `JobQueue.query_jobs`, with the type as users know it."""
    known = type_of()
    if type_ is None or known is None:
        return source.query_jobs(type=type_, limit=limit, offset=offset, **filters)
    jobs = [job for job in source.query_jobs(limit=None, **filters) if known(job) == type_]
    return jobs[offset:][:limit]


def check_shared(where: str) -> None:
    """Refuse a place that other processes cannot use.

    :raises click.UsageError: it is this process's memory.
    """
    if where == MEMORY:
        raise click.UsageError("jobs in memory are in one process only, which is not this one")


def shown(*, whole: bool = False) -> str:
    """The given place in a form to print: without a password; `whole`: valid from any directory."""
    return shown_of(location(), whole=whole)


def shown_of(where: str, *, whole: bool = False) -> str:
    """A place in a form to print."""
    if not is_url(where):
        return str(Path(where).absolute()) if whole else where
    from semiont_jobs.stores.postgres.address import address_of

    return address_of(where, None).shown


def store_there(**options: Any) -> JobStore:
    """The store of the given place. Raises what `store_of` raises."""
    return store_of(location(), **options)


def store_of(where: str, **options: Any) -> JobStore:
    """The store of a place.

    :raises click.ClickException: it is a URL, and no driver is installed.
    """
    try:
        return open_store(where, **options)
    except ImportError as error:
        raise click.ClickException(str(error)) from error


def check_there(where: str) -> None:
    """Check that a place exists, even if its jobs are gone.

    :raises click.ClickException: there is no data directory.
    :raises StoreError: there is no schema.
    """
    if is_url(where):
        # Read-only, so that no schema is created: a wrong URL must not show an empty queue.
        JobQueue(store_of(where, read_only=True)).initialize().close()
    else:
        _check_directory(where)


def open_queue() -> JobQueue:
    """The queue of an existing place."""
    check_there(location())
    return _closed_at_the_end(JobQueue(store_there()).initialize())


def open_to_look() -> JobQueue:
    """The same for a command that changes nothing: read access is enough."""
    _check_directory(location())
    return _closed_at_the_end(JobQueue(store_there(read_only=True)).initialize())


def open_or_make_queue() -> JobQueue:
    """The queue of a place that is created with its first job, if it is missing.

    Not before: a job that is refused leaves nothing behind.
    """
    return _closed_at_the_end(JobQueue(store_there()))


def _check_directory(where: str) -> None:
    if not is_url(where) and not (Path(where) / "jobs").is_dir():
        raise click.ClickException(
            f"there is no data directory at {where}: it has no jobs folder (the first job makes it)"
        )


def _closed_at_the_end(queue: JobQueue) -> JobQueue:
    click.get_current_context().call_on_close(queue.close)
    return queue


class Duration(click.ParamType[timedelta]):
    """A time span such as 90s, 30m, 12h, 7d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        """A timedelta."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(_SPAN, value)
        if found is None:
            self.fail(f"{value!r} is no time span: 90s, 30m, 12h, 7d or 2w", param, ctx)
        span = timedelta(**{_UNITS[found[2]]: int(found[1])})
        try:
            _ends = datetime.now(UTC) - span, datetime.now(UTC) + span
        except OverflowError:
            self.fail(f"{value!r} is longer than any calendar", param, ctx)
        return span


class Seconds(click.ParamType[float]):
    """A number of seconds, or a time span such as 30m."""

    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Seconds."""
        if isinstance(value, str) and re.fullmatch(_SPAN, value):
            return Duration().convert(value, param, ctx).total_seconds()
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of seconds nor a time span", param, ctx)


class When(click.ParamType[datetime]):
    """An ISO 8601 instant with a time zone, or a time span from now."""

    name = "when"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """An aware datetime."""
        if isinstance(value, datetime):
            return value
        if re.fullmatch(_SPAN, value):
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
    """Do something to every id; an error for one does not stop the others."""
    rows = []
    for id_ in ids:
        try:
            rows.append({"id": id_, "done": bool(act(id_)), "error": None})
        except SemiontJobsError as error:
            rows.append({"id": id_, "done": False, "error": str(error)})
    return rows
