"""A workshop per test."""

from collections.abc import Iterator

import pytest
import structlog

from sync_engine.database.connections import Database
from tests.engine.workshop import Workshop


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """Tracebacks without the values of every variable: a recording has thousands."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture
def shop(database: Database) -> Iterator[Workshop]:
    """Two systems made for the purpose over a fresh cell; no engine runs yet."""
    workshop = Workshop(database)
    yield workshop
    workshop.close()
