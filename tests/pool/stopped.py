"""Processes of pools that stand still, and how soon they are killed."""

from __future__ import annotations

import os

import pytest


def kills_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a pool of this process wait for nothing once its grace is over."""
    monkeypatch.setattr("semiont_jobs.pool.supervisor.LAST_WORDS", 0.1)
    monkeypatch.setattr("semiont_jobs.pool.supervisor.FAREWELL", 0.1)


def is_suspended(child: int) -> bool:
    """Whether a process that this one started has got its SIGSTOP: whatever it begins before that
    it may yet finish."""
    pid, status = os.waitpid(child, os.WUNTRACED | os.WNOHANG)
    return pid == child and os.WIFSTOPPED(status)
