"""I10: what policy reserves to a second person is done by one, with the rights they have; everything else is denied."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sync_engine.control.roles import Action, Role, may


def four_eyes(ended: Ended) -> list[Finding]:
    """Commands carried out for people who may not ask for them, and acceptances by whoever asked for the document."""
    found = []
    for row in ended.rows("simulate.commands"):
        if row["status"] != "done":
            continue
        if not may(frozenset(Role(role) for role in row["roles"]), Action(row["action"])):
            found.append(
                Finding("four_eyes", str(row["command_id"]), f"{row['actor']} may not {row['action']}, and it was done")
            )
    found += [
        Finding("four_eyes", row["number"], f"accepted by {row['actor']}, who had asked for it")
        for row in ended.rows("simulate.accepted_by_requester")
    ]
    return found
