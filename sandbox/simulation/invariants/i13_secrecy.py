"""I13: no secret and nothing of another business unit is in what people read: messages, facts, recorded calls and bodies."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def secrecy(ended: Ended) -> list[Finding]:
    """Texts with a credential in them, and exceptions that name a journey of another unit."""
    found = [
        Finding("secrecy", row["place"], f"a credential stands in {row['count']} rows")
        for row in ended.rows("simulate.credentials")
        if row["count"]
    ]
    units = {journey.story.tag: journey.story.unit for journey in ended.journeys}
    for row in ended.rows("simulate.exception_texts"):
        foreign = [
            tag for tag, unit in units.items() if f"{tag} " in row["text"] and row["business_unit"] not in {"", unit}
        ]
        if foreign:
            found.append(
                Finding("secrecy", row["number"], f"an exception of {row['business_unit']} names {', '.join(foreign)}")
            )
    return found
