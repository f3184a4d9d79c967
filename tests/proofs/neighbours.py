"""Processes of the other side, which know nothing of our locks."""

from __future__ import annotations

import subprocess

PATIENCE = 60.0


def start(*command: object) -> subprocess.Popen[str]:
    """A process of the other side."""
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
