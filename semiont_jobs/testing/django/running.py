"""What a task that succeeds leaves. It must not know what becomes of one that fails."""

from __future__ import annotations

from semiont_jobs.django.compat import (
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)
from semiont_jobs.testing.django.kit import Kit, asked_if

TEXTS = ("", "ü", "日本", "\u2028", "\x7f", "'; DROP TABLE tasks; --", "💥", '\n\t\\"')


@asked_if(runs=("later", "at once"))
class RunRoom(Kit):
    def test_a_task_that_returns_is_successful(self) -> None:
        result = self.done(self.works.give, 42)

        self.assertEqual(42, self.succeeded(result))
        self.assertTrue(result.is_finished)
        self.assertEqual((1, 1), (len(result.worker_ids), result.attempts))
        self.assertTrue(result.enqueued_at <= result.started_at <= result.finished_at)
        self.assertEqual(result.started_at, result.last_attempted_at)

    def test_a_worker_s_id_is_a_short_text(self) -> None:
        [worker_id] = self.done(self.works.give, 42).worker_ids

        self.assertIsInstance(worker_id, str)
        self.assertTrue(0 < len(worker_id) <= 64)

    def test_arguments_arrive_as_they_were_given(self) -> None:
        self.done(self.works.echo, 1, 2.5, None, True, name=["a", {"deep": []}])

        self.assertEqual([((1, 2.5, None, True), {"name": ["a", {"deep": []}]})], self.works.calls)

    def test_texts_arrive_whatever_is_in_them(self) -> None:
        result = self.done(self.works.give, list(TEXTS))

        self.assertEqual(list(TEXTS), self.succeeded(result))
        self.assertEqual([list(TEXTS)], self.works.calls)

    def test_nothing_can_be_returned(self) -> None:
        self.assertIsNone(self.succeeded(self.done(self.works.nothing)))

    def test_what_is_returned_is_kept_as_json_has_it(self) -> None:
        returned = self.succeeded(self.done(self.works.echo, (1, 2)))

        self.assertEqual({"args": [[1, 2]], "kwargs": {}}, returned)

    def test_a_coroutine_is_awaited(self) -> None:
        self.needs("supports_async_task")

        self.assertEqual("done", self.succeeded(self.done(self.works.later, "done")))

    def test_a_task_sees_its_result_running_at_its_first_attempt(self) -> None:
        result = self.done(self.works.look_around, value=1)

        self.assertEqual(1, self.succeeded(result))
        self.assertEqual([("RUNNING", 1, 1, result.id)], self.works.calls)

    def test_a_coroutine_sees_it_too(self) -> None:
        self.needs("supports_async_task")

        self.succeeded(self.done(self.works.look_around_later, 1))

        self.assertEqual([1], self.works.calls)

    def test_the_three_signals_are_sent_once_each_in_order(self) -> None:
        signals = {
            "enqueued": task_enqueued,
            "started": task_started,
            "finished": task_finished,
        }
        with self.heard(**signals) as sent:
            result = self.done(self.works.give, 1)

        self.assertEqual(
            [
                ("started", result.id, TaskResultStatus.RUNNING),
                ("finished", result.id, TaskResultStatus.SUCCESSFUL),
            ],
            [(name, result_id, status) for name, _sender, result_id, status in sent[1:]],
        )
        self.assertEqual("enqueued", sent[0][0])

    def test_the_sender_of_every_signal_is_the_backend_s_class(self) -> None:
        with self.heard(started=task_started, finished=task_finished) as sent:
            self.done(self.works.give, 1)

        self.assertEqual(
            [("started", type(self.backend)), ("finished", type(self.backend))],
            [(name, sender) for name, sender, _id, _status in sent],
        )

    def test_a_task_may_enqueue_another(self) -> None:
        self.succeeded(self.done(self.works.chain, "next"))

        self.assertEqual(["next"], self.works.calls)

    def test_a_task_runs_once(self) -> None:
        self.done(self.works.give, 1)
        self.settle()

        self.assertEqual([1], self.works.calls)
