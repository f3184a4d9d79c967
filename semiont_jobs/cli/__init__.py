"""The command line: `app` (options, errors), then a room for each kind of command.

It must not know how a store keeps jobs; but for the doctor, who looks for what no queue shows.
"""

from semiont_jobs.cli.main import main

__all__ = ["main"]
