"""A job queue for Flask applications: ``SemiontJobs(app)``.

This module only passes names on.
"""

try:
    import flask as _flask
except ImportError as _error:
    raise ImportError(
        "semiont_jobs.flask needs Flask, which is not installed: pip install 'semiont_jobs[flask]'"
    ) from _error

from semiont_jobs.flask.extension import AppJobs, SemiontJobs

del _flask

__all__ = ["AppJobs", "SemiontJobs"]
