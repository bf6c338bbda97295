"""What must hold at the end of every schedule, whatever went wrong in it. Each is a function of the end that answers findings,
with the documents they are about; the numbers are those of the reliability plan."""

from collections.abc import Callable, Mapping

from sandbox.simulation.calm import JourneyEnd
from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.invariants.confluence import confluence
from sandbox.simulation.invariants.i01_one_live_order import one_live_order
from sandbox.simulation.invariants.i02_nothing_lost import nothing_lost
from sandbox.simulation.invariants.i03_totals import totals
from sandbox.simulation.invariants.i04_legal_states import legal_states
from sandbox.simulation.invariants.i05_approval import approval
from sandbox.simulation.invariants.i06_audit import audit
from sandbox.simulation.invariants.i07_isolation import isolation
from sandbox.simulation.invariants.i08_fencing import fencing
from sandbox.simulation.invariants.i09_once import once
from sandbox.simulation.invariants.i10_four_eyes import four_eyes
from sandbox.simulation.invariants.i11_restraint import restraint
from sandbox.simulation.invariants.i12_liveness import liveness
from sandbox.simulation.invariants.i13_secrecy import secrecy
from sandbox.simulation.invariants.i14_time import time_is_sane
from sandbox.simulation.invariants.i15_poison import poison
from sandbox.simulation.invariants.i16_three_way_match import three_way_match
from sandbox.simulation.invariants.i17_wanted_answers import wanted_answers
from sandbox.simulation.invariants.prefix import prefix

Invariant = Callable[[Ended], list[Finding]]

# fmt: off
INVARIANTS: dict[str, Invariant] = {
    "I1": one_live_order, "I2": nothing_lost, "I3": totals, "I4": legal_states, "I5": approval, "I6": audit, "I7": isolation, "I8": fencing,
    "I9": once, "I10": four_eyes, "I11": restraint, "I12": liveness, "I13": secrecy, "I14": time_is_sane, "I15": poison, "I16": three_way_match,
    "I17": wanted_answers, "prefix": prefix,
}
# fmt: on


def check(ended: Ended, calm: Mapping[str, JourneyEnd]) -> list[Finding]:
    """Everything that does not hold. `calm`: how each kind of journey ends when nothing goes wrong."""
    found = list(ended.notes.findings)
    for invariant in INVARIANTS.values():
        found += invariant(ended)
    return found + confluence(ended, calm)
