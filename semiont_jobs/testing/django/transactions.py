"""What an open database transaction means to a task. It must not know how tasks are run."""

from __future__ import annotations

from django.db import transaction

from semiont_jobs.django.compat import (
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
)
from semiont_jobs.testing.django.kit import Kit


class RolledBack(Exception):
    """Ends a transaction without a commit."""


class TransactionsRoom(Kit):
    def test_a_committed_transaction_s_task_is_there(self) -> None:
        self._asked()
        with self.heard(enqueued=task_enqueued) as sent, transaction.atomic():
            result = self.works.give.enqueue(1)

        self.assertEqual(TaskResultStatus.READY, self.backend.get_result(result.id).status)
        self.assertEqual(1, len(sent))

    def test_a_task_is_seen_before_the_commit_unless_it_waits_for_it(self) -> None:
        self._asked()
        with transaction.atomic():
            result = self.works.give.enqueue(1)
            seen = self._stands(result)

        self.assertEqual(self.TRANSACTIONS != "on commit", seen)

    def test_a_rolled_back_transaction_s_task_stands_only_where_it_was_ignored(self) -> None:
        self._asked()
        results = []
        with self.assertRaises(RolledBack), transaction.atomic():
            results.append(self.works.give.enqueue(1))
            raise RolledBack

        self.assertEqual(self.TRANSACTIONS == "ignored", self._stands(results[0]))

    def test_what_is_invalid_is_refused_within_the_transaction(self) -> None:
        self._asked()
        with transaction.atomic(), self.assertRaises(TypeError):
            self.works.give.enqueue(object())

    def _asked(self) -> None:
        if self.TRANSACTIONS is None:
            self.skipTest("the test class does not say what TRANSACTIONS are to the backend")
        self.needs("supports_get_result")

    def _stands(self, result: TaskResult) -> bool:
        try:
            self.backend.get_result(result.id)
        except TaskResultDoesNotExist:
            return False
        return True
