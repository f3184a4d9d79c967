"""``flask jobs``: the group, within the application's context.

It must not know what its commands do.
"""

from __future__ import annotations

from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from semiont_jobs.embedded import JobsGroup


class FlaskJobsGroup(JobsGroup):
    """The group ``jobs`` of an application."""

    def __init__(self) -> None:
        super().__init__(
            lambda: str(current_app.extensions["semiont_jobs"].place),
            more={"worker": "semiont_jobs.flask.working:worker"},
        )

    @with_appcontext
    def _within_context(self, ctx: click.Context) -> Any:
        return super().invoke(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command within the application's context."""
        with ctx.scope():  # the decorator uses the current click context
            return self._within_context(ctx)
