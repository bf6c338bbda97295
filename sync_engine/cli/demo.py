"""Ninety days of a company's business in minutes, by the real engine on a fast clock; then the company lives on.

Everything the demo shows was done by the engine against the stand-ins over their wire formats, in process; not one row is
put into a table by hand.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from sandbox.company import CLIENT, Company
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.cli.staff import Staff
from sync_engine.cli.wiring import bring_up_to_date, connect_systems, make_setup
from sync_engine.configuration import load_systems
from sync_engine.control.execute import execute_commands
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine import promote, store
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.fast_forward import FastForward
from sync_engine.insight import alerts
from sync_engine.insight.reconcile import Reconciliation, reconcile
from sync_engine.model.ports import Access
from sync_engine.settings import Settings, release

REQUISITIONS_PER_DAY = 55.0
"""An ordinary working day of the six units; ninety days hold about 3,500 requisitions."""

POLL_S = 240.0
"""How often feeds are read on the fast clock: all on one grid, so that a round has more to do, and still well within the five
minutes in which an approval has to be visible everywhere."""

Progress = Callable[[float, str], None]
"""Told the share that is done, and where it is."""


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


@dataclass(slots=True)
class Produced:
    """A stretch of business that the engine has just done."""

    engine: Engine
    sessions: dict[str, Any]
    company: Company
    wall_s: float


def in_process(token_urls: dict[str, str]) -> Callable[[str], Access]:
    """How the engine reaches the stand-ins without a socket."""
    return lambda name: Access(f"http://{name}", token_urls[name], lambda: CLIENT)


def produce(
    settings: Settings, connection: psycopg.Connection, *, start: datetime, end: datetime, seed: int, folder: Path | None, requisitions_per_day: float, progress: Progress
) -> Produced:
    """Let the company live from `start` to `end` with the engine at work."""
    began = time.monotonic()
    clock, stopwatch = VirtualClock(start), Stopwatch()
    company = Company(clock.now, seed, start, folder, requisitions_per_day=requisitions_per_day)
    configuration = promote.load(settings.config)
    systems = load_systems(settings.config, poll_s=POLL_S)
    token_urls = {name: f"http://{name}/{block.token_url.split('/', 3)[3]}" for name, block in systems.systems.items()}
    setup = make_setup(configuration, systems, rng=Random(f"engine {seed}"), app_url=settings.app_url)  # noqa: S311 - the demo is meant to repeat itself
    transport = InProcessTransport(company.standins, stopwatch)
    sessions = connect_systems(setup, systems, timer=stopwatch, transport=transport, access=in_process(token_urls))
    engine = Engine(setup, sessions, clock, engine_id=f"demo-{seed}")
    # A demo that is cut off begins anew, so it need not wait for the disk at every commit.
    connection.execute("SET synchronous_commit = off")
    store.rows(connection, "engine.ensure_partitions", first_month=start.date(), months=_months(start, end) + 3)
    promote.put_in_force(connection, configuration, today=end.date(), now=start, by=engine.engine_id)
    engine.register(connection, release=release())
    rules = alerts.load_rules(settings.config)
    world = DemoWorld(company, Staff(connection, seed, start))
    watch = _Watch(start, end, progress)

    def commands() -> int:
        return execute_commands(connection, setup, engine_id=engine.engine_id, now=clock.now())

    forward = FastForward(engine, connection, world, spent_s=stopwatch, also=[commands], on_progress=watch.at)
    day = start
    while day < end:
        day = min(day + timedelta(days=1), end)
        forward.run_until(day)
        alerts.evaluate(connection, rules, group_currency=setup.mappings.group_currency, now=clock.now(), new_id=setup.new_id)
    company.save()
    connection.execute("SET synchronous_commit = on")
    return Produced(engine, sessions, company, time.monotonic() - began)


def _months(start: datetime, end: datetime) -> int:
    return (end.year - start.year) * 12 + end.month - start.month + 1


class _Watch:
    """Tells the progress at most a few times a second."""

    def __init__(self, start: datetime, end: datetime, progress: Progress) -> None:
        self._start, self._end, self._progress = start, end, progress
        self._last = 0.0

    def at(self, now: datetime) -> None:
        if time.monotonic() - self._last < 0.25 and now < self._end:
            return
        self._last = time.monotonic()
        share = (now - self._start) / (self._end - self._start)
        self._progress(min(1.0, share), f"{now:%A %d %B %Y}")


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
        standin.faults.update({"outage": False, "throttle_share": 0.0, "error_share": 0.0, "reply_lost_share": 0.0, "request_lost_share": 0.0, "schema_drift": ""})
    clock = produced.engine.clock
    stopwatch = Stopwatch()
    FastForward(produced.engine, connection, Resting(), spent_s=stopwatch).run_until(clock.now() + timedelta(hours=hours))


def headless(settings: Settings, database: Database, *, days: int, seed: int, requisitions_per_day: float, progress: Progress) -> dict[str, Any]:
    """Produce in a cell of its own that is made anew, compare the ledgers, and answer the figures."""
    own = Database(str(database.owner_url.render_as_string(hide_password=False)), cell="demo_headless", roles_log_in=database.roles_log_in)
    with own.connect_owner() as owner:
        owner.execute("DROP SCHEMA IF EXISTS demo_headless CASCADE")
    bring_up_to_date(own)
    pool = own.engine("finsync_engine", pool_size=1)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with borrowed(pool) as connection:
        produced = produce(settings, connection, start=end - timedelta(days=days), end=end, seed=seed, folder=None, requisitions_per_day=requisitions_per_day, progress=progress)
        settle_before_comparing(connection, produced)
        result = reconcile(connection, produced.engine.setup, produced.sessions)
    pool.dispose()
    figures = result.as_json()
    return {"days": days, "seed": seed, **figures, "wall_s": round(produced.wall_s, 1), "transitions_per_s": round(figures["transitions"] / produced.wall_s, 1)}


def is_clean(result: Reconciliation) -> bool:
    """Whether nothing was ordered twice, lost, left without a reason or different."""
    return not (result.differences or result.requisitions_with_two_live_orders or result.events_lost or result.parked_without_reason)


STATE = "demo.json"


def is_produced(home: Path) -> bool:
    """Whether the demo's past is there already."""
    return (home / "demo" / STATE).exists()


def note_produced(home: Path, **values: Any) -> None:
    """Remember that the demo's past is complete."""
    (home / "demo" / STATE).write_text(json.dumps(values, default=str), encoding="utf-8")


def begin_anew(home: Path, database: Database) -> None:
    """Forget a past that was cut off in the making."""
    shutil.rmtree(home / "demo", ignore_errors=True)
    (home / "demo").mkdir(parents=True, exist_ok=True)
    with database.connect_owner() as owner:
        owner.execute(f'DROP SCHEMA IF EXISTS "{database.cell}" CASCADE'.encode())
        owner.execute(f'CREATE SCHEMA IF NOT EXISTS "{database.cell}"'.encode())


