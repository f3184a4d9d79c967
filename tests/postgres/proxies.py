"""What may stand between a client and its server: a line that falls silent, and a pooler that
gives each transaction another session. Small, for tests."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path


class Line:
    """Forwards between TCP clients and the server's socket, until it falls silent."""

    def __init__(self, server: Path) -> None:
        self._server = str(server)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._lost: bytes | None = None
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def fall_silent(self) -> None:
        """Forward nothing more, and close nothing: as a pulled cable."""
        self._flowing.clear()

    def give_up_on_clients(self) -> None:
        """What the server's kernel does once its probes stay unanswered."""
        for _client, server in self._pairs:
            _end(server)

    def heal(self) -> None:
        """Forward what comes from now on."""
        self._flowing.set()

    def lose_answer(self, question: bytes) -> None:
        """Let the next message with these words reach the server, and end the connection as
        soon as it answers."""
        self._lost = question

    def end(self) -> None:
        self._ended = True
        self._flowing.set()
        _end(self._listener)
        for client, server in self._pairs:
            _end(client)
            _end(server)

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._pairs.append((client, server))
            doomed = threading.Event()
            for one, other in ((client, server), (server, client)):
                threading.Thread(
                    target=self._forward, args=(one, other, doomed, one is client), daemon=True
                ).start()

    def _forward(
        self, source: socket.socket, sink: socket.socket, doomed: threading.Event, asks: bool
    ) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                if asks and self._lost is not None and self._lost in data:
                    self._lost = None
                    doomed.set()
                if not asks and doomed.is_set():
                    break
                sink.sendall(data)
            self._flowing.wait()
            sink.shutdown(socket.SHUT_RDWR)
            source.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Pooler:
    """Gives each transaction of its clients one of its own few sessions, as PgBouncer does in
    transaction mode; in turn or the last one used."""

    def __init__(self, server: Path, *, sessions: int, in_turn: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._in_turn = in_turn
        self._greeting = b""
        self._sessions = [self._session(server) for _ in range(sessions)]
        self._free = list(self._sessions)
        self._turn = threading.Condition()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def end(self) -> None:
        for each in (self._listener, *self._sockets, *self._sessions):
            _end(each)

    def _session(self, server: Path) -> socket.socket:
        session = socket.socket(socket.AF_UNIX)
        session.connect(str(server))
        words = b"user\0postgres\0database\0postgres\0\0"
        session.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
        parts, status = _answer(session)
        assert status == b"I"
        # The key of a client's session is the pooler's own.
        self._greeting = b"".join(
            b"K" + struct.pack("!iii", 12, 4242, 1) if part[:1] == b"K" else part for part in parts
        )
        return session

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        session = None
        try:
            (length,) = struct.unpack("!i", _exactly(client, 4))
            _exactly(client, length - 4)
            client.sendall(self._greeting)
            while (message := _message(client))[:1] != b"X":
                if session is None:
                    session = self._take()
                session.sendall(message)
                if message[:1] not in (b"Q", b"S"):
                    continue
                parts, status = _answer(session)
                client.sendall(b"".join(parts))
                if status == b"I":
                    self._give_back(session)
                    session = None
        except (OSError, EOFError):
            return
        finally:
            client.close()

    def _take(self) -> socket.socket:
        with self._turn:
            assert self._turn.wait_for(lambda: self._free, 30)
            return self._free.pop(0 if self._in_turn else -1)

    def _give_back(self, session: socket.socket) -> None:
        with self._turn:
            self._free.append(session)
            self._turn.notify()


def _end(each: socket.socket) -> None:
    """Close it, and end every wait for it in other threads."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _message(source: socket.socket) -> bytes:
    kind = _exactly(source, 1)
    length = _exactly(source, 4)
    return kind + length + _exactly(source, struct.unpack("!i", length)[0] - 4)


def _answer(session: socket.socket) -> tuple[list[bytes], bytes]:
    """Everything up to the word that the server is ready, and whether a transaction is open."""
    parts = []
    while True:
        parts.append(_message(session))
        if parts[-1][:1] == b"Z":
            return parts, parts[-1][-1:]
