"""I9: what a person asked is done once per token, however often it arrives and by however many people (F17, F18); and a message is
taken in once, however often it is told (F3). That one idempotency key stands for one payload is noted as it happens."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def once(ended: Ended) -> list[Finding]:
    """Commands that were carried out more than once, and cases that two people reprocessed at the same version."""
    commands = ended.rows("simulate.commands")
    found = []
    redriven = ended.rows("simulate.redrives")
    done = [row for row in commands if row["action"] == "reprocess" and row["status"] == "done"]
    if len(redriven) != len(done):
        found.append(
            Finding(
                "once",
                "reprocess",
                f"{len(done)} commands were carried out, and {len(redriven)} reprocessings are on record",
            )
        )
    found += [
        Finding("once", row["number"], f"{row['winners']} people reprocess it at version {row['case_version']}")
        for row in ended.rows("simulate.reprocessed_twice")
    ]
    found += [
        Finding("once", row["number"], f"version {row['version']} of it was told {row['times']} times")
        for row in ended.rows("simulate.told_twice")
    ]
    return found
