"""One trial of a rival: its tables prepared, journeys submitted, workers started, and what their steps say of it.

The rate counts from the moment the last of the workers' processes has begun its first step, so that starting them costs a
rival nothing, to the beginning of the last step. A trial is only good if the rival's own tables say that all is done.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.rivals.program import STEPS, Told, read_steps

ROOT = Path(__file__).parents[2]
READY_PATIENCE_S = 30.0
DONE_PATIENCE_S = 120.0
STOP_PATIENCE_S = 15.0
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class Rival:
    """One rival.

    Attributes:
        name: As people know it.
        module: Its program.
        package: The distribution that has to be installed.
        broker: The server it needs beside PostgreSQL: redis, rabbitmq, or none.
        settings: Those that are tried: what its documentation names for throughput, in several strengths.
        done: Asks its own tables how many steps are durably done.
        journeys: How many make a trial.
    """

    name: str
    module: str
    package: str
    broker: str
    settings: tuple[dict[str, Any], ...]
    done: LiteralString
    journeys: int


def run_trial(
    rival: Rival, connection: psycopg.Connection, url: str, folder: Path, *, broker: str, workers: int, journeys: int,
    lone: int, options: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Steps a second with a backlog, and how long a step takes with one and when a journey is alone.

    Raises:
        RuntimeError: not every step was done, or a program failed.
    """
    schema = f"rival_{os.urandom(4).hex()}"
    connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    connection.execute(SQL("SET search_path TO {}").format(Identifier(schema)))
    asked = Told("prepare", url, schema, str(folder), broker=broker, options=options)
    try:
        _run(rival, asked)
        _run(rival, replace(asked, role="submit", many=journeys))
        with _workers(rival, asked, workers):
            _wait_until_done(rival, connection, journeys * STEPS)
            backlog = read_steps(folder)
            _run(rival, replace(asked, role="submit", first=journeys, many=lone, is_lone=True))
            _wait_until_done(rival, connection, (journeys + lone) * STEPS)
            alone = [step for step in read_steps(folder) if step[1] >= journeys]
    finally:
        connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
    return {
        "steps_per_s": round(_rate(backlog)),
        "step_ms_backlog": quantiles([gap for _, gap in _gaps(backlog)]),
        "step_ms_lone": quantiles([gap for step, gap in _gaps(alone) if step > 1]),
        "pick_up_ms_lone": quantiles([gap for step, gap in _gaps(alone) if step == 1]),
        "options": options,
    }


def _rate(steps: list[tuple[str, int, int, int]]) -> float:
    begun: dict[str, int] = {}
    for process, _, _, at in steps:
        begun[process] = min(at, begun.get(process, at))
    began, ended = max(begun.values()), max(at for *_, at in steps)
    return sum(at > began for *_, at in steps) / ((ended - began) / 1e9)


def _gaps(steps: list[tuple[str, int, int, int]]) -> list[tuple[int, float]]:
    """(step, milliseconds since the one before it began): doing that one, making it durable, handing over. Before the first
    is the submission."""
    at = {(journey, step): ns for _, journey, step, ns in steps}
    return [
        (step, (ns - at[journey, step - 1]) / 1e6) for (journey, step), ns in at.items() if (journey, step - 1) in at
    ]


def quantiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


def _wait_until_done(rival: Rival, connection: psycopg.Connection, steps: int) -> None:
    give_up_at = time.monotonic() + DONE_PATIENCE_S
    while True:
        row = connection.execute(rival.done).fetchone()
        done = int(row[0]) if row else 0
        if done >= steps:
            break
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{rival.name} has done {done} of {steps} steps after {DONE_PATIENCE_S:.0f} s")
        time.sleep(SETTLE_S)
    if done != steps:
        raise RuntimeError(f"{rival.name} has done {done} steps of {steps}")


def _command(rival: Rival) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", f"benchmarks.rivals.{rival.module}"]


def _run(rival: Rival, asked: Told) -> None:
    """Let a program do something and end."""
    ended = subprocess.run(  # noqa: S603 - a program of ours
        _command(rival), cwd=ROOT, input=json.dumps(asdict(asked)) + "\n", text=True, capture_output=True, check=False
    )
    if ended.returncode != 0:
        raise RuntimeError(f"{rival.name} cannot {asked.role}: {ended.stderr[-1000:]}")


@contextmanager
def _workers(rival: Rival, asked: Told, many: int) -> Iterator[None]:
    """Workers that have all said that they are ready; they end with the block."""
    running: list[subprocess.Popen[str]] = []
    log = Path(asked.folder) / "workers.log"
    with log.open("w", encoding="utf-8") as said:
        try:
            for number in range(1, many + 1):
                order = json.dumps(asdict(replace(asked, role="work", worker=number)))
                process = subprocess.Popen(  # noqa: S603 - a program of ours
                    _command(rival),
                    cwd=ROOT,
                    env={**os.environ, "FINSYNC_BENCH_TOLD": order},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                )
                running.append(process)
                if process.stdin is not None:
                    process.stdin.write(order + "\n")
                    process.stdin.flush()
            for process in running:
                _hear_ready(rival, process, log)
            yield
        finally:
            for process in running:
                _end(process)


def _hear_ready(rival: Rival, process: subprocess.Popen[str], log: Path) -> None:
    for line in process.stdout or ():
        if line.strip() == "ready":
            return
    process.wait(STOP_PATIENCE_S)
    raise RuntimeError(f"{rival.name}: a worker ended with {process.returncode}: {log.read_text()[-1000:]}")


def _end(process: subprocess.Popen[str]) -> None:
    """Its input ends, which most of them wait for; then it is asked by a signal, in the end it has no choice."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    for ask in (None, process.terminate, process.kill):
        if ask is not None:
            ask()
        try:
            process.wait(2.0 if ask is None else STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            continue
        return
