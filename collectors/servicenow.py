"""ServiceNow: where people approve what is above the limits, and where somebody takes up an exception.

Table API v2. Table and column names, state words and paging rules are the vendor's documentation; the columns of the
approval tables are commonly known and in no public contract.

Nothing in ServiceNow makes a correlation id unique. What we create carries ours, is looked up before and read back
after, and the younger of two is withdrawn.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from collectors.http import ClientCredentials, Session, excerpt, record_body
from collectors.servicenow_api import NAME, OURS, age, check_ours, moment, plain, row_of, select, where, write
from collectors.servicenow_papers import TEXT_CHARS, Paper, approval_paper, request_body, review_paper
from collectors.servicenow_tasks import close_remediation_task, create_remediation_task, find_remediation_task
from sync_engine.model.documents import Approval, Decision, DocumentType, read
from sync_engine.model.errors import MappingError
from sync_engine.model.flows import Role
from sync_engine.model.mappings import Mappings
from sync_engine.model.ports import (
    Access,
    Answer,
    Ask,
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
OPEN_STATES = ("requested", "not requested")
DECIDED_STATES = ("approved", "rejected")

APPROVER_COLUMNS = (
    "sys_id,state,approver.user_name,approver.name,approver.email,sysapproval,sysapproval.number,"
    "group.assignment_group.name,comments,sys_created_on,sys_updated_by,sys_mod_count"
)
REQUEST_COLUMNS = "sys_id,number,correlation_display,approval,request_state,sys_created_on"


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


# Operations


def request_approval(session: Session, ask: Ask) -> Answer:
    """Ask the region's finance and procurement approvers; resumes where an earlier try broke off."""
    return _request(session, ask, approval_paper(ask))


def find_approval(session: Session, ask: Ask) -> Answer | None:
    """The approval request under our reference, once all its parts exist."""
    return _requested(session, ask, approval_paper(ask))


def request_match_review(session: Session, ask: Ask) -> Answer:
    """Ask the region's finance approvers to review an invoice; resumes where an earlier try broke off."""
    return _request(session, ask, review_paper(ask))


def find_match_review(session: Session, ask: Ask) -> Answer | None:
    """The review under our reference, once all its parts exist."""
    return _requested(session, ask, review_paper(ask))


def _reference(ask: Ask) -> str:
    assert ask.idempotency_key, "a request without a key could be mistaken for any other"
    return OURS + ask.idempotency_key[:32]


def _request(session: Session, ask: Ask, paper: Paper) -> Answer:
    reference = _reference(ask)
    assignees = _groups_by_name(session, paper.groups.values())  # before anything exists that nobody could decide
    requests = _requests(session, reference)
    if not requests:
        body, doing = request_body(ask, paper, reference), f"open an approval request for {ask.document.number}"
        created = write(session, "POST", session.state["request_table"], body, doing=doing)
        # A request given up for lost may have arrived after all: read back, so that both are seen.
        requests = _requests(session, reference) or [created]
    kept, *younger = requests
    check_ours(kept, ask)
    for extra in younger:
        _cancel(session, extra, f"{kept['number']} asks the same.")
    present = _parts(session, kept, reference)
    for part, name in paper.groups.items():
        if part not in present:
            body = {
                **request_body(ask, paper, f"{reference}/{part}"),
                "parent": kept["sys_id"],
                "assignment_group": assignees[name],
                "approval": "requested",
            }
            write(session, "POST", "sysapproval_group", body, doing=f"ask {name} to decide {kept['number']}")
    return _request_answer(kept, paper)


def _requested(session: Session, ask: Ask, paper: Paper) -> Answer | None:
    reference = _reference(ask)
    requests = _requests(session, reference)
    if not requests:
        return None
    check_ours(requests[0], ask)
    is_complete = paper.groups.keys() <= _parts(session, requests[0], reference)
    return _request_answer(requests[0], paper) if is_complete else None


def _request_answer(request: Json, paper: Paper) -> Answer:
    sys_id, number = request["sys_id"], request["number"]
    return Answer(
        facts={"approval_request": sys_id, "approval_number": number, "approval_groups": list(paper.groups.values())},
        identifiers=(Identifier(NAME, "approval_request", sys_id), Identifier(NAME, "request_number", number)),
        at=moment(request["sys_created_on"], "sys_created_on"),
    )


def _requests(session: Session, reference: str) -> list[Json]:
    """What stands under our reference and was not withdrawn, oldest first."""
    rows, _ = select(
        session, session.state["request_table"], [where("correlation_id", "=", reference)], REQUEST_COLUMNS
    )
    return sorted((row for row in rows if not _is_cancelled(row)), key=age)


def _is_cancelled(request: Json) -> bool:
    return request.get("approval") == "cancelled" or request.get("request_state") == "closed_cancelled"


def _parts(session: Session, request: Json, reference: str) -> set[str]:
    """Which parts of our reference the group approvals of a request carry."""
    its_parts = [where("parent", "=", request["sys_id"]), where("correlation_id", "STARTSWITH", f"{reference}/")]
    rows, _ = select(session, "sysapproval_group", its_parts, "sys_id")
    return {row["correlation_id"].removeprefix(f"{reference}/") for row in rows}


def _groups_by_name(session: Session, names: Iterable[str]) -> dict[str, str]:
    """The sys_id of each active group.

    Raises:
        MappingError: no active group of that name, or several.
    """
    wanted = list(dict.fromkeys(names))
    rows, _ = select(session, "sys_user_group", [where("name", "=", *wanted), where("active", "=", "true")], "sys_id")
    found: dict[str, str] = {}
    for name in wanted:
        matches = [row["sys_id"] for row in rows if row["name"].casefold() == name.casefold()]
        if len(matches) != 1:
            raise MappingError(
                f"ServiceNow has {len(matches) or 'no'} active group{'s' if matches else ''} called {name!r}, "
                f"which the business unit names for its approvals.",
                system=NAME,
                code="value_unmapped",
                facts={"table": "business_units", "value": name},
            )
        found[name] = matches[0]
    return found


def cancel_approval(session: Session, ask: Ask) -> Answer:
    """Withdraw an approval request and everything still open under it; what is withdrawn already stays so."""
    sys_id = ask.facts.get("approval_request") or ask.identifiers.get(f"{NAME}.approval_request")
    if not sys_id:
        return Answer(facts={"skipped": "no approval was requested"})
    request = row_of(session, session.state["request_table"], str(sys_id), REQUEST_COLUMNS)
    _cancel(session, request, f"{ask.document.number} no longer needs this approval.")
    return Answer(facts={"approval_cancelled_at": ask.now.isoformat()})


def _cancel(session: Session, request: Json, because: str) -> None:
    """Withdraw the request first: from then on nobody is misled, and what is left open the next try finds again."""
    sys_id, doing = request["sys_id"], f"withdraw {request['number']}"
    if not _is_cancelled(request):
        body = {"approval": "cancelled", "request_state": "closed_cancelled", "work_notes": plain(because, TEXT_CHARS)}
        write(session, "PATCH", f"{session.state['request_table']}/{sys_id}", body, doing=doing)
    open_groups = [where("parent", "=", sys_id), where("approval", "=", *OPEN_STATES)]
    for group in select(session, "sysapproval_group", open_groups, "sys_id")[0]:
        write(session, "PATCH", f"sysapproval_group/{group['sys_id']}", {"approval": "cancelled"}, doing=doing)
    open_rows = [where("sysapproval", "=", sys_id), where("state", "=", *OPEN_STATES)]
    for row in select(session, "sysapproval_approver", open_rows, "sys_id")[0]:
        write(session, "PATCH", f"sysapproval_approver/{row['sys_id']}", {"state": "cancelled"}, doing=doing)


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
