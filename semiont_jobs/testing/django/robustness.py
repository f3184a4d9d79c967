"""What must not bring a worker down, or be lost. It must not know how that is achieved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from semiont_jobs.django.compat import TaskResultStatus, task_finished, task_started
from semiont_jobs.testing.django.kit import Kit

THREADS = 4
EACH = 5


class RobustnessRoom(Kit):
    def test_a_task_that_cannot_be_imported_any_more_fails_alone(self) -> None:
        self.needs_runs("later")
        self.needs("supports_get_result")
        lost, other = self.works.vanish.enqueue(), self.works.give.enqueue(1)

        with _without("vanish"):
            self.run_pending()

        self.assertEqual(1, self.succeeded(self.now(other)))
        self.assertEqual(TaskResultStatus.FAILED, self.now(lost).status)
        self.assertEqual(1, len(lost.errors))

    def test_a_result_whose_task_cannot_be_imported_any_more_can_be_read(self) -> None:
        self.needs("supports_get_result")
        result = self.works.vanish.enqueue()

        with _without("vanish"):
            again = self.backend.get_result(result.id)

        self.assertEqual(self.works.vanish.module_path, again.task.module_path)

    def test_a_result_of_a_queue_that_is_no_more_can_be_read(self) -> None:
        self.needs("supports_get_result")
        if not self.keeps_results():
            self.skipTest("results do not outlive the settings")
        result = self.works.give.using(queue_name="other").enqueue(1)

        self.configure(QUEUES=["default"], OPTIONS=self.backend.options)

        self.assertEqual("other", self.backend.get_result(result.id).task.queue_name)

    def test_a_receiver_that_fails_does_not_bring_the_worker_down(self) -> None:
        self.needs_runs("later")
        for signal in (task_started, task_finished):
            signal.connect(_refuse)
            try:
                self.works.give.enqueue("first")
                self.run_pending()
            finally:
                signal.disconnect(_refuse)

        self.assertEqual(2, self.succeeded(self.done(self.works.give, 2)))

    def test_half_a_surrogate_pair_is_refused_or_arrives(self) -> None:
        self.needs_runs("later", "at once")
        try:
            result = self.works.give.enqueue("\ud800")
        except (ValueError, TypeError):
            return

        self.settle()
        self.assertEqual("\ud800", self.succeeded(self.now(result)))

    def test_nan_is_refused_or_arrives(self) -> None:
        self.needs_runs("later", "at once")
        try:
            self.works.give.enqueue(float("nan"))
        except (ValueError, TypeError):
            return

        self.settle()
        [value] = self.works.calls
        self.assertNotEqual(value, value)

    def test_threads_that_enqueue_together_lose_nothing(self) -> None:
        self.needs_runs("later")
        start = threading.Barrier(THREADS)

        def enqueue(thread: int) -> None:
            from django.db import connections

            start.wait(30)
            for number in range(EACH):
                self.works.give.enqueue([thread, number])
            connections.close_all()

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(enqueue, range(THREADS)))
        self.run_pending()

        self.assertEqual(
            [[thread, number] for thread in range(THREADS) for number in range(EACH)],
            sorted(self.works.calls),
        )

    def keeps_results(self) -> bool:
        """Whether a backend with the same settings, made anew, has the results of this one."""
        return self.make_options() == self.make_options()


@contextmanager
def _without(name: str) -> Iterator[None]:
    """As after a deploy that took a task away: what was enqueued stays."""
    task = vars(Kit.works).pop(name)
    try:
        yield
    finally:
        setattr(Kit.works, name, task)


def _refuse(**_: object) -> None:
    raise RuntimeError("a receiver's own error")
