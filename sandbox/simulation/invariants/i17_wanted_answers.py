"""I17: nobody is asked for an answer that nobody waits for: of a document that has changed, or is over, no earlier request stays open."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding

OURS = "fs-"
"""What our references in the service desk begin with."""

OPEN = frozenset({"requested", "not requested"})


def wanted_answers(ended: Ended) -> list[Finding]:
    """Requests in the service desk's own ledger that somebody would still decide, and whose document does not wait for them."""
    desk = ended.landscape.servicenow
    waited_for = {row["request"] for row in ended.rows("simulate.requests_waited_for")}
    requests = {row["sys_id"]: row for row in desk.tables["sc_request"] if row["correlation_id"].startswith(OURS)}
    asked = {row["sysapproval"] for row in desk.tables["sysapproval_approver"] if row["state"] in OPEN}
    asked |= {sys_id for sys_id, row in requests.items() if row["approval"] in OPEN}
    return [
        Finding(
            "wanted_answers",
            requests[sys_id]["number"],
            f"it is open, and {requests[sys_id]['correlation_display']} does not wait for it",
        )
        for sys_id in sorted(asked & requests.keys() - waited_for)
    ]
