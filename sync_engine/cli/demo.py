"""Ninety days of a company's business in minutes, by the real engine on a fast clock; then the company lives on.

Everything the demo shows was done by the engine against the stand-ins over their wire formats, in process; not one row is
put into a table by hand.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from sandbox.company import CLIENT, Company
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.cli.speaking import Told
from sync_engine.cli.staff import Staff
from sync_engine.cli.wiring import bring_up_to_date, connect_systems, make_setup
from sync_engine.configuration import load_systems
from sync_engine.control.execute import execute_commands
from sync_engine.database.connections import Database
from sync_engine.database.migrate import own_tables
from sync_engine.engine import promote, store
from sync_engine.engine.alert_rules import load_alerts
from sync_engine.engine.alert_rules import put_in_force as put_alert_rules_in_force
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.fast_forward import FastForward
from sync_engine.insight import fold, record
from sync_engine.insight.alerting.evaluate import evaluate as evaluate_alerts
from sync_engine.insight.reconcile import reconcile
from sync_engine.model.ports import Access
from sync_engine.settings import Settings, release

REQUISITIONS_PER_DAY = 50.0
"""An ordinary working day of the six units; ninety days hold about 3,500 requisitions."""

POLL_S = 240.0
"""How often feeds are read on the fast clock: all on one grid, so that a round has more to do, and still well within the five
minutes in which an approval has to be visible everywhere."""

HEADLESS_CELL = "demo_headless"

MUST_BE_ZERO = (
    "reconciliation_differences",
    "requisitions_with_two_live_orders",
    "events_lost",
    "parked_without_reason",
)

Progress = Callable[[datetime], None]
"""Told where the fast clock stands."""


class DemoWorld:
    """The company in its systems and the operations desk in our product, on one agenda."""

    def __init__(self, company: Company, staff: Staff) -> None:
        self.company = company
        self.staff = staff

    def next_action_at(self) -> datetime | None:
        """When anybody does something next."""
        company = self.company.next_action_at()
        return min(company, self.staff.next_action_at()) if company is not None else self.staff.next_action_at()

    def act(self, now: datetime) -> bool:
        """Everybody does what is due."""
        self.company.act(now)
        return self.staff.act(now)

    def revision(self, system: str, feed: str) -> int:
        """Whether a feed has news."""
        return self.company.revision(system, feed)


class AlreadyRunning(Told):
    """Two demos at once would ruin each other's company."""


class NotADemo(Told):
    """The cell is somebody's own; a demo never touches it."""


class Stopped(Exception):
    """Somebody asked to stop while the past was being produced."""


@dataclass(slots=True)
class Produced:
    """A stretch of business that the engine has just done."""

    engine: Engine
    sessions: dict[str, Any]
    company: Company
    wall_s: float
    reached_at: datetime
    is_complete: bool


def in_process(token_urls: dict[str, str]) -> Callable[[str], Access]:
    """How the engine reaches the stand-ins without a socket."""
    return lambda name: Access(f"http://{name}", token_urls[name], lambda: CLIENT)


def produce(
    settings: Settings,
    connection: psycopg.Connection,
    *,
    start: datetime,
    end: datetime,
    seed: int,
    folder: Path | None,
    progress: Progress,
    stop: threading.Event,
) -> Produced:
    """Let the company live from `start` to `end` with the engine at work, or until `stop` is set.

    A company that is in `folder` already goes on from where it was.
    """
    began = time.monotonic()
    clock, stopwatch = VirtualClock(start), Stopwatch()
    company = Company(clock.now, seed, start, folder, requisitions_per_day=REQUISITIONS_PER_DAY)
    configuration = promote.load(settings.config)
    systems = load_systems(settings.config, poll_s=POLL_S)
    token_urls = {name: f"http://{name}/{block.token_url.split('/', 3)[3]}" for name, block in systems.systems.items()}
    # The start is part of it, so that what goes on after a stop makes other ids than what was before.
    rng = Random(f"engine {seed} {start}")
    setup = make_setup(configuration, systems, rng=rng, app_url=settings.app_url)
    transport = InProcessTransport(company.standins, stopwatch)
    sessions = connect_systems(setup, systems, timer=stopwatch, transport=transport, access=in_process(token_urls))
    engine = Engine(setup, sessions, clock, engine_id=f"demo-{seed}")
    # A demo that is cut off begins anew, so it need not wait for the disk at every commit.
    connection.execute("SET synchronous_commit = off")
    store.rows(connection, "engine.ensure_partitions", first_month=start.date(), months=_months(start, end) + 3)
    promote.put_in_force(connection, configuration, today=end.date(), now=start, by=engine.engine_id)
    engine.register(connection, release=release())
    alerts = load_alerts(settings.config)
    put_alert_rules_in_force(connection, alerts, now=start, by=engine.engine_id)
    watch = _Watch(connection, engine.engine_id, end, progress, stop)

    def commands() -> int:
        return execute_commands(connection, setup, engine_id=engine.engine_id, now=clock.now())

    world = DemoWorld(company, Staff(connection, seed, start))
    forward = FastForward(engine, connection, world, spent_s=stopwatch, also=[commands], on_progress=watch.at)
    day, is_complete = start, True
    try:
        while day < end:
            day = min(day + timedelta(days=1), end)
            forward.run_until(day)
            fold.fold_all(connection, now=clock.now())  # first: alerts read what is folded
            record.keep(connection, now=clock.now(), new_id=setup.new_id)
            evaluate_alerts(
                connection, alerts, group_currency=setup.mappings.group_currency, now=clock.now(), new_id=setup.new_id
            )
        watch.at(end)
    except Stopped:
        is_complete = False
    company.save()
    store.run(connection, "engine.engine_stopped", engine_id=engine.engine_id, now=clock.now())
    connection.execute("SET synchronous_commit = on")
    return Produced(engine, sessions, company, time.monotonic() - began, clock.now(), is_complete)


def _months(start: datetime, end: datetime) -> int:
    return (end.year - start.year) * 12 + end.month - start.month + 1


class _Watch:
    """Tells how far the past has come and that somebody is at work on it, a few times a second: the person at the terminal, and the
    pages."""

    def __init__(
        self, connection: psycopg.Connection, engine_id: str, end: datetime, progress: Progress, stop: threading.Event
    ) -> None:
        self._connection, self._engine_id, self._end = connection, engine_id, end
        self._progress, self._stop = progress, stop
        self._last = 0.0

    def at(self, now: datetime) -> None:
        if self._stop.is_set() and now < self._end:
            raise Stopped
        if time.monotonic() - self._last < 0.25 and now < self._end:
            return
        self._last = time.monotonic()
        store.run(self._connection, "demo.reach_past", reached_at=min(now, self._end))
        store.run(self._connection, "engine.heartbeat", engine_id=self._engine_id, now=datetime.now(UTC))
        self._progress(now)


def settle_before_comparing(connection: psycopg.Connection, produced: Produced, *, hours: float = 6) -> None:
    """Let the company rest and the engine finish what is under way: two books are compared when nobody writes in them."""

    class Resting:
        def next_action_at(self) -> datetime | None:
            return None

        def act(self, now: datetime) -> bool:
            del now
            return False

        def revision(self, system: str, feed: str) -> int:
            return produced.company.revision(system, feed)

    for standin in produced.company.standins.values():
        standin.faults.update(
            {
                "outage": False,
                "throttle_share": 0.0,
                "error_share": 0.0,
                "reply_lost_share": 0.0,
                "request_lost_share": 0.0,
                "schema_drift": "",
            }
        )
    clock = produced.engine.clock
    stopwatch = Stopwatch()
    FastForward(produced.engine, connection, Resting(), spent_s=stopwatch).run_until(
        clock.now() + timedelta(hours=hours)
    )


def headless(
    settings: Settings, database: Database, *, days: int, seed: int, progress: Progress, stop: threading.Event
) -> dict[str, Any]:
    """Produce in a cell of its own that is made anew, compare the ledgers, and answer the figures.

    Raises:
        Stopped: `stop` was set before it was done.
        AlreadyRunning: another one is at it on this database.
    """
    own = Database(
        str(database.owner_url.render_as_string(hide_password=False)),
        cell=HEADLESS_CELL,
        roles_log_in=database.roles_log_in,
    )
    with only_one(own):
        _drop(own)  # nothing but this command ever writes in a cell of this name
        bring_up_to_date(own)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(days=days)
        with own.connected("finsync_engine") as connection:
            store.run(connection, "demo.begin_past", seed=seed, begins_at=start, ends_at=end)
            produced = produce(
                settings, connection, start=start, end=end, seed=seed, folder=None, progress=progress, stop=stop
            )
            if not produced.is_complete:
                raise Stopped
            settle_before_comparing(connection, produced)
            store.run(connection, "demo.finish_past", finished_at=datetime.now(UTC))
            result = reconcile(connection, produced.engine.setup, produced.sessions)
    figures = result.as_json()
    return {
        "days": days,
        "seed": seed,
        **figures,
        "wall_s": round(produced.wall_s, 1),
        "transitions_per_s": round(figures["transitions"] / produced.wall_s, 1),
    }


def is_clean(figures: dict[str, Any]) -> bool:
    """Whether nothing was ordered twice, lost, left without a reason or different."""
    return not any(figures[name] for name in MUST_BE_ZERO)


@contextmanager
def only_one(database: Database) -> Iterator[None]:
    """Hold the cell's demo for as long as the block lasts.

    Raises:
        AlreadyRunning: somebody else holds it.
    """
    key = int.from_bytes(hashlib.sha256(f"finsync demo {database.cell}".encode()).digest()[:8], signed=True)
    with database.connect_owner() as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        if row is None or not row[0]:
            raise AlreadyRunning(f"A demo is running already in the cell {database.cell!r} of this database.")
        yield


@dataclass(frozen=True, slots=True)
class Past:
    """What `produced_past` says."""

    seed: int
    begins_at: datetime
    ends_at: datetime
    reached_at: datetime
    rests: bool
    finished_at: datetime | None

    @property
    def can_go_on(self) -> bool:
        """Whether its company and its books agree, so that it need not begin anew."""
        return self.rests or self.finished_at is not None


def past_of(database: Database) -> Past | None:
    """The past that was, or is being, produced in a cell; None in a cell that is not there or empty.

    Raises:
        NotADemo: the cell holds documents that no demo made.
    """
    with database.connect_owner() as connection:
        connection.execute(SQL("SET search_path TO {}").format(Identifier(database.cell)))
        if _is_there(connection, "produced_past"):
            found = store.rows(connection, "demo.past")
            if found:
                return Past(**found[0])
        if _is_there(connection, "document") and store.rows(connection, "demo.any_document"):
            raise NotADemo(
                f"The cell {database.cell!r} holds documents that no demo made. Name another one: FINSYNC_CELL=demo finsync demo"
            )
    return None


def _is_there(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    return bool(row and row[0])


def begin_anew(database: Database) -> None:
    """An empty cell that is up to date, whatever demo was in it.

    Raises:
        NotADemo: the cell holds documents that no demo made, or tables that are not ours.
    """
    if past_of(database) is not None:
        with database.connect_owner() as owner:
            strange = [name for (name,) in owner.execute(_TABLES, [database.cell]) if name not in own_tables()]
        if strange:
            raise NotADemo(
                f"The cell {database.cell!r} holds {strange[0]} beside a demo; move it away, or name another cell in FINSYNC_CELL."
            )
        _drop(database)
    bring_up_to_date(database)


def _drop(database: Database) -> None:
    with database.connect_owner() as owner:
        owner.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(database.cell)))


_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
