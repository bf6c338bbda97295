"""A stand-in for Basware P2P: the accounting documents API (v1, vendor file 26.06.05.402) in front of a tenant.

Kept of the vendor's manners: a list is answered with a redirect to a prepared file that must be fetched without the
token; no records is 404; null fields are absent; a page holds fewer invoices when they have many coding rows; a payment
response clears what it does not repeat; once transferred, no further transfer response is accepted.

Left out: every other API of the product (vendors, orders, receipts, requisitions, master data and its request status),
push notifications, prebooking but for taking its response, images and other attachments of invoices.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, ClassVar

from sandbox.basware.tenant import PROCESSING_STATUSES, Tenant, stamp
from sandbox.drift import as_told
from sandbox.ledger import Ledger, Row
from sandbox.wire import Refused, Request, Response, json_response, route

TOKEN_LIFE_S = 3600
FILE_LIFE_S = 60
PAGE_SIZE_MAX = 100
CODING_ROWS_PER_PAGE = 500
RESPONSES_KEPT = 100
CONTINUATIONS_KEPT = 1000
READ, WRITE = "accountingDocuments.read", "accountingDocuments.write"
_LIST = "/v1/accountingDocuments"
_ONE = _LIST + "/(?P<invoice_id>[0-9a-f]{32})"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEXT_PAGE = "x-amz-meta-continuationToken"

# fmt: off
_BUSINESS_STATUSES = {
    "Transferred": "ReadyForPayment", "Paid": "Paid", "Removed": "Rejected", "Returned": "Rejected",
}
_LENGTHS = {
    "externalCode": 36, "responseMessage": 250, "sourceSystem": 32, "voucherNumber1": 25, "voucherNumber2": 25,
    "paymentTermCode": 25, "paymentMethod": 25, "checkNumber": 25, "paymentMessage": 100, "paymentNumber": 250,
    "paymentDocument": 250, "paymentReversalDocument": 250,
}
# fmt: on


def refusal(status: int, kind: str, code: str, message: str, external_code: str | None = None) -> Response:
    """An error in Basware's form."""
    error = {"externalCode": external_code, "type": kind, "code": code, "message": message, "info": None}
    return json_response(status, {"requestId": None, "hasErrors": True, "errors": [error]})


class Basware(Tenant):
    """One tenant with its API.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and the salt of ids.
        client: The OAuth client's id and secret.
        sends_invoice_lines: Whether the tenant has switched invoice lines on; without them only coding rows are sent.
        file_host: The host that prepared files are fetched from; "" is this one.
    """

    name: ClassVar[str] = "basware"
    token_path: ClassVar[str] = "/v1/tokens"  # noqa: S105 - a path

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        client: tuple[str, str] = ("finsync", "sandbox"),
        sends_invoice_lines: bool = True,
        file_host: str = "",
    ) -> None:
        super().__init__(ledger, clock, rng)
        self.sends_invoice_lines = sends_invoice_lines
        self.file_host = file_host
        self._client = client
        self._tokens: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._files: dict[str, tuple[datetime, Response]] = {}
        self._continuations: dict[str, tuple[str, str]] = {}

    def throttled(self, retry_after_s: float | None) -> Response:
        """The gateway's answer to too many requests; the vendor publishes no limits."""
        headers = {} if retry_after_s is None else {"Retry-After": str(int(retry_after_s))}
        return json_response(429, {"message": "Too Many Requests"}, headers)

    def not_found(self, request: Request) -> Response:
        """The answer to a path nobody knows."""
        return refusal(404, "VALIDATION", "ENTITY_NOT_FOUND", f"There is nothing at {request.path}")

    def not_allowed(self, allowed: list[str]) -> Response:
        """The answer to a method the path does not know."""
        return refusal(405, "VALIDATION", "METHOD_NOT_ALLOWED", f"Allowed here: {', '.join(allowed)}")

    @route("POST", "/v1/tokens")
    def give_token(self, request: Request) -> Response:
        """A token for the scopes in the form; the client stands in the Authorization header."""
        form = request.form()
        for name in ("grant_type", "scope"):
            if not form.get(name):
                return json_response(400, {"error": "invalid_request", "error_description": f"{name} field required"})
        if _basic_client(request) != ":".join(self._client):
            return json_response(401, {"error": "invalid_client"})
        scopes = frozenset(form["scope"].split())
        if not scopes <= {READ, WRITE}:
            return json_response(400, {"error": "invalid_scope", "error_description": "scope is not known"})
        now = self.clock()
        self._tokens = {known: kept for known, kept in self._tokens.items() if kept[0] > now}
        token = self.new_id("token")
        self._tokens[token] = now + timedelta(seconds=TOKEN_LIFE_S), scopes
        # The vendor's page says minutes; its example token lives 3600 seconds.
        granted = {"access_token": token, "scope": form["scope"], "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"}
        return json_response(200, granted)

    @route("GET", _LIST)
    def list_invoices(self, request: Request) -> Response:
        """A redirect to a page of invoices, oldest change first."""
        self._check(request, READ)
        size = request.first("pageSize", str(PAGE_SIZE_MAX))
        if not size.isdigit() or not 1 <= int(size) <= PAGE_SIZE_MAX:
            return _bad_argument(f"pageSize is {size}, it can range between 1 and {PAGE_SIZE_MAX}")
        token = request.headers.get(_NEXT_PAGE.lower(), "")
        if token and token not in self._continuations:
            return _bad_argument("The continuation token is not valid")
        begins_after = self._continuations.get(token, ("", ""))
        found = sorted((row for row in self._asked_for(request) if _place(row) > begins_after), key=_place)
        heaviness = accumulate(len(row["codingRows"]) for row in found[: int(size)])
        fitting = sum(rows <= CODING_ROWS_PER_PAGE for rows in heaviness)
        page = found[: max(1, fitting)]
        if not page:
            return Response(404)
        headers = {}
        if len(page) < len(found):
            headers[_NEXT_PAGE] = onward = self.new_id("continuation")
            self._continuations[onward] = _place(page[-1])
            if len(self._continuations) > CONTINUATIONS_KEPT:
                del self._continuations[next(iter(self._continuations))]
        return self._redirect(page, headers)

    @route("GET", _ONE)
    def get_invoice(self, request: Request, invoice_id: str) -> Response:
        """A redirect to one invoice."""
        self._check(request, READ)
        return self._redirect([self._invoice(invoice_id)], {})

    @route("GET", "/files/(?P<file_id>[0-9a-f]{32})")
    def get_file(self, request: Request, file_id: str) -> Response:
        """A prepared answer. Its address is the only key it takes; a token beside it is refused."""
        if "authorization" in request.headers:
            return _file_store_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        until, response = self._files.get(file_id, (_LONG_AGO, Response(403)))
        if until <= self.clock():
            return _file_store_error(403, "AccessDenied", "Request has expired")
        return Response(response.status, response.body, dict(response.headers))

    @route("GET", _LIST + "/status")
    def get_status(self, request: Request) -> Response:
        """How far the invoices with this number and date have come."""
        self._check(request, READ)
        for name in ("companyCode", "invoiceNumber", "invoiceDate"):
            if not request.first(name):
                return _bad_argument(f"{name} is required")
        gross, day = request.first("grossSum"), request.first("invoiceDate")[:10]
        if gross and not gross.replace(".", "", 1).isdigit():
            return _bad_argument(f"grossSum {gross} is not a number")
        found = [
            {
                "invoiceId": row["invoiceId"],
                "status": _BUSINESS_STATUSES.get(row["processingStatus"], "InApprovalProcess"),
                "processingStatus": row["processingStatus"],
                "lastUpdated": row["lastUpdated"],
            }
            for row in self.invoices.find("invoiceNumber", request.first("invoiceNumber"))
            if row["companyCode"] == request.first("companyCode") and row["invoiceDate"][:10] == day
            if not gross or row["grossSum"] == float(gross)
        ]
        return json_response(200, found) if found else Response(404)

    @route("POST", _ONE + "/acknowledge")
    def acknowledge(self, request: Request, invoice_id: str) -> Response:
        """Take an invoice out of the next list."""
        self._check(request, WRITE)
        row = self._invoice(invoice_id)
        after = {"WaitingForTransfer": "TransferInProgress", "WaitingForPrebook": "PrebookInProgress"}
        if row["processingStatus"] not in after:
            return refusal(405, "BUSINESS", "METHOD_NOT_ALLOWED", f"The invoice is {row['processingStatus']}")
        self.save(row, processingStatus=after[row["processingStatus"]])
        return json_response(200, "")

    @route("POST", _ONE + "/transferResponses")
    def respond_to_transfer(self, request: Request, invoice_id: str) -> Response:
        """Accounting has posted the invoice, or will not."""
        open_statuses = {"WaitingForTransfer", "TransferInProgress", "TransferFailed"}
        row, given = self._answer(request, invoice_id, "transferResponses", open_statuses)
        changes = self._voucher(row, given) | {
            "processingStatus": "Transferred" if given["success"] else "TransferFailed"
        }
        return self._keep(row, "transferResponses", given, changes)

    @route("POST", _ONE + "/prebookResponses")
    def respond_to_prebook(self, request: Request, invoice_id: str) -> Response:
        """Accounting has prebooked the invoice, or will not."""
        open_statuses = {"WaitingForPrebook", "PrebookInProgress", "PrebookFailed"}
        row, given = self._answer(request, invoice_id, "prebookResponses", open_statuses)
        changes = self._voucher(row, given) | {"processingStatus": "Prebooked" if given["success"] else "PrebookFailed"}
        return self._keep(row, "prebookResponses", given, changes)

    @route("POST", _ONE + "/paymentResponses")
    def respond_to_payment(self, request: Request, invoice_id: str) -> Response:
        """Accounting has paid, in part or in full."""
        row, given = self._answer(request, invoice_id, "paymentResponses", {"Transferred", "Paid"})
        given["paymentDate"] = given.get("paymentDate") or stamp(self.clock())
        changes: Row = {}
        if given["success"]:
            changes = {name: given.get(name) for name in ("paymentTermCode", "paymentMethod", "paymentMessage")}
            changes["paymentRevelsalDocument"] = given.get("paymentReversalDocument")  # the vendor's spelling
            changes["paymentBlock"] = given["paymentBlock"]
            if (given.get("paidTotal") or 0) >= row["grossSum"]:
                changes["processingStatus"] = "Paid"
        return self._keep(row, "paymentResponses", given, changes)

    # What the answers share

    def _check(self, request: Request, scope: str) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until, scopes = self._tokens.get(token, (_LONG_AGO, frozenset()))
        if scheme != "Bearer" or until <= self.clock() or scope not in scopes:
            message = "The access token is missing, has expired or does not cover this"
            raise Refused(refusal(401, "SECURITY", "ACCESS_TOKEN_VALIDATION_ERROR", message))

    def _invoice(self, invoice_id: str) -> Row:
        row = self.invoices.get(invoice_id)
        if row is None:
            raise Refused(refusal(404, "VALIDATION", "ENTITY_NOT_FOUND", f"Invoice {invoice_id} is not found"))
        return row

    def _asked_for(self, request: Request) -> list[Row]:
        # Names of arguments count by the letter: "processingStatus" is no filter and is passed over.
        status, company, since = (request.first(name) for name in ("ProcessingStatus", "companyCode", "lastUpdated"))
        if status and status not in PROCESSING_STATUSES:
            raise Refused(_bad_argument(f"{status} is not a processing status"))
        if request.first("p2pProcessingMode", "Standard") != "Standard":
            return []
        if not since:
            found = self.invoices.find("processingStatus", status) if status else list(self.invoices)
        else:
            try:
                after = datetime.fromisoformat(since).astimezone(UTC)
            except ValueError:
                raise Refused(_bad_argument(f"lastUpdated {since} is not a time")) from None
            threshold = stamp(after)
            found = [row for _, row in self.invoices.changed_since(after) if row["lastUpdated"] > threshold]
        return [row for row in found if status in {"", row["processingStatus"]} and company in {"", row["companyCode"]}]

    def _redirect(self, rows: list[Row], headers: dict[str, str]) -> Response:
        """Put the rows into a file and say where it is."""
        sent = [self.drift.sent(row, datetime.fromisoformat(row["lastUpdated"])) for row in rows]
        documents = [self._view(row) for row in as_told(sent, self.faults, self.rng)]
        now = self.clock()
        while self._files and next(iter(self._files.values()))[0] <= now:
            del self._files[next(iter(self._files))]
        file_id = self.new_id("file")
        response = json_response(200, {"accountingDocuments": documents}, headers)
        self._files[file_id] = now + timedelta(seconds=FILE_LIFE_S), response
        host = f"https://{self.file_host}" if self.file_host else ""
        return Response(302, headers={"Location": f"{host}/files/{file_id}"})

    def _view(self, row: Row) -> Row:
        view = {name: value for name, value in row.items() if value is not None and not name.startswith("_")}
        if not self.sends_invoice_lines:
            del view["invoiceLines"]
        for rows in ("invoiceLines", "codingRows"):
            if rows in view:
                view[rows] = [{name: value for name, value in each.items() if value is not None} for each in view[rows]]
        return view

    def _answer(self, request: Request, invoice_id: str, kind: str, open_statuses: set[str]) -> tuple[Row, Row]:
        """The invoice and accounting's answer about it, when it may be given."""
        self._check(request, WRITE)
        row = self._invoice(invoice_id)
        try:
            given = request.json()
        except ValueError:
            given = None
        problems = _problems(given, message_required=kind != "paymentResponses")
        if problems:
            raise Refused(refusal(400, "VALIDATION", "SCHEMA_VALIDATION_ERROR", "; ".join(problems)))
        if row["processingStatus"] not in open_statuses:
            message = f"{kind} are not allowed for an invoice that is {row['processingStatus']}"
            raise Refused(refusal(400, "BUSINESS", "DATA_VALIDATION_FAILED", message))
        if any(known["externalCode"] == given["externalCode"] for known in row[kind]):
            message = f"There is a response with this externalCode in {kind}"
            raise Refused(refusal(409, "VALIDATION", "CONFLICT_IN_POST", message, given["externalCode"]))
        return row, given

    def _voucher(self, row: Row, given: Row) -> Row:
        if not given["success"]:
            return {}
        numbers = {name: given.get(name) or row[name] for name in ("voucherNumber1", "voucherNumber2")}
        return {**numbers, "paymentBlock": given["paymentBlock"]}

    def _keep(self, row: Row, kind: str, given: Row, changes: Row) -> Response:
        self.save(row, **{kind: [*row[kind], given][-RESPONSES_KEPT:]}, **changes)
        return json_response(200, given)


def _place(row: Row) -> tuple[str, str]:
    return row["lastUpdated"], row["invoiceId"]


def _basic_client(request: Request) -> str:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        return b64decode(encoded, validate=True).decode() if scheme == "Basic" else ""
    except (Base64Error, UnicodeDecodeError):
        return ""


def _bad_argument(message: str) -> Response:
    return refusal(400, "VALIDATION", "PARAMETER_VALIDATION_ERROR", message)


def _file_store_error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, body.encode(), {"Content-Type": "application/xml"})


def _problems(given: Any, *, message_required: bool) -> list[str]:
    """What the schema has against an answer of accounting."""
    if not isinstance(given, dict):
        return ["The body is not a JSON object"]
    required = ["externalCode", "success", "paymentBlock", *(["responseMessage"] if message_required else [])]
    problems = [f"{name} is required" for name in required if given.get(name) in (None, "")]
    problems += [
        f"{name} is not a boolean" for name in ("success", "paymentBlock") if not isinstance(given.get(name), bool)
    ]
    for name, length in _LENGTHS.items():
        value = given.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > length):
            problems.append(f"{name} is not a text of at most {length} characters")
    return problems
