"""I14: time is sane: no call took less than nothing, and where the database's clock was never set back, nothing ended before it
began."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def time_is_sane(ended: Ended) -> list[Finding]:
    """Negative durations within one clock, and leases that end before they begin."""
    always, steady = ("attempt", "lease"), ("stage", "case", "work", "document")
    steady_clock = not ended.plan.rates.get("clock")  # with it, engines are half a second apart as well
    looked_at = {*always, *(steady if steady_clock else ())}
    return [
        Finding("time_is_sane", row["what"], f"{row['count']} end before they begin")
        for row in ended.rows("simulate.backward")
        if row["what"] in looked_at and row["count"]
    ]
