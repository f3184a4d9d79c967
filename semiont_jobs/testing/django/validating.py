"""Which tasks are refused, in which words. It must not know what valid ones do."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Any

from semiont_jobs.django.compat import FRAMEWORK, InvalidTask
from semiont_jobs.testing.django.kit import Kit

NO_ASYNC = {
    "django.tasks": "Backend does not support async Tasks.",
    "django_tasks": "Backend does not support async tasks.",
}[FRAMEWORK]


class ValidateRoom(Kit):
    def test_a_function_must_stand_in_a_module(self) -> None:
        def local() -> None: ...

        for func in (local, lambda: None, len, functools.partial(local), Kit, Kit()):
            with self.invalid("Task function must be defined at a module level."):
                self.make_task(func)

    def test_a_coroutine_needs_a_backend_that_supports_it(self) -> None:
        if self.backend.supports_async_task:
            self.make_task(self.works.plain_coroutine)
            return
        with self.invalid(NO_ASYNC):
            self.make_task(self.works.plain_coroutine)

    def test_who_takes_a_context_takes_it_first(self) -> None:
        self.make_task(self.works.with_context, takes_context=True)

        for func in (self.works.plain_function, self.works.without_context):
            with self.invalid(
                "Task takes context but does not have a first argument of 'context'."
            ):
                self.make_task(func, takes_context=True)

    def test_a_priority_is_a_whole_number_from_minus_100_to_100(self) -> None:
        self.needs("supports_priority")
        for priority in (-100, 0, 1.0, 100):
            self.make_task(priority=priority)

        for wrong in (-101, 101, 1.5):
            with self.invalid("priority must be a whole number between -100 and 100."):
                self.make_task(priority=wrong)

    def test_a_priority_needs_a_backend_that_supports_it(self) -> None:
        if self.backend.supports_priority:
            self.make_task(priority=1)
            return
        with self.invalid("Backend does not support setting priority of tasks."):
            self.make_task(priority=1)

    def test_a_time_needs_a_backend_that_supports_it(self) -> None:
        at = datetime.now().astimezone() + timedelta(hours=1)
        if self.backend.supports_defer:
            self.make_task(run_after=at)
            return
        with self.invalid("Backend does not support run_after."):
            self.make_task(run_after=at)

    def test_a_time_needs_a_time_zone(self) -> None:
        self.needs("supports_defer")

        with self.invalid("run_after must be an aware datetime."):
            self.make_task(run_after=datetime(2026, 1, 1))

    def test_a_queue_is_one_of_the_backend_s(self) -> None:
        self.make_task(queue_name="other")

        with self.invalid("Queue 'unknown' is not valid for backend."):
            self.make_task(queue_name="unknown")

    def test_any_queue_will_do_where_the_settings_have_an_empty_list(self) -> None:
        self.configure(QUEUES=[])

        self.assertEqual("unknown", self.make_task(queue_name="unknown").queue_name)

    def test_a_copy_with_changes_is_validated_and_changes_nothing(self) -> None:
        task = self.works.give

        with self.invalid("Queue 'unknown' is not valid for backend."):
            task.using(queue_name="unknown")
        changed = task.using(queue_name="other")

        self.assertEqual(("default", "other"), (task.queue_name, changed.queue_name))

    def invalid(self, message: str) -> Any:
        """The block is refused with these very words."""
        return self.refuses(message, InvalidTask)
