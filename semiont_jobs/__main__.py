"""``semiont-jobs`` and ``python -m semiont_jobs``: finds the command line, or says what is missing.

It must not know any command.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; never returns."""
    try:
        from semiont_jobs.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(
            f"semiont-jobs: error: the command line needs {error.name}: "
            "pip install 'semiont_jobs[cli]'"
        )
    sys.exit(run())


if __name__ == "__main__":
    main()
