"""``manage.py jobs``: the commands of the command line, for a backend's own jobs.

It must not know what they do.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from semiont_jobs.django.backend import JobsBackend
from semiont_jobs.django.compat import InvalidTaskBackend, task_backends
from semiont_jobs.django.options import queue_settings
from semiont_jobs.django.tasks import type_of


class Command(BaseCommand):
    """Passes its arguments on."""

    help = (
        "Look at the tasks of a backend as jobs, and act on them: list, show, stats, retry, "
        "cancel, remove, cleanup, doctor. `jobs COMMAND --help` tells more."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's; the doctor checks by itself

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that come before the command; the rest belongs to the command."""
        parser.add_argument("--backend", default="default", help="the alias in TASKS")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND ...")

    def handle(self, *_args: Any, backend: str, arguments: list[str], **_options: Any) -> None:
        """Run one command.

        :raises CommandError: it failed, or was used wrongly; with the command's exit code.
        """
        try:
            import click

            from semiont_jobs.embedded import JobsGroup
        except ImportError as error:
            raise CommandError(
                f"this command needs {error.name}: pip install 'semiont_jobs[cli]'"
            ) from error
        group = JobsGroup(lambda: _place(backend), type_of=type_of)
        try:
            # Not Django's own wrapper, which ends every piece of output with a newline.
            with redirect_stdout(getattr(self.stdout, "_out", self.stdout)):
                code = group.main(arguments, prog_name="manage.py jobs", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            raise CommandError(error.format_message(), returncode=error.exit_code) from error
        except click.ClickException as error:
            raise CommandError(error.format_message(), returncode=error.exit_code) from error
        if isinstance(code, int) and code:
            sys.exit(code)  # the command has printed why


def _place(alias: str) -> str:
    try:
        backend = task_backends[alias]
    except InvalidTaskBackend as error:
        raise CommandError(str(error)) from error
    if not isinstance(backend, JobsBackend):
        raise CommandError(f"TASKS[{alias!r}] is no {JobsBackend.__name__}")
    _queue = backend.queue  # checks the options
    return os.fspath(queue_settings(backend.options)["data_dir"])
