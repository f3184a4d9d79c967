"""Builds the sdist, and the wheel from it, and tests both as a stranger's machine would.

It must not know what the tests test. `tox -e sdist` runs it; what it leaves in ``dist/`` is what
a release uploads, so what is uploaded is what was tested. Everything else is in a scratch folder,
from which the checkout cannot be seen: no path leads there, and the package of the unpacked sdist
is taken away, so that only the installed wheel can be imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]

PLUGIN: Final = "semiont_jobs/testing/plugin/"
"""In the tree, of the one module that stands beside the package once it is installed."""

NOT_CARRIED: Final = {".ci/run", ".gitignore"}
"""What only a checkout needs."""

EXTRAS: Final = "cli,testing,watch"

WITHOUT_CHECKOUT: Final = (
    *("-n", "3", "--dist", "worksteal"),
    # A conformance suite within a test: what is quick is enough here.
    *("-k", "not store_of_ones_own"),
    "tests/release/installed.py",
    # Files beside the code: golden jobs, the README, the examples.
    "tests/test_golden.py",
    "tests/test_readme.py",
    "tests/docs/test_docs_examples.py",
    # The installed command and the pytest plugin, in processes of their own.
    "tests/cli/test_cli_reading.py",
    "tests/cli/test_cli_worker_logs.py",
    "tests/test_pytest_plugin.py",
    # What every installation is for.
    "tests/test_queue.py",
    "tests/test_retry.py",
    "tests/test_worker.py",
    "tests/files/test_files_changes.py",
)
"""Whether a file is missing is seen by what reads files; what the code does, the suite tests."""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command; end with its exit code, unless that is 0."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = subprocess.run(command, cwd=cwd, env=environment, check=False).returncode
    if code:
        raise SystemExit(code)


def exported(scratch: Path) -> Path:
    """A copy of what git tracks, as it stands in the checkout.

    Not the checkout: there a list of files that an earlier build left would be obeyed, and a
    file that is no longer in MANIFEST.in would be carried here and not from a fresh clone.
    """
    tree = scratch / "tree"
    for name in tracked():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target)
    return tree


def tracked() -> list[str]:
    """What git knows of the checkout, less what was deleted there."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=CHECKOUT, text=True)
    return [name for name in listed.split("\0") if name and (CHECKOUT / name).exists()]


def check_sdist(sdist: Path) -> None:
    """Raise unless the sdist carries what git tracks, and nothing else but what a build adds."""
    with tarfile.open(sdist) as archive:
        names = {each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()}
    made = {name for name in names if name == "PKG-INFO" or ".egg-info/" in name}
    compare("the sdist", found=names - made, wanted=set(tracked()) - NOT_CARRIED)


def check_wheel(wheel: Path) -> None:
    """Raise unless the wheel carries every file of the package, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name.removeprefix(PLUGIN) for name in tracked() if name.startswith("semiont_jobs/")}
    compare("the wheel", found=names, wanted=package)


def compare(what: str, *, found: set[str], wanted: set[str]) -> None:
    """Raise unless the two are equal, and say what is in only one of them."""
    if found != wanted:
        lacking, unwanted = sorted(wanted - found), sorted(found - wanted)
        raise SystemExit(f"{what} lacks {lacking} and should not have {unwanted}: see MANIFEST.in")


def main(scratch: Path, *arguments: str) -> None:
    """Build, look over, install, test; the last prints as pytest does."""
    if not (CHECKOUT / ".git").exists():
        print("An unpacked sdist is not made into another: releases are built in a checkout.")
        return

    dist = scratch / "dist"
    run(sys.executable, "-m", "build", "--outdir", dist, exported(scratch), cwd=scratch)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=scratch)
    check_sdist(sdist)
    check_wheel(wheel)

    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    unpacked = scratch / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(unpacked / "semiont_jobs")
    pip = (sys.executable, "-m", "pip", "install", "--quiet")
    # pip leaves a version be that is there already, though its files may be others.
    run(*pip, "--force-reinstall", "--no-deps", wheel, cwd=scratch)
    run(*pip, f"{wheel}[{EXTRAS}]", cwd=scratch)
    pytest = Path(sys.executable).with_name("pytest")  # `-m pytest` would look in the folder too
    run(pytest, *(arguments or WITHOUT_CHECKOUT), cwd=unpacked)

    for made in (sdist, wheel):
        (CHECKOUT / "dist").mkdir(exist_ok=True)
        shutil.copy2(made, CHECKOUT / "dist")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
