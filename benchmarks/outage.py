"""An ERP that is down for days, and what follows: intake goes on, the backlog drains oldest first as fast as the vendor's limit
allows and no faster, and nobody else waits longer; `finsync bench outage --json`.

The vendor counts every call by the minute and refuses what is beyond its limit. Time is virtual, so that days take minutes; what
the engine does in it is what it always does.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg

from benchmarks import cells
from benchmarks.workshop import Instant, draft, instant_systems, order_number
from collectors.http import Call
from config import FOLDER
from sync_engine.configuration import load_mappings, load_policies
from sync_engine.database.connections import Database
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.fast_forward import FastForward
from sync_engine.engine.outcomes import Setup
from sync_engine.model.errors import TransientError
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Answer, Ask, Identifier, Operation, System

BEGINS = datetime(2026, 9, 14, 6, 0, tzinfo=UTC)
PER_S = 15
"""The ERP's limit, as its connector declares it."""

Progress = Callable[[str], None]


@dataclass
class Vendor:
    """The ERP: up or down, with a limit it keeps to by the minute."""

    clock: VirtualClock
    per_minute: int
    is_down: bool = False
    retry_after_s: int | None = None
    storm_share: float = 0.0
    rng: Random = field(default_factory=lambda: Random(7))
    answered: Counter[int] = field(default_factory=Counter)
    """Calls that were answered, by the minute."""
    refused: int = 0
    """Calls beyond the limit."""
    failed: int = 0
    """Calls while it was down, or in a storm."""
    asked_too_early: int = 0
    """Calls before the end of a pause it had asked for, but for those of the very moment in which it asked: they were under way."""
    orders: dict[str, str] = field(default_factory=dict)
    order_of_creation: list[str] = field(default_factory=list)
    _quiet: tuple[datetime, datetime] | None = None
    _calls: list[Call] = field(default_factory=list)

    @contextmanager
    def tracing(self, _trace_id: str) -> Iterator[list[Any]]:
        """The calls of one question."""
        self._calls = []
        yield self._calls

    def call(self) -> None:
        """One call.

        Raises:
            TransientError: down, or asked more than the limit.
        """
        now = self.clock.now()
        status, wait = 200, None
        minute = int(now.timestamp() // 60)
        if self._quiet is not None and self._quiet[0] < now < self._quiet[1]:
            self.asked_too_early += 1
        if self.is_down or (self.storm_share and self.rng.random() < self.storm_share):
            self.failed += 1
            status, wait = (429 if self.retry_after_s else 503), self.retry_after_s
        elif self.answered[minute] >= self.per_minute:
            self.refused += 1
            status, wait = 429, 60 - int(now.timestamp() % 60)
        self._calls.append(Call("GET", "erp", status, 0.0, 0, 0))
        if status != 200:
            if wait:
                self._quiet = (now, now + timedelta(seconds=wait))
            raise TransientError(f"The ERP answers {status}.", system="erp", retry_after_s=wait)
        self.answered[minute] += 1

    def create(self, ask: Ask) -> Answer:
        """Make an order, once."""
        self.call()
        reference = ask.reference(12)
        if reference in self.orders:
            raise AssertionError(f"{reference} was ordered twice")
        self.orders[reference] = ask.document.number
        self.order_of_creation.append(ask.document.number)
        return self._known(ask)

    def find(self, ask: Ask) -> Answer | None:
        """The order under our reference."""
        self.call()
        return self._known(ask) if ask.reference(12) in self.orders else None

    def read(self, _ask: Ask) -> Answer:
        """Two calls, as reading a commitment takes."""
        self.call()
        self.call()
        return Answer()

    @staticmethod
    def _known(ask: Ask) -> Answer:
        return Answer(identifiers=(Identifier("erp", "purchase_order", f"45-{ask.reference(12)}"),))


def _erp(plain: System) -> System:
    """The ERP as a connector declares it, its operations answered by the vendor."""
    made = {
        name: replace(operation, run=lambda vendor, ask: vendor.read(ask))
        for name, operation in plain.operations.items()
    }
    made["create_purchase_order"] = Operation(
        "create_purchase_order",
        plain.operations["create_purchase_order"].effect,
        lambda vendor, ask: vendor.create(ask),
        lambda vendor, ask: vendor.find(ask),
    )
    return replace(plain, operations=made, requests_per_s=PER_S, burst=PER_S, max_in_flight=6)


class Town:
    """An engine on a virtual clock between a vendor with a limit and systems that answer at once."""

    def __init__(self, connection: psycopg.Connection, *, limit_share: float = 1.0, seed: int = 1) -> None:
        self.connection = connection
        self.clock = VirtualClock(BEGINS)
        # The declared rate is what the vendor grants; a full burst is granted on top of a minute's worth.
        self.vendor = Vendor(self.clock, per_minute=round((PER_S * 60 + PER_S) * limit_share))
        systems = instant_systems()
        systems["erp"] = _erp(systems["erp"])
        rng = Random(seed)
        setup = Setup(
            systems, lambda role, _unit: role.value, load_mappings(FOLDER), load_policies(FOLDER), rng, id_maker(rng)
        )
        sessions: dict[str, Any] = {name: Instant() for name in systems}
        sessions["erp"] = self.vendor
        self.engine = Engine(setup, sessions, self.clock, engine_id=f"outage-{seed}")
        self.engine.register(connection, release="benchmark")
        self.forward = FastForward(self.engine, connection, self, spent_s=lambda: 0.0)
        self.drafted = 0
        self.came_at: dict[str, datetime] = {}
        """When each order came in, by its number."""

    def next_action_at(self) -> datetime | None:
        """Nobody does anything by themselves."""
        return None

    def act(self, _now: datetime) -> bool:
        """Nothing."""
        return False

    def revision(self, _system: str, _feed: str) -> int:
        """There are no feeds."""
        return 0

    def draft(self, many: int) -> None:
        """So many orders come in."""
        draft(self.connection, self.engine, self.drafted, many)
        self.came_at |= {order_number(n): self.clock.now() for n in range(self.drafted, self.drafted + many)}
        self.drafted += many

    def run(self, **duration: float) -> None:
        """Let time pass."""
        self.forward.run_until(self.clock.now() + timedelta(**duration))

    def left(self) -> int:
        """Orders that are not closed yet."""
        row = self.connection.execute("SELECT count(*) FROM document WHERE closed_at IS NULL").fetchone()
        return int(row[0]) if row else 0

    def waits(self, system: str, since: datetime) -> list[float]:
        """Seconds each step with a system took from when it became due, of those recorded since a moment."""
        found = self.connection.execute(
            "SELECT extract(epoch FROM recorded_at - state_from_since) FROM event WHERE system = %s AND recorded_at >= %s ORDER BY 1",
            [system, since],
        )
        return [float(seconds) for (seconds,) in found]


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog went down. Shares from 0 to 1."""

    minutes: int
    quota_used: float
    refused_by_limit: int
    overtaken_by_h: float
    """By how many hours the one that was overtaken most was older than one that was ordered before it."""


def drain(town: Town, *, most_h: int) -> Drained:
    """Let the backlog go down, and say how.

    Raises:
        RuntimeError: it does not within so many hours.
    """
    began = int(town.clock.now().timestamp() // 60)
    known = len(town.vendor.order_of_creation)
    for _ in range(most_h * 12):
        town.run(minutes=5)
        if not town.left():
            break
    else:
        raise RuntimeError(f"{town.left()} orders are left after {most_h} hours")
    busy = sorted(minute for minute in town.vendor.answered if minute >= began)
    # The first and the last minute are not whole.
    whole = [town.vendor.answered[minute] for minute in busy[1:-1]]
    newest, overtaken = BEGINS, 0.0
    for number in town.vendor.order_of_creation[known:]:
        came_at = town.came_at[number]
        overtaken = max(overtaken, (newest - came_at).total_seconds() / 3600)
        newest = max(newest, came_at)
    return Drained(
        minutes=len(busy),
        quota_used=statistics.fmean(whole) / (PER_S * 60) if whole else 0.0,
        refused_by_limit=town.vendor.refused,
        overtaken_by_h=overtaken,
    )


def run(
    connection: psycopg.Connection, *, documents: int, hours: int = 72, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """The figures of one outage of so many hours with so many orders coming in meanwhile."""
    began = time.monotonic()
    town = Town(connection)
    town.draft(50)
    town.run(hours=1)
    calm_p95 = _p95(town.waits("procurement", BEGINS))
    town.vendor.is_down = True
    per_hour = documents // hours
    for hour in range(hours):
        town.draft(per_hour + (documents % hours if hour == 0 else 0))
        town.run(hours=1)
        if hour % 12 == 11:
            progress(f"{hour + 1} h down, {town.left():,} orders wait, {town.vendor.failed:,} probes")
    probes, taken_in = town.vendor.failed, town.left()
    town.vendor.is_down = False
    up_at = town.clock.now()
    drained = drain(town, most_h=max(2, documents * 4 // (PER_S * 3600) * 2 + 2))
    progress(f"drained in {drained.minutes} min")
    return {
        "documents": documents,
        "hours_down": hours,
        "taken_in_while_down": taken_in,
        "probes_while_down": probes,
        "drain_minutes": drained.minutes,
        "drain_share_of_quota": round(drained.quota_used, 3),
        "refused_by_limit": drained.refused_by_limit,
        "overtaken_by_h": round(drained.overtaken_by_h, 2),
        "others_p95_s_calm": round(calm_p95, 3),
        "others_p95_s_draining": round(_p95(town.waits("procurement", up_at)), 3),
        "ordered": len(town.vendor.orders),
        "seconds": round(time.monotonic() - began, 1),
    }


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else 0.0


def measure(database: Database, *, documents: int, hours: int, progress: Progress) -> dict[str, Any]:
    """The same in a cell of its own, which is dropped afterwards."""
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        return run(connection, documents=documents, hours=hours, progress=progress)
