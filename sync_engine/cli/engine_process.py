"""The engine as a process: its loops and its schedule, until it is told to stop."""

import threading
import time
from collections.abc import Callable

import psycopg
import sqlalchemy as sa
import structlog

from sync_engine import cores
from sync_engine.cli import alert_jobs
from sync_engine.cli.wiring import EngineRoom, make_engine
from sync_engine.configuration import Systems, load_retention
from sync_engine.control.execute import execute_commands
from sync_engine.database.connections import Database
from sync_engine.engine import promote, retention
from sync_engine.engine.engine import database_now
from sync_engine.engine.runner import Runner, calm_collector
from sync_engine.engine.schedule import H, Job, Schedule, daily, engine_jobs, every
from sync_engine.insight import fold, record
from sync_engine.insight.reconcile import reconcile, remember
from sync_engine.model.ports import Access
from sync_engine.opening import opened
from sync_engine.settings import Settings

FOLD_EVERY_S = 1
"""What is recorded is on the pages within this and the time of a fold: two seconds at most."""

PATIENCE_S = 60.0
"""How long an engine that starts waits for a database that takes writes, before it ends and says why."""

LOOK_AGAIN_S = 0.5

COMPARED_AT = (2, 30)
"""When the books are compared, hour and minute UTC."""

log = structlog.get_logger()


def run_engine(settings: Settings, systems: Systems, access: Callable[[str], Access], stop: threading.Event) -> None:
    """Run an engine over `systems`, entered with `access`, until `stop` is set; then finish what is under way."""
    with opened(settings) as database:
        room = _enter(settings, database, systems, access, stop)
        if room is None:
            return
        engine = room.engine

        def commands(connection: psycopg.Connection) -> int:
            return execute_commands(connection, engine.setup, engine_id=engine.engine_id, now=database_now(connection))

        also = {"commands": commands}
        pool = database.engine("finsync_engine", pool_size=Runner.connections_needed(engine, also=also))
        runner = Runner(engine, pool, also=also)
        schedule = Schedule(
            [*engine_jobs(engine), *jobs(settings, room)], pool, engine_id=engine.engine_id, after=runner.signal.raise_
        )
        log.info("engine started", engine=engine.engine_id, cell=database.cell, systems=sorted(engine.lanes))
        calm_collector()
        with cores.on_one(spare=1, wanted=settings.one_core):
            runner.start()
            schedule.start()
            try:
                stop.wait()
            finally:
                schedule.stop()
                runner.stop()
                log.info("engine stopped", engine=engine.engine_id)
                pool.dispose()
                for session in room.sessions.values():
                    session.close()


def _enter(
    settings: Settings, database: Database, systems: Systems, access: Callable[[str], Access], stop: threading.Event
) -> EngineRoom | None:
    """Put the configuration in force and make the engine. An engine may be started while its database restarts or hands over to
    a standby: it waits for one that takes writes, as it would had it started a moment earlier. None: told to stop meanwhile.

    Raises:
        OperationalError: there was none for `PATIENCE_S`.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    told = ""
    while True:
        try:
            with database.connected("finsync_engine") as connection:
                room = make_engine(settings, connection, systems, access=access)
                alert_jobs.put_in_force(settings, systems, connection, by=room.engine.engine_id)
                return room
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, sa.exc.OperationalError) as error:
            if time.monotonic() >= give_up_at:
                raise
            if (problem := str(getattr(error, "orig", error)).strip()) != told:
                log.warning("no database to write to yet", error=problem, giving_up_in_s=round(PATIENCE_S))
                told = problem
        if stop.wait(LOOK_AGAIN_S):
            return None


def jobs(settings: Settings, room: EngineRoom) -> list[Job]:
    """What is done on a schedule beside the engine's own work; each run once for all engines, but for folding: every engine looks
    whether something waits, and one at a time folds it."""
    setup = room.engine.setup

    def compare_books(connection: psycopg.Connection) -> str:
        found = reconcile(connection, setup, room.sessions)
        remember(connection, found.differences, now=database_now(connection), new_id=setup.new_id)
        first = f": {found.differences[0].sentence}" if found.differences else ""
        return f"{len(found.differences)} differences, {found.requisitions_with_two_live_orders} ordered twice, {found.events_lost} lost{first}"

    def check_record(connection: psycopg.Connection) -> str:
        found = record.keep(connection, now=database_now(connection), new_id=setup.new_id)
        return f"{found.events_there} of {found.events_said} events in {found.recordings} recordings: {found.differing} differ, {found.gaps} histories have a gap"

    def extend_calendars(connection: psycopg.Connection) -> str:
        now = database_now(connection)
        promote.put_in_force(connection, room.configuration, today=now.date(), now=now, by=room.engine.engine_id)
        return f"calendars reach {promote.CALENDAR_YEARS_AHEAD} years ahead"

    def keep_to_retention(connection: psycopg.Connection) -> str:
        return retention.keep_to(connection, load_retention(settings.config), now=database_now(connection))

    def fold_rollups(connection: psycopg.Connection) -> str:
        return f"{fold.fold_all(connection, now=database_now(connection))} events"

    # fmt: off
    return [
        Job("fold",      every(FOLD_EVERY_S),   30,    fold_rollups),
        *alert_jobs.jobs(settings, setup),
        Job("reconcile", daily(*COMPARED_AT),   3600,  compare_books,    singleton=True),
        Job("record",    daily(3, 15),          6 * H, check_record,     singleton=True),
        Job("calendars", daily(1, 15),          3600,  extend_calendars, singleton=True),
        Job("retention", daily(3, 45),          6 * H, keep_to_retention, singleton=True),
    ]
    # fmt: on
