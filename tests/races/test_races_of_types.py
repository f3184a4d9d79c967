"""One job type registered by two threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from semiont_jobs import JobQueue, JobType, JobTypeExists, JobTypes, job_handler


@attrs.frozen
class Page:
    number: int


@attrs.frozen
class Sheet:
    number: int


class _Late(dict[Any, Any]):
    """Another thread acts right after something was looked up, or right before it is added."""

    act: Callable[[], object] | None = None

    def _act(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        self._act()
        return found


PAGES = JobType("pages", Page)


@pytest.mark.parametrize(
    "mine", [JobType("pages", Sheet), JobType("sheets", Page)], ids=["name", "class"]
)
def test_of_two_types_of_one_name_or_class_the_first_stays(mine: JobType[Any, Any, Any]) -> None:
    types = JobTypes()
    late = types._by_params = _Late()
    late.act = lambda: types.register(PAGES)

    with pytest.raises(JobTypeExists):
        types.register(mine)
    assert list(types) == [PAGES]
    assert types.of_params(Page(1)) is PAGES
    assert types.of_params(Sheet(1)) is None


def test_a_type_may_be_registered_while_another_thread_goes_through_all() -> None:
    types = JobTypes([PAGES])

    for each in types:
        assert each is PAGES
        types.register(JobType("sheets", Sheet))


@job_handler("pages")
def count(_page: Page) -> None:
    """Do nothing."""


def test_two_threads_may_each_start_a_worker_of_one_handler(memory: JobQueue) -> None:
    late = memory.job_types._by_name = _Late(memory.job_types._by_name)
    late.act = lambda: count.register(memory)

    count.register(memory)

    assert memory.job_types.of_params(Page(1)) is count.job_type
