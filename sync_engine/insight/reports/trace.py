"""What the trace asks: one document and its family, in all systems.

Payloads and bodies of calls are for those who may open them; the functions that return them check the role themselves, so that
no page can forget it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pandas as pd

from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import RULES, Action
from sync_engine.insight.asking import Row
from sync_engine.insight.reports.reading import Reports, table

SEARCH_LIMIT = 50
"""A search returns so many at most, and says so."""


@dataclass(frozen=True, slots=True)
class Family:
    """Documents that hang together, nearest first, and how."""

    documents: list[Row]
    links: list[Row]

    @property
    def document_ids(self) -> list[UUID]:
        """Their ids."""
        return [row["document_id"] for row in self.documents]

    @property
    def names(self) -> dict[UUID, str]:
        """What a person calls each: a request for approval by the role that was asked, everything else by its number."""
        return {row["document_id"]: row["asked"] or row["number"] for row in self.documents}


FOUND_COLUMNS = (
    "document_id", "document_type", "number", "title", "business_unit", "supplier_name", "currency", "amount", "state", "submitted_at",
    "found_as_system", "found_as_kind", "found_as", "exact",
)  # fmt: skip


def search(reports: Reports, text: str, log: str | None = None) -> pd.DataFrame:
    """Documents by any number of any system, of one log or of all (None): exact hits first, then those that begin so; at most
    SEARCH_LIMIT."""
    wanted = text.strip().lower()
    rows = reports.rows("search", text=wanted, log=log) if wanted else []
    return table(rows, FOUND_COLUMNS)


def document(reports: Reports, document_id: UUID) -> Row | None:
    """A document as it stands, without its payload; None when there is none that this session may see."""
    row = reports.row("document", document_id=document_id)
    if row is not None:
        for secret in ("canonical", "facts"):
            row.pop(secret, None)
    return row


def family(reports: Reports, document_id: UUID) -> Family:
    """Everything linked to a document, directly or through others."""
    documents = reports.rows("family", document_id=document_id)
    found = [row["document_id"] for row in documents]
    return Family(documents, reports.rows("links_among", document_id=found))


EVENT_COLUMNS = (
    "document_id", "seq", "document_type", "activity", "event_at", "observed_at", "recorded_at", "system", "actor", "flow", "step", "state_from", "state_to",
    "approval_status", "posting_status", "document_version", "attributes", "number",
)  # fmt: skip

ATTEMPT_COLUMNS = (
    "attempt_id", "document_id", "number", "system", "operation", "effect", "flow", "step", "started_at", "duration_ms", "outcome", "error_code", "message", "http_status",
    "http_calls", "try_number", "engine_id", "idempotency_key", "request_bytes", "response_bytes", "calls", "trace_id",
)  # fmt: skip


def events(reports: Reports, documents: Sequence[UUID]) -> pd.DataFrame:
    """Every event of these documents in the order they happened."""
    return table(reports.rows("events_of", document_id=list(documents)), EVENT_COLUMNS)


def attempts(reports: Reports, documents: Sequence[UUID]) -> pd.DataFrame:
    """Every call made for these documents, oldest first; durations in milliseconds."""
    return table(reports.rows("attempts_of", document_id=list(documents)), ATTEMPT_COLUMNS)


def identifiers(reports: Reports, documents: Sequence[UUID]) -> pd.DataFrame:
    """Every name of these documents in every system."""
    return table(
        reports.rows("identifiers_of", document_id=list(documents)),
        ["document_id", "number", "system", "kind", "external_id", "recorded_at"],
    )


INTENT_COLUMNS = (
    "idempotency_key",
    "document_id",
    "flow",
    "step",
    "system",
    "operation",
    "sends",
    "first_sent_at",
    "last_sent_at",
    "outcome",
    "settled_at",
)


def intents(reports: Reports, documents: Sequence[UUID]) -> pd.DataFrame:
    """What was meant to be done outside for these documents, written before it was done, and what became of it."""
    return table(reports.rows("intents_of", document_id=list(documents)), INTENT_COLUMNS)


def cases(reports: Reports, documents: Sequence[UUID]) -> list[Row]:
    """Every exception these documents met, oldest first."""
    return reports.rows("cases_of", document_id=list(documents))


def movements(reports: Reports, orders: Sequence[UUID]) -> pd.DataFrame:
    """What was ordered, received and billed per order line, each with the document behind it."""
    columns = [
        "order_document_id",
        "order_number",
        "order_line",
        "kind",
        "quantity",
        "amount",
        "moved_on",
        "source_number",
        "source_type",
    ]
    return table(reports.rows("match_of", document_id=list(orders)), columns)


def stays(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """The document's stays in its stages, in order: stage, entered_at, left_at (NaT while it is there), wall and business seconds."""
    return table(
        reports.rows("stays_of", document_id=document_id),
        ["stage", "next_stage", "activity", "entered_at", "left_at", "wall_s", "business_s"],
    )


def payloads(reports: Reports, document_id: UUID) -> list[Row]:
    """Every canonical payload the document ever had, newest first.

    Raises:
        NotAllowed: the person's roles do not open payloads.
    """
    _may_open(reports)
    return reports.rows("payloads_of", document_id=document_id)


def messages(reports: Reports, document_id: UUID) -> list[Row]:
    """What we were told about the document, verbatim, newest first, at most 100.

    Raises:
        NotAllowed: the person's roles do not open payloads.
    """
    _may_open(reports)
    return reports.rows("messages_of", document_id=document_id)


def bodies(reports: Reports, attempt_id: UUID) -> list[Row]:
    """What was sent and answered in one attempt.

    Raises:
        NotAllowed: the person's roles do not open payloads.
    """
    _may_open(reports)
    return reports.rows("bodies_of", attempt_id=attempt_id)


def _may_open(reports: Reports) -> None:
    if not reports.person.may(Action.VIEW_PAYLOAD):
        raise NotAllowed(f"Your role does not allow you to {RULES[Action.VIEW_PAYLOAD].says}.")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs between two versions of a payload."""

    field: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> list[FieldChange]:
    """Fields that differ between two JSON values, by their path.

    >>> differences({"amount": "10", "lines": [{"unit": "EA"}]}, {"amount": "12", "lines": [{"unit": "EA"}]})
    [FieldChange(field='amount', before='10', after='12')]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            change
            for key in keys
            for change in differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(before, list) and isinstance(after, list):
        longest = max(len(before), len(after))
        padded = [
            (before[i] if i < len(before) else None, after[i] if i < len(after) else None) for i in range(longest)
        ]
        return [change for i, (old, new) in enumerate(padded) for change in differences(old, new, f"{path}[{i}]")]
    return [] if before == after else [FieldChange(path, before, after)]
