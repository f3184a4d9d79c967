"""The PostgreSQL store: jobs as rows of one schema, owned by the process whose session has a lock.

From the bottom: ``address`` (which server, which schema), ``told`` (its errors as ours),
``sessions`` (connections, and what becomes of them at a fork), ``schema`` (tables, versions,
poolers), ``rows`` (a job as a row, and every statement), ``liveness`` (the lock that shows that
this process lives, and what its session receives), ``hold`` and ``taking`` (owning one job),
``creating`` (also in a caller's transaction), ``claiming``, ``waking`` (news for idle threads),
``upkeep``, ``place`` (the schema's identity), ``arriving`` and ``leaving`` (from another store and
to one), ``house`` (the methods for both), ``inspection`` (for the doctor). ``store`` puts them
together. The only package that imports psycopg.
"""

try:
    import psycopg as _psycopg
    import psycopg_pool as _psycopg_pool
except ImportError as _error:
    raise ImportError(
        f"jobs in PostgreSQL need psycopg and psycopg_pool ({_error}): "
        "pip install 'semiont_jobs[postgres]'"
    ) from _error

from semiont_jobs.stores.postgres.store import PostgresStore

del _psycopg, _psycopg_pool

__all__ = ["PostgresStore"]
