"""What Coupa tells us: lists of what changed, page by page, and one record again when it could not be read.

A requisition's updated-at does not move when one of its approvals is decided: each page of approvals brings the requisitions
they belong to, read again.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from collectors import coupa_api
from collectors.coupa_api import NAME, OVERLAP, PAGE_SIZE, read_changes, record_or_empty
from collectors.coupa_documents import ORDER_STATUSES, sketch, source_at_of, understand
from collectors.http import Session, record_body
from sync_engine.model.ports import Feed, Json, Page, Record

FEED_INTERVAL_S, SILENT_AFTER_S = 120, 3_600


def record_of(kind: str, row: Any) -> Record:
    """A row as it came.

    Its version is the moment it changed and a hash of all of it: Coupa counts in whole seconds, and a requisition
    changes with its approvals while its own updated-at stays.
    """
    body = record_body(row)
    source_at, identity = source_at_of(record_or_empty(row)), record_or_empty(row).get("id")
    digest = hashlib.sha256(body).hexdigest()
    return Record(
        kind=kind,
        external_id=str(identity) if isinstance(identity, int | str) and not isinstance(identity, bool) else "",
        version=f"{source_at.isoformat()}~{digest[:16]}" if source_at else digest,
        source_at=source_at,
        body=body,
    )


def _page(records: Iterable[Record], cursor: Json, *, more: bool, now: datetime) -> Page:
    # Coupa may tell a record twice on one page.
    once = {(record.kind, record.external_id, record.version): record for record in records}
    return Page(tuple(once.values()), cursor, more=more, complete_until=None if more else now - OVERLAP)


def read_requisitions(session: Session, cursor: Json, now: datetime) -> Page:
    """Requisitions that changed."""
    rows, after, more = read_changes(session, cursor, now, path="/api/requisitions", filters={})
    return _page([record_of("requisition", row) for row in rows], after, more=more, now=now)


def read_approvals(session: Session, cursor: Json, now: datetime) -> Page:
    """Approvals that changed, after the requisitions they belong to, which change with them unannounced."""
    filters = {"approvable_type": "RequisitionHeader"}
    rows, after, more = read_changes(session, cursor, now, path="/api/approvals", filters=filters)
    parents = {row["approvable-id"] for row in map(record_or_empty, rows) if isinstance(row.get("approvable-id"), int)}
    again: list[Any] = []
    if parents:
        wanted = ",".join(str(parent) for parent in sorted(parents))
        again = coupa_api.listed(session, "/api/requisitions", {"id[in]": wanted, "limit": str(PAGE_SIZE)})
    records = [*(record_of("requisition", row) for row in again), *(record_of("approval", row) for row in rows)]
    return _page(records, after, more=more, now=now)


def read_suppliers(session: Session, cursor: Json, now: datetime) -> Page:
    """Suppliers that changed."""
    rows, after, more = read_changes(session, cursor, now, path="/api/suppliers", filters={})
    return _page([record_of("supplier", row) for row in rows], after, more=more, now=now)


def read_order_revisions(session: Session, cursor: Json, now: datetime) -> Page:
    """Orders that changed and wait to be exported, but for those that stand as they were first sent."""
    rows, after, more = read_changes(session, cursor, now, path="/api/purchase_orders", filters={"exported": "false"})
    revised = [row for row in rows if not _is_first_version(record_or_empty(row))]
    return _page([record_of("order_revision", row) for row in revised], after, more=more, now=now)


PATHS = {
    "requisition": "/api/requisitions",
    "approval": "/api/approvals",
    "supplier": "/api/suppliers",
    "order_revision": "/api/purchase_orders",
}


def read_again(session: Session, record: Record) -> Record | None:
    """One record as it is now; None when Coupa does not have it any more."""
    reply = session.get(f"{PATHS[record.kind]}/{quote(record.external_id, safe='')}", allow=frozenset({404}))
    return None if reply.status == 404 else record_of(record.kind, reply.json(NAME))


def _is_first_version(raw: Json) -> bool:
    return raw.get("version") == 1 and ORDER_STATUSES.get(str(raw.get("status"))) == "changes"


# fmt: off
FEEDS = (
    Feed("requisitions",    FEED_INTERVAL_S, SILENT_AFTER_S, read_requisitions,    understand, sketch, read_again),
    Feed("approvals",       FEED_INTERVAL_S, SILENT_AFTER_S, read_approvals,       understand, sketch, read_again),
    Feed("suppliers",       FEED_INTERVAL_S, SILENT_AFTER_S, read_suppliers,       understand, sketch, read_again),
    Feed("order_revisions", FEED_INTERVAL_S, SILENT_AFTER_S, read_order_revisions, understand, sketch, read_again),
)
# fmt: on
