"""What a seed draws: which journeys there are, how fast people are, how much goes wrong. Plain data: a failing plan is
shrunk, written to a file and played again without the seed that drew it.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sandbox.simulation.kinds import KINDS, RARE

RATES = (0.0, 0.02, 0.1, 0.3)
"""Each class of faults has one of these rates in a schedule, so that a calm world with one fault is as usual as a storm."""

DOCUMENTS_MIN = 10
"""A schedule's journeys bring at least so many documents into being, beside the two suppliers there always are."""

STORIES_MAX = 8

RARELY = 0.25
"""In so many schedules there is one of the rare kinds of journeys: an order is taken back (R088), something is given up, the ERP
refuses what it would have taken a moment earlier."""

# fmt: off
FAULTS = {
    # class           what happens                                                                   RELIABILITY 4.3
    "reply_lost":     "the system has done it and the answer never comes",                           # F1
    "request_lost":   "the request never arrives, or cannot be sent at all",                         # F2
    "delayed":        "nobody answers, and the request takes effect some seconds after we gave up",  # F1, F6
    "duplicate":      "a feed tells a record twice, or again days later",                            # F3
    "late":           "a feed tells a record up to seven days late, or out of order",                # F4
    "storm":          "429 or 503 for a while, with and without Retry-After",                        # F5
    "slow":           "an answer takes up to half a minute",                                         # F6
    "garbled":        "an answer is cut off, no JSON, of another charset or endless",                # F7
    "clock":          "the database's clock steps, a vendor's clock is off",                         # F8
    "crash":          "an engine is killed between two steps",                                       # F9
    "schema":         "a vendor's release adds, renames, removes or retypes a field",                # F14
    "poison":         "one record is told with a value nobody can read",                             # F15
    "outage":         "a system is down for hours or days",                                          # F16
    "crowd":          "several people reprocess the same exceptions at the same moment",             # F18
    "forgetful":    "the ERP does not recognise a create that it has had before",                    # F1
}
# fmt: on

BEGINS_AT = datetime(2026, 9, 15, 7, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Story:
    """One journey: what kind, when it begins, how long people take between two acts, and its figures."""

    number: int
    kind: str
    begins_s: int
    pace_s: int
    quantity: int
    price_cents: int
    unit: str

    @property
    def tag(self) -> str:
        """What every line of this journey is called in every system, so that their ledgers can be compared without us."""
        return f"J{self.number:02d}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a schedule needs. `faults_max` ends all faults after so many; None lets them go on to their end."""

    seed: int
    stories: tuple[Story, ...]
    rates: dict[str, float] = field(default_factory=dict)
    engines: int = 2
    faults_max: int | None = None
    begins_at: datetime = BEGINS_AT

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "seed": self.seed,
            "engines": self.engines,
            "faults_max": self.faults_max,
            "begins_at": self.begins_at.isoformat(),
            "rates": dict(sorted(self.rates.items())),
            "stories": [{name: getattr(story, name) for name in Story.__slots__} for story in self.stories],
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> "Plan":
        """The plan in a file."""
        return cls(
            seed=content["seed"],
            stories=tuple(Story(**story) for story in content["stories"]),
            rates=dict(content["rates"]),
            engines=content["engines"],
            faults_max=content["faults_max"],
            begins_at=datetime.fromisoformat(content["begins_at"]),
        )

    def without_faults(self) -> "Plan":
        """The same journeys in a calm world."""
        return replace(self, rates={}, engines=1)


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = Random(f"{seed} plan")
    kinds = sorted(name for name, kind in KINDS.items() if kind.is_drawn)
    stories: list[Story] = []
    pace_s = rng.choice((60, 600, 1_800, 7_200))
    documents = 0
    while documents < DOCUMENTS_MIN and len(stories) < STORIES_MAX:
        kind = rng.choice(kinds)
        documents += KINDS[kind].documents
        stories.append(
            Story(
                number=len(stories) + 1,
                kind=kind,
                begins_s=rng.choice((0, 0, 0, 60, 600)),
                pace_s=rng.choice((pace_s, pace_s, 600)),
                quantity=rng.randint(2, 9) * 2,
                price_cents=rng.randint(500, 9_000),
                unit=rng.choice(("DE-SOUTH", "DE-SOUTH", "DE-NORTH")),
            )
        )
    # Drawn apart: seeds from before anybody thought of it are still what they were.
    forgetful = Random(f"{seed} forgetful").choice(RATES)
    back = Random(f"{seed} taken back")
    if len(stories) < STORIES_MAX and back.random() < RARELY:
        stories.append(
            Story(
                number=len(stories) + 1,
                kind=Random(f"{seed} rare").choice(RARE),
                begins_s=0,
                pace_s=pace_s,
                quantity=back.randint(2, 9) * 2,
                price_cents=back.randint(500, 9_000),
                unit="DE-SOUTH",
            )
        )
    return Plan(
        seed=seed,
        stories=tuple(stories),
        rates={name: rng.choice(RATES) for name in FAULTS if name != "forgetful"} | {"forgetful": forgetful},
        engines=rng.choice((2, 2, 3)),
        begins_at=BEGINS_AT + timedelta(seconds=rng.randrange(0, 3 * 86_400)),
    )
