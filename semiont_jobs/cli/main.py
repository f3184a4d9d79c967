"""Runs a command and tells its errors in one line.

It must not know what the commands do.
"""

from __future__ import annotations

import os
import sys

import click

from semiont_jobs.cli import acting, doctor, reading, running, watching
from semiont_jobs.cli.app import cli
from semiont_jobs.cli.text import plain
from semiont_jobs.errors import SemiontJobsError

for command in (
    running.demo,
    running.worker,
    acting.enqueue,
    reading.list_jobs,
    reading.show,
    reading.stats,
    watching.watch,
    acting.retry,
    acting.cancel,
    acting.cleanup,
    acting.rescue,
    doctor.doctor,
):
    cli.add_command(command)

FAILED = 1
INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code. Errors are one line on standard error."""
    try:
        code = cli(args=arguments, prog_name="semiont-jobs", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        _tell(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough. Python would complain once more when it
        # flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SemiontJobsError, OSError) as error:
        _tell(str(error))
        return FAILED
    return code if isinstance(code, int) else 0


def _tell(message: str) -> None:
    print(f"semiont-jobs: error: {plain(message)}", file=sys.stderr)
