"""What the tests of races share."""

from __future__ import annotations

from files.conftest import actor, place

__all__ = ["actor", "place"]
