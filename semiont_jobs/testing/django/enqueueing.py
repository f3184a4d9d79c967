"""What enqueueing does. It must not know how tasks are run."""

from __future__ import annotations

from datetime import timedelta

from asgiref.sync import async_to_sync
from django.utils import timezone

from semiont_jobs.django.compat import (
    InvalidTask,
    TaskResultStatus,
    task_enqueued,
)
from semiont_jobs.testing.django.kit import Kit

LONGEST_ID = 64
"""Characters that Django's documentation allows a result's id."""


class EnqueueRoom(Kit):
    def test_a_result_names_its_task_its_backend_and_itself(self) -> None:
        result = self.works.give.enqueue(1)

        self.assertEqual(self.works.give, result.task)
        self.assertEqual("default", result.backend)
        self.assertIsInstance(result.id, str)
        self.assertTrue(0 < len(result.id) <= LONGEST_ID)

    def test_each_result_has_an_id_of_its_own(self) -> None:
        ids = {self.works.give.enqueue(1).id for _ in range(5)}

        self.assertEqual(5, len(ids))

    def test_what_was_enqueued_is_ready_and_untouched(self) -> None:
        self.needs_runs("later", "never")
        before = timezone.now() - timedelta(milliseconds=1)

        result = self.works.give.enqueue(1)

        self.assertEqual(TaskResultStatus.READY, result.status)
        self.assertEqual([], self.works.calls)
        self.assertEqual((None, None, None), self._times(result))
        self.assertEqual(([], [], 0), (result.errors, result.worker_ids, result.attempts))
        self.assertFalse(result.is_finished)
        self.assertTrue(before <= result.enqueued_at <= timezone.now())

    def test_a_result_that_is_not_finished_has_no_return_value(self) -> None:
        self.needs_runs("later", "never")
        result = self.works.give.enqueue(1)

        with self.refuses("Task has not finished yet"):
            result.return_value  # noqa: B018 - a property that raises

    def test_arguments_are_kept_as_lists_and_dicts(self) -> None:
        result = self.works.echo.enqueue(1, (2, 3), name={"deep": ("a",)})

        self.assertEqual([1, [2, 3]], result.args)
        self.assertEqual({"name": {"deep": ["a"]}}, result.kwargs)

    def test_what_json_cannot_hold_is_refused_and_nothing_is_enqueued(self) -> None:
        with self.heard(enqueued=task_enqueued) as sent:
            for value in ({1, 2}, object(), timezone.now()):
                with self.assertRaises(TypeError):
                    self.works.echo.enqueue(value)
                with self.assertRaises(TypeError):
                    self.works.echo.enqueue(name=[value])

        self.assertEqual([], sent)
        self.assertEqual([], self.works.calls)

    def test_bytes_are_text_or_refused(self) -> None:
        result = self.works.echo.enqueue(b"text")

        self.assertEqual(["text"], result.args)
        with self.assertRaises(ValueError):
            self.works.echo.enqueue(b"\xff")

    def test_a_caller_who_changes_an_argument_afterwards_changes_nothing(self) -> None:
        value = [1]

        result = self.works.give.enqueue(value)
        value.append(2)

        self.assertEqual([[1]], result.args)

    def test_task_enqueued_is_sent_once_by_the_backend_s_class(self) -> None:
        with self.heard(enqueued=task_enqueued) as sent:
            result = self.works.give.enqueue(1)

        [(_name, sender, result_id, _status)] = sent
        self.assertEqual((type(self.backend), result.id), (sender, result_id))

    def test_enqueue_validates_again(self) -> None:
        task = self.works.give.using()
        object.__setattr__(task, "priority", 101)

        with self.heard(enqueued=task_enqueued) as sent, self.assertRaises(InvalidTask):
            task.enqueue(1)

        self.assertEqual([], sent)

    def test_the_parameters_of_enqueue_have_their_names(self) -> None:
        result = self.backend.enqueue(task=self.works.give, args=[1], kwargs={})

        self.assertEqual([1], result.args)

    def test_aenqueue_does_the_same(self) -> None:
        with self.heard(enqueued=task_enqueued) as sent:
            result = async_to_sync(self.works.give.aenqueue)(value=1)

        self.assertEqual({"value": 1}, result.kwargs)
        self.assertEqual([result.id], [result_id for _name, _sender, result_id, _status in sent])

    def _times(self, result: object) -> tuple[object, ...]:
        names = ("started_at", "finished_at", "last_attempted_at")
        return tuple(getattr(result, name) for name in names)
