"""Who connects as what: the owner migrates, the engine works, the application reads, the gate opens sessions.

Each gets a SQLAlchemy engine over psycopg with its own role and the cell's schema as the only search path. Statements
run on the psycopg connection beneath, in autocommit mode with explicit transactions, because the write path sends
pipelines. On the embedded server the roles may log in themselves; with one DATABASE_URL for all, the owner's connection
takes on the role, which a production start refuses (`doctor`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

ROLES = ("finsync_engine", "finsync_app", "finsync_gate")

CLIENT_NOTICES = {
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""libpq's parameters by which a server that is gone without a word is given up after some 20 to 30 seconds, instead of after
the operating system's two hours; what the address says itself counts more."""

SERVER_NOTICES = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""By which the server ends an engine's session that stands still in a transaction, or whose machine is gone: what it decides
is held by row locks, and half a lease is as long as anybody should wait for them."""


class Database:
    """One cell of one PostgreSQL.

    Args:
        owner_url: May migrate.
        cell: The schema.
        urls: Addresses for single roles; the owner's, with the role taken on, for the others.
        roles_log_in: Connect as the role itself over the owner's address (embedded server).
    """

    def __init__(
        self, owner_url: str, *, cell: str = "public", urls: dict[str, str] | None = None, roles_log_in: bool = False
    ) -> None:
        self.cell = cell
        self.owner_url = _url(owner_url)
        self.roles_log_in = roles_log_in
        self._urls = {role: _url(url) for role, url in (urls or {}).items() if url}

    def url(self, role: str) -> URL:
        """The address `role` connects to, with its schema and, where it does not log in itself, the role to take on."""
        own = self._urls.get(role)
        url = own or (self.owner_url.set(username=role) if self.roles_log_in else self.owner_url)
        options = f"-csearch_path={self.cell}"
        if role == "finsync_engine":
            # The engine's statements take arrays; their plans do not depend on what is in them, and planning a long one
            # anew costs more than running it. A plan may be made while a table is still empty and kept for long; all of
            # them find their rows by an index, so a scan is never what they should settle on.
            options += " -cplan_cache_mode=force_generic_plan -cenable_seqscan=off"
            options += "".join(f" -c{name}={value}" for name, value in SERVER_NOTICES.items())
        if role == "finsync_app":
            # A page sorts and groups what a quarter of a year holds; with the default of 4 MB that goes by way of the disk.
            options += " -cwork_mem=32MB"
        if own is None and not self.roles_log_in:
            options += f" -crole={role}"
        return url.update_query_dict({**CLIENT_NOTICES, **url.query, "options": options, "application_name": f"{role}"})

    def connect_owner(self) -> psycopg.Connection:
        """A connection for migrations, in autocommit mode."""
        return psycopg.connect(_dsn(self.owner_url), autocommit=True)

    def engine(self, role: str, *, pool_size: int = 8, **more: Any) -> sa.Engine:
        """A pool of connections as `role`."""
        engine = sa.create_engine(
            self.url(role),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            **more,
        )
        if role == "finsync_engine":
            sa.event.listen(engine, "connect", _prepare_eagerly)
        _close_what_comes_back_late(engine)
        return engine

    @contextmanager
    def connected(self, role: str) -> Iterator[psycopg.Connection]:
        """One connection as `role`, closed when the block ends, however it ends."""
        pool = self.engine(role, pool_size=1)
        try:
            with borrowed(pool) as connection:
                yield connection
        finally:
            pool.dispose()

    def let_roles_log_in(self) -> None:
        """On the embedded server, where whoever can open the socket is trusted anyway."""
        with self.connect_owner() as connection:
            for role in ROLES:
                connection.execute(f"ALTER ROLE {role} LOGIN")


def _prepare_eagerly(connection: psycopg.Connection, _record: object) -> None:
    """Keep every statement of the engine prepared: there are some hundreds, counting the combinations a recording sends."""
    connection.prepare_threshold = 1
    connection.prepared_max = 1000


def _close_what_comes_back_late(engine: sa.Engine) -> None:
    """A thread that is told to stop may still hold a connection when its pool is disposed of; it then gives it back to a pool
    that nobody has any more. Close it there and then."""
    disposed = 0

    def count(_engine: sa.Engine) -> None:
        nonlocal disposed
        disposed += 1

    def mark(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info["made after"] = disposed

    def close_late(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        if record.info.get("made after") != disposed:
            record.invalidate()

    sa.event.listen(engine, "engine_disposed", count)
    sa.event.listen(engine, "connect", mark)
    sa.event.listen(engine, "checkin", close_late)


@contextmanager
def borrowed(engine: sa.Engine) -> Iterator[psycopg.Connection]:
    """A psycopg connection from a pool; it goes back when the block ends."""
    with engine.connect() as pooled:
        connection = pooled.connection.driver_connection
        if not isinstance(connection, psycopg.Connection):
            raise TypeError(f"the pool holds {type(connection).__name__}, not psycopg connections")
        try:
            yield connection
        finally:
            if connection.closed:
                pooled.invalidate()  # it was cut: nothing to put in order, and the pool makes another


_SEVERAL_HOSTS = re.compile(
    r"^(?P<before>\w+(?:\+\w+)?://(?:[^/?@]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<after>(?:[/?].*)?)$", re.DOTALL
)


def _url(text: str) -> URL:
    """An address, also one that names several hosts as libpq writes it (`//a:5432,b:5432/`), which SQLAlchemy cannot read:
    they become the parameters `host` and `port`, which both understand."""
    several = _SEVERAL_HOSTS.match(text)
    if several is None:
        return make_url(text).set(drivername="postgresql+psycopg")
    places = [_place(one) for one in several["hosts"].split(",")]
    url = make_url(several["before"] + several["after"]).set(drivername="postgresql+psycopg")
    return url.update_query_dict(
        {"host": ",".join(host for host, _ in places), "port": ",".join(port for _, port in places)}
    )


def _place(text: str) -> tuple[str, str]:
    """Host and port of one of several; an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        host, port = text, ""
    return host.strip("[]"), port or "5432"


def _dsn(url: URL) -> str:
    """A space is %20 to libpq; the plus that SQLAlchemy writes for it would become part of the value."""
    address, mark, query = url.set(drivername="postgresql").render_as_string(hide_password=False).partition("?")
    return address + mark + query.replace("+", "%20")


def dsn(url: URL) -> str:
    """An address as psycopg takes it."""
    return _dsn(url)
