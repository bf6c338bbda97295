"""I4: every document moved only as its lifecycle allows: its events, replayed, give the states it went through. And only forward: it
stands at the newest news that was applied to it (R050)."""

from sandbox.simulation.ended import Ended, Row
from sandbox.simulation.findings import Finding
from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus
from sync_engine.model.lifecycles import LIFECYCLES, IllegalMove, Status


def legal_states(ended: Ended) -> list[Finding]:
    """Moves no table allows, and notes that moved something."""
    found = []
    for document_id, history in ended.histories.items():
        lifecycle = LIFECYCLES[DocumentType(history[0]["document_type"])]
        stands = _after(history[0])
        for event in history[1:]:
            arrives, activity = _after(event), event["activity"]
            try:
                legal = lifecycle.after(stands, activity) if activity in lifecycle.events else stands
            except IllegalMove as error:
                legal = stands  # news that came too late is kept as evidence, and may move nothing
                if arrives != stands:
                    found.append(Finding("legal_states", ended.number(document_id), str(error)))
            if arrives not in {legal, stands}:
                says = f"'{activity}' led from {tuple(stands)} to {tuple(arrives)}, and the table says {tuple(legal)}"
                found.append(Finding("legal_states", ended.number(document_id), says))
            stands = arrives
    return found + [
        Finding(
            "legal_states",
            ended.number(row["document_id"]),
            f"stands at news of {row['source_at']}, after that of {row['applied']} was applied",
        )
        for row in ended.rows("simulate.moved_back")
    ]


def _after(event: Row) -> Status:
    return Status(event["state_to"], ApprovalStatus(event["approval_status"]), PostingStatus(event["posting_status"]))
