"""Basware: invoices that AP automation has approved for accounting, and what accounting answers about them.

Purchase-to-Pay API v1. Paths, field names and status words are those of the vendor's OpenAPI documents; rules that only
its manual states are named where they matter.

The list of waiting invoices is a queue: what is acknowledged leaves it, what is not stays. It is read from its front at
every poll, so that nothing depends on a page, a token or a clock. Every answer to a GET is a redirect to a prepared
file, which has to be fetched without our token.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

from collectors import basware_holdings
from collectors.basware_api import NAME, PATH, ApiToken, documents_in, get, invoice_now, refusal, said
from collectors.basware_invoices import moment, rows_of, sketch, understand
from collectors.http import Session, record_body
from sync_engine.model.documents import Invoice
from sync_engine.model.errors import BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.flows import Role
from sync_engine.model.ports import (
    Access,
    Answer,
    Ask,
    Effect,
    Feed,
    Json,
    Operation,
    Page,
    Record,
    System,
    operations,
)

PAGE_SIZE = 100
"""The vendor's limit."""
OVERLAP_S = 600
QUIET_PERIOD_S = 10.0
NEXT_PAGE = "x-amz-meta-continuationToken"
SCOPE = "accountingDocuments.read accountingDocuments.write"
READ_STATUSES = ("WaitingForTransfer", "Removed", "Returned")
"""What is polled: the queue, then what has left AP automation since."""
ACKNOWLEDGED = ("TransferInProgress", "Transferred", "TransferFailed", "Paid")
AWAITING_US = ("WaitingForTransfer", "TransferInProgress")


# Feeds


def read_invoices(session: Session, cursor: Json, now: datetime) -> Page:
    """One page of the waiting invoices, then of those that left AP automation since the last poll.

    A page that shifts while it is read loses nothing: what was passed over still waits at the next poll, because the
    queue is read from its front each time. The two lists of what has left are read by time, with an overlap.
    """
    status: str = cursor.get("status", READ_STATUSES[0])
    tokens: list[str] = cursor.get("tokens", [])
    since: str = cursor.get("since") or _stamp(now - timedelta(seconds=OVERLAP_S))
    newest: str = cursor.get("newest", since)
    # Names of arguments count by the letter, the capital P of this one too.
    params = {"ProcessingStatus": status, "pageSize": str(PAGE_SIZE)}
    if status != READ_STATUSES[0]:
        params["lastUpdated"] = since
    headers = {NEXT_PAGE: tokens[-1]} if tokens else {}
    reply = get(session, PATH, params=params, headers=headers, allow={400, 404})
    if reply.status == 400 and tokens:
        # No token lives for ever. The queue is begun again at the next poll; until then it counts as unread.
        return Page((), {"since": since})
    if reply.status == 400:
        raise ConfigurationError(f"Basware does not understand our question: {said(reply)[1]}", system=NAME)
    records = tuple(map(_record, documents_in(reply)))
    # An invoice from the future must not carry the cursor away with it.
    newest = max([newest, *(_stamp(min(record.source_at, now)) for record in records if record.source_at)])
    onward = reply.headers.get(NEXT_PAGE, "")
    if onward in tokens:
        raise TransientError("Basware gave the same continuation token twice; the page was not taken.", system=NAME)
    if onward:
        place = {"status": status, "tokens": [*tokens, onward], "since": since, "newest": newest}
        return Page(records, place, more=True)
    following = READ_STATUSES.index(status) + 1
    if following < len(READ_STATUSES):
        return Page(records, {"status": READ_STATUSES[following], "since": since, "newest": newest}, more=True)
    overlap = _stamp(moment(newest) - timedelta(seconds=OVERLAP_S))
    return Page(records, {"since": max(since, overlap)}, complete_until=now - timedelta(seconds=QUIET_PERIOD_S))


def _stamp(at: datetime) -> str:
    """A moment in UTC to the millisecond; such texts sort as the moments do."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _record(document: Json) -> Record:
    # Figures pass through a double, as the vendor's do; fifteen digits come out as they went in.
    body = record_body(document)
    invoice_id, updated = document.get("invoiceId"), document.get("lastUpdated")
    if not isinstance(invoice_id, str) or not invoice_id:
        return Record("invoice", "", sha256(body).hexdigest(), None, body)
    if not isinstance(updated, str):
        return Record("invoice", invoice_id, sha256(body).hexdigest(), None, body)
    try:
        source_at = moment(updated)
    except MappingError:
        source_at = None
    return Record("invoice", invoice_id, f"{updated}/{document.get('processingStatus')}", source_at, body)


def read_again(session: Session, record: Record) -> Record | None:
    """One invoice as it is now; None when Basware does not have it any more."""
    reply = get(session, f"{PATH}/{record.external_id}", allow={404})
    found = [one for one in map(_record, documents_in(reply)) if one.external_id == record.external_id]
    return found[0] if found else None


# Operations


def _invoice_id(ask: Ask) -> str:
    return ask.identifiers.get(f"{NAME}.invoice") or ask.document.number


def acknowledge_invoice(session: Session, ask: Ask) -> Answer:
    """Take the invoice out of the queue; one that was taken before stays so."""
    invoice_id = _invoice_id(ask)
    path = f"{PATH}/{invoice_id}/acknowledge"
    head = {"Content-Type": "application/json"}
    reply = session.request("POST", path, headers=head, allow=frozenset({400, 404, 405}))
    if reply.status == 405:
        # Acknowledged by us before, or no longer there to be acknowledged: the answer is the same, the status is not.
        status = invoice_now(session, invoice_id).get("processingStatus")
        if status not in ACKNOWLEDGED:
            raise BusinessRejection(
                f"Invoice {ask.document.number} cannot be taken over from Basware: it is {status}. {said(reply)[1]}",
                system=NAME,
                facts={"processing_status": status},
            )
    elif reply.status >= 400:
        raise refusal(reply, "to hand over the invoice")
    return Answer(facts={"acknowledged_at": ask.now.isoformat()})


def return_match_result(session: Session, ask: Ask) -> Answer:
    """Tell AP automation that the invoice is posted, under which numbers, and whether payment is blocked."""
    voucher, block = str(ask.facts.get("erp_invoice_number", "")), ask.facts.get("payment_block", "")
    message = f"Matched and posted in the ERP as {voucher}." + (f" Blocked for payment ({block})." if block else "")
    response = {
        "success": True,
        "responseMessage": message[:250],
        "voucherNumber1": voucher,
        "voucherNumber2": str(ask.facts.get("accounting_document", "")),
        "transferDate": _midnight(ask.now.date()),
        "paymentBlock": bool(block),
    }
    return _respond(session, ask, "transferResponses", response)


def return_refusal(session: Session, ask: Ask) -> Answer:
    """Tell AP automation that the invoice will not be posted, and why."""
    reason = str(ask.facts["refusal_reason"]) or "Refused."
    response = {"success": False, "responseMessage": reason[:250], "paymentBlock": False}
    return _respond(session, ask, "transferResponses", response)


def return_payment_status(session: Session, ask: Ask) -> Answer:
    """Tell AP automation that the invoice is paid, when, and by which document."""
    document = ask.document
    if not isinstance(document, Invoice):
        raise TypeError(f"nobody pays a {type(document).__name__} here")
    response = {
        "success": True,
        "responseMessage": "Paid.",
        "paymentDate": _midnight(date.fromisoformat(str(ask.facts["cleared_on"])[:10])),
        "paidTotal": float(document.gross_amount),  # the vendor's type is a double
        "paymentDocument": str(ask.facts.get("clearing_document", "")),
        "paymentBlock": False,
    }
    return _respond(session, ask, "paymentResponses", response)


def _respond(session: Session, ask: Ask, kind: str, response: Json) -> Answer:
    """Send accounting's answer once.

    Basware refuses a second answer to what it has settled, so that a lost reply would turn into a refusal: the answer
    is looked for first, and again when it is refused.
    """
    invoice_id, doing = _invoice_id(ask), f"our answer about invoice {ask.document.number}"
    document = invoice_now(session, invoice_id)
    if not _is_told(document, kind, ask, response):
        body = {
            **_kept(document, kind),
            "externalCode": _external_code(document, kind, ask),
            "sourceSystem": "finsync",
            **response,
        }
        path = f"{PATH}/{invoice_id}/{kind}"
        reply = session.request("POST", path, json_body=body, allow=frozenset({400, 404, 405, 409}))
        if reply.status >= 400 and not _is_told(invoice_now(session, invoice_id), kind, ask, response):
            raise refusal(reply, doing)
    return Answer(facts={"returned_at": ask.now.isoformat()})


def _ours(document: Json, kind: str, ask: Ask) -> list[Json]:
    """Our answers among those Basware holds; it keeps the last hundred."""
    code = ask.reference(20)
    return [known for known in rows_of(document, kind) if str(known.get("externalCode")).partition("-")[0] == code]


def _is_told(document: Json, kind: str, ask: Ask, response: Json) -> bool:
    """Whether our answer is there and still holds.

    An invoice that was corrected and offered again waits for a new answer, whatever was answered before.

    Raises:
        BusinessRejection: something else was answered under our reference.
    """
    ours = _ours(document, kind, ask)
    if not ours or (kind == "transferResponses" and document.get("processingStatus") in AWAITING_US):
        return False
    differing: Json = {
        name: f"{ours[-1].get(name)} instead of {response[name]}"
        for name in ("success", "voucherNumber1", "paidTotal")
        if name in response and ours[-1].get(name) != response[name]
    }
    if differing:
        what = ", ".join(f"{name} {values}" for name, values in differing.items())
        raise BusinessRejection(
            f"Basware holds another answer of ours about invoice {ask.document.number}: {what}.",
            system=NAME,
            code="effect_conflict",
            facts=differing,
        )
    return True


def _external_code(document: Json, kind: str, ask: Ask) -> str:
    """Our reference; numbered from the second answer on, because no answer can be overwritten."""
    told = len(_ours(document, kind, ask))
    return ask.reference(20) + (f"-{told + 1}" if told else "")


def _kept(document: Json, kind: str) -> Json:
    """What a payment response has to repeat, because Basware clears the fields it leaves out."""
    if kind != "paymentResponses":
        return {}
    names = ("paymentTermCode", "paymentMethod", "paymentMessage")
    return {name: document[name] for name in names if document.get(name) is not None}


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


# The system


def connect(access: Access, *, timer: Callable[[], float], transport: Any = None) -> Session:
    """A session with one tenant.

    Options: `redirect_hosts` (besides the API's own host, where its answers may be fetched from; comma separated),
    `scope`.
    """
    base_url = access.base_url.rstrip("/")
    scope = access.options.get("scope", SCOPE)
    auth = ApiToken(
        access.token_url or f"{base_url}/v1/tokens", access.credentials, scope=scope, in_body=False, timer=timer
    )
    session = Session(NAME, base_url, auth=auth, timer=timer, transport=transport, max_connections=8)
    session.state["base_url"] = base_url
    hosts = access.options.get("redirect_hosts", "").split(",")
    session.state["redirect_hosts"] = frozenset(host.strip().lower() for host in hosts if host.strip())
    return session


SYSTEM = System(
    name=NAME,
    title="Basware",
    role=Role.AP_AUTOMATION,
    api_version="P2P v1",
    feeds=(Feed("invoices", 120, 3600, read_invoices, understand, sketch, read_again),),
    operations=operations(
        Operation("acknowledge_invoice", Effect.SET, acknowledge_invoice),
        Operation("return_match_result", Effect.SET, return_match_result, calls=3),
        Operation("return_refusal", Effect.SET, return_refusal, calls=3),
        Operation("return_payment_status", Effect.SET, return_payment_status, calls=3),
    ),
    requests_per_s=10,
    burst=20,
    max_in_flight=8,
    quiet_period_s=QUIET_PERIOD_S,
    idempotency="Each answer carries our reference as externalCode and is looked for on the invoice before it is sent.",
    connect=connect,
    holdings={"invoice": basware_holdings.invoices},
)
