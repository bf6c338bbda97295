"""What the schedules have reached: every move of a lifecycle, every step of a flow, every fault at every place it can strike, every
two faults in one schedule. Derived from the tables of the program, so that a new step or move shows as a gap until it is reached."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from sandbox.company.company import FEED_TABLES
from sandbox.simulation.ended import Ended
from sandbox.simulation.plan import FAULTS
from sandbox.simulation.wire import SPOILABLE
from sync_engine.model.flows import FLOWS, Role
from sync_engine.model.lifecycles import LIFECYCLES

AT_A_CALL = ("reply_lost", "request_lost", "storm", "slow", "garbled")
AT_A_FEED = ("duplicate", "late")
AT_A_RECORD = ("poison", "schema")
AT_A_CREATE = ("order_to_fulfilment.create_purchase_order", "invoice_to_payment_readiness.post_invoice")
"""Where the ERP is asked to make something, under an id of the request by which it may know it again."""

# fmt: off
NEVER = {
    "invoice awaiting_receipt receipt_awaited":  "an invoice that looks for its receipt once more, and still has none, waits on without an event",
    "posting received clearing_applied":         "a posting is applied before anybody looks whether it is cleared, also one that is first told cleared",
    "posting received reversal_applied":         "a posting is applied before anybody looks whether it is reversed, also one that is first told reversed",
    "supplier checked supplier_awaited":         "both suppliers of a schedule are in the ERP before anybody asks for them",
}
# fmt: on
"""Moves that lifecycles allow and no schedule makes, and why: they are no gaps, and seeing one would be news."""

Counts = Mapping[str, int]


@dataclass
class Coverage:
    """How often each thing was reached, in one schedule or in many."""

    moves: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    boundaries: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Coverage") -> None:
        """Count another schedule too."""
        self.moves += other.moves
        self.steps += other.steps
        self.faults += other.faults
        self.pairs += other.pairs
        self.boundaries += other.boundaries

    def as_json(self) -> dict[str, Any]:
        """How much of what there is was reached, what was not, and all counts."""
        return {
            "moves": {**_compared(self.moves, set(all_moves()) - set(NEVER)), "never": NEVER},
            "steps": _compared(self.steps, all_steps()),
            "faults_at_places": _compared(self.faults, all_faults()),
            "fault_pairs": _compared(self.pairs, all_pairs()),
            "kills_at_boundaries": dict(sorted(self.boundaries.items())),
        }


def _compared(reached: Counts, there_are: Iterable[str]) -> dict[str, Any]:
    known = sorted(set(there_are))
    return {
        "reached": sum(reached.get(name, 0) > 0 for name in known),
        "of": len(known),
        "gaps": [name for name in known if not reached.get(name)],
        "fewest": min((reached.get(name, 0) for name in known), default=0),
        "counts": {name: reached[name] for name in sorted(reached)},
    }


def covered(ended: Ended) -> Coverage:
    """What one schedule has reached."""
    found = Coverage()
    for event in ended.events:
        found.moves[f"{event['document_type']} {event['state_from']} {event['activity']}"] += 1
        if event["flow"] is not None:
            found.steps[f"{event['flow']}.{event['step']}"] += 1
    found.steps += ended.notes.steps
    # Steps that are decided here about something else than the document's own way leave no event of their own; where work stands, it
    # has come to, by way of its first step.
    for row in ended.rows("simulate.work"):
        found.steps.update({f"{row['flow']}.{row['step']}", f"{row['flow']}.{FLOWS[row['flow']].first.name}"})
    for (name, where), times in ended.schedule.faults.struck.items():
        found.faults[f"{name} at {where}"] += times
    for where, times in ended.notes.crashes.items():
        point, _, step = where.partition(" ")
        found.boundaries[point] += times
        found.faults[f"crash at {step}"] += times
    struck = sorted({name for name, _ in ended.schedule.faults.struck})
    found.pairs.update(f"{one} with {other}" for one, other in combinations(struck, 2))
    return found


def all_moves() -> list[str]:
    """Every row of every lifecycle."""
    return [
        f"{document_type.value} {state} {event}"
        for document_type, lifecycle in LIFECYCLES.items()
        for state, event in lifecycle.moves
    ]


def all_steps() -> list[str]:
    """Every step of every flow."""
    return [f"{flow.name}.{step.name}" for flow in FLOWS.values() for step in flow.steps]


def all_faults() -> list[str]:
    """Every fault at every place where it can strike."""
    calls = [
        f"{flow.name}.{step.name}" for flow in FLOWS.values() for step in flow.steps if step.asks is not Role.FINSYNC
    ]
    feeds = [f"feed:{system}.{feed}" for system, feed in FEED_TABLES]
    spoilable = [f"feed:{system}.{feed}" for system, feed in FEED_TABLES if system in SPOILABLE]
    systems = sorted({system for system, _ in FEED_TABLES})
    return [
        *(f"{name} at {place}" for name in AT_A_CALL for place in [*calls, *feeds]),
        *(f"crash at {place}" for place in [*all_steps(), *feeds, "apply"]),
        *(f"{name} at {place}" for name in AT_A_FEED for place in feeds),
        *(f"{name} at {place}" for name in AT_A_RECORD for place in spoilable),
        *(f"outage at {system}" for system in systems),
        *(f"clock at {place}" for place in [*systems, "database"]),
        *(f"forgetful at {place}" for place in AT_A_CREATE),
        "crowd at exceptions",
    ]


def all_pairs() -> list[str]:
    """Every two classes of faults."""
    return [f"{one} with {other}" for one, other in combinations(sorted(FAULTS), 2)]
