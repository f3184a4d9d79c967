"""A deliberate fault: what is changed where, which promise that breaks, and who must notice.

It must not know how a fault is tried.
"""

from __future__ import annotations

from attrs import frozen
from mutants.finding import node_id


@frozen(kw_only=True)
class Fault:
    """One change of one text in one file, which no test suite worth its name lets pass."""

    name: str
    file: str
    """Below the package's folder, as ``stores/files/moves.py``."""
    was: str
    """The exact text, which occurs once in the file."""
    becomes: str
    breaks: str
    """What is not kept any more, in a few words."""
    tests: tuple[str, ...]
    """Names, as `finding.node_id` takes them. Each must pass without the fault and fail with it."""

    @property
    def path(self) -> str:
        """The file, from the root."""
        return f"semiont_jobs/{self.file}"

    @property
    def node_ids(self) -> list[str]:
        """Of its tests."""
        return [node_id(test) for test in self.tests]

    @property
    def needs_server(self) -> bool:
        """Whether it is found by tests that need a PostgreSQL server."""
        return any(test.startswith("tests/postgres/") for test in self.node_ids)

    def applied(self, text: str) -> str:
        """The file's text with the fault in it.

        :raises ValueError: what is to be replaced does not stand there exactly once.
        """
        count = text.count(self.was)
        if count != 1:
            raise ValueError(f"{self.name}: in {self.path} its text stands {count} times, not once")
        return text.replace(self.was, self.becomes)
