"""I6: every change of state has exactly one event, histories have no gap, and the Merkle root of every recording is that of its
events (promise P5). What is done outside is on record before it is done."""

from collections import defaultdict
from itertools import pairwise
from typing import Any
from uuid import UUID

from sandbox.simulation.ended import Ended, Row
from sandbox.simulation.findings import Finding
from sync_engine.engine import merkle


def audit(ended: Ended) -> list[Finding]:
    """Gaps, states without their event, and roots that are not those of their events."""
    return [
        *_histories(ended),
        *_roots(ended),
        *(
            Finding("audit", row["number"], f"{row['step']} was sent, and nobody had put on record that it would be")
            for row in ended.rows("simulate.calls_without_intent")
        ),
    ]


def _histories(ended: Ended) -> list[Finding]:
    found = []
    for document_id, row in ended.documents.items():
        history = ended.histories.get(document_id, [])
        if [event["seq"] for event in history] != list(range(1, row["last_event_seq"] + 1)):
            found.append(
                _says(
                    ended,
                    document_id,
                    f"its events are numbered {[event['seq'] for event in history]}, and it names {row['last_event_seq']} as the last",
                )
            )
            continue
        last = history[-1]
        stands = (row["state"], row["approval_status"], row["posting_status"])
        if stands != (last["state_to"], last["approval_status"], last["posting_status"]):
            found.append(
                _says(
                    ended,
                    document_id,
                    f"it stands at {stands}, its last event {last['activity']} at {last['state_to']}",
                )
            )
        for before, event in pairwise(history):
            if event["state_from"] != before["state_to"]:
                found.append(
                    _says(
                        ended,
                        document_id,
                        f"{event['activity']} begins at {event['state_from']}, where {before['activity']} had left it at {before['state_to']}",
                    )
                )
    return found


def _roots(ended: Ended) -> list[Finding]:
    leaves: dict[UUID, list[Row]] = defaultdict(list)
    for event in ended.events:
        leaves[event["recording_id"]].append(event)
    found = []
    for recording in ended.rows("simulate.recordings"):
        events = leaves.pop(recording["recording_id"], [])
        if [event["ordinal"] for event in events] != list(range(recording["event_count"])):
            found.append(
                Finding(
                    "audit",
                    str(recording["recording_id"]),
                    f"it says {recording['event_count']} events and has {len(events)}",
                )
            )
        elif merkle.root([merkle.leaf(event) for event in events]) != bytes(recording["merkle_root"]):
            found.append(Finding("audit", str(recording["recording_id"]), "its Merkle root is not that of its events"))
    found += [Finding("audit", str(missing), "events without their recording") for missing in leaves]
    return found


def _says(ended: Ended, document_id: Any, says: str) -> Finding:
    return Finding("audit", ended.number(document_id), says)
