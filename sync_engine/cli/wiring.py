"""The composition root: settings become a database, a configuration, sessions and an engine. The only place that knows all of
them, and with the other files of `cli` the only one that reads the clock."""

import os
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Any

import httpx2
import sqlalchemy as sa

from collectors import SYSTEMS
from sync_engine.configuration import SystemBlock, Systems, load_systems
from sync_engine.database import postgres
from sync_engine.database.connections import Database, borrowed
from sync_engine.database.migrate import Migrated, migrate
from sync_engine.engine import promote
from sync_engine.engine.clock import Clock
from sync_engine.engine.engine import Engine
from sync_engine.engine.outcomes import Setup
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Access, System
from sync_engine.settings import Settings, release


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


def bring_up_to_date(database: Database) -> Migrated:
    """Apply what is missing of the schema."""
    with database.connect_owner() as connection:
        done = migrate(connection, cell=database.cell, release=release())
    if database.roles_log_in:
        database.let_roles_log_in()
    return done


def engine_name() -> str:
    """A name no other engine has or had."""
    return f"{platform.node() or 'engine'}-{os.getpid()}-{secrets.token_hex(3)}"


def make_setup(configuration: promote.Configuration, systems: Systems, *, rng: Random, app_url: str = "", declared: Mapping[str, System] = SYSTEMS) -> Setup:
    """The configuration as the engine wants it: only the systems that the file has a block for."""
    chosen = {name: _paced(system, systems.systems[name]) for name, system in declared.items() if name in systems.systems}
    return Setup(chosen, systems.roles.system, configuration.mappings, configuration.policies, rng, id_maker(rng), app_url)


def _paced(system: System, block: SystemBlock) -> System:
    """A system with the pace its block sets."""
    feeds = tuple(replace(feed, interval_s=block.poll_s or feed.interval_s) for feed in system.feeds)
    return replace(
        system, feeds=feeds, requests_per_s=block.requests_per_s or system.requests_per_s, max_in_flight=block.max_in_flight or system.max_in_flight
    )


def connect_systems(
    setup: Setup, systems: Systems, *, timer: Callable[[], float], transport: httpx2.BaseTransport | None = None, access: Callable[[str], Access] | None = None
) -> dict[str, Any]:
    """A session per system."""
    find = access or systems.access
    return {name: system.connect(find(name), timer=timer, transport=transport) for name, system in setup.systems.items()}


def make_engine(settings: Settings, database: Database, clock: Clock, *, base_urls: Mapping[str, str] | None = None) -> tuple[Engine, sa.Engine, promote.Configuration]:
    """An engine over real network sessions, its pool of connections, and the configuration it works by."""
    from sync_engine.engine.runner import Runner

    configuration = promote.load(settings.config)
    systems = load_systems(settings.config, base_urls)
    setup = make_setup(configuration, systems, rng=SystemRandom(), app_url=settings.app_url)
    engine = Engine(setup, connect_systems(setup, systems, timer=clock.timer), clock, engine_id=engine_name())
    pool = database.engine("finsync_engine", pool_size=Runner.connections_needed(engine))
    with borrowed(pool) as connection:
        now = datetime.now(UTC)
        promote.put_in_force(connection, configuration, today=now.date(), now=now, by=engine.engine_id)
        engine.register(connection, release=release())
    return engine, pool, configuration
