"""What a task that fails leaves. It must not know of other attempts: here there is one."""

from __future__ import annotations

from semiont_jobs.django.compat import (
    FRAMEWORK,
    Task,
    TaskResult,
    TaskResultStatus,
    task_finished,
)
from semiont_jobs.testing.django.kit import Kit, asked_if


@asked_if(runs=("later", "at once"))
class FailRoom(Kit):
    def test_a_task_that_raises_has_failed(self) -> None:
        result = self.failed(self.works.fail, "it broke")

        self.assertTrue(result.is_finished)
        self.assertEqual((1, 1), (len(result.worker_ids), result.attempts))
        self.assertTrue(result.started_at <= result.finished_at)

    def test_a_failed_task_has_no_return_value(self) -> None:
        result = self.failed(self.works.fail, "it broke")

        with self.refuses("Task failed"):
            result.return_value  # noqa: B018 - a property that raises

    def test_its_error_names_the_class_and_tells_where_it_came_from(self) -> None:
        [error] = self.failed(self.works.fail, "it broke").errors

        self.assertIs(self.works.Broken, error.exception_class)
        self.assertIn("it broke", error.traceback)
        self.assertIn("in fail\n", error.traceback)

    def test_a_builtin_error_can_be_imported_too(self) -> None:
        [error] = self.failed(self.works.fail_with_builtin, "bad").errors

        self.assertEqual(
            ("builtins.ValueError", ValueError),
            (error.exception_class_path, error.exception_class),
        )

    def test_an_error_without_a_text_is_an_error(self) -> None:
        [error] = self.failed(self.works.fail_without_text).errors

        self.assertIs(self.works.Unspeakable, error.exception_class)

    def test_a_coroutine_that_raises_has_failed(self) -> None:
        self.needs("supports_async_task")

        [error] = self.failed(self.works.fail_later, "it broke").errors

        self.assertIs(self.works.Broken, error.exception_class)

    def test_a_task_that_wants_to_exit_has_failed_and_nothing_else_has(self) -> None:
        [error] = self.failed(self.works.leave).errors

        self.assertIs(SystemExit, error.exception_class)
        self.assertEqual(1, self.succeeded(self.done(self.works.give, 1)))

    def test_a_result_that_json_cannot_hold_fails_the_task(self) -> None:
        [error] = self.failed(self.works.give_a_set).errors

        self.assertIs(TypeError, error.exception_class)

    def test_wrong_arguments_fail_the_task(self) -> None:
        [error] = self.failed(self.works.give, 1, 2, 3).errors

        self.assertIs(TypeError, error.exception_class)

    def test_the_next_task_is_run_all_the_same(self) -> None:
        self.failed(self.works.fail, "it broke")

        self.assertEqual(1, self.succeeded(self.done(self.works.give, 1)))

    def test_task_finished_is_sent_once_by_the_backend_s_class(self) -> None:
        with self.heard(finished=task_finished) as sent:
            result = self.failed(self.works.fail, "it broke")

        self.assertEqual(
            [("finished", type(self.backend), result.id, TaskResultStatus.FAILED)], sent
        )

    def test_the_log_has_the_error_with_its_traceback(self) -> None:
        with self.assertLogs(FRAMEWORK, "ERROR") as logs:
            self.failed(self.works.fail, "it broke")

        [record] = [each for each in logs.records if "state=FAILED" in each.getMessage()]
        assert record.exc_info is not None
        self.assertIs(self.works.Broken, record.exc_info[0])

    def failed(self, task: Task, *args: object) -> TaskResult:
        """The result of a task that must have failed."""
        result = self.done(task, *args)
        self.assertEqual(TaskResultStatus.FAILED, result.status)
        return result
