"""What the audit page asks: who approved what, when it changed, how it was finally posted; what people asked for; what the controls
found; which configuration was in force; and whether the record of all this is whole.

Whether recordings hold what they say can only be judged by somebody who sees every unit: to anybody else, events of other
units would look lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pandas as pd

from sync_engine.engine import merkle
from sync_engine.insight.asking import Row
from sync_engine.insight.record import RecordCheck
from sync_engine.insight.reports.reading import Reports

Units = Sequence[str] | None

MOST_ROWS = 5000
"""More decisions or requests than one list holds; a list that is cut says so."""

MOST_VERIFIED = 4000
"""So many recordings are recomputed at once: a few seconds."""

APPROVED = frozenset({"approval_completed", "review_approved", "change_approved"})


@dataclass(frozen=True, slots=True)
class Summary:
    """A period in figures. changed_after: decisions whose document its source changed afterwards; first_at: of the whole record."""

    decisions: int
    approved: int
    changed_after: int
    requests: int
    requests_not_done: int
    requests_waiting: int
    overridden: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class Integrity:
    """Recordings of a period and their events, counted both ways."""

    recordings: int
    events_said: int
    events_there: int
    differing: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Verified:
    """What recomputing the Merkle roots came to."""

    recordings: int
    events: int
    wrong: tuple[UUID, ...]
    oldest: datetime | None
    newest: datetime | None


def summary(reports: Reports, units: Units, *, since: datetime, until: datetime) -> Summary:
    """The period in figures."""
    return Summary(**reports.remembered("audit_summary", units=_list(units), since=since, until=until)[0])


DECISION_COLUMNS = (
    "decision_id", "document_id", "document_type", "number", "title", "business_unit", "requester", "supplier_name", "currency", "amount", "group_amount", "decided_at", "recorded_at",
    "activity", "system", "decided_by", "reason", "changed_at", "changes", "is_changed_after", "state", "approval_status", "posting_status", "erp_orders", "erp_invoices",
    "accounting_documents",
)  # fmt: skip


def decisions(reports: Reports, units: Units, *, since: datetime, until: datetime, text: str = "") -> pd.DataFrame:
    """Decisions recorded in the period, newest first; with `text`, those of all time about a number or by somebody. At most MOST_ROWS."""
    return reports.frame(
        "decisions",
        DECISION_COLUMNS,
        units=_list(units),
        since=since,
        until=until,
        text=text.strip().lower() or None,
        limit=MOST_ROWS,
    )


COMMAND_COLUMNS = (
    "command_id", "actor", "roles", "action", "reason", "business_unit", "asked_at", "status", "answer", "settled_at", "redrive_id", "exceptions", "number", "document_id", "details",
)  # fmt: skip


def commands(
    reports: Reports,
    units: Units,
    *,
    since: datetime,
    until: datetime,
    text: str = "",
    statuses: Sequence[str] | None = None,
) -> pd.DataFrame:
    """What people asked for, newest first, each with its outcome; never remembered. At most MOST_ROWS."""
    rows = reports.rows(
        "commands",
        units=_list(units),
        since=since,
        until=until,
        text=text.strip().lower() or None,
        statuses=_list(statuses),
        limit=MOST_ROWS,
    )
    return pd.DataFrame(rows, columns=list(COMMAND_COLUMNS))


def controls(reports: Reports, units: Units, *, since: datetime, until: datetime) -> pd.DataFrame:
    """control, evaluated and objected (documents), overridden (decisions of people), passed, share (objected of evaluated)."""
    frame = reports.frame(
        "controls", ("control", "evaluated", "objected", "overridden"), units=_list(units), since=since, until=until
    )
    shares = [
        objected / evaluated if evaluated else None
        for objected, evaluated in zip(frame["objected"], frame["evaluated"], strict=True)
    ]
    return frame.assign(passed=frame["evaluated"] - frame["objected"], share=pd.Series(shares, dtype=float))


CONTROL_COLUMNS = (
    "row_id", "control", "document_id", "document_type", "number", "business_unit", "supplier_name", "group_amount", "happened_at", "actor", "code", "said", "case_id", "closed_at",
    "closed_by", "close_reason", "state",
)  # fmt: skip


def control_rows(
    reports: Reports, control: str | None, verdict: str, units: Units, *, since: datetime, until: datetime
) -> pd.DataFrame:
    """The documents a control objected to (one row each), or the decisions that let one pass (`verdict` overridden), newest first."""
    return reports.frame(
        "control_rows", CONTROL_COLUMNS, control=control, verdict=verdict, units=_list(units), since=since, until=until
    )


CONFIG_COLUMNS = ("version_id", "kind", "version", "promoted_at", "promoted_by", "sha256", "superseded_at")


def config_versions(reports: Reports) -> pd.DataFrame:
    """Every version of the configuration, newest first; superseded_at NaT: in force."""
    return pd.DataFrame(reports.rows("config_versions"), columns=list(CONFIG_COLUMNS))


def last_check(reports: Reports) -> RecordCheck | None:
    """The newest comparison of the whole record with itself; None before the first, and for a session that does not see every unit."""
    rows = reports.rows("record_check") if reports.person.sees_all else []
    return RecordCheck(**rows[0]) if rows else None


def integrity(reports: Reports, *, since: datetime, until: datetime) -> Integrity | None:
    """Whether the recordings hold what they say; None for a session that does not see every unit."""
    if not reports.person.sees_all:
        return None
    row = reports.remembered("integrity", since=since, until=until)[0]
    return Integrity(
        row["recordings"], int(row["events_said"]), int(row["events_there"]), row["differing"], row["newest"]
    )


DIFFERENCE_COLUMNS = ("recording_id", "engine_id", "recorded_at", "events_said", "events_there")


def differing_recordings(reports: Reports, *, since: datetime, until: datetime) -> pd.DataFrame:
    """Recordings whose events are not as many as they say; only for a session that sees every unit."""
    rows = reports.rows("integrity_rows", since=since, until=until) if reports.person.sees_all else []
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))


GAP_COLUMNS = ("document_id", "document_type", "number", "business_unit", "events_said", "events_there")


def history_gaps(reports: Reports) -> pd.DataFrame:
    """Documents the session may see whose history has a gap, all time."""
    return reports.frame("history_gaps", GAP_COLUMNS)


def rights_to_rewrite(reports: Reports) -> list[Row]:
    """role, relation, privilege: who could change or remove what may only be added to. It should be nobody."""
    return reports.remembered("rights_to_rewrite")


def verify(reports: Reports, *, since: datetime, until: datetime, limit: int = MOST_VERIFIED) -> Verified | None:
    """Compute the roots of the newest recordings anew from their events as they are now; None for a session without sight of all."""
    if not reports.person.sees_all:
        return None
    recordings = reports.rows("recordings_to_verify", since=since, until=until, limit=limit)
    if not recordings:
        return Verified(0, 0, (), None, None)
    first, last = recordings[-1]["recorded_at"], recordings[0]["recorded_at"]
    events: dict[UUID, list[Row]] = {}
    for event in reports.rows(
        "events_to_verify", recording_id=[one["recording_id"] for one in recordings], since=first, until=until
    ):
        events.setdefault(event["recording_id"], []).append(event)
    wrong = [
        one["recording_id"]
        for one in recordings
        if _root(events.get(one["recording_id"], [])) != bytes(one["merkle_root"])
    ]
    return Verified(len(recordings), sum(len(of_one) for of_one in events.values()), tuple(wrong), first, last)


def _root(events: list[Row]) -> bytes:
    return merkle.root([merkle.leaf(event) for event in events])


APPROVAL_COLUMNS = (
    "number",
    "system",
    "approver",
    "decided_by",
    "login",
    "asked_group",
    "decision",
    "requested_at",
    "decided_at",
    "comment",
)


def approvals_of(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """Everybody who was asked to decide about a document and what they said, in order; those still open at the end."""
    return pd.DataFrame(reports.rows("approvals_of", document_id=document_id), columns=list(APPROVAL_COLUMNS))


CHANGE_COLUMNS = (
    "payload_version",
    "recorded_at",
    "author",
    "is_from_source",
    "payload_hash",
    "mapping_version",
    "fields",
)


def changes_of(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """Every version of a document's content, oldest first, with the names of the fields that differ from the one before."""
    return pd.DataFrame(reports.rows("changes_of", document_id=document_id), columns=list(CHANGE_COLUMNS))


POSTING_COLUMNS = (
    "event_at",
    "recorded_at",
    "activity",
    "system",
    "actor",
    "document_id",
    "document_type",
    "number",
    "posting_status",
    "message",
    "erp_numbers",
)


def postings_of(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """How the ledger took the journey a document belongs to, in order."""
    return pd.DataFrame(reports.rows("postings_of", document_id=document_id), columns=list(POSTING_COLUMNS))


def document(reports: Reports, document_id: UUID) -> Row | None:
    """The document itself; None when there is none that this session may see."""
    return reports.row("document", document_id=document_id)


def _list(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None
