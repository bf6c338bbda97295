"""The matrix itself, multiplied out from the table of flows: no case in it is written by hand."""

import hashlib
from dataclasses import dataclass

from collectors import SYSTEMS
from sync_engine.engine.results import CALL_POINTS, DECISION_POINTS
from sync_engine.model.flows import FLOWS, Flow, Role, Step
from sync_engine.model.ports import Effect

DEATHS = ("crash", "hang", "crash twice")
"""What becomes of the engine: it dies; it stands still until its claim has run out and then goes on as if nothing had been;
it dies, and so does the one that takes over."""

LOSSES = ("lose_request", "lose_reply", "hold_request")
"""What becomes of the messages of a call that creates something: the request never arrives; it is done and the reply is lost;
the request arrives when the caller has given up on it. (A reply that arrives when another engine has retried is the hang after
the call.)"""

SHARE = 3
"""One case in so many is run with every test run; `python -m tests.matrix` runs all of them."""


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong at one place of one step."""

    flow: str
    step: str
    point: str
    fault: str

    def __str__(self) -> str:
        return f"{self.flow}.{self.step} {self.point} {self.fault}"

    @property
    def is_in_the_share(self) -> bool:
        """Whether it belongs to the part that every test run takes: always the same part, spread over everything."""
        return hashlib.sha256(str(self).encode()).digest()[0] % SHARE == 0


def points_of(step: Step) -> tuple[str, ...]:
    """Where an engine may die in the middle of a step."""
    return DECISION_POINTS if step.asks is Role.FINSYNC else CALL_POINTS


def creates(step: Step) -> bool:
    """Whether the step makes something outside that must not be there twice."""
    return any(
        system.role is step.asks
        and step.does in system.operations
        and system.operations[step.does].effect is Effect.CREATE
        for system in SYSTEMS.values()
    )


STEPS: list[tuple[Flow, Step]] = [(flow, step) for flow in FLOWS.values() for step in flow.steps]

CASES = [
    Case(flow.name, step.name, point, death) for flow, step in STEPS for point in points_of(step) for death in DEATHS
] + [Case(flow.name, step.name, "before_call", loss) for flow, step in STEPS if creates(step) for loss in LOSSES]
