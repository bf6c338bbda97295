"""I12: after the last fault everything comes to rest by itself: final, waiting for something in the outside world, or parked with
a reason (promise P7)."""

from datetime import timedelta

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def liveness(ended: Ended) -> list[Finding]:
    """Whatever still moves, or stands without anybody knowing why."""
    now = ended.schedule.clock.database_now() - timedelta(minutes=5)  # what has just become due is not late
    found = [Finding("liveness", row["what"], row["says"]) for row in ended.rows("simulate.restless", now=now)]
    found += [
        Finding("liveness", row["number"], f"it is {row['state']}, and nothing is due, waits or is parked for it")
        for row in ended.rows("simulate.forgotten")
    ]
    found += [
        Finding(
            "liveness",
            f"{journey.story.tag} {journey.story.kind}",
            f"its people still wait to {journey.acts[journey.done][0]}",
        )
        for journey in ended.journeys
        if not journey.is_over and not ended.was_told_otherwise(journey)
    ]
    return found
