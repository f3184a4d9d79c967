"""What an interrupted call must not keep.

It must not know what was interrupted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

_OURS: Final = (__name__.partition(".")[0], "tenacity")
"""The packages whose frames are of this library's calls only, not of the code of a user."""


def forget_frames(error: BaseException) -> None:
    """Have this library's frames in the traceback of an interrupt (Ctrl-C, an exit) forget their
    variables; of another error, do nothing.

    An interrupt may come where only a variable refers to a locked file, which is closed once
    nothing does. An interactive session keeps the last traceback until the next one comes.
    """
    if isinstance(error, Exception):
        return
    seen: BaseException | None = error
    while seen is not None:
        traceback = seen.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _OURS:
                with suppress(RuntimeError):  # it is running: it belongs to a caller
                    frame.clear()
            traceback = traceback.tb_next
        seen = seen.__context__
