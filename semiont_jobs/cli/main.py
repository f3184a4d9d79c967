"""Runs a command and reports an error as one line.

It must not know what the commands do.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Final, TextIO

import click

from semiont_jobs.cli import acting, doctor, measuring, moving, reading, running, watching
from semiont_jobs.cli.app import cli
from semiont_jobs.cli.logs import announce
from semiont_jobs.cli.text import plain
from semiont_jobs.errors import InvalidValue, SemiontJobsError

for _command in (
    running.demo,
    running.worker,
    acting.enqueue,
    reading.list_jobs,
    reading.show,
    reading.stats,
    watching.watch,
    measuring.metrics,
    acting.retry,
    acting.cancel,
    acting.cleanup,
    acting.remove,
    acting.rescue,
    moving.move,
    doctor.doctor,
):
    cli.add_command(_command)

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
"""What shells report for a program that Ctrl-C ended."""
_PACKAGE: Final = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code. An error is one line on standard error."""
    _open_what_is_closed()
    _escape_what_is_not_encoded()
    streams = sys.stdout, sys.stderr
    try:
        return _run(arguments)
    except SystemExit as error:
        # The reader of a pipe closed it, which is not a failure. click then replaces these streams,
        # and rich exits while it handles that error.
        if sys.stdout is streams[0] and not isinstance(error.__context__, BrokenPipeError):
            raise
        return 0
    finally:
        sys.stdout, sys.stderr = streams
        for stream in streams:
            _let_go_if_refused(stream)


def _run(arguments: list[str] | None) -> int:
    try:
        code = cli(args=arguments, prog_name="semiont-jobs", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        announce(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        _tell(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # after click has finished: as above
        return 0
    except InvalidValue as error:  # of the command line: stored jobs decode or do not
        _tell(str(error))
        return WRONG_USAGE
    except SemiontJobsError as error:
        _tell(str(error))
        return FAILED
    except OSError as error:
        # All files are opened by a name. An error of printing has none, so the message must say
        # that it is not about the jobs' disk.
        is_stream = error.filename is None and error.errno is not None
        _tell(f"standard output: {error.strerror}" if is_stream else str(error))
        return FAILED
    except Exception as error:  # noqa: BLE001 - a bug of ours; it is one line, too
        _tell(f"unexpected {type(error).__name__}: {error} (please report, with {_way(error)})")
        return FAILED
    return code if isinstance(code, int) else 0


def _open_what_is_closed() -> None:
    """Open the null device in place of a closed standard stream, as after ``>&-``.

    Python has None there, which cannot be written to; and the next file opened, such as a job's,
    would get the stream's number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)  # programs that we start need standard streams, too
            # Open as long as the process, as Python's own are: nothing may close it.
            setattr(sys, name, os.fdopen(fd, mode, encoding="utf-8", closefd=False))


def _escape_what_is_not_encoded() -> None:
    """Print characters that a standard stream's encoding lacks as escapes such as \\xfc."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_if_refused(stream: TextIO) -> None:
    """Put the null device in place of a standard stream that cannot be written.

    Otherwise Python, when it ends, tries to write what is left, complains, and changes the exit
    code.
    """
    try:
        stream.flush()
    except OSError:
        fd = os.open(os.devnull, os.O_WRONLY)
        os.dup2(fd, stream.fileno())
        os.close(fd)


def _way(error: Exception) -> str:
    """Where an error was raised and how it got there: a traceback in one line."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [each for each in steps if _PACKAGE in Path(each.filename).parents]
    return ", ".join(
        f"{Path(each.filename).relative_to(_PACKAGE).as_posix()}:{each.lineno}" for each in ours
    )


def _tell(message: str) -> None:
    announce(f"semiont-jobs: error: {plain(message)}")
