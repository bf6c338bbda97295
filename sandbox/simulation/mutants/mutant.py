"""One planted bug, and the kind of schedule in which it is looked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from sandbox.simulation.mutants.patches import Patch
from sandbox.simulation.plan import BEGINS_AT, Plan, Story


@dataclass(frozen=True, slots=True)
class Profile:
    """Schedules in which one kind of trouble is as usual as it has to be for a bug of that kind to matter.

    Attributes:
        kinds: One journey of each.
        rates: Classes of faults with their rates; one above 1 makes up for a class that strikes more rarely than its rate.
        engines: So many work side by side.
        pace_s: How long people take between two acts; one of these.
    """

    kinds: tuple[str, ...]
    rates: Mapping[str, float]
    engines: int = 2
    pace_s: tuple[int, ...] = (60, 600, 1_800)

    def plan(self, seed: int) -> Plan:
        """The plan of a seed."""
        rng = Random(f"{seed} mutant")
        stories = tuple(
            Story(
                number,
                kind,
                begins_s=rng.choice((0, 0, 60)),
                pace_s=rng.choice(self.pace_s),
                quantity=rng.randint(2, 9) * 2,
                price_cents=rng.randint(500, 9_000),
                unit=rng.choice(("DE-SOUTH", "DE-NORTH")),
            )
            for number, kind in enumerate(self.kinds, start=1)
        )
        return Plan(seed=seed, stories=stories, rates=dict(self.rates), engines=self.engines, begins_at=BEGINS_AT)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that is planted.

    Attributes:
        name: What it is called; names are unique.
        category: Which part of the program it is about.
        guard: What it takes away, in words.
        expected: Invariants any of which has to see it.
        profile: Where it is looked for.
        patches: What it changes.
        setting: What is changed for it and for the run without it: a bug of paging needs pages.
    """

    name: str
    category: str
    guard: str
    expected: tuple[str, ...]
    profile: Profile
    patches: tuple[Patch, ...]
    setting: tuple[Patch, ...] = ()
