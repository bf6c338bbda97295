"""The composition root: settings become a database, a configuration, sessions and an engine. The only place that knows all of
them, and with the other files of `cli` the only one that reads the clock."""

import os
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Any

import httpx2
import psycopg

from collectors import SYSTEMS
from sync_engine.configuration import SystemBlock, Systems
from sync_engine.control.access import put_people
from sync_engine.control.people import load_people
from sync_engine.database.connections import Database
from sync_engine.database.migrate import Migrated, migrate
from sync_engine.engine import promote
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.outcomes import Setup
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Access, System
from sync_engine.settings import Settings, release


def bring_up_to_date(database: Database) -> Migrated:
    """Apply what is missing of the schema."""
    with database.connect_owner() as connection:
        done = migrate(connection, cell=database.cell, release=release())
    if database.roles_log_in:
        database.let_roles_log_in()
    return done


def make_people_known(settings: Settings, database: Database) -> None:
    """In evaluation mode, let the people of people.toml in; in production the identity provider says who there is."""
    if settings.is_production:
        return
    with database.connected("finsync_gate") as connection:
        put_people(connection, load_people(settings.config), now=datetime.now(UTC))


def engine_name() -> str:
    """A name no other engine has or had."""
    return f"{platform.node() or 'engine'}-{os.getpid()}-{secrets.token_hex(3)}"


def make_setup(
    configuration: promote.Configuration,
    systems: Systems,
    *,
    rng: Random,
    app_url: str = "",
    declared: Mapping[str, System] = SYSTEMS,
) -> Setup:
    """The configuration as the engine wants it: only the systems that the file has a block for."""
    chosen = {
        name: _paced(system, systems.systems[name]) for name, system in declared.items() if name in systems.systems
    }
    return Setup(
        chosen, systems.roles.system, configuration.mappings, configuration.policies, rng, id_maker(rng), app_url
    )


def _paced(system: System, block: SystemBlock) -> System:
    """A system with the pace its block sets."""
    feeds = tuple(replace(feed, interval_s=block.poll_s or feed.interval_s) for feed in system.feeds)
    return replace(
        system,
        feeds=feeds,
        requests_per_s=block.requests_per_s or system.requests_per_s,
        max_in_flight=block.max_in_flight or system.max_in_flight,
    )


def connect_systems(
    setup: Setup,
    systems: Systems,
    *,
    timer: Callable[[], float],
    transport: httpx2.BaseTransport | None = None,
    access: Callable[[str], Access] | None = None,
) -> dict[str, Any]:
    """A session per system."""
    find = access or systems.access
    return {
        name: system.connect(find(name), timer=timer, transport=transport) for name, system in setup.systems.items()
    }


@dataclass(frozen=True, slots=True)
class EngineRoom:
    """An engine over real network sessions, with what a process needs to drive it."""

    engine: Engine
    sessions: dict[str, Any]
    configuration: promote.Configuration


def make_engine(
    settings: Settings,
    connection: psycopg.Connection,
    systems: Systems,
    *,
    access: Callable[[str], Access] | None = None,
) -> EngineRoom:
    """An engine that has reported for duty, working by the configuration it has just put in force."""
    clock = DatabaseClock(database_now(connection))
    configuration = promote.load(settings.config)
    setup = make_setup(configuration, systems, rng=SystemRandom(), app_url=settings.app_url)
    sessions = connect_systems(setup, systems, timer=clock.timer, access=access)
    engine = Engine(setup, sessions, clock, engine_id=engine_name())
    promote.put_in_force(connection, configuration, today=clock.now().date(), now=clock.now(), by=engine.engine_id)
    engine.register(connection, release=release())
    return EngineRoom(engine, sessions, configuration)
