"""The command line: `app` (options, errors), then a module for each kind of command.

It must not know how a store keeps jobs, except for the doctor, which looks for what no queue shows.
"""

from semiont_jobs.cli.main import main

__all__ = ["main"]
