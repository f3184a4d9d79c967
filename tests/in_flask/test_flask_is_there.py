"""What is said where Flask is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("flask") is not None, reason="Flask is installed")
def test_without_flask_the_extension_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'semiont_jobs\[flask\]'"):
        import semiont_jobs.flask  # noqa: F401
