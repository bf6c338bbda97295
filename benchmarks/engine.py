"""How fast the engine is, on this machine and beside what its database can do at most; `finsync bench engine --json`.

A transition is one recorded event that moves a work item (`workshop.MOVES`): claimed, decided or asked, and recorded with
its document, event, attempt and intent, durably. Everything is measured in a cell of its own, which is dropped afterwards.
"""

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import cells
from benchmarks.limits import write_rate
from benchmarks.network import http_rates
from benchmarks.process import engines
from benchmarks.workshop import MOVES, draft, instant_engine
from sync_engine.database import postgres
from sync_engine.database.connections import Database
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import database_now

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    orders: int
    """In one round of the throughput."""
    rounds: int
    limit_batched: int
    limit_single: int
    journeys: tuple[int, ...]
    """After how many the memory is read."""
    finished: tuple[int, ...]
    """How many finished work items lie in the table when claims are timed."""
    claims: int
    requisitions: int
    """That travel over HTTP."""
    lone: int
    """Orders that travel one after the other, with nothing else to do."""


FULL = Size(6000, 3, 10_000, 1000, (1000, 50_000, 100_000), (0, 100_000, 1_000_000), 20, 1000, 60)
QUICK = Size(200, 1, 1000, 50, (40, 80, 120), (0, 1000, 2000), 3, 8, 3)


def run(database: Database, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """Measure everything. Rates are per second, times in ms, memory in MB of a million bytes."""
    size = QUICK if quick else FULL
    figures: dict[str, Any] = {"machine": cells.machine(database), "quick": quick}
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress("what PostgreSQL can write")
        figures["pg_single_commit_per_s"] = round(write_rate(connection, batch=1, many=size.limit_single))
        figures["pg_batched_per_s"] = round(write_rate(connection, batch=500, many=size.limit_batched))
    for many, name in ((1, "engine_transitions_per_s"), (2, "two_engines_transitions_per_s")):
        with cells.cell(database) as cell, cells.connected(cell) as connection:
            progress(f"{many} engine{'s' if many > 1 else ''} in processes of their own")
            rates = transition_rates(cell, connection, many, orders=size.orders, rounds=size.rounds)
            figures[name] = round(statistics.median(rates))
            figures[f"{name}_rounds"] = [round(rate) for rate in rates]
    figures["engine_share_of_batched"] = round(figures["engine_transitions_per_s"] / figures["pg_batched_per_s"], 3)
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress("one order at a time")
        figures["lone_step_ms"] = _lone_steps(cell, connection, size)
    for many, prefix in ((1, ""), (2, "two_engines_")):
        with cells.cell(database) as cell:
            progress(f"journeys over HTTP by {many}, and the same calls without an engine")
            over_http = http_rates(cell, requisitions=size.requisitions, engines=many)
            figures |= {f"{prefix}{name}": rate for name, rate in over_http.items()}
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress("memory after many journeys")
        figures["rss_mb_after_journeys"] = _memory(cell, connection, size, progress)
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress("claiming and recording beside what is finished")
        figures["ms_beside_finished_items"] = _beside_finished(cell, connection, size)
    return figures


def transition_rates(
    database: Database, connection: psycopg.Connection, many: int, *, orders: int, rounds: int
) -> list[float]:
    """Transitions a second with so many engines, one figure a round."""
    drafter = instant_engine(connection, "drafter")
    rates = []
    for number in range(rounds):
        draft(connection, drafter, number * orders, orders)
        with engines(database, many) as processes:
            began = time.perf_counter()
            for process in processes:
                process.go()
            cells.wait_until_done(connection)
            seconds = time.perf_counter() - began
        rates.append(orders * len(MOVES) / seconds)
    told = cells.one(connection, "SELECT count(*) FROM event WHERE activity = ANY (%s)", list(MOVES))
    if told != orders * rounds * len(MOVES):
        raise RuntimeError(f"{told} transitions are recorded; what was measured is something else")
    return rates


def _lone_steps(database: Database, connection: psycopg.Connection, size: Size) -> dict[str, float]:
    """What a step takes when one order has an engine to itself: from the recording of one move to that of the next, so with
    commit, claim, intent and call. The first is left out: work that another process drafts is found by looking, not told."""
    drafter = instant_engine(connection, "drafter")
    with engines(database, 1) as [process]:
        process.go()
        for number in range(size.lone):
            draft(connection, drafter, number, 1)
            cells.wait_until_done(connection)
    steps = connection.execute(
        "SELECT 1000 * extract(epoch FROM e.recorded_at - before.recorded_at) FROM event e "
        "JOIN event before ON before.document_id = e.document_id AND before.seq = e.seq - 1 "
        "WHERE e.activity = ANY (%s) AND e.activity <> %s ORDER BY 1",
        [list(MOVES), MOVES[0]],
    ).fetchall()
    if len(steps) != size.lone * (len(MOVES) - 1):
        raise RuntimeError(f"{len(steps)} steps are recorded; what was measured is something else")
    return {
        "p50": round(float(steps[len(steps) // 2][0]), 1),
        "p99": round(float(steps[math.ceil(len(steps) * 0.99) - 1][0]), 1),
    }


def _memory(database: Database, connection: psycopg.Connection, size: Size, progress: Progress) -> dict[str, float]:
    """Memory of one engine's process after so many journeys, by their number."""
    drafter = instant_engine(connection, "drafter")
    found, drafted = {}, 0
    with engines(database, 1) as [process]:
        process.go()
        for journeys in size.journeys:
            while drafted < journeys:
                more = min(2000, journeys - drafted)
                draft(connection, drafter, drafted, more)
                drafted += more
                cells.wait_until_done(connection)
            found[str(journeys)] = round(process.rss_mb(), 1)
            progress(f"{journeys} journeys: {found[str(journeys)]} MB")
    return found


def _beside_finished(database: Database, connection: psycopg.Connection, size: Size) -> dict[str, dict[str, float]]:
    """Median times of claiming and of recording a hundred calls, by the number of finished work items in the table."""
    engine = instant_engine(connection, "timer", DatabaseClock(database_now(connection)))
    lane, found, finished = engine.lanes["erp"], {}, 0
    for number, wanted in enumerate(size.finished):
        _finish(database, wanted - finished)
        finished = wanted
        draft(connection, engine, number * size.claims * 100, size.claims * 100)
        claims, records = [], []
        for _ in range(size.claims):
            began = time.perf_counter()
            items = lane.claim(connection, 100)
            claims.append(time.perf_counter() - began)
            results = [lane.ask(item) for item in items]
            began = time.perf_counter()
            lane.record(connection, results)
            records.append(time.perf_counter() - began)
        found[str(wanted)] = {
            "claim_100_ms": round(statistics.median(claims) * 1000, 2),
            "record_100_ms": round(statistics.median(records) * 1000, 2),
        }
    return found


def _finish(database: Database, many: int) -> None:
    """Put so many finished work items into the table."""
    with cells.owned(database) as owner:
        owner.execute(
            "INSERT INTO work_item (work_item_id, document_id, business_unit, flow, step, system, status, due_at, step_since, "
            "objective_at, created_at, finished_at) "
            "SELECT gen_random_uuid(), gen_random_uuid(), 'DE-SOUTH', 'order_to_fulfilment', 'await_fulfilment', 'finsync', 'done', "
            "t, t, t, t, t FROM (SELECT now() - interval '1 day' - n * interval '1 second' AS t FROM generate_series(1, %s) n) times",
            [many],
        )
        owner.execute("VACUUM ANALYZE work_item")


def main() -> None:
    """`python -m benchmarks.engine [--quick]`: over DATABASE_URL, else over a PostgreSQL of its own that goes away again."""
    quick = "--quick" in sys.argv[1:]

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    url = os.environ.get("DATABASE_URL")
    if url:
        figures = run(Database(url), quick=quick, progress=tell)
    else:
        with tempfile.TemporaryDirectory(prefix="finsync-bench-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            server = postgres.start_embedded(Path(folder))
            try:
                figures = run(Database(server.url(), roles_log_in=True), quick=quick, progress=tell)
            finally:
                server.stop()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
