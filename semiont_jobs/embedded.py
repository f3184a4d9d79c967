"""The commands of the command line inside another one, on a place that this one knows.

It must not know what the commands do, nor who asks: ``flask jobs`` and ``manage.py jobs`` do.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from semiont_jobs.errors import SemiontJobsError
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
"""Where they are. Imported when one is run: a web process needs none of them."""


class JobsGroup(click.Group):
    """The group ``jobs``.

    :param place: says where the jobs live, when a command is run.
    :param more: commands besides, by name: where each is, as ``module:name``.
    :param type_of: what the application's users know as a job's type, where that is not its own.
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
        """Their names."""
        return sorted(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them; it does not ask for a directory, since the application has one."""
        if cmd_name not in self._homes:
            return None
        home, _colon, name = self._homes[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(home), name)
        ours = copy.copy(command)
        ours.params = [each for each in command.params if each.name not in ("data_dir", "url")]
        return ours

    def invoke(self, ctx: click.Context) -> Any:
        """Run one; errors are told in one line."""
        from semiont_jobs.cli.app import check_shared
        from semiont_jobs.cli.text import plain

        try:
            place = self._place()
            check_shared(place)
            # Where the commands look for their own option. What the other command line keeps
            # there is found all the same: it stands in the contexts above.
            ctx.obj = {"url" if is_url(place) else "data_dir": place, "type_of": self._type_of}
            return super().invoke(ctx)
        except (SemiontJobsError, OSError) as error:
            raise click.ClickException(plain(str(error))) from error
