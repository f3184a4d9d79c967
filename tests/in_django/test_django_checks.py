"""The system checks of our backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.test import override_settings
from in_django.projects import BACKEND
from tenacity import wait_fixed

from semiont_jobs import RetryPolicy
from semiont_jobs.django.compat import task_backends
from semiont_jobs.stores.files import door

POLICY = RetryPolicy(wait=wait_fixed(1))


def found(**options: Any) -> list[tuple[str | None, str]]:
    """The ids and texts of what the checks find."""
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        return [(each.id, each.msg) for each in checks.run_checks()]


def ids(**options: Any) -> list[str | None]:
    return [id_ for id_, _text in found(**options)]


def test_a_directory_that_is_there_is_fine_and_stays_as_it_is(tmp_path: Path) -> None:
    assert found(data_dir=tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_use_is_fine(tmp_path: Path) -> None:
    settings = {"default": {"BACKEND": BACKEND, "OPTIONS": {"data_dir": str(tmp_path)}}}
    with override_settings(TASKS=settings):
        task_backends["default"].queue.initialize()

    assert found(data_dir=str(tmp_path)) == []


def test_memory_is_fine() -> None:
    assert found(data_dir="memory:", max_retries=0, timeout=2.5, enqueue_on_commit=True) == []


def test_every_option_is_known(tmp_path: Path) -> None:
    options = {
        "max_retries": 1,
        "timeout": 60,
        "enqueue_on_commit": False,
        "fsync": False,
        "retry_policy": POLICY,
        "max_crashes": 1,
        "dir_mode": 0o750,
        "file_mode": 0o640,
        "allow_network_fs": True,
    }

    assert found(data_dir=tmp_path, **options) == []
    assert found(data_dir=tmp_path, retry_policy=f"{__name__}.POLICY") == []


def test_no_place_and_two_places_are_errors(tmp_path: Path) -> None:
    assert found() == [
        ("semiont_jobs.E001", "TASKS['default']: OPTIONS has neither 'data_dir' nor 'url'.")
    ]
    assert ids(data_dir="") == ["semiont_jobs.E001"]
    assert ids(data_dir=tmp_path, url="memory:") == ["semiont_jobs.E001"]


def test_an_unknown_option_is_an_error(tmp_path: Path) -> None:
    assert found(data_dir=tmp_path, max_retry=3, Fsync=False) == [
        (
            "semiont_jobs.E002",
            "TASKS['default']: OPTIONS has what this backend does not know: Fsync, max_retry.",
        )
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"max_retries": "3"},
        {"timeout": 0},
        {"enqueue_on_commit": "yes"},
        {"max_crashes": -1},
        {"retry_policy": 3},
        {"retry_policy": "no.such.policy"},
        {"retry_policy": "os.path"},
        {"data_dir": 7},
    ],
)
def test_a_value_that_cannot_be_is_an_error(tmp_path: Path, options: dict[str, Any]) -> None:
    assert ids(**{"data_dir": tmp_path, **options}) == ["semiont_jobs.E003"]


def test_a_directory_that_cannot_be_made_or_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")

    for place in (file, file / "below", dangling, Path("/proc/semiont-jobs")):
        assert ids(data_dir=place) == ["semiont_jobs.E004"], place


def test_a_place_where_jobs_would_not_be_safe_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs").chmod(0o777)

    assert ids(data_dir=tmp_path) == ["semiont_jobs.E005"]


def test_locks_that_do_not_exclude_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a file system that grants every lock.
    monkeypatch.setattr(door, "lock_descriptor", lambda *_args, **_options: True)

    [(id_, text)] = found(data_dir=tmp_path)

    assert id_ == "semiont_jobs.E005"
    assert "do not keep a second process out" in text


def test_a_directory_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    place = tmp_path / "var" / "jobs"

    assert found(data_dir=place) == [
        ("semiont_jobs.W001", f"TASKS['default']: the directory {place} does not exist yet.")
    ]
    assert not place.parent.exists()
