"""Putting a page's questions without the page: as one person, at the time of a world's house."""

from collections.abc import Iterator
from contextlib import contextmanager

from sync_engine.control import access
from sync_engine.insight.reports import Cache, Reports
from tests.pages.conftest import LEADER, World


@contextmanager
def asking(world: World, person: str = LEADER, cache: Cache | None = None) -> Iterator[Reports]:
    """The questions of one person; what was answered to others is reused only where they share a cache."""
    world.stop_the_clock()
    gate, app = (world.database.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))
    try:
        session = access.open_session(gate, person, hours=1)
        yield Reports(app, session.token, session.person, cache or Cache())
    finally:
        gate.dispose()
        app.dispose()
