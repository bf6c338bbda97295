"""I11: a system in trouble is not hammered: Retry-After is obeyed, which is noted as it happens, and a step is tried no more often
than its backoff allows."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding

TRIES_AT_ONCE = 25
"""Tries of one step that the first minutes of backoff and a few restarts may take."""

MEAN_BACKOFF_S = 300.0
"""Afterwards tries are at least so far apart on average: full jitter below a cap of 900 s has a mean of 450 s."""


def restraint(ended: Ended) -> list[Finding]:
    """Steps that were tried more often than that."""
    return [
        Finding(
            "restraint",
            row["number"],
            f"{row['flow']}.{row['step']} was tried {row['tries']} times in {row['span_s']:.0f} s",
        )
        for row in ended.rows("simulate.tries")
        if row["tries"] > TRIES_AT_ONCE + float(row["span_s"]) / MEAN_BACKOFF_S
    ]
