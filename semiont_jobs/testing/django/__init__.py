"""What every backend of Django's tasks must do, as tests for any backend: a conformance kit.

Subclass, say which backend, and how its waiting tasks are run::

    class TestMine(BackendConformanceMixin, TransactionTestCase):
        BACKEND = "mine.Backend"

        def run_pending(self):
            call_command("mine_worker", batch=True)

What a backend says that it does not support (``supports_defer`` and so on) is not asked of it.
"""

from semiont_jobs.testing.django.checking import ChecksRoom
from semiont_jobs.testing.django.deferring import DeferRoom
from semiont_jobs.testing.django.enqueueing import EnqueueRoom
from semiont_jobs.testing.django.failing import FailRoom
from semiont_jobs.testing.django.identity import IdentityRoom
from semiont_jobs.testing.django.reading import ReadRoom
from semiont_jobs.testing.django.robustness import RobustnessRoom
from semiont_jobs.testing.django.running import RunRoom
from semiont_jobs.testing.django.transactions import TransactionsRoom
from semiont_jobs.testing.django.validating import ValidateRoom

__all__ = ["BackendConformanceMixin", "TransactionsRoom"]


class BackendConformanceMixin(
    IdentityRoom,
    EnqueueRoom,
    ReadRoom,
    RunRoom,
    FailRoom,
    ValidateRoom,
    DeferRoom,
    TransactionsRoom,
    RobustnessRoom,
    ChecksRoom,
):
    """All of it. Each test has settings of its own, with one backend, ``default``."""
