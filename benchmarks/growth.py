"""Whether the engine gets slower as history grows; `finsync bench growth --json`.

Each size is a cell of its own with so many finished work items, events and calls in it. All cells are measured in turn, round
after round, so that a machine whose speed changes meanwhile changes it for all of them alike.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg

from benchmarks import cells
from benchmarks.finished import copy_journeys, make_originals, make_partitions, settle
from benchmarks.workshop import MOVES, draft, instant_engine
from sync_engine.database.connections import Database
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now

Progress = Callable[[str], None]

FULL = (0, 1_000_000, 10_000_000)
QUICK = (0, 1000, 5000)
CLAIM = 100


@dataclass(frozen=True, slots=True)
class Rounds:
    """How much is measured of each size."""

    throughput: int
    orders: int
    """In one round of the throughput."""
    claims: int


USUAL = Rounds(throughput=7, orders=600, claims=25)
SHORT = Rounds(throughput=1, orders=40, claims=2)


@dataclass(slots=True)
class Grown:
    """A cell with so much behind it, and what was measured in it."""

    finished: int
    connection: psycopg.Connection
    engine: Engine
    made_in_s: float
    sizes_mb: dict[str, int]
    drafted: int = 0
    transitions_per_s: list[float] = field(default_factory=list)
    claim_ms: list[float] = field(default_factory=list)
    record_ms: list[float] = field(default_factory=list)

    def draft(self, orders: int) -> None:
        """New orders, due at once."""
        draft(self.connection, self.engine, 1_000_000 + self.drafted, orders)
        self.drafted += orders

    def as_json(self) -> dict[str, Any]:
        """The medians."""
        return {
            "transitions_per_s": round(statistics.median(self.transitions_per_s)),
            "claim_100_ms": round(statistics.median(self.claim_ms), 2),
            "record_100_ms": round(statistics.median(self.record_ms), 2),
            "made_in_s": round(self.made_in_s, 1),
            "sizes_mb": self.sizes_mb,
        }


def run(database: Database, *, finished: tuple[int, ...], quick: bool, progress: Progress) -> dict[str, Any]:
    """Measure each size. Rates are transitions a second of one engine in one thread, times ms of a hundred items."""
    rounds = SHORT if quick else USUAL
    with ExitStack() as open_cells:
        grown = [_grow(database, one, open_cells, progress) for one in finished]
        _measure(grown[:1], Rounds(1, rounds.orders // 2, 2))  # plans and caches of this process
        for one in grown:
            one.transitions_per_s.clear()
            one.claim_ms.clear()
            one.record_ms.clear()
        progress("measuring, in turn")
        _measure(grown, rounds)
        figures = {str(one.finished): one.as_json() for one in grown}
    return {"machine": cells.machine(database), "quick": quick, "finished": figures} | _shares(figures)


def _grow(database: Database, finished: int, open_cells: ExitStack, progress: Progress) -> Grown:
    progress(f"a cell with {finished} finished work items, events and calls")
    cell = open_cells.enter_context(cells.cell(database))
    connection = open_cells.enter_context(cells.connected(cell))
    make_partitions(connection)
    began = time.perf_counter()
    if finished:
        make_originals(connection)
        copy_journeys(connection, finished)
    made_in_s = time.perf_counter() - began
    sizes = settle(cell)
    engine = instant_engine(connection, "grown", DatabaseClock(database_now(connection)))
    progress(f"made in {made_in_s:.0f} s: {sizes} MB")
    return Grown(finished, connection, engine, made_in_s, sizes)


def _measure(grown: list[Grown], rounds: Rounds) -> None:
    for _ in range(rounds.throughput):
        for one in grown:
            one.transitions_per_s.append(_throughput(one, rounds.orders))
    for one in grown:
        one.draft(rounds.claims * CLAIM)
    for _ in range(rounds.claims):
        for one in grown:
            _claim_and_record(one)
    for one in grown:
        one.engine.run_until_idle(one.connection)


def _throughput(one: Grown, orders: int) -> float:
    one.draft(orders)
    began = time.perf_counter()
    while not one.engine.run_once(one.connection, wanted=500).is_idle:
        pass
    return orders * len(MOVES) / (time.perf_counter() - began)


def _claim_and_record(one: Grown) -> None:
    lane = one.engine.lanes["erp"]
    began = time.perf_counter()
    items = lane.claim(one.connection, CLAIM)
    one.claim_ms.append((time.perf_counter() - began) * 1000)
    results = [lane.ask(item) for item in items]
    began = time.perf_counter()
    lane.record(one.connection, results)
    one.record_ms.append((time.perf_counter() - began) * 1000)


def _shares(figures: dict[str, Any]) -> dict[str, Any]:
    """The worst of the sizes beside the smallest: 1.0 is flat."""
    smallest, *larger = figures.values()
    return {
        "throughput_share": round(
            min((one["transitions_per_s"] for one in larger), default=0) / smallest["transitions_per_s"], 3
        ),
        "claim_share": round(max((one["claim_100_ms"] for one in larger), default=0) / smallest["claim_100_ms"], 3),
        "record_share": round(max((one["record_100_ms"] for one in larger), default=0) / smallest["record_100_ms"], 3),
    }
