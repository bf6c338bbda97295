"""Append-only: every history of a document that was read during the run is the beginning of its last one (after Elle's check of
list-append histories: nothing that was read ever changes, disappears or is overtaken)."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def prefix(ended: Ended) -> list[Finding]:
    """Reads that the end contradicts."""
    last = {
        document_id: [(event["seq"], event["activity"]) for event in history]
        for document_id, history in ended.histories.items()
    }
    found = []
    for read in ended.notes.reads:
        for document_id, seen in read.items():
            if last.get(document_id, [])[: len(seen)] != seen:
                found.append(
                    Finding(
                        "prefix", ended.number(document_id), f"its history was read as {seen[-3:]}, and ends otherwise"
                    )
                )
    return found
