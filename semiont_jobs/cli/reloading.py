"""Restarting a command when the code it runs has changed: for development.

It must not know what the command does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

from semiont_jobs.events import logger

PERIOD: Final = 0.5
"""Seconds between two looks at the modules' files: new code runs a second or two after saving, and
a look at a thousand files takes a millisecond or two."""


class Reloader:
    """Looks at the files of every imported module, and reports when one changes."""

    def __init__(self) -> None:
        self.has_changed: bool = False
        # What was corrected while the error was printed counts as well.
        self._began = time.time()
        self._seen: dict[str, float | None] = {}

    def watch(self, on_change: Callable[[], object]) -> None:
        """Look in the background, and call `on_change` once."""
        self._look(_files_of(list(sys.modules.values())))  # those imported since, as they are

        def keep_looking() -> None:
            self.wait()
            on_change()

        threading.Thread(target=keep_looking, name="semiont-jobs-reload", daemon=True).start()

    def wait(self, error: BaseException | None = None) -> None:
        """Return when a file has changed: one of a module, or one that `error` came from."""
        pause = threading.Event()
        # First record them as they are, then check whether they changed already: no change is
        # missed in between.
        self._look(_files_in(error))
        is_mended = any(self._began < (_mtime(path) or 0.0) for path in _files_in(error))
        while not is_mended:
            pause.wait(PERIOD)
            files = _files_of(list(sys.modules.values()))
            is_mended = self._look(files | _files_in(error)) is not None
        self.has_changed = True

    def _look(self, files: Iterable[str]) -> str | None:
        """The first file that has changed, among known and new ones."""
        changed = None
        for path in {*self._seen, *files}:
            found = _mtime(path)
            if self._seen.setdefault(path, found) != found:
                changed = path
                logger.info("%s has changed", path)
        return changed


def start_again() -> NoReturn:
    """Replace this process by one that runs the same command again."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _files_of(modules: Iterable[ModuleType]) -> set[str]:
    return {file for each in modules if isinstance(file := getattr(each, "__file__", None), str)}


def _files_in(error: BaseException | None) -> set[str]:
    """The files that an import error came through; also the file with a syntax error, and the
    Python files of the current directory, where the missing module may appear."""
    if error is None:
        return set()
    files = {str(path) for path in (Path.cwd(), *Path.cwd().glob("*.py"))}
    while error is not None:
        files |= {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
        if isinstance(error, SyntaxError) and error.filename:
            files.add(error.filename)
        error = error.__cause__
    return files


def _mtime(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
