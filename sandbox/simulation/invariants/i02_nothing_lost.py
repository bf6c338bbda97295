"""I2: what was accepted is applied, superseded, ignored or parked with an owner, to the row; and everything that procurement and
AP automation have, we were told of (promise P2)."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def nothing_lost(ended: Ended) -> list[Finding]:
    """Messages nobody has dealt with, documents we never heard of, and things parked without a reason."""
    found = []
    books = ended.rows("reconcile.unsettled_messages")[0]
    if books["lost"]:
        found.append(
            Finding("nothing_lost", "messages", f"{books['lost']} of {books['accepted']} accepted messages are lost")
        )
    found += [
        Finding("nothing_lost", row["number"], f"parked at {row['place']} without an open exception that has an owner")
        for row in ended.rows("simulate.parked_without_owner")
    ]
    told = {(row["kind"], row["external_id"]) for row in ended.rows("simulate.told")}
    for journey in ended.journeys:
        if journey.requisition is not None and ("requisition", str(journey.requisition)) not in told:
            found.append(
                Finding(
                    "nothing_lost", f"requisition {journey.requisition}", "procurement has it and we were never told"
                )
            )
        found += [
            Finding("nothing_lost", f"invoice {bill}", "AP automation has it and we were never told")
            for bill in journey.bills
            if ("invoice", bill) not in told
        ]
    return found
