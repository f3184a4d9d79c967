"""The file store: jobs as files in folders, each file its own lock.

From the bottom up: ``door`` (system calls), ``layout`` (folders), ``copies`` (one copy of a job),
``moves`` (from folder to folder), ``hold`` (owning one), ``claiming``; ``store`` puts these and the
others together. The page on the architecture names them all. Only this package imports filelock and
watchdog.
"""

from semiont_jobs.stores.files.store import FileStore

__all__ = ["FileStore"]
