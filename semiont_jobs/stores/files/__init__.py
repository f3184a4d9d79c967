"""The file store: jobs as files in folders, each file its own lock.

``door`` (system calls) < ``descriptors`` (what a fork must close) < ``layout`` (folders) <
``copies`` (one copy of a job) < ``moves`` (from folder to folder) < ``hold``; beside them
``markers`` (requests to cancel), ``quarantine``, ``index`` and ``pending`` (what to try next),
``sweep`` (left-overs); ``store`` puts them together. The only package that imports filelock.
"""

from semiont_jobs.stores.files.store import FileStore

__all__ = ["FileStore"]
