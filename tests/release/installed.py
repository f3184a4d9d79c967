"""Where the package is what was installed, and no tree of sources: `tox -e sdist` asks by name."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import semiont_jobs_pytest

import semiont_jobs

INSTALLED = Path(sysconfig.get_path("purelib"))


def test_the_package_that_is_tested_is_the_installed_one() -> None:
    assert INSTALLED / "semiont_jobs" / "__init__.py" == Path(semiont_jobs.__file__)
    assert INSTALLED / "semiont_jobs_pytest.py" == Path(semiont_jobs_pytest.__file__)


def test_processes_that_tests_start_import_the_installed_one_too(tmp_path: Path) -> None:
    code = "import semiont_jobs; print(semiont_jobs.__file__)"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)

    assert f"{semiont_jobs.__file__}\n" == printed
