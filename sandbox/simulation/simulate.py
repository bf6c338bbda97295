"""Many seeds: each drawn, run and looked at; what does not hold is told with the seed that shows it, and made small."""

import json
import logging
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import structlog

from sandbox.simulation.arena import Arena, server
from sandbox.simulation.calm import JourneyEnd, calm_ends
from sandbox.simulation.coverage import Coverage, covered
from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.invariants import check
from sandbox.simulation.plan import Plan, draw
from sandbox.simulation.schedule import Alteration, Schedule, unaltered
from sandbox.simulation.shrink import shrink
from sync_engine.engine.runner import calm_collector


@dataclass(frozen=True, slots=True)
class Result:
    """What one schedule came to.

    Attributes:
        digest: Over everything that happened: equal digests, equal runs.
        last: The last lines of its trace, when something did not hold.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    digest: str
    documents: int
    faults: int
    coverage: Coverage
    last: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "seed": self.plan.seed,
            "digest": self.digest,
            "documents": self.documents,
            "faults": self.faults,
            "findings": [
                {"invariant": one.invariant, "document": one.document, "says": one.says} for one in self.findings
            ],
        }


class Stage:
    """An arena with the ends of the calm world, on which plans are played one after the other.

    Args:
        url: The server.
        cell: The schema to play in.
    """

    def __init__(self, url: str, cell: str) -> None:
        self.arena = Arena(url, cell)
        self.calm: Mapping[str, JourneyEnd] = calm_ends(self.arena)

    def play(self, plan: Plan, *, altered: Alteration = unaltered, schema: Alteration = unaltered) -> Result:
        """Run one plan and look at its end. `altered` plants a bug in the program, which is taken back before anybody looks, so
        that no invariant goes by it; `schema` plants one in the database, which is there to be looked at."""
        with schema(self.arena):
            with altered(self.arena):
                schedule = Schedule(plan, self.arena)
                try:
                    schedule.run()
                except RuntimeError as error:
                    schedule.notes.findings.append(Finding("comes_to_rest", "", str(error)))
            ended = Ended(schedule)
            findings = tuple(check(ended, self.calm))
        return Result(
            plan,
            findings,
            schedule.trace.digest,
            len(ended.documents),
            schedule.faults.count,
            covered(ended),
            tuple(schedule.trace.last) if findings else (),
        )

    def smallest(self, failed: Result, *, altered: Alteration = unaltered) -> Plan:
        """The smallest plan that fails as a result did."""
        wrong = {one.invariant for one in failed.findings}

        def still_fails(plan: Plan) -> bool:
            return bool(wrong & {one.invariant for one in self.play(plan, altered=altered).findings})

        return shrink(failed.plan, failed.faults, still_fails)

    def close(self) -> None:
        """Let go of the arena."""
        self.arena.close()


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage on a server of its own, in a process that is settled in."""
    with settled_in(), server() as url, closing(Stage(url, "simulation")) as found:
        yield found


@contextmanager
def settled_in() -> Iterator[None]:
    """A process suited to simulations; it logs again as it did when that is over."""
    logged = structlog.get_config()
    _settle_in()
    try:
        yield
    finally:
        structlog.configure(**logged)


def results(seeds: Iterable[int], *, jobs: int = 1) -> Iterator[Result]:
    """The result of every seed, in order, by so many processes on one server."""
    if jobs == 1:
        with stage() as alone:
            for seed in seeds:
                yield alone.play(draw(seed))
        return
    with workers(jobs) as pool:
        yield from pool.imap(played, seeds)


@contextmanager
def workers(jobs: int) -> Iterator[Pool]:
    """So many processes, each with a stage on one server."""
    # Spawned, not forked: a copy of this process would share whatever it has open.
    processes = multiprocessing.get_context("spawn")
    with server() as url, processes.Pool(jobs, _begin_work, (url,)) as pool:
        yield pool


def stage_of_worker() -> Stage:
    """The stage of the worker process this is asked in."""
    return _stages[0]


def played(seed: int) -> Result:
    """The result of one seed, by the worker process this is asked in."""
    return stage_of_worker().play(draw(seed))


def keep(folder: Path, name: str, plan: Plan, result: Result) -> Path:
    """Write a failing plan to a file that the regression tests play for ever; answers its path."""
    path = folder / f"{plan.seed}-{name}.json"
    content = {"found": result.as_json()["findings"][:5], "plan": plan.as_json()}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _settle_in() -> None:
    """Suit a process to simulations: the engine logs what it parks, which here is as usual as it is meant to be; and the cyclic
    garbage collector suits an engine's many short-lived objects."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    calm_collector()


_stages: list[Stage] = []
"""The stage of a worker process."""


def _begin_work(url: str) -> None:
    _settle_in()
    _stages.append(Stage(url, f"simulation_{os.getpid()}"))
