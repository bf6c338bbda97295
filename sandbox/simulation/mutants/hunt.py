"""Looks for planted bugs: each seed is played without the bug, which has to stay silent, and with it, until an invariant that is
there for it sees it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from sandbox.simulation.arena import Arena
from sandbox.simulation.mutants import MUTANTS
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import Patch, Schema, planting
from sandbox.simulation.simulate import Stage, stage, stage_of_worker, workers

MOST = 300
"""Seeds a bug is looked for in, unless somebody asks for more."""


@dataclass(frozen=True, slots=True)
class Hunted:
    """How the search for one bug went.

    Attributes:
        seeds: Played until it was seen, or without its being seen.
        caught_by: Invariants that saw it, those that are there for it first; none: it was not seen.
        says: What one of them said.
        false_alarms: What was said of the same schedules without the bug.
    """

    mutant: Mutant
    seeds: int
    seconds: float
    caught_by: tuple[str, ...]
    says: str
    false_alarms: tuple[str, ...]

    @property
    def is_caught(self) -> bool:
        """Whether it was seen, and nothing was seen without it."""
        return bool(self.caught_by) and not self.false_alarms

    def as_json(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "mutant": self.mutant.name,
            "category": self.mutant.category,
            "guard": self.mutant.guard,
            "caught": self.is_caught,
            "seeds": self.seeds,
            "seconds": round(self.seconds, 1),
            "caught_by": list(self.caught_by),
            "expected": list(self.mutant.expected),
            "says": self.says,
            "false_alarms": list(self.false_alarms),
        }


class Hunter:
    """Looks for bugs on one stage. What was silent once need not be played again for another bug."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._silent: set[str] = set()

    def hunt(self, mutant: Mutant, *, most: int = MOST) -> Hunted:
        """Look for one bug in up to `most` seeds.

        Raises:
            NotApplicable: what it changes is not there.
        """
        began = time.monotonic()
        program, schema = _split(mutant.patches)
        for seed in range(1, most + 1):
            plan = mutant.profile.plan(seed)
            played = f"{plan} {mutant.setting}"
            with planting(mutant.setting)(self._stage.arena):
                if played not in self._silent:
                    alarms = self._stage.play(plan).findings
                    if alarms:
                        said = tuple(f"seed {seed}: {one.invariant}: {one.document}: {one.says}" for one in alarms)
                        return Hunted(mutant, seed, time.monotonic() - began, (), "", said)
                    self._silent.add(played)
                found = self._stage.play(plan, altered=planting(program), schema=planting(schema)).findings
            wanted = [one for one in found if one.invariant in mutant.expected]
            if wanted:
                names = dict.fromkeys(one.invariant for one in [*wanted, *found])
                says = f"{wanted[0].document}: {wanted[0].says}"
                return Hunted(mutant, seed, time.monotonic() - began, tuple(names), says, ())
        return Hunted(mutant, most, time.monotonic() - began, (), "", ())


def applies(mutant: Mutant, arena: Arena) -> None:
    """Plant a bug and take it back.

    Raises:
        NotApplicable: it cannot be planted any more.
    """
    with planting((*mutant.setting, *mutant.patches))(arena):
        pass


def _split(patches: tuple[Patch, ...]) -> tuple[tuple[Patch, ...], tuple[Patch, ...]]:
    """What is taken back before anybody looks, so that no invariant goes by the changed program, and what has to be looked at."""
    schema = tuple(patch for patch in patches if isinstance(patch, Schema))
    return tuple(patch for patch in patches if patch not in schema), schema


def report(hunted: Sequence[Hunted]) -> dict[str, Any]:
    """All of them, and the figures over them."""
    seeds = [one.seeds for one in hunted if one.is_caught]
    return {
        "mutants": len(hunted),
        "caught": len(seeds),
        "failed": len(hunted) - len(seeds),
        "seeds_median": median(seeds) if seeds else None,
        "seeds_most": max(seeds, default=None),
        "seconds": round(sum(one.seconds for one in hunted), 1),
        "hunted": [one.as_json() for one in hunted],
    }


def hunt_all(mutants: Sequence[Mutant], *, most: int = MOST, jobs: int = 1) -> Iterator[Hunted]:
    """One after the other, in order, by so many processes on one server."""
    if jobs == 1:
        with stage() as alone:
            hunter = Hunter(alone)
            for mutant in mutants:
                yield hunter.hunt(mutant, most=most)
        return
    with workers(jobs) as pool:
        yield from pool.imap(partial(_hunt, most=most), [mutant.name for mutant in mutants])


_hunters: list[Hunter] = []
"""The hunter of a worker process."""


def _hunt(name: str, *, most: int) -> Hunted:
    if not _hunters:
        _hunters.append(Hunter(stage_of_worker()))
    return _hunters[0].hunt(MUTANTS[name], most=most)
