"""What every test of the kit stands on: the hooks a backend gives, and a few verbs.

It must not know any backend, nor what is asserted of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from django.dispatch import Signal
from django.test import override_settings

from semiont_jobs.django.compat import (
    FRAMEWORK,
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultStatus,
    task_backends,
)

# The tasks are defined under a backend that can be had everywhere, so that they are Django's own
# and what they are does not depend on which backend's tests come first.
with override_settings(
    TASKS={"default": {"BACKEND": f"{FRAMEWORK}.backends.immediate.ImmediateBackend"}}
):
    from semiont_jobs.testing.django import works

if TYPE_CHECKING:
    from unittest import TestCase as Base
else:
    # A TestCase in a module's namespace would be collected, and fail: it has no backend.
    Base = object

Runs = Literal["later", "at once", "never"]
Transactions = Literal["ignored", "joined", "on commit"]


Room = TypeVar("Room", bound=type)


def asked_if(*flags: str, runs: tuple[Runs, ...] = ("later", "at once", "never")) -> Any:
    """A decorator of a room: its tests are for backends with these flags that run tasks then.

    Not in the room's ``setUp``: a class of several rooms has the setUp of all.
    """

    def decorate(room: Room) -> Room:
        for name, test in vars(room).items():
            if name.startswith("test_"):
                test.asked_if = (flags, runs)
        return room

    return decorate


class BackendHooks(Base):
    """What a backend's test class gives."""

    BACKEND: ClassVar[str]
    """The path that stands in TASKS."""
    OPTIONS: ClassVar[dict[str, Any]] = {}
    """Of a backend that tries failed tasks again: let it not, the kit wants them to end."""
    RUNS: ClassVar[Runs] = "later"
    """When a task is run: by `run_pending`, within ``enqueue``, or not at all."""
    TRANSACTIONS: ClassVar[Transactions | None] = None
    """What an open database transaction is to ``enqueue``; None: nothing is asked about it."""

    def run_pending(self) -> None:
        """Run what waits, in this process, until nothing is due."""
        raise NotImplementedError("say how waiting tasks are run, or that RUNS is not 'later'")

    def make_options(self) -> dict[str, Any]:
        """The OPTIONS of this test; a place of its own for each, say."""
        return dict(self.OPTIONS)


class Kit(BackendHooks):
    """The verbs that tests are told in."""

    works = works

    def setUp(self) -> None:
        super().setUp()
        self.configure()
        works.calls.clear()
        asked = getattr(getattr(self, self._testMethodName), "asked_if", None)
        if asked is not None:
            flags, runs = asked
            self.needs(*flags)
            self.needs_runs(*runs)

    def configure(self, **params: Any) -> None:
        """Begin with a fresh backend, ``default``; `params` go into its settings."""
        settings = {
            "BACKEND": self.BACKEND,
            "QUEUES": ["default", "other"],
            "OPTIONS": self.make_options(),
            **params,
        }
        self.enterContext(override_settings(TASKS={"default": settings}))

    @property
    def backend(self) -> BaseTaskBackend:
        """The backend of this thread."""
        return task_backends["default"]

    def needs(self, *flags: str) -> None:
        """Skip the test where the backend says that it does not support that."""
        for flag in flags:
            if not getattr(self.backend, flag):
                self.skipTest(f"{type(self.backend).__name__}.{flag} is False")

    def needs_runs(self, *runs: Runs) -> None:
        """Skip the test where tasks are not run then."""
        if self.RUNS not in runs:
            self.skipTest(f"{type(self.backend).__name__} runs tasks {self.RUNS}")

    def make_task(self, func: Any = works.plain_function, **fields: Any) -> Task:
        """A task as the decorator makes one."""
        return self.backend.task_class(
            **{
                "func": func,
                "priority": 0,
                "backend": "default",
                "queue_name": "default",
                "run_after": None,
                "takes_context": False,
                **fields,
            }
        )

    def done(self, task: Task, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue and run; the result as it stands then."""
        result = task.enqueue(*args, **kwargs)
        self.settle()
        return self.now(result)

    def settle(self) -> None:
        """Run what waits, where that is not done already."""
        self.needs_runs("later", "at once")
        if self.RUNS == "later":
            self.run_pending()

    def now(self, result: TaskResult) -> TaskResult:
        """The result as it stands now."""
        if self.backend.supports_get_result:
            result.refresh()
        return result

    def succeeded(self, result: TaskResult) -> Any:
        """What a task that must have succeeded returned."""
        self.assertEqual(
            (TaskResultStatus.SUCCESSFUL, []),
            (result.status, [error.traceback for error in result.errors]),
        )
        return result.return_value

    @contextmanager
    def heard(self, **signals: Signal) -> Iterator[list[tuple[str, Any, Any, Any]]]:
        """The signals sent in the block: name, sender, result id, status at that moment."""
        sent: list[tuple[str, Any, Any, Any]] = []
        receivers = []
        for name, signal in signals.items():

            def receive(sender: Any, task_result: TaskResult, _name: str = name, **_: Any) -> None:
                sent.append((_name, sender, task_result.id, str(task_result.status)))

            signal.connect(receive, weak=False)
            receivers.append((signal, receive))
        try:
            yield sent
        finally:
            for signal, receive in receivers:
                signal.disconnect(receive)

    @contextmanager
    def refuses(self, message: str, error: type[Exception] = ValueError) -> Iterator[None]:
        """The block raises that, with that very text."""
        with self.assertRaises(error) as raised:
            yield
        self.assertEqual(message, str(raised.exception))
