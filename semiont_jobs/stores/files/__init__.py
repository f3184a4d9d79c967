"""The file store: jobs as files in folders, each file its own lock.

From the bottom: ``door`` (system calls), ``descriptors`` (what a fork must close), ``layout``
(folders), ``copies`` (one copy of a job), ``moves`` (from folder to folder), ``hold`` and
``taking`` (owning one). Beside them ``reader`` (looking without locks), ``batch`` (many at once),
``index``, ``shares`` and ``pending`` (what to try next), ``watch`` and ``inotify`` (waking up),
``claiming``, ``arriving`` (from another store), ``markers`` (requests to cancel), ``upkeep``
(orphans, retention), ``quarantine``, ``sweep`` (left-overs), ``inspection`` (for the doctor),
``nfs`` (another door). ``store`` puts them together. The only package that imports filelock and
watchdog.
"""

from semiont_jobs.stores.files.store import FileStore

__all__ = ["FileStore"]
