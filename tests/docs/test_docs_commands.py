"""The command line's page describes every command, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from semiont_jobs.cli.app import cli
from semiont_jobs.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.rst"


def test_every_command_has_a_section_that_shows_its_help() -> None:
    assert main(["--version"]) == 0  # importing `main` is what puts the commands into the group

    sections = re.findall(r"^(\S+)\n-+\n\n\.\. command-help:: (\S+)$", PAGE.read_text(), re.M)

    assert sorted(sections) == sorted((name, name) for name in cli.commands)
