"""Sphinx directives that show `semiont_jobs.lifecycle.TRANSITIONS`: a diagram, and tables.

``.. lifecycle-diagram::`` draws the whole; ``.. lifecycle-table:: pending`` lists how jobs
enter and leave one status.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from lifecycle_diagram import draw

from semiont_jobs.lifecycle import TRANSITIONS, Transition
from semiont_jobs.model import STATUSES


class LifecycleDiagram(Directive):
    """The diagram, inline, so that it needs no file and no Graphviz."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", draw(), format="html")]


class LifecycleTable(Directive):
    """The transitions into and out of one status."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        status = self.arguments[0]
        if status not in STATUSES:
            raise self.error(f"there is no status {status!r}")
        within = [t for t in TRANSITIONS if t.source == t.target == status]
        into = [t for t in TRANSITIONS if t.target == status and t not in within]
        out = [t for t in TRANSITIONS if t.source == status and t not in within]
        rows = [
            ("In", ", ".join(_told(t, "from", t.source) for t in into)),
            ("Stays", ", ".join(_told(t, "", None) for t in within)),
            ("Out", ", ".join(_told(t, "to", t.target) for t in out)),
        ]
        fields = nodes.field_list()
        for name, text in rows:
            if text:
                fields += nodes.field(
                    "",
                    nodes.field_name(text=name),
                    nodes.field_body("", nodes.paragraph(text=text)),
                )
        return [fields]


def _told(transition: Transition, preposition: str, other: str | None) -> str:
    place = f" {preposition} {other}" if other else ""
    when = f" ({transition.when})" if transition.when else ""
    return f"{transition.verb}{place}{when}"


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("lifecycle-diagram", LifecycleDiagram)
    app.add_directive("lifecycle-table", LifecycleTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
