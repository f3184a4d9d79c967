"""The backend under test, and what becomes of a task there."""

from __future__ import annotations

from typing import Any

from tenacity import wait_fixed

from semiont_jobs import RetryPolicy

AT_ONCE = RetryPolicy(wait=wait_fixed(0))


def finished_of(sent: list[Any]) -> Any:
    def receive(sender: Any, task_result: Any, **_: Any) -> None:
        sent.append((task_result.id, str(task_result.status)))

    return receive
