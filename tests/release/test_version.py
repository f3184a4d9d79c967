"""The version is said once, and whatever repeats it agrees."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import semiont_jobs

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^(\S+) \((unreleased|\d{4}-\d\d-\d\d)\)\n-+\n", re.MULTILINE)


def headings() -> list[tuple[str, str]]:
    """The versions of the changelog, from the top, and when each was released."""
    return HEADING.findall((ROOT / "CHANGELOG.rst").read_text())


def test_the_package_and_what_is_installed_have_one_version() -> None:
    assert version("semiont_jobs") == semiont_jobs.__version__


def test_the_changelog_begins_with_this_version() -> None:
    assert headings()[0][0] == semiont_jobs.__version__


def test_of_the_changelog_s_versions_only_the_first_may_be_unreleased() -> None:
    numbers = [tuple(int(part) for part in number.split(".")) for number, _ in headings()]
    dates = [date for _, date in headings()[1:]]

    assert "unreleased" not in dates
    assert dates == sorted(dates, reverse=True)
    assert numbers == sorted(set(numbers), reverse=True)
