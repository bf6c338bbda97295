"""Brings a cell's schema up to date: numbered files, forward only, each once, each in a transaction of its own.

What was applied is recorded with its SHA-256, the release and the user: the evidence a change audit asks for. A file that
was edited after it was applied is refused. Views are not numbered: they are what a metric means today, so each is
replaced whenever its text has changed. Two migrators at once wait for each other on an advisory lock.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql as compose

from sql import MIGRATIONS, VIEWS

_BOOKS = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name       text        PRIMARY KEY,
    sha256     text        NOT NULL,
    release    text        NOT NULL,
    applied_by text        NOT NULL DEFAULT session_user,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS schema_view (
    name       text        PRIMARY KEY,
    sha256     text        NOT NULL,
    release    text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


class EditedMigration(Exception):
    """A migration that was applied reads differently now."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did."""

    cell: str
    applied: tuple[str, ...]
    views: tuple[str, ...]


def migrate(connection: psycopg.Connection, *, cell: str, release: str) -> Migrated:
    """Bring schema `cell` up to date over the owner's connection (autocommit).

    Raises:
        EditedMigration: a file no longer has the digest under which it was applied.
    """
    if not connection.autocommit:
        raise ValueError("migrations open their own transactions")
    # Functions keep this path. pg_temp is searched first where it is not named, and a temporary table called app_session would
    # then pass for ours inside the functions that run with the owner's rights.
    connection.execute(compose.SQL("SET search_path TO {}, pg_temp").format(compose.Identifier(cell)))
    lock = int.from_bytes(hashlib.sha256(f"finsync migrate {cell}".encode()).digest()[:8], signed=True)
    connection.execute("SELECT pg_advisory_lock(%s)", [lock])
    try:
        # Under the lock: two who create the same schema at once both find it missing, and one of them fails.
        connection.execute(compose.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(compose.Identifier(cell)))
        connection.execute(_BOOKS)
        applied = _apply_migrations(connection, release)
        views = _replace_views(connection, release, rebuilt=bool(applied))
        with connection.transaction():
            _grant_usage(connection, cell)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [lock])
    return Migrated(cell, tuple(applied), tuple(views))


def pending(connection: psycopg.Connection) -> list[str]:
    """The migrations that the present search_path has not had yet."""
    exists = connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
    done = (
        {name for (name,) in connection.execute("SELECT name FROM schema_migration")} if exists and exists[0] else set()
    )
    return [path.name for path in _files(MIGRATIONS) if path.name not in done]


def own_tables() -> set[str]:
    """The tables that migrations make, by name."""
    texts = [_BOOKS, *(path.read_text(encoding="utf-8") for path in _files(MIGRATIONS))]
    return {
        name
        for text in texts
        for name in re.findall(r"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", text, re.MULTILINE)
    }


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _apply_migrations(connection: psycopg.Connection, release: str) -> list[str]:
    done: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM schema_migration").fetchall())
    applied = []
    for path in _files(MIGRATIONS):
        text = path.read_text(encoding="utf-8")
        if path.name in done:
            if done[path.name] != _digest(text):
                raise EditedMigration(
                    f"{path.name} was applied and has been edited since; write a new migration instead."
                )
            continue
        with connection.transaction():
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO schema_migration (name, sha256, release) VALUES (%s, %s, %s)",
                [path.name, _digest(text), release],
            )
        applied.append(path.name)
    return applied


def _replace_views(connection: psycopg.Connection, release: str, *, rebuilt: bool) -> list[str]:
    """Replace the views when any of them changed. They may stand on each other, so all are made anew, in file order."""
    wanted = {path.name: path.read_text(encoding="utf-8") for path in _files(VIEWS)}
    present: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM schema_view").fetchall())
    if not rebuilt and present == {name: _digest(text) for name, text in wanted.items()}:
        return []
    with connection.transaction():
        for (view,) in connection.execute(
            "SELECT viewname FROM pg_views WHERE schemaname = current_schema()"
        ).fetchall():
            connection.execute(compose.SQL("DROP VIEW IF EXISTS {} CASCADE").format(compose.Identifier(view)))
        connection.execute("DELETE FROM schema_view")
        for name, text in wanted.items():
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO schema_view (name, sha256, release) VALUES (%s, %s, %s)", [name, _digest(text), release]
            )
        for (view,) in connection.execute(
            "SELECT viewname FROM pg_views WHERE schemaname = current_schema()"
        ).fetchall():
            connection.execute(
                compose.SQL("GRANT SELECT ON {} TO finsync_app, finsync_engine").format(compose.Identifier(view))
            )
    return list(wanted)


def _grant_usage(connection: psycopg.Connection, cell: str) -> None:
    connection.execute(
        compose.SQL("GRANT USAGE ON SCHEMA {} TO finsync_engine, finsync_app, finsync_gate").format(
            compose.Identifier(cell)
        )
    )
    connection.execute("GRANT SELECT ON schema_migration TO finsync_engine, finsync_app")
