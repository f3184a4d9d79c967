"""The pytest plugin: the fixture `jobs`, a fresh queue for each test.

It must not import the library before a test asks for it. It is installed as a module beside the
package for that reason: every pytest run where this is installed loads it, also those of projects
that measure coverage of what they import, or of their start.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from semiont_jobs.testing.jobs import Jobs


@pytest.fixture
def jobs_settings() -> dict[str, Any]:
    """Settings of `JobQueue` for `jobs`; override it in a module, a class or a conftest."""
    return {}


@pytest.fixture
def jobs(
    tmp_path: Path, jobs_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Jobs]:
    """A queue of this test's own in ``tmp_path / "jobs-data"``, and what to do with its jobs.

    It is also what ``get_job_queue()`` returns until the test ends.
    """
    from semiont_jobs import singleton
    from semiont_jobs.testing.jobs import Jobs

    with Jobs(**{"data_dir": tmp_path / "jobs-data", **jobs_settings}) as under_test:
        monkeypatch.setattr(singleton, "_queue", under_test.queue)
        monkeypatch.setattr(singleton, "_settings", None)
        yield under_test
