"""What a backend is. It must not know what it does with tasks."""

from __future__ import annotations

from semiont_jobs.django.compat import BaseTaskBackend, Task
from semiont_jobs.testing.django.kit import Kit


class IdentityRoom(Kit):
    def test_it_is_a_backend_with_the_alias_that_the_settings_give_it(self) -> None:
        self.assertIsInstance(self.backend, BaseTaskBackend)
        self.assertEqual("default", self.backend.alias)

    def test_it_has_the_queues_of_its_settings(self) -> None:
        self.assertEqual({"default", "other"}, self.backend.queues)

    def test_its_one_queue_is_the_default_where_the_settings_name_none(self) -> None:
        from django.test import override_settings

        settings = {"BACKEND": self.BACKEND, "OPTIONS": self.make_options()}
        with override_settings(TASKS={"default": settings}):
            self.assertEqual({"default"}, self.backend.queues)

    def test_what_it_supports_is_said_by_four_booleans(self) -> None:
        for flag in ("defer", "async_task", "get_result", "priority"):
            self.assertIsInstance(getattr(self.backend, f"supports_{flag}"), bool)

    def test_its_tasks_are_tasks(self) -> None:
        self.assertTrue(issubclass(self.backend.task_class, Task))
        self.assertIsInstance(self.make_task(), Task)
