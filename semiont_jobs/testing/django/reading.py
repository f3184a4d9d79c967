"""What can be read of a result later. It must not know how tasks are run."""

from __future__ import annotations

import copy
import threading

from asgiref.sync import async_to_sync

from semiont_jobs.django.compat import (
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultMismatch,
)
from semiont_jobs.testing.django.kit import Kit, asked_if

UNKNOWN = (
    "00000000-0000-4000-8000-000000000000",
    "job-00000000000000000000000000",
    "unknown",
)
MALFORMED = ("", " ", "../../etc/passwd", "a/b", "x" * 2000, "\x00", "ü", "a\nb")


@asked_if("supports_get_result")
class ReadRoom(Kit):
    def test_a_result_can_be_had_again(self) -> None:
        result = self.works.echo.enqueue(1, name="n")

        again = self.backend.get_result(result.id)

        names = ("id", "status", "args", "kwargs", "backend", "errors", "worker_ids", "enqueued_at")
        self.assertEqual(
            [getattr(result, name) for name in names], [getattr(again, name) for name in names]
        )

    def test_its_task_is_the_one_that_was_enqueued(self) -> None:
        self.needs("supports_priority")
        task = self.works.give.using(priority=7, queue_name="other")

        again = self.backend.get_result(task.enqueue(1).id)

        self.assertEqual(task, again.task)

    def test_a_result_says_from_json_what_the_task_gets(self) -> None:
        result = self.works.give.enqueue({1: "one"})

        again = self.backend.get_result(result.id)

        self.assertEqual(result.args, again.args)

    def test_an_unknown_id_is_said_not_to_exist(self) -> None:
        for result_id in UNKNOWN:
            with self.assertRaises(TaskResultDoesNotExist):
                self.backend.get_result(result_id)

    def test_a_malformed_id_is_said_not_to_exist(self) -> None:
        said = {}
        for result_id in MALFORMED:
            try:
                said[result_id] = self.backend.get_result(result_id)
            except TaskResultDoesNotExist:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was said
                said[result_id] = error

        self.assertEqual({}, said)

    def test_the_parameter_of_get_result_has_its_name(self) -> None:
        result = self.works.give.enqueue(1)

        self.assertEqual(result.id, self.backend.get_result(result_id=result.id).id)

    def test_another_thread_can_have_it(self) -> None:
        result = self.works.give.enqueue(1)
        found: list[TaskResult] = []

        def look() -> None:
            from django.db import connections

            try:
                found.append(self.backend.get_result(result.id))
            finally:
                connections.close_all()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

        self.assertEqual([result.id], [each.id for each in found])

    def test_a_task_has_only_results_of_its_own(self) -> None:
        result = self.works.give.enqueue(1)

        self.assertEqual(result.id, self.works.give.get_result(result.id).id)
        with self.assertRaises(TaskResultMismatch):
            self.works.echo.get_result(result.id)

    def test_aget_result_does_the_same(self) -> None:
        result = self.works.give.enqueue(1)

        self.assertEqual(result.id, async_to_sync(self.backend.aget_result)(result.id).id)
        with self.assertRaises(TaskResultDoesNotExist):
            async_to_sync(self.backend.aget_result)(UNKNOWN[0])
        with self.assertRaises(TaskResultMismatch):
            async_to_sync(self.works.echo.aget_result)(result.id)

    def test_refresh_brings_a_result_up_to_date(self) -> None:
        self.needs_runs("later")
        first, second = self.works.give.enqueue(1), self.works.give.enqueue(2)
        self.run_pending()

        first.refresh()
        async_to_sync(second.arefresh)()

        self.assertEqual([1, 2], [self.succeeded(first), self.succeeded(second)])

    def test_a_result_changed_in_hand_is_unchanged_where_it_is_kept(self) -> None:
        result = self.works.give.enqueue([1])
        self.backend.get_result(result.id).args.append(2)

        self.assertEqual([[1]], self.backend.get_result(result.id).args)

    def test_a_result_can_be_copied(self) -> None:
        result = self.backend.get_result(self.works.give.enqueue(1).id)

        self.assertEqual(result.id, copy.deepcopy(result).id)
