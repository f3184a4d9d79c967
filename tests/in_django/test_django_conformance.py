"""The kit, on our backend in all its shapes."""

from __future__ import annotations

from typing import Any, ClassVar
from unittest import TestCase

from in_django.shapes import InMemory, OnFiles

from semiont_jobs.testing.django import BackendConformanceMixin, TransactionsRoom


class TestOnFiles(OnFiles, BackendConformanceMixin, TestCase):
    pass


class TestOnCommit(OnFiles, TransactionsRoom, TestCase):
    OPTIONS: ClassVar[dict[str, Any]] = {**OnFiles.OPTIONS, "enqueue_on_commit": True}
    TRANSACTIONS = "on commit"


class TestInMemory(InMemory, BackendConformanceMixin, TestCase):
    pass
