"""A process killed from outside, at a real system call, loses nothing that it acknowledged."""

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
from proofs.fast import fast

from semiont_jobs.stores.files.forcing import DURABILITIES, Durability

pytestmark = pytest.mark.proof

PATIENCE = 1800.0
"""Seconds: all points of a history take minutes."""
SOME = 50
"""Points in the suite, of some seven hundred: each starts a process and a tracer."""


@cache
def why_not() -> str:
    """Why system calls cannot be interrupted here; empty: they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = ["strace", "-qq", "-o", os.devnull, "-e", "inject=getpid:signal=SIGKILL:when=1", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace: {done.stderr.strip()}"


def killed_at(path: Path, *, durability: Durability, count: int) -> dict[str, Any]:
    if why_not():
        pytest.skip(why_not())
    with fast(path) as place:
        script = [sys.executable, "-m", "proofs.traced", str(place)]
        done = subprocess.run(
            [*script, durability, str(count), "3"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_kill_at_a_system_call_loses_nothing(tmp_path: Path, durability: Durability) -> None:
    found = killed_at(tmp_path, durability=durability, count=SOME)

    assert {} == found["faults"]
    assert found["killed"] > SOME * 0.8
    assert (durability != "process") == bool(found["calls"].get("fsync"))
    assert (durability == "journal") == bool(found["calls"].get("fdatasync"))


@pytest.mark.soak
@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_kill_at_every_system_call_loses_nothing(tmp_path: Path, durability: Durability) -> None:
    found = killed_at(tmp_path, durability=durability, count=0)

    assert {} == found["faults"]
    assert found["killed"] > found["points"] * 0.9
