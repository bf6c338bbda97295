"""Coupa's Core API (release R39, JSON) over the instance's books: tokens, lists, single records, the few writes.

Vendor behaviour a caller meets here: a list holds fifty records at most and an empty one is 200 `[]`; a refused action
is 400 with `{"errors": {"<object>": ["..."]}}`; deciding an approval answers the approvable, not the approval; the
exported flag is set by `?exported=true` alone and whatever else stands in that call is ignored; a reference given to an
approved requisition makes the order that carries it as its number.

Left out: XML, webhooks, attachments, creating and submitting requisitions over the API (people do it on the screen),
approvers added by hand, parallel and escalated approvals, receipts, invoices, contracts, supplier onboarding, closing of
lines. A query may use the operators of `query.OPERATORS` on the attributes in `lists.ATTRIBUTES`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar

from sandbox.coupa.books import ORDER, REQUISITION
from sandbox.coupa.lists import Lists, Resource, refusal
from sandbox.coupa.query import BadQuery, chosen_fields, project
from sandbox.coupa.records import Row, person, stamp
from sandbox.coupa.screen import CoupaScreen
from sandbox.ledger import Ledger, Table
from sandbox.wire import Refused, Request, Response, json_response, route

TOKEN_LIFETIME_S = 86_399
MAX_PO_NUMBER = 20
ORDERABLE_STATUSES = frozenset({"approved", "ordered", "partially_received", "received"})

SCOPES = frozenset(
    f"core.{what}.{right}"
    for what in ("requisition", "approval", "purchase_order", "supplier", "budget", "comment", "common")
    for right in ("read", "write")
)


class Coupa(CoupaScreen):
    """One Coupa instance; see `CoupaScreen` for what its people do.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and tokens.
        client_id: The API client.
        client_secret: Its secret.
        integration_login: The user behind the API client, who approves last in every chain.
        flat_custom_fields: Show custom fields at the top level of their record, as older instances do.
    """

    name: ClassVar[str] = "coupa"
    token_path: ClassVar[str] = "/oauth2/token"  # noqa: S105 - a path

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        client_id: str = "finsync",
        client_secret: str = "sandbox",  # noqa: S107 - opens nothing but this stand-in
        integration_login: str = "finsync",
        flat_custom_fields: bool = False,
    ) -> None:
        super().__init__(ledger, clock, rng, integration_login=integration_login, flat_custom_fields=flat_custom_fields)
        self._lists = Lists(self)
        self._client = (client_id, client_secret)
        self.scopes = SCOPES
        """What the client may ask for."""
        self.token_lag_s = 0.0
        """A token opens nothing for so long after it was given out; the vendor speaks of about five seconds."""
        self._tokens: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._resources = {
            resource.name: resource
            for resource in (
                Resource(
                    "requisition",
                    "requisition",
                    self._requisitions,
                    self._requisition_on_wire,
                    ("external-po-reference", "status"),
                ),
                Resource("approval", "approval", self._approvals, self._on_wire, ("approvable-id",)),
                Resource("supplier", "supplier", self._suppliers, self._on_wire, ("number",)),
                Resource("purchase_order", "purchase_order", self._orders, self._on_wire, ("po-number",)),
                Resource("budget_line", "budget", self._budget_lines, self._on_wire, ("segment-2",)),
                Resource("user", "common", self._users, self._on_wire, ("login", "email")),
                Resource("comment", "comment", self._comments, self._on_wire),
            )
        }

    @route("POST", "/oauth2/token")
    def _give_token(self, request: Request) -> Response:
        form = request.form()
        if form.get("grant_type") != "client_credentials":
            return json_response(400, {"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            return json_response(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        asked = frozenset(form.get("scope", "").split())
        if not asked or not asked <= self.scopes:
            return json_response(
                400, {"error": "invalid_scope", "error_description": "The scope is invalid or unknown"}
            )
        now = self.clock()
        self._tokens = {token: grant for token, grant in self._tokens.items() if self._until(grant[0]) > now}
        # The vendor's tokens are signed and long; a header limit that is too tight shows here.
        token = f"{self.rng.getrandbits(4096):x}"
        self._tokens[token] = (now, asked)
        granted = {"token_type": "bearer", "expires_in": TOKEN_LIFETIME_S, "scope": " ".join(sorted(asked))}
        return json_response(200, {"access_token": token, **granted})

    @staticmethod
    def _until(given_at: datetime) -> datetime:
        return given_at + timedelta(seconds=TOKEN_LIFETIME_S)

    def _admit(self, request: Request, scope: str) -> None:
        """Let a request pass.

        Raises:
            Refused: no token, one that is not valid (yet, or any more), one without the scope, or no JSON wanted.
        """
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        given_at, scopes = self._tokens.get(token, (None, frozenset[str]()))
        now = self.clock()
        lag = timedelta(seconds=self.token_lag_s)
        if given_at is None or not given_at + lag <= now < self._until(given_at):
            raise Refused(json_response(401, {"error": "invalid_token"}, {"WWW-Authenticate": "Bearer"}))
        needed = f"core.{scope}.{'write' if self.is_write(request) else 'read'}"
        if needed not in scopes:
            raise Refused(refusal("error", f"The token does not have the scope {needed}", status=403))
        if "application/json" not in request.headers.get("accept", ""):
            raise Refused(
                refusal("error", "This instance answers JSON only; send Accept: application/json", status=406)
            )

    @route("GET", "/api/requisitions")
    def _list_requisitions(self, request: Request) -> Response:
        return self._list(request, "requisition")

    @route("GET", "/api/approvals")
    def _list_approvals(self, request: Request) -> Response:
        return self._list(request, "approval")

    @route("GET", "/api/suppliers")
    def _list_suppliers(self, request: Request) -> Response:
        return self._list(request, "supplier")

    @route("GET", "/api/purchase_orders")
    def _list_orders(self, request: Request) -> Response:
        return self._list(request, "purchase_order")

    @route("GET", "/api/budget_lines")
    def _list_budget_lines(self, request: Request) -> Response:
        return self._list(request, "budget_line")

    @route("GET", "/api/users")
    def _list_users(self, request: Request) -> Response:
        return self._list(request, "user")

    @route("GET", r"/api/(?P<plural>requisitions|approvals|suppliers|purchase_orders|users)/(?P<key>\d+)")
    def _show(self, request: Request, plural: str, key: str) -> Response:
        resource = self._resources[plural.removesuffix("s")]
        self._admit(request, resource.scope)
        return self._answer(request, resource.wire(self._found(resource, key)))

    @route("GET", r"/api/(?P<plural>requisitions|purchase_orders)/(?P<key>\d+)/comments")
    def _list_comments(self, request: Request, plural: str, key: str) -> Response:
        self._admit(request, "comment")
        self._found(self._resources[plural.removesuffix("s")], key)
        rows = self._comments.find("_on", f"{_commentable(plural)}/{key}")
        return self._lists.page(request, self._resources["comment"], rows)

    @route("POST", r"/api/(?P<plural>requisitions|purchase_orders)/(?P<key>\d+)/comments")
    def _post_comment(self, request: Request, plural: str, key: str) -> Response:
        self._admit(request, "comment")
        self._found(self._resources[plural.removesuffix("s")], key)
        text = _body(request).get("comments")
        if not isinstance(text, str) or not text.strip():
            return refusal("comment", "Comments can't be blank")
        row = self._commented(_commentable(plural), int(key), self.integration_login, text)
        return json_response(201, self._on_wire(row))

    def _list(self, request: Request, name: str) -> Response:
        resource = self._resources[name]
        self._admit(request, resource.scope)
        return self._lists.page(request, resource)

    @route("PUT", r"/api/approvals/(?P<key>\d+)/(?P<decision>approve|reject|hold)")
    def _decide(self, request: Request, key: str, decision: str) -> Response:
        self._admit(request, "approval")
        row = self._found(self._resources["approval"], key)
        if row["_waits_for"] is None:
            return refusal("approval", f"Approval is {row['status']}; only a pending approval can be decided")
        by, reason = self.integration_login, request.first("reason")
        if decision == "approve":
            self.approve(approval_id=row["id"], by=by, comment=reason)
        elif decision == "reject":
            self.reject(approval_id=row["id"], by=by, comment=reason)
        else:
            self.hold(approval_id=row["id"], by=by, comment=reason)
        return self._answer(request, self.requisition(row["approvable-id"]))

    @route("PUT", r"/api/suppliers/(?P<key>\d+)")
    def _put_supplier(self, request: Request, key: str) -> Response:
        self._admit(request, "supplier")
        resource = self._resources["supplier"]
        row = self._found(resource, key)
        changes = {name: value for name, value in _body(request).items() if name in row and name != "id"}
        return self._answer(request, self._on_wire(self._changed(self._suppliers, {**row, **changes})))

    @route("PUT", r"/api/purchase_orders/(?P<key>\d+)")
    def _put_order(self, request: Request, key: str) -> Response:
        self._admit(request, "purchase_order")
        row = self._found(self._resources["purchase_order"], key)
        row = self._exported(request, row) or {
            **row,
            "custom-fields": {**row["custom-fields"], **_custom_fields(_body(request), row)},
            "internal-revision": row["internal-revision"] + 1,
        }
        return self._answer(request, self._on_wire(self._written(self._orders, row)))

    @route("PUT", r"/api/purchase_orders/(?P<key>\d+)/cancel")
    def _put_cancellation(self, request: Request, key: str) -> Response:
        self._admit(request, "purchase_order")
        row = self._found(self._resources["purchase_order"], key)
        if row["status"] != "issued":
            return refusal("order_header", f"Order {row['po-number']} is {row['status']} and cannot be cancelled")
        self.cancel_order(order_id=row["id"], by=self.integration_login)
        return self._answer(request, self._on_wire(self._found(self._resources["purchase_order"], key)))

    @route("PUT", r"/api/requisitions/(?P<key>\d+)")
    def _put_requisition(self, request: Request, key: str) -> Response:
        self._admit(request, "requisition")
        row = self._found(self._resources["requisition"], key)
        row = self._exported(request, row) or self._updated(row, _body(request))
        return self._answer(request, self._requisition_on_wire(self._written(self._requisitions, row)))

    def _exported(self, request: Request, row: Row) -> Row | None:
        """The row with its exported flag set; None when the call is not about that."""
        wanted = request.first("exported")
        if not wanted:
            return None
        if wanted not in {"true", "false"}:
            raise Refused(refusal("error", f"exported is true or false, not {wanted}"))
        is_exported = wanted == "true"
        at = stamp(self.clock()) if is_exported else row["last-exported-at"]
        return {**row, "exported": is_exported, "last-exported-at": at}

    def _updated(self, row: Row, body: Row) -> Row:
        lines = {line["id"]: line for line in row["requisition-lines"]}
        references: dict[int, str] = {}
        for change in body.get("requisition-lines", ()):
            line = lines.get(change.get("id"))
            if line is None:
                raise Refused(refusal("requisition", f"Requisition line {change.get('id')} is not on the requisition"))
            fields = _custom_fields(change, line)
            lines[line["id"]] = {**line, "custom-fields": {**line["custom-fields"], **fields}}
            if fields.get("cf-erp-po-number"):
                references[line["id"]] = str(fields["cf-erp-po-number"])
        reference = row["external-po-reference"]
        if body.get("external-po-reference"):
            reference = str(body["external-po-reference"])
            references = dict.fromkeys(lines, reference)
        self._check_references(row, references)
        row = {
            **row,
            "requisition-lines": list(lines.values()),
            "external-po-reference": reference,
            "custom-fields": {**row["custom-fields"], **_custom_fields(body, row)},
            **{name: body[name] for name in ("justification", "buyer-note") if name in body},
        }
        return self._ordered(row, references, self.integration_login) if references else row

    def _check_references(self, row: Row, references: Mapping[int, str]) -> None:
        """See whether lines can be ordered under the references given to them.

        Raises:
            Refused: not approved, too long, taken, or ordered otherwise.
        """
        if references and row["status"] not in ORDERABLE_STATUSES:
            raise Refused(
                refusal("requisition", f"Requisition is {row['status']}; only an approved one can be ordered")
            )
        ordered_as = {
            line["id"]: order["po-number"]
            for order in self._orders.find("_requisition", row["id"])
            for line in _ordered_lines(row, order)
        }
        suppliers: dict[str, set[Any]] = {}
        for line in row["requisition-lines"]:
            if line["id"] in references:
                suppliers.setdefault(references[line["id"]], set()).add((line["supplier"] or {}).get("id"))
        for line_id, reference in references.items():
            said = ""
            if len(reference) > MAX_PO_NUMBER:
                said = f"PO number is too long (maximum is {MAX_PO_NUMBER} characters)"
            elif ordered_as.get(line_id, reference) != reference:
                said = f"Requisition line {line_id} is already ordered as {ordered_as[line_id]}"
            elif line_id not in ordered_as and self._orders.find("po-number", reference):
                said = "External PO reference has already been taken"
            elif len(suppliers[reference]) > 1:
                said = "Lines of one order must have the same supplier"
            if said:
                raise Refused(refusal("requisition", said))

    def _written(self, table: Table, row: Row) -> Row:
        return self._changed(table, {**row, "updated-by": person(self._user(self.integration_login))})

    def _changed(self, table: Table, row: Row) -> Row:
        self._lists.notice()
        return super()._changed(table, row)

    def _found(self, resource: Resource, key: str) -> Row:
        row = resource.table.get(key)
        if row is None:
            raise Refused(refusal("error", "The requested resource could not be found", status=404))
        return row

    def _answer(self, request: Request, row: Row) -> Response:
        """A single record, cut down as the request asks."""
        if request.first("return_object") == "none":
            return Response(200)
        try:
            fields = chosen_fields(request.query)
        except BadQuery as bad:
            return refusal("error", str(bad))
        return json_response(200, row if fields is None else project(row, fields))

    def not_found(self, request: Request) -> Response:
        """The answer to a path nobody knows."""
        return refusal("error", f"No route matches {request.path}", status=404)


def _commentable(plural: str) -> str:
    return REQUISITION if plural == "requisitions" else ORDER


def _body(request: Request) -> Row:
    try:
        body = request.json() if request.body else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(refusal("error", "The body is not a valid JSON object"))
    return body


def _custom_fields(change: Row, row: Row) -> Row:
    """The custom fields a change names, inside "custom-fields" or at the top level where a record shows them there."""
    flat = {name: value for name, value in change.items() if name.startswith("cf-") or name in row["custom-fields"]}
    return {**flat, **change.get("custom-fields", {})}


def _ordered_lines(requisition: Row, order: Row) -> list[Row]:
    ids = {line["id"] for line in order["order-lines"]}
    return [line for line in requisition["requisition-lines"] if line["order-line-id"] in ids]
