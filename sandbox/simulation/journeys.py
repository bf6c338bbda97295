"""How far a story has come, and what its figures are called in every system."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sandbox.simulation.kinds import KINDS
from sandbox.simulation.plan import Story

AREAS = {"DE-SOUTH": "47", "DE-NORTH": "41"}


@dataclass(slots=True)
class Journey:
    """How far a story has come."""

    story: Story
    due_s: float
    done: int = 0
    requisition: int | None = None
    receipts: list[tuple[str, str]] = field(default_factory=list)
    bills: list[str] = field(default_factory=list)
    decided: set[str] = field(default_factory=set)
    given_up: bool = False

    @property
    def acts(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Everything its people do."""
        return KINDS[self.story.kind].acts

    @property
    def is_over(self) -> bool:
        """Whether its people have nothing more to do."""
        return self.done == len(self.acts)

    @property
    def low(self) -> str:
        """Its business unit as logins carry it."""
        return self.story.unit.lower()


def price(story: Story) -> Decimal:
    """What a piece costs."""
    return Decimal(story.price_cents) / 100


def cost_centre(story: Story) -> str:
    """Each journey spends from a cost centre of its own, so that budgets and blocks concern nobody else."""
    return f"{AREAS[story.unit]}{story.number:02d}"


def bill_number(story: Story) -> str:
    """The supplier's number of a journey's invoice: far enough from every other to be no slip of the pen."""
    return f"RE-{story.number * 1117 + story.price_cents}-{story.number}"
