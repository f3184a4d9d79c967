"""The command line: `app` (options, errors), then a room for each kind of command."""

from semiont_jobs.cli.main import main

__all__ = ["main"]
