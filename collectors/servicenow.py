"""ServiceNow: where people approve what is above the limits, and where somebody takes up an exception.

Table API v2. Table and column names, state words and paging rules are the vendor's documentation; the columns of the
approval tables are commonly known and in no public contract.

Nothing in ServiceNow makes a correlation id unique. What we create carries ours, is looked up before and read back
after, and the younger of two is withdrawn.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from collectors.http import ClientCredentials, Session, excerpt, record_body
from collectors.servicenow_api import DECIDED_STATES, NAME, OURS, moment, select, where
from collectors.servicenow_requests import (
    cancel_approval,
    find_approval,
    find_match_review,
    request_approval,
    request_match_review,
)
from collectors.servicenow_tasks import close_remediation_task, create_remediation_task, find_remediation_task
from sync_engine.model.documents import Approval, Decision, DocumentType, read
from sync_engine.model.errors import MappingError
from sync_engine.model.flows import Role
from sync_engine.model.mappings import Mappings
from sync_engine.model.ports import (
    Access,
    Effect,
    Feed,
    Identifier,
    Json,
    Link,
    News,
    Operation,
    Page,
    Record,
    Sketch,
    System,
    operations,
)

PAGE_SIZE = 100
STEP_BACK = 10
OVERLAP_S = 300
"""Re-read at every poll: commits become visible late, and the clocks of nodes differ a little."""
QUIET_PERIOD_S = 5.0
BEGINNING = "1970-01-01 00:00:00"


class Word(NamedTuple):
    """What a state word means: the decision, the lifecycle event it is news of, and whether somebody decided."""

    decision: Decision
    signals: tuple[str, ...] = ()
    is_decided: bool = False


# fmt: off
APPROVAL_STATES = {
    # state           decision               signals                  somebody decided
    "not requested": Word(Decision.PENDING),
    "requested":     Word(Decision.PENDING),
    "approved":      Word(Decision.APPROVED,     ("approval_granted",),   is_decided=True),
    "rejected":      Word(Decision.REJECTED,     ("approval_denied",),    is_decided=True),
    "cancelled":     Word(Decision.CANCELLED,    ("approval_cancelled",)),
    "canceled":      Word(Decision.CANCELLED,    ("approval_cancelled",)),  # the vendor's flows spell it this way
    "not_required":  Word(Decision.NOT_REQUIRED, ("approval_cancelled",)),
    "skipped":       Word(Decision.NOT_REQUIRED, ("approval_cancelled",)),
}
# fmt: on

APPROVER_COLUMNS = (
    "sys_id,state,approver.user_name,approver.name,approver.email,sysapproval,sysapproval.number,"
    "group.assignment_group.name,comments,sys_created_on,sys_updated_by,sys_mod_count"
)


# Raw to canonical


def understand(record: Record, mappings: Mappings) -> News:
    """An approver row as news of one approval.

    Raises:
        MappingError: an unknown state, a missing column, a value that is none.
    """
    del mappings  # an approval carries nothing that would have to be translated
    raw = _raw(record)
    identifier = Identifier(NAME, "approver_row", _text(raw, "sys_id"))
    updated_at = moment(_text(raw, "sys_updated_on"), "sys_updated_on")
    state = _text(raw, "state")
    request = Identifier(NAME, "approval_request", _text(raw, "sysapproval"))
    if not _text(raw, "sysapproval.correlation_id").startswith(OURS):
        why = "not requested by us"
        return News(DocumentType.APPROVAL, identifier, updated_at, None, source_status=state, ignore=why)
    word = APPROVAL_STATES.get(state)
    if word is None:
        raise MappingError(
            f"The approval of {raw.get('sysapproval.number') or request.external_id} is {state!r}, a word in no table.",
            system=NAME,
            code="status_unmapped",
            facts={"field": "state", "value": state},
        )
    return News(
        DocumentType.APPROVAL,
        identifier,
        updated_at,
        read(Approval, _approval(raw, word), system=NAME),
        links=(Link("decides", request),),
        signals=word.signals,
        source_status=state,
    )


def _approval(raw: Json, word: Word) -> Json:
    login = _text(raw, "approver.user_name")
    approver = {"user": login, "name": raw.get("approver.name", ""), "email": raw.get("approver.email", "")}
    decided_by = None
    if word.is_decided:
        # Whoever wrote the row last may be a delegate: segregation of duties is checked against both.
        by = _text(raw, "sys_updated_by")
        decided_by = approver if by == login else {"user": by}
    return {
        "number": _text(raw, "sys_id"),
        "system": NAME,
        "request": _text(raw, "sysapproval"),
        "group": raw.get("group.assignment_group.name", ""),
        "approver": approver if login else None,
        "decided_by": decided_by,
        "decision": word.decision,
        "requested_at": moment(_text(raw, "sys_created_on"), "sys_created_on"),
        "decided_at": moment(_text(raw, "sys_updated_on"), "sys_updated_on") if word.is_decided else None,
        "comment": _comment(raw)[:2000],
    }


def _comment(raw: Json) -> str:
    """What the approver wrote: the column where an instance fills it, else the latest journal entry."""
    entries = raw.get("sys_journal_field") or [{}]
    return str(raw.get("comments") or entries[-1].get("value", ""))


def sketch(record: Record) -> Sketch | None:
    """What can be said of an approver row that cannot be understood; None without its id."""
    if not record.external_id:
        return None
    try:
        raw = json.loads(record.body)
        title = f"Approval of {raw['sysapproval.number'] or 'a request'} by {raw['approver.name'] or 'somebody'}"
    except (ValueError, KeyError, TypeError):
        title = ""
    identifier = Identifier(NAME, "approver_row", record.external_id)
    return Sketch(DocumentType.APPROVAL, identifier, number=record.external_id, title=title)


def _raw(record: Record) -> Json:
    text = record.body.decode(errors="replace")
    if "\ufffd" in text:
        raise MappingError(
            "The approval contains bytes that are not UTF-8.",
            system=NAME,
            code="field_invalid",
            facts={"field": "document", "value": "U+FFFD"},
        )
    raw: Json = json.loads(text)
    return raw


def _text(raw: Json, column: str) -> str:
    value = raw.get(column)
    if isinstance(value, str):
        return value
    shown = excerpt(json.dumps(value)) if column in raw else "missing"
    raise MappingError(
        f"The approval cannot be read: {column} is {shown}, not text.",
        system=NAME,
        code="contract_change",
        facts={"field": column, "value": shown},
    )


# Feeds


def read_approvals(session: Session, cursor: Json, now: datetime) -> Page:
    """Approver rows of our requests that changed, oldest change first.

    Pages shift while they are read: a row that is updated moves to the end, and every row behind it comes one place
    forward, past an offset that counts places. So the next page is found by time, beginning with the second the last
    one ended in. Only when a whole page lies in one second, or access rules hide all of it (the limit is applied before
    them, so that a page may be empty with more behind it), does an offset lead on, a few rows short of the page's end.
    """
    since, offset = str(cursor.get("since", BEGINNING)), int(cursor.get("offset", 0))
    changed_and_ours = [
        where("sys_updated_on", ">=", since),
        where("sysapproval.correlation_id", "STARTSWITH", OURS),
    ]
    rows, total = select(
        session,
        "sysapproval_approver",
        changed_and_ours,
        APPROVER_COLUMNS,
        order="sys_updated_on,sys_id",
        limit=PAGE_SIZE,
        offset=offset,
    )
    _add_journals(session, rows)
    records = tuple(_record(row) for row in rows)
    times = [record.source_at for record in records if record.source_at is not None]
    # A row from the future must not carry the cursor away with it.
    newest = _stamp(min(max(times), now)) if times else since
    if offset + PAGE_SIZE < total:
        onward = {"since": newest} if newest > since else {"since": since, "offset": offset + PAGE_SIZE - STEP_BACK}
        return Page(records, onward, more=True)
    if times:
        since = _stamp(min(max(times), now) - timedelta(seconds=OVERLAP_S))
    return Page(records, {"since": since}, complete_until=now - timedelta(seconds=QUIET_PERIOD_S))


def read_again(session: Session, record: Record) -> Record | None:
    """One approver row as it is now; None when it is gone, or access rules hide it."""
    conditions = [where("sys_id", "=", record.external_id), where("sysapproval.correlation_id", "STARTSWITH", OURS)]
    rows, _ = select(
        session, "sysapproval_approver", [*conditions, where("sys_updated_on", ">=", BEGINNING)], APPROVER_COLUMNS
    )
    _add_journals(session, rows)
    return _record(rows[0]) if rows else None


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _add_journals(session: Session, rows: list[Json]) -> None:
    """Put what approvers wrote beside the rows they decided, under the name of the table it comes from.

    The column itself is a journal and empty when stored values are asked for.
    """
    decided = {
        row["sys_id"]: row
        for row in rows
        if row.get("state") in DECIDED_STATES and isinstance(row.get("sys_id"), str) and not row.get("comments")
    }
    if not decided:
        return
    of_these = [where("element_id", "=", *decided), where("element", "=", "comments")]
    entries, _ = select(session, "sys_journal_field", of_these, "value,sys_created_on,sys_created_by")
    for entry in entries:
        written = {column: entry.get(column, "") for column in ("value", "sys_created_on", "sys_created_by")}
        decided.get(entry["element_id"], {}).setdefault("sys_journal_field", []).append(written)


def _record(row: Json) -> Record:
    body = record_body(row)
    sys_id = row.get("sys_id")
    if not isinstance(sys_id, str) or not sys_id:
        return Record("approval", "", sha256(body).hexdigest(), None, body)
    try:
        source_at = moment(row["sys_updated_on"], "sys_updated_on")
    except MappingError:
        source_at = None
    # Two changes in one second differ in the modification count.
    return Record("approval", sys_id, f"{row['sys_updated_on']}/{row.get('sys_mod_count')}", source_at, body)


# The system


def connect(access: Access, *, timer: Callable[[], float], transport: Any = None) -> Session:
    """A session with one instance.

    Options: `request_table` (what carries an approval request, "sc_request"), `task_table` ("incident"), `close_code`
    (what a resolved task is closed with, "Solution provided"; instances differ).
    """
    token_url = access.token_url or f"{access.base_url.rstrip('/')}/oauth_token.do"
    auth = ClientCredentials(token_url, access.credentials, scope="", in_body=True, timer=timer)
    session = Session(NAME, access.base_url, auth=auth, timer=timer, transport=transport, max_connections=8)
    session.state["request_table"] = access.options.get("request_table", "sc_request")
    session.state["task_table"] = access.options.get("task_table", "incident")
    session.state["close_code"] = access.options.get("close_code", "Solution provided")
    return session


SYSTEM = System(
    name=NAME,
    title="ServiceNow",
    role=Role.APPROVALS,
    api_version="Table API v2",
    feeds=(Feed("approvals", 120, 3600, read_approvals, understand, sketch, read_again),),
    operations=operations(
        Operation("request_approval", Effect.CREATE, request_approval, find_approval, calls=7),
        Operation("request_match_review", Effect.CREATE, request_match_review, find_match_review, calls=6),
        Operation("cancel_approval", Effect.SET, cancel_approval, calls=8),
        Operation("create_remediation_task", Effect.CREATE, create_remediation_task, find_remediation_task, calls=4),
        Operation("close_remediation_task", Effect.SET, close_remediation_task, calls=2),
    ),
    requests_per_s=10,
    burst=20,
    max_in_flight=8,
    quiet_period_s=QUIET_PERIOD_S,
    idempotency="Our key stands in correlation_id: looked up before, read back after, the younger of two is withdrawn.",
    connect=connect,
)
