"""Backends with one fault each: what the kit must find."""

from __future__ import annotations

import dataclasses
from typing import Any

from semiont_jobs.django import JobsBackend
from semiont_jobs.django.compat import (
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
)

FAULTS: dict[str, type[JobsBackend]] = {}


def finds(*tests: str) -> Any:
    """A decorator of a faulty backend: the tests of the kit that must fail."""

    def decorate(backend: Any) -> Any:
        backend.found_by = tests
        FAULTS[backend.__name__] = backend
        return backend

    return decorate


@finds("enqueue_validates_again")
class ValidatesOnce(JobsBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        object.__setattr__(task, "priority", 0)
        return super().enqueue(task, args, kwargs)


@finds("aenqueue_does_the_same", "the_parameters_of_enqueue_have_their_names")
class RenamesParameters(JobsBackend):
    def enqueue(self, job: Any, positional: Any, named: Any) -> Any:
        return super().enqueue(job, positional, named)


@finds("task_enqueued_is_sent_once_by_the_backend_s_class")
class TellsTwice(JobsBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        task_enqueued.send(type(self), task_result=result)
        return result


@finds("each_result_has_an_id_of_its_own")
class HasOneId(JobsBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return dataclasses.replace(super().enqueue(task, args, kwargs), id="one")


@finds(
    "an_unknown_id_is_said_not_to_exist",
    "a_malformed_id_is_said_not_to_exist",
    "aget_result_does_the_same",
)
class RaisesWhatItLikes(JobsBackend):
    def get_result(self, result_id: str) -> Any:
        try:
            return super().get_result(result_id)
        except TaskResultDoesNotExist as error:
            raise LookupError(result_id) from error


@finds("refresh_brings_a_result_up_to_date", "a_task_that_returns_is_successful")
class NeverChanges(JobsBackend):
    def get_result(self, result_id: str) -> Any:
        result = super().get_result(result_id)
        object.__setattr__(result, "status", TaskResultStatus.READY)
        return result


@finds("its_task_is_the_one_that_was_enqueued")
class ForgetsPriorities(JobsBackend):
    def get_result(self, result_id: str) -> Any:
        result = super().get_result(result_id)
        object.__setattr__(result.task, "priority", 0)
        return result


@finds("a_queue_is_one_of_the_backend_s", "a_priority_is_a_whole_number_from_minus_100_to_100")
class AllowsAnything(JobsBackend):
    def validate_task(self, task: Any) -> None:
        pass


@finds("a_function_must_stand_in_a_module")
class HasItsOwnWords(JobsBackend):
    def validate_task(self, task: Any) -> None:
        try:
            super().validate_task(task)
        except Exception as error:
            raise type(error)("no") from error


@finds("a_task_is_not_run_before_its_time")
class CannotWait(JobsBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        now = task.using()
        object.__setattr__(now, "run_after", None)
        return super().enqueue(now, args, kwargs)


@finds("higher_priorities_go_first")
class TreatsAllAlike(JobsBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return super().enqueue(task.using(priority=0), args, kwargs)


@finds(
    "a_failed_task_has_no_return_value", "its_error_names_the_class_and_tells_where_it_came_from"
)
class HidesErrors(JobsBackend):
    def get_result(self, result_id: str) -> Any:
        result = super().get_result(result_id)
        if result.errors:
            object.__setattr__(result, "status", TaskResultStatus.SUCCESSFUL)
            result.errors.clear()
        return result


@finds("a_healthy_backend_has_no_errors")
class IsNeverHealthy(JobsBackend):
    def check(self, **_kwargs: Any) -> Any:
        from django.core.checks import Error

        return [Error("ill")]


@finds("it_has_the_queues_of_its_settings")
class HasNoQueues(JobsBackend):
    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.queues = set()


@finds("what_it_supports_is_said_by_four_booleans")
class Mumbles(JobsBackend):
    supports_defer = "perhaps"


@finds(
    "the_three_signals_are_sent_once_each_in_order",
    "task_finished_is_sent_once_by_the_backend_s_class",
)
class FinishesTwice(JobsBackend):
    def get_result(self, result_id: str) -> Any:
        result = super().get_result(result_id)
        if result.is_finished:
            task_finished.send(type(self), task_result=result)
        return result


@finds("a_rolled_back_transaction_s_task_stands_only_where_it_was_ignored")
class WaitsForTheCommit(JobsBackend):
    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.options = {**self.options, "enqueue_on_commit": True}


class Modest(JobsBackend):
    """No fault: it supports less."""

    supports_defer = False
    supports_get_result = False
