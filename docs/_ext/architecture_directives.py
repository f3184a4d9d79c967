"""Sphinx directives that show how the library is built: two diagrams, and a table of modules.

``.. module-diagram::`` draws the rooms and their imports, ``.. job-way::`` what one real run
of a job called, ``.. module-table::`` lists the layers with each module's own first words.
"""

from __future__ import annotations

from typing import Any

import job_way_diagram
import module_diagram
from docutils import nodes
from docutils.parsers.rst import Directive
from layers import layers, words_of


class ModuleDiagram(Directive):
    """The diagram, inline, so that it needs no file and no Graphviz."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", module_diagram.draw(), format="html")]


class JobWay(Directive):
    """The diagram of a run that is made while the site is built."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", job_way_diagram.draw(), format="html")]


class ModuleTable(Directive):
    """The modules from the top down, with what each says that it knows."""

    def run(self) -> list[nodes.Node]:
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=22), nodes.colspec(colwidth=78)]
        body = nodes.tbody()
        for layer in layers():
            for name in layer:
                words, _messages = self.state.inline_text(words_of(name), self.lineno)
                body += nodes.row(
                    "",
                    nodes.entry("", nodes.paragraph("", "", nodes.literal(text=name))),
                    nodes.entry("", nodes.paragraph("", "", *words)),
                )
        group += body
        return [nodes.table("", group)]


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("module-diagram", ModuleDiagram)
    app.add_directive("job-way", JobWay)
    app.add_directive("module-table", ModuleTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
