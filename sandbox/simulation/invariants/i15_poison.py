"""I15: what nobody can read is parked alone, for a reason somebody planned for, and holds up nobody else."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def poison(ended: Ended) -> list[Finding]:
    """Anything that was parked because the program did not know what to do. That others went on is what `calm` compares."""
    found = [
        Finding("poison", row["number"], f"nobody planned for it: {row['says']}")
        for row in ended.rows("simulate.unexpected")
    ]
    found += [
        Finding("poison", row["number"], f"its status is in no table, and the message was {row['outcome']}")
        for row in ended.rows("simulate.guessed")
    ]
    return found
