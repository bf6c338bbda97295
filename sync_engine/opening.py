"""The database of the settings, opened: `DATABASE_URL`, else the embedded server, started if need be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sync_engine.database import postgres
from sync_engine.database.connections import Database
from sync_engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that is there, and the server of ours behind it, if it is one."""

    database: Database
    embedded: postgres.Embedded | None

    def close(self) -> None:
        """Stop the server, if we started it."""
        if self.embedded is not None and self.embedded.started_by_us:
            self.embedded.stop()


def open_database(settings: Settings) -> Opened:
    """The database the settings name, else the embedded one, started.

    Raises:
        NoPostgres: neither; the message says what to do.
    """
    if settings.database_url is not None:
        urls = {
            "finsync_engine": settings.engine_database_url,
            "finsync_app": settings.app_database_url,
            "finsync_gate": settings.gate_database_url,
        }
        given = {role: url.get_secret_value() for role, url in urls.items() if url is not None}
        return Opened(Database(settings.database_url.get_secret_value(), cell=settings.cell, urls=given), None)
    server = postgres.start_embedded(settings.home)
    return Opened(Database(server.url(), cell=settings.cell, roles_log_in=True), server)


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database for as long as the block lasts."""
    found = open_database(settings)
    try:
        yield found.database
    finally:
        found.close()
