"""Nothing that Python warns of is done when the package is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IMPORT_ALL = """
import importlib, pkgutil, sys
import semiont_jobs

def tell(name):
    error = sys.exc_info()[1]
    if not isinstance(error, ImportError):  # as where an extra is not installed
        print(name, repr(error))

try:
    import django
    from django.conf import settings
except ImportError:
    pass
else:  # parts of a project are not imported without one
    names = ["auth", "contenttypes", "admin", "messages"]
    settings.configure(INSTALLED_APPS=[f"django.contrib.{name}" for name in names])
    django.setup()

for found in pkgutil.walk_packages(semiont_jobs.__path__, "semiont_jobs.", onerror=tell):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except Exception:
            tell(found.name)
print("semiont_jobs.cli.main" in sys.modules and "semiont_jobs.testing.suite" in sys.modules)
"""


def test_every_module_is_imported_without_a_warning(tmp_path: Path) -> None:
    # In a process of its own: what another test imported would warn no more.
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (0, "True\n", "") == (ran.returncode, ran.stdout, ran.stderr)
