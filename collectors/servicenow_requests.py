"""Requests for approval in ServiceNow: made once, found again by our reference, and withdrawn when nobody needs an answer any more."""

from collections.abc import Iterable

from collectors.http import Session
from collectors.servicenow_api import (
    DECIDED_STATES,
    NAME,
    OPEN_STATES,
    OURS,
    age,
    check_ours,
    moment,
    plain,
    select,
    where,
    write,
)
from collectors.servicenow_papers import TEXT_CHARS, Paper, approval_paper, request_body, review_paper
from sync_engine.model.errors import MappingError
from sync_engine.model.ports import Answer, Ask, Identifier, Json

REQUEST_COLUMNS = "sys_id,number,correlation_display,approval,request_state,sys_created_on"


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
    return _reference_of(ask.idempotency_key)


def _reference_of(key: str) -> str:
    return OURS + key[:32]


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
    """Withdraw the requests that were made under `approval_keys`, with everything still open under them, except for the one that is
    `approval_in_force` (both facts). What is withdrawn already stays so, and what has been decided stays decided."""
    references = [_reference_of(key) for key in ask.facts.get("approval_keys", [])]
    if not references:
        return Answer(facts={"skipped": "no approval was requested"}, event="")
    table = session.state["request_table"]
    rows, _ = select(session, table, [where("correlation_id", "=", *references)], REQUEST_COLUMNS)
    withdrawn = []
    for request in sorted(rows, key=age):
        if request["sys_id"] == ask.facts.get("approval_in_force"):
            continue
        check_ours(request, ask)
        if _cancel(session, request, f"{ask.document.number} no longer needs this approval."):
            withdrawn.append(request["number"])
    return Answer(facts={"approvals_withdrawn": withdrawn}, event=None if withdrawn else "")


def _cancel(session: Session, request: Json, because: str) -> bool:
    """Withdraw the request first: from then on nobody is misled, and what is left open the next try finds again. Whether anything was."""
    sys_id, doing = request["sys_id"], f"withdraw {request['number']}"
    is_open = request.get("approval") not in DECIDED_STATES and not _is_cancelled(request)
    if is_open:
        body = {"approval": "cancelled", "request_state": "closed_cancelled", "work_notes": plain(because, TEXT_CHARS)}
        write(session, "PATCH", f"{session.state['request_table']}/{sys_id}", body, doing=doing)
    open_groups = [where("parent", "=", sys_id), where("approval", "=", *OPEN_STATES)]
    groups, _ = select(session, "sysapproval_group", open_groups, "sys_id")
    for group in groups:
        write(session, "PATCH", f"sysapproval_group/{group['sys_id']}", {"approval": "cancelled"}, doing=doing)
    open_rows = [where("sysapproval", "=", sys_id), where("state", "=", *OPEN_STATES)]
    rows, _ = select(session, "sysapproval_approver", open_rows, "sys_id")
    for row in rows:
        write(session, "PATCH", f"sysapproval_approver/{row['sys_id']}", {"state": "cancelled"}, doing=doing)
    return bool(is_open or groups or rows)
