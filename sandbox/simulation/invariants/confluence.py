"""Confluence: the same journeys in any order and with any faults end where they end in a calm world (F4)."""

from collections.abc import Mapping

from sandbox.simulation.calm import JourneyEnd, end_of
from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.kinds import KINDS


def confluence(ended: Ended, calm: Mapping[str, JourneyEnd]) -> list[Finding]:
    """Journeys that ended elsewhere, where it is no chance how far they come."""
    return [
        Finding("confluence", f"{journey.story.tag} {journey.story.kind}", difference)
        for journey in ended.journeys
        if journey.is_over and not KINDS[journey.story.kind].ends_by_chance and not ended.was_told_otherwise(journey)
        for difference in end_of(ended, journey).differs(calm[journey.story.kind])
    ]
