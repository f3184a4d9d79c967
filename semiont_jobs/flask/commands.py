"""``flask jobs list``, ``show`` and so on: the commands of the command line, on the application's
own queue.

It must not know what they do.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any, Final

import click
from flask import current_app
from flask.cli import with_appcontext

from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.stores import MEMORY

COMMANDS: Final = {
    "cancel": "acting.cancel",
    "cleanup": "acting.cleanup",
    "doctor": "doctor.doctor",
    "list": "reading.list_jobs",
    "retry": "acting.retry",
    "show": "reading.show",
    "stats": "reading.stats",
}
"""Where they are. Imported when one is run: a web process needs none of them."""


class JobsGroup(click.Group):
    """The group ``jobs``."""

    def __init__(self) -> None:
        super().__init__(
            "jobs",
            help="Look at the application's jobs, and act on them.",
            callback=_choose_the_place,
            no_args_is_help=True,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them; it does not ask for a directory, since the application has one."""
        if cmd_name not in COMMANDS:
            return None
        home, _dot, name = COMMANDS[cmd_name].partition(".")
        command: click.Command = getattr(importlib.import_module(f"semiont_jobs.cli.{home}"), name)
        ours = copy.copy(command)
        ours.params = [each for each in command.params if each.name != "data_dir"]
        return ours

    def invoke(self, ctx: click.Context) -> Any:
        """Run one; errors are told in one line."""
        try:
            return super().invoke(ctx)
        except (SemiontJobsError, OSError) as error:
            from semiont_jobs.cli.text import plain

            raise click.ClickException(plain(str(error))) from error


@with_appcontext
def _choose_the_place() -> None:
    place = current_app.extensions["semiont_jobs"].place
    if place == MEMORY or "://" in place:
        raise click.UsageError(f"these commands look at data directories, not at {place!r}")
    # Where the commands look for their own option. What Flask keeps there is found all the same:
    # it looks for an object of its own class, in the contexts above too.
    click.get_current_context().obj = {"data_dir": place}
