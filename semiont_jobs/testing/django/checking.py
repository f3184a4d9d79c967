"""What the system checks say of a healthy backend. It must not know what they look at."""

from __future__ import annotations

from django.core import checks

from semiont_jobs.testing.django.kit import Kit


class ChecksRoom(Kit):
    def test_a_healthy_backend_has_no_errors(self) -> None:
        found = list(self.backend.check())

        self.assertEqual([], [each for each in found if each.level >= checks.ERROR])

    def test_django_s_own_checks_ask_it(self) -> None:
        found = checks.run_checks()

        self.assertEqual([], [each for each in found if each.level >= checks.ERROR])
