"""Our engine beside the others, in one run on one machine and one PostgreSQL; `finsync bench rivals --json`.

A durable step is one whose outcome has been committed before the next one of its journey begins. The others' steps do nothing
but note their beginning; ours are the transitions of `workshop.MOVES`, each with its document, event, intent and attempt, and
are the only ones that would survive a broker or a worker without being done twice. Every rival is tried with several
settings, and its best counts.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import cells
from benchmarks.engine import transition_rates
from benchmarks.limits import write_rate
from benchmarks.process import engines
from benchmarks.rivals import servers
from benchmarks.rivals.field import RIVALS
from benchmarks.rivals.servers import Missing
from benchmarks.rivals.trial import Rival, quantiles, run_trial
from benchmarks.workshop import MOVES, draft, instant_engine
from sync_engine.database.connections import Database, dsn

Progress = Callable[[str], None]

WORKERS = (1, 2)
ORDERS, ROUNDS, BATCHED = 6000, 3, 10_000
ORDERS_QUICK, ROUNDS_QUICK, BATCHED_QUICK = 100, 1, 1000
LONE_JOURNEYS = 40
LONE_JOURNEYS_QUICK = 4
JOURNEYS_QUICK = 12


def run(database: Database, *, quick: bool, progress: Progress, rivals: tuple[Rival, ...] = RIVALS) -> dict[str, Any]:
    """Measure everything. Rates are durable steps a second, latencies milliseconds from one step of a journey to the next:
    with a backlog (which is waiting, for whoever takes steps in turn) and for a journey that is alone; there also from its
    submission to its first step."""
    figures: dict[str, Any] = {"machine": cells.machine(database), "quick": quick}
    figures["ours"] = _ours(database, quick=quick, progress=progress)
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress("what PostgreSQL can write in batches")
        many = BATCHED_QUICK if quick else BATCHED
        figures["pg_batched_per_s"] = round(write_rate(connection, batch=500, many=many))
    figures["rivals"] = {rival.name: _rival(database, rival, quick=quick, progress=progress) for rival in rivals}
    return figures | _ratios(figures)


def _ours(database: Database, *, quick: bool, progress: Progress) -> dict[str, Any]:
    orders, rounds = (ORDERS_QUICK, ROUNDS_QUICK) if quick else (ORDERS, ROUNDS)
    found = {}
    for many in WORKERS:
        progress(f"our engine, {many} at work")
        with cells.cell(database) as cell, cells.connected(cell) as connection:
            rates = transition_rates(cell, connection, many, orders=orders, rounds=rounds)
            backlog = _gaps(connection, MOVES)
        with cells.cell(database) as cell, cells.connected(cell) as connection:
            drafter = instant_engine(connection, "drafter")
            with engines(cell, many) as processes:
                for process in processes:
                    process.go()
                for number in range(LONE_JOURNEYS_QUICK if quick else LONE_JOURNEYS):
                    draft(connection, drafter, number, 1)
                    cells.wait_until_done(connection)
            lone, pick_up = _gaps(connection, MOVES), _gaps(connection, ("order_drafted", MOVES[0]))
        found[_workers(many)] = {
            "steps_per_s": round(statistics.median(rates)),
            "step_ms_backlog": quantiles(backlog),
            "step_ms_lone": quantiles(lone),
            "pick_up_ms_lone": quantiles(pick_up),
        }
    return found


def _gaps(connection: psycopg.Connection, moves: tuple[str, ...]) -> list[float]:
    """Milliseconds between these moves of each journey: from the moment the engine records one to the next."""
    rows = connection.execute(
        "SELECT 1000 * extract(epoch FROM recorded_at - lag(recorded_at) OVER (PARTITION BY document_id ORDER BY seq)) "
        "FROM event WHERE activity = ANY (%s)",
        [list(moves)],
    )
    return [float(gap) for (gap,) in rows if gap is not None]


def _rival(database: Database, rival: Rival, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """Its best trial for each number of workers, and all of them; or why it was left out."""
    try:
        release = version(rival.package)
    except PackageNotFoundError:
        return {"skipped": f"the package {rival.package} is not installed; the extra [bench] has it"}
    settings = rival.settings[:1] if quick else rival.settings
    found: dict[str, Any] = {"version": release}
    try:
        with tempfile.TemporaryDirectory(prefix="finsync-rival-", ignore_cleanup_errors=True) as folder:
            trials = []
            for options in settings:
                with _broker(rival, Path(tempfile.mkdtemp(dir=folder)), options) as broker:
                    trials += list(
                        _trials(database, rival, Path(folder), broker, options, quick=quick, progress=progress)
                    )
    except Missing as missing:
        return {"skipped": str(missing)}
    for many in WORKERS:
        found[_workers(many)] = max(
            (trial for workers, trial in trials if workers == many), key=lambda trial: trial["steps_per_s"]
        )
    found["tried"] = [{"workers": workers, **trial} for workers, trial in trials]
    return found


def _trials(
    database: Database, rival: Rival, folder: Path, broker: str, options: dict[str, Any], *, quick: bool, progress: Progress
) -> Iterator[tuple[int, dict[str, Any]]]:  # fmt: skip
    for many in WORKERS:
        progress(f"{rival.name}, {many} at work, {options}")
        with database.connect_owner() as connection:
            yield (
                many,
                run_trial(
                    rival,
                    connection,
                    dsn(database.owner_url),
                    Path(tempfile.mkdtemp(dir=folder)),
                    broker=broker,
                    workers=many,
                    journeys=JOURNEYS_QUICK if quick else rival.journeys,
                    lone=2 if quick else LONE_JOURNEYS // 2,
                    options=options,
                ),
            )


def _broker(rival: Rival, folder: Path, options: dict[str, Any]) -> AbstractContextManager[str]:
    if rival.broker == "redis":
        return servers.redis(folder, fsync=options["appendfsync"])
    return servers.rabbitmq(folder) if rival.broker == "rabbitmq" else nullcontext("")


def _ratios(figures: dict[str, Any]) -> dict[str, Any]:
    """Ours beside the best of the others with as many workers, and beside what PostgreSQL can write."""
    measured = [one for one in figures["rivals"].values() if "skipped" not in one]
    ratios: dict[str, Any] = {}
    for many in WORKERS:
        name = _workers(many)
        ours = figures["ours"][name]["steps_per_s"]
        best = max((one[name]["steps_per_s"] for one in measured), default=None)
        ratios[f"best_rival_{name}"] = best
        ratios[f"times_best_rival_{name}"] = round(ours / best, 1) if best else None
    ratios["two_engines_share_of_batched"] = round(
        figures["ours"][_workers(2)]["steps_per_s"] / figures["pg_batched_per_s"], 3
    )
    ratios["lone_step_ms_p99"] = figures["ours"][_workers(1)]["step_ms_lone"]["p99"]
    return ratios


def _workers(many: int) -> str:
    return "one_worker" if many == 1 else "two_workers"
