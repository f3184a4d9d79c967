"""When a task is run, and which first. It must not know what running one leaves."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from semiont_jobs.django.compat import TaskResultStatus
from semiont_jobs.testing.django.kit import Kit, asked_if


@asked_if(runs=("later",))
class DeferRoom(Kit):
    def test_a_task_is_not_run_before_its_time(self) -> None:
        self.needs("supports_defer")
        at = timezone.now() + timedelta(hours=1)
        result = self.works.give.using(run_after=at).enqueue(1)

        self.run_pending()

        self.assertEqual([], self.works.calls)
        self.assertEqual(TaskResultStatus.READY, self.now(result).status)
        self.assertEqual(at, result.task.run_after)

    def test_a_task_s_time_is_kept_with_it(self) -> None:
        self.needs("supports_defer", "supports_get_result")
        task = self.works.give.using(run_after=timezone.now() + timedelta(hours=1))

        self.assertEqual(task, self.backend.get_result(task.enqueue(1).id).task)

    def test_a_task_whose_time_has_come_is_run(self) -> None:
        self.needs("supports_defer")
        at = timezone.now() - timedelta(seconds=1)

        self.assertEqual(1, self.succeeded(self.done(self.works.give.using(run_after=at), 1)))

    def test_a_task_that_waits_for_its_time_holds_up_nobody(self) -> None:
        self.needs("supports_defer", "supports_priority")
        at = timezone.now() + timedelta(hours=1)
        self.works.give.using(run_after=at, priority=100).enqueue("late")
        self.works.give.enqueue("now")

        self.run_pending()

        self.assertEqual(["now"], self.works.calls)

    def test_higher_priorities_go_first(self) -> None:
        self.needs("supports_priority")
        for priority in (-100, 0, 100, 5, -5):
            self.works.give.using(priority=priority).enqueue(priority)

        self.run_pending()

        self.assertEqual([100, 5, 0, -5, -100], self.works.calls)

    def test_of_one_priority_the_first_goes_first(self) -> None:
        for number in range(5):
            self.works.give.enqueue(number)

        self.run_pending()

        self.assertEqual([0, 1, 2, 3, 4], self.works.calls)
