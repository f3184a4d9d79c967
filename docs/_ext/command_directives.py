"""A Sphinx directive that shows what a command says of itself: ``.. command-help:: list``."""

from __future__ import annotations

from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive

from semiont_jobs.cli.app import cli
from semiont_jobs.cli.main import main

assert main is not None  # importing it is what puts the commands into the group


class CommandHelp(Directive):
    """The help of one command, as the terminal shows it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in cli.commands:
            raise self.error(f"there is no command {name!r}")
        parent = click.Context(cli, info_name="semiont-jobs", max_content_width=88)
        parent.terminal_width = 88
        context = click.Context(cli.commands[name], parent=parent, info_name=name)
        text = cli.commands[name].get_help(context)
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
