"""I5: nothing is ordered without the recorded approval of exactly that payload, and nobody approves their own wish (promise P4).

Read from the ledgers of procurement and the service desk, and from the payloads the order calls were bound to.
"""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.journeys import Journey
from sandbox.simulation.kinds import KINDS

ASKED_FOR = frozenset({"approved", "ordered", "abandoned"})
"""Where a requisition in procurement stands once everybody there has agreed."""


def approval(ended: Ended) -> list[Finding]:
    """Orders without approval, approvals by the requester, calls with a payload nobody had."""
    found = [
        Finding("approval", f"{row['number']}", f"{row['step']} was sent with a payload the document never had")
        for row in ended.rows("simulate.intents_without_payload")
    ]
    found += [
        Finding("approval", f"{row['number']}", "ordered, and no approval of its requisition is on record before")
        for row in ended.rows("simulate.orders_without_approval")
    ]
    for journey in ended.journeys:
        if ended.orders(journey):
            found += _agreed(ended, journey)
    return found


def _agreed(ended: Ended, journey: Journey) -> list[Finding]:
    number = f"requisition {journey.requisition}"
    found = []
    if journey.requisition is not None:
        status = ended.landscape.coupa.requisition(journey.requisition)["status"]
        if status not in ASKED_FOR:
            found.append(Finding("approval", number, f"it is {status} in procurement, and ordered in the ERP"))
    if KINDS[journey.story.kind].line.get("contract") == "":
        missing = {"fin", "proc"} - {who.partition(".")[0] for who in ended.deciders(journey)}
        if missing:
            found.append(
                Finding(
                    "approval", number, f"ordered without a contract, and {', '.join(sorted(missing))} did not agree"
                )
            )
    if f"planner.{journey.low}" in ended.deciders(journey):
        found.append(Finding("approval", number, "ordered, and its requester was among those who agreed"))
    return found
