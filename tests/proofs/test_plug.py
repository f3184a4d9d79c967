"""The plug is pulled for real: ext4 and xfs on images of their own, stopped at a step of a history
without writing anything more, and mounted again.

For root, on Linux with loop devices.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs.stores.files.forcing import Durability

pytestmark = pytest.mark.proof

PATIENCE = 1800.0
SOME = 8
"""Steps in the suite; each takes two mounts."""
MANY = 300

kinds = pytest.mark.parametrize("kind", ["ext4", "xfs"])


@cache
def why_not(kind: str) -> str:
    """Why the plug cannot be pulled here; empty: it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root mounts images, on Linux"
    if shutil.which(f"mkfs.{kind}") is None:
        return f"mkfs.{kind} is not installed"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    return ""


def pulled(path: Path, kind: str, durability: Durability, count: int) -> dict[str, Any]:
    if why_not(kind):
        pytest.skip(why_not(kind))
    # In a namespace of its own: its mounts end with it, whatever becomes of the test.
    script = ["unshare", "--mount", sys.executable, "-m", "proofs.plugged"]
    done = subprocess.run(
        [*script, kind, str(path), durability, str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode and "CalledProcessError" in done.stderr:
        pytest.skip(f"images cannot be mounted here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@kinds
@pytest.mark.parametrize("durability", ["fsync", "journal"])
def test_pulling_the_plug_loses_nothing_acknowledged(
    tmp_path: Path, kind: str, durability: Durability
) -> None:
    found = pulled(tmp_path, kind, durability, SOME)

    assert {} == found["faults"]
    assert SOME == found["pulled"]


@kinds
def test_without_forcing_it_does_lose_what_was_acknowledged(tmp_path: Path, kind: str) -> None:
    found = pulled(tmp_path, kind, "process", SOME)

    assert found["faults"]
    assert SOME == found["pulled"]


@pytest.mark.soak
@kinds
@pytest.mark.parametrize("durability", ["fsync", "journal"])
def test_pulling_the_plug_many_times_loses_nothing_acknowledged(
    tmp_path: Path, kind: str, durability: Durability
) -> None:
    found = pulled(tmp_path, kind, durability, MANY)

    assert {} == found["faults"]
    assert MANY == found["pulled"]
