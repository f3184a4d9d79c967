"""Results of a run that one thread makes and another drops."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

from files.places import PATIENCE

from semiont_jobs.pool.results import Results


def test_results_that_another_thread_drops_are_ended_outside_the_work_of_the_one_that_made_them() -> (
    None
):
    ended_in: list[threading.Thread] = []
    is_over = threading.Event()

    def outcomes() -> Generator[Any, None, None]:
        try:
            yield 1
        finally:
            ended_in.append(threading.current_thread())
            is_over.set()

    box = [Results(outcomes(), lambda outcome: outcome)]
    assert next(box[0]) == 1
    other = threading.Thread(target=box.clear)
    other.start()
    other.join(PATIENCE)

    assert is_over.wait(PATIENCE)
    assert threading.current_thread() not in ended_in
