"""The README runs as it is written."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.rst"


def blocks(language: str) -> list[str]:
    found = re.findall(
        rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", README.read_text(), re.MULTILINE
    )
    return [re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in found]


def test_the_example_runs_and_prints_the_greeting(tmp_path: Path) -> None:
    [example] = blocks("python")

    run = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("complete {'text': 'Hello, Ada!'}\n", "") == (run.stdout, run.stderr)
    assert len(list(tmp_path.glob("data/jobs/complete/job-*.json"))) == 1


def test_the_example_has_about_twenty_lines() -> None:
    [example] = blocks("python")

    assert len(example.strip().splitlines()) <= 20


def test_there_are_two_commands_of_one_line_each() -> None:
    commands = [line for block in blocks("console") for line in block.splitlines() if line]

    assert ["semiont-jobs demo --chaos", "-m tox"] == [
        re.search(r"(semiont-jobs demo.*|-m tox)$", command).group()  # type: ignore[union-attr]
        for command in commands
    ]
