"""Many seeds: each drawn, run and looked at; what does not hold is told with the seed that shows it."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from sandbox.simulation.arena import Arena, server
from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.invariants import check
from sandbox.simulation.plan import Plan, draw
from sandbox.simulation.schedule import Alteration, Schedule, unaltered
from sync_engine.engine.runner import calm_collector


@dataclass(frozen=True, slots=True)
class Result:
    """What one schedule came to.

    Attributes:
        digest: Over everything that happened: equal digests, equal runs.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    digest: str
    documents: int
    faults: int


def run(plan: Plan, arena: Arena, *, altered: Alteration = unaltered) -> Result:
    """Run one plan and look at its end. `altered` plants a bug for this run only."""
    with altered(arena):
        schedule = Schedule(plan, arena)
        try:
            schedule.run()
        except RuntimeError as error:
            schedule.notes.findings.append(Finding("comes_to_rest", "", str(error)))
        ended = Ended(schedule)
        findings = tuple(check(ended))
    return Result(plan, findings, schedule.trace.digest, len(ended.documents), schedule.faults.count)


def settle_in() -> None:
    """Suit a process to simulations: the engine logs what it parks, which here is as usual as it is meant to be; and the cyclic
    garbage collector suits an engine's many short-lived objects (`runner.calm_collector`)."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    calm_collector()


def results(seeds: Iterable[int], *, cell: str = "simulation") -> Iterator[Result]:
    """The result of every seed, in order, on a server of their own."""
    settle_in()
    with server() as url:
        arena = Arena(url, cell)
        try:
            for seed in seeds:
                yield run(draw(seed), arena)
        finally:
            arena.close()
