"""The command line's commands inside another command line, for a place that the latter knows.

It must not know what the commands do, nor who asks: ``flask jobs`` and ``manage.py jobs`` do.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from semiont_jobs.errors import InvalidValue, SemiontJobsError
from semiont_jobs.model import AnyJob
from semiont_jobs.stores import is_url

COMMANDS: Final = {
    "cancel": "semiont_jobs.cli.acting:cancel",
    "cleanup": "semiont_jobs.cli.acting:cleanup",
    "doctor": "semiont_jobs.cli.doctor:doctor",
    "list": "semiont_jobs.cli.reading:list_jobs",
    "remove": "semiont_jobs.cli.acting:remove",
    "retry": "semiont_jobs.cli.acting:retry",
    "show": "semiont_jobs.cli.reading:show",
    "stats": "semiont_jobs.cli.reading:stats",
}
"""Where they are. They are imported when one is run: a web process needs none of them."""


class JobsGroup(click.Group):
    """The group ``jobs``.

    :param place: returns where the jobs live; called when a command is run.
    :param more: further commands by name: where each is, as ``module:name``.
    :param type_of: returns a job's type as the application's users know it, if that differs.
    """

    def __init__(
        self,
        place: Callable[[], str],
        more: Mapping[str, str] | None = None,
        type_of: Callable[[AnyJob], str] | None = None,
    ) -> None:
        super().__init__(
            "jobs", help="Look at the application's jobs, and act on them.", no_args_is_help=True
        )
        self._place = place
        self._homes = {**COMMANDS, **(more or {})}
        self._type_of = type_of

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return sorted(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of that name, without its options for the place, since the application has
        one."""
        if cmd_name not in self._homes:
            return None
        home, _colon, name = self._homes[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(home), name)
        ours = copy.copy(command)
        ours.params = [each for each in command.params if each.name not in ("data_dir", "url")]
        return ours

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error is one line."""
        from semiont_jobs.cli.app import check_shared
        from semiont_jobs.cli.text import plain

        try:
            place = self._place()
            check_shared(place)
            # Where the commands look for their own option. What the other command line keeps there
            # is still found: it is in the parent contexts.
            ctx.obj = {"url" if is_url(place) else "data_dir": place, "type_of": self._type_of}
            return super().invoke(ctx)
        except InvalidValue as error:  # of the command line, as in `cli.main`
            raise click.UsageError(plain(str(error))) from error
        except (SemiontJobsError, OSError) as error:
            raise click.ClickException(plain(str(error))) from error
