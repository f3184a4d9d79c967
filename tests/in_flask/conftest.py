"""What the tests of the Flask extension share: applications that have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., Any]:
    # Here: without Flask these tests are skipped, each file with its reason.
    import flask

    from semiont_jobs.flask import SemiontJobs

    def make(extension: SemiontJobs | None = None, **config: Any) -> flask.Flask:
        app = flask.Flask("shop", instance_path=str(tmp_path))
        settings = config or {"DIR": "memory:"}
        app.config.update({f"SEMIONT_JOBS_{key}": value for key, value in settings.items()})
        (extension or SemiontJobs()).init_app(app)
        return app

    return make
