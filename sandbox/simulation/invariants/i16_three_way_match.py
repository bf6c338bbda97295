"""I16: nothing is released for payment before something was received of what it bills: the three-way match."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def three_way_match(ended: Ended) -> list[Finding]:
    """Invoices that were matched before any goods had come."""
    return [
        Finding("three_way_match", row["number"], "it was matched, and nothing had been received of what it bills")
        for row in ended.rows("simulate.matched_before_receipt")
    ]
