"""What must hold at the end of every schedule, whatever went wrong in it. Each is a function of the end that answers findings,
with the documents they are about; the numbers are those of the reliability plan."""

from collections.abc import Callable

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.invariants.i01_one_live_order import one_live_order
from sandbox.simulation.invariants.i02_nothing_lost import nothing_lost
from sandbox.simulation.invariants.i06_audit import audit

Invariant = Callable[[Ended], list[Finding]]

INVARIANTS: dict[str, Invariant] = {
    "I1": one_live_order,
    "I2": nothing_lost,
    "I6": audit,
}


def check(ended: Ended) -> list[Finding]:
    """Everything that does not hold."""
    found = list(ended.notes.findings)
    for invariant in INVARIANTS.values():
        found += invariant(ended)
    return found
