"""The supervisor's end of a pipe to a child process: takes whole messages, and waits for none.

It must not know what the messages say.

A process may stand still in the midst of a message that is larger than the pipe's buffer, for as
long as a debugger or `SIGSTOP` holds it. ``Connection.recv_bytes`` would wait for the rest, and
nobody would look after the other processes meanwhile.
"""

from __future__ import annotations

import os
import struct
from multiprocessing.connection import Connection
from typing import Any, Final

from semiont_jobs.pool.child import LONGEST, Told

_LENGTH: Final = struct.Struct("!i")
"""What ``Connection.send_bytes`` puts before a message of less than 2 GiB."""
_PIECE: Final = 65536
"""Bytes that are read at once: about what a pipe holds."""


class Wire:
    """Puts together what arrives in pieces."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        # Of this end only: the child waits until there is room for what it sends.
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._arrived = bytearray()

    def fileno(self) -> int:
        """The descriptor, to wait for what arrives."""
        return self._pipe.fileno()

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()

    def send(self, message: Told) -> None:
        """Send a message.

        :raises OSError: the process is gone, or has not read for so long that the pipe is full.
        """
        self._pipe.send(message)

    @property
    def has_message(self) -> bool:
        """Whether a whole message was read and not taken."""
        return len(self._arrived) >= _LENGTH.size and len(self._arrived) >= self._end()

    def take(self) -> bytes | None:
        """The next message that was read; None: it has not arrived in full.

        :raises ValueError: what was read is no message, and nothing after it can be told apart.
        """
        if len(self._arrived) < _LENGTH.size:
            return None
        end = self._end()
        if not _LENGTH.size <= end <= _LENGTH.size + LONGEST:
            raise ValueError(f"no message has {end - _LENGTH.size} bytes")
        if len(self._arrived) < end:
            return None
        message = bytes(self._arrived[_LENGTH.size : end])
        del self._arrived[:end]
        return message

    def read(self) -> bool:
        """Read a piece of what has arrived; return whether there was any.

        :raises EOFError: the process has closed its end.
        :raises OSError: the pipe is broken.
        """
        try:
            piece = os.read(self._pipe.fileno(), _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            raise EOFError
        self._arrived += piece
        return True

    def _end(self) -> int:
        length: int = _LENGTH.unpack_from(self._arrived)[0]
        return _LENGTH.size + length
