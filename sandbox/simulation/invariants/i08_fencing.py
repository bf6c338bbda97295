"""I8: whoever lost a claim writes nothing under it. Tokens given twice and writes under a stale one are noted as they happen; at
the end, tokens have risen with every claim."""

from collections import Counter

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def fencing(ended: Ended) -> list[Finding]:
    """Items whose token is not as high as they were claimed."""
    given = Counter(work_item_id for work_item_id, _ in ended.notes.claims)
    standing = {row["work_item_id"]: row for row in ended.rows("simulate.work")}
    return [
        Finding(
            "fencing",
            standing[work_item_id]["number"],
            f"claimed {times} times, and its token is {standing[work_item_id]['fencing_token']}",
        )
        for work_item_id, times in given.items()
        if standing[work_item_id]["fencing_token"] < times
    ]
