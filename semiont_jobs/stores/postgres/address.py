"""Where a PostgreSQL store is: the server and database of its URL, and the schema in it.

It must not connect.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ProgrammingError

from semiont_jobs.errors import InvalidValue
from semiont_jobs.stores.location import is_url

DEFAULT_SCHEMA: Final = "semiont_jobs"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
"""Names that need no quotes (except SQL's own words: see `quoted`), short enough for the channel's
name to fit into the 63 characters that the server compares: two names that differ only after that
would be the same."""

CONNECTING: Final = {
    # Seconds; half of what a worker whose server is gone waits at most between two tries.
    "connect_timeout": "5",
    # The server has its own: see `sessions`. Every connection notices a silent server after 5 + 3 x
    # 2 seconds without data, or after 10 seconds of unacknowledged data.
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "semiont_jobs",
}
"""libpq's parameters for every connection; those in the URL take precedence."""


@frozen
class Address:
    """A server's database and a schema in it."""

    conninfo: str
    schema: str
    shown: str
    """For messages: without the password."""

    @property
    def channel(self) -> str:
        """The channel of NOTIFY for news."""
        return f"{self.schema}_news"


def address_of(url: str, schema: str | None = None) -> Address:
    """Read a URL: libpq's own form, with ``schema=NAME`` as one more parameter.

    :raises InvalidValue: it is not such a URL, or the schema's name is invalid, or two are given.
        The message does not repeat the URL, which may contain a password.
    """
    if not is_url(url):
        raise InvalidValue(
            "a URL is needed: postgresql://USER@HOST/DATABASE", field="url", value=_hidden(url)
        )
    base, _, query = url.partition("?")
    parts = [part for part in query.split("&") if part]
    named = [part.removeprefix("schema=") for part in parts if part.startswith("schema=")]
    if schema is not None:
        named.append(schema)
    if len(set(named)) > 1:
        raise InvalidValue("two different ones are given", field="schema", value=named)
    name = named[0] if named else DEFAULT_SCHEMA
    if not isinstance(name, str) or not _SCHEMA.fullmatch(name):
        rule = "a lower-case name is needed: letters, digits and _, at most 48 of them"
        raise InvalidValue(rule, field="schema", value=name)
    rest = "&".join(part for part in parts if not part.startswith("schema="))
    try:
        given = {
            key: str(value)
            for key, value in conninfo_to_dict(f"{base}?{rest}" if rest else base).items()
            if value is not None
        }
    except ProgrammingError as error:
        reason = " ".join(str(error).split())
        if "password" in reason or _secret(base) in reason:
            reason = "libpq cannot read it"
        raise InvalidValue(
            f"no URL of a database: {reason}", field="url", value=_hidden(url)
        ) from None
    if not all(re.fullmatch("[0-9]{1,5}|", port) for port in given.get("port", "").split(",")):
        raise InvalidValue(
            "no URL of a database: its port is no number", field="url", value=_hidden(url)
        )
    return Address(make_conninfo(**{**CONNECTING, **given}), name, _shown(given, name))


def quoted(schema: str) -> str:
    """A schema's name for use in statements. In quotes: ``user`` and ``order`` are words of SQL,
    and later versions of it may have more."""
    return f'"{schema}"'


def _shown(given: dict[str, str], schema: str) -> str:
    host = given.get("host", given.get("hostaddr", ""))
    port = f":{given['port']}" if "port" in given else ""
    user = f"{given['user']}@" if "user" in given else ""
    database = given.get("dbname", given.get("user", ""))
    where = f"{host}{port}/{database}" if not host.startswith("/") else f"/{database}?host={host}"
    return f"postgresql://{user}{where} (schema {schema})"


def _secret(base: str) -> str:
    """The password in a URL, or a string that occurs nowhere."""
    found = re.match(r"\w+://[^:@/]*:([^@]+)@", base)
    return found[1] if found else "\0"


def _hidden(url: str) -> str:
    """The URL without a password."""
    hidden = re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(password=)[^&]*", r"\1***", hidden)
