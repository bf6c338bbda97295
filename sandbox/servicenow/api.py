"""A stand-in for ServiceNow: the Table API (v1, v2 and without a version, of the Australia release) and its token endpoint.

Kept of the vendor's manners: an unknown column in a query is left out and the rest runs; the limit is applied before
hidden rows are taken away; v1 answers 404 to an empty list and later versions do not.

Left out: every table but those in `tables.TABLES`, deleting, Basic authentication, attachments, import sets, batch and
aggregate requests, the service catalogue, flows and business rules but for what a decision entails, access rules by field.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from sandbox.drift import as_told
from sandbox.ledger import Ledger, Row
from sandbox.servicenow.instance import Instance
from sandbox.servicenow.query import Query, parse
from sandbox.servicenow.tables import JOURNALS, TABLES, TASK_TABLES
from sandbox.wire import Refused, Request, Response, json_response, route

TOKEN_LIFE_S = 1800
DEFAULT_LIMIT = 10_000
_LIST = r"/api/now/(?:(?P<version>v[12])/)?table/(?P<table>\w+)"
_ONE = _LIST + r"/(?P<sys_id>\w+)"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Rules:
    """What an administrator has laid down for callers of the API. Columns are (table, column)."""

    hidden_columns: set[tuple[str, str]] = field(default_factory=set)
    """Absent from answers, and unknown to queries."""
    unsearchable_columns: set[tuple[str, str]] = field(default_factory=set)
    """Shown in answers, and unknown to queries."""
    hidden_rows: set[str] = field(default_factory=set)
    """The sys_ids of rows taken away after the limit was applied."""
    read_only_tables: set[str] = field(default_factory=set)
    mandatory: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns a data policy insists on when a row is inserted, by table."""
    hourly_limit: int | None = None
    """Requests per hour; None: no rate limit rule matches, and no header speaks of one."""


def failure(status: int, message: str, detail: str | None, headers: dict[str, str] | None = None) -> Response:
    """An error in ServiceNow's form."""
    return json_response(status, {"error": {"message": message, "detail": detail}, "status": "failure"}, headers)


class ServiceNow(Instance):
    """One instance with its API.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and the salt of record ids.
        client: The OAuth client's id and secret.
        integration_user: Who API calls are made as.
    """

    name: ClassVar[str] = "servicenow"
    token_path: ClassVar[str] = "/oauth_token.do"  # noqa: S105 - a path

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        client: tuple[str, str] = ("finsync", "sandbox"),
        integration_user: str = "finsync",
    ) -> None:
        super().__init__(ledger, clock, rng)
        self.rules = Rules()
        self._client = client
        self._integration_user = integration_user
        self._tokens: dict[str, datetime] = {}
        self._hour, self._calls_this_hour = _LONG_AGO, 0

    def handle(self, request: Request) -> Response:
        """The answer, with the headers of the rate limit rule when there is one."""
        limit = self.rules.hourly_limit
        if limit is None or request.path == self.token_path:
            return super().handle(request)
        with self.lock:
            now = self.clock()
            hour = now.replace(minute=0, second=0, microsecond=0)
            self._calls_this_hour = self._calls_this_hour + 1 if hour == self._hour else 1
            self._hour = hour
            reset = hour + timedelta(hours=1)
            exceeded = self._calls_this_hour > limit
            response = self.throttled((reset - now).total_seconds()) if exceeded else super().handle(request)
            response.headers |= {
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Reset": str(int(reset.timestamp())),
                "X-RateLimit-Rule": blake2b(b"rate limit rule", digest_size=16).hexdigest(),
            }
            return response

    def throttled(self, retry_after_s: float | None) -> Response:
        """The vendor's answer to too many requests."""
        detail = f"Rate limit of {self.rules.hourly_limit or 100} requests per hour for Table API exceeded"
        headers = {} if retry_after_s is None else {"Retry-After": str(int(retry_after_s))}
        return failure(429, "Rate limit exceeded", detail, headers)

    def not_found(self, request: Request) -> Response:
        """The vendor calls a path it does not know a bad request."""
        return failure(400, "Requested URI does not represent any resource", request.path)

    @route("POST", r"/oauth_token\.do")
    def give_token(self, request: Request) -> Response:
        """A token for the client credentials in the form."""
        form = request.form()
        if form.get("grant_type") != "client_credentials":
            return json_response(400, {"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            return json_response(401, {"error": "access_denied", "error_description": "access_denied"})
        now = self.clock()
        self._tokens = {known: until for known, until in self._tokens.items() if until > now}
        token = self.new_id("token")
        self._tokens[token] = now + timedelta(seconds=TOKEN_LIFE_S)
        granted = {"access_token": token, "scope": "useraccount", "token_type": "Bearer", "expires_in": TOKEN_LIFE_S}
        return json_response(200, granted)

    @route("GET", _LIST)
    def list_rows(self, request: Request, version: str | None, table: str) -> Response:
        """Rows of a table, a page at a time."""
        self._check(request, table)
        query = parse(request.first("sysparm_query"), partial(self._searchable, table))
        for column, values in request.query.items():
            if not column.startswith("sysparm_"):
                query.groups += parse(f"{column}={values[0]}", partial(self._searchable, table)).groups
        found = self._select(table, query)
        limit = _whole(request.first("sysparm_limit"), DEFAULT_LIMIT)
        offset = _whole(request.first("sysparm_offset"), 0)
        rows = [row for row in found[offset : offset + limit] if row["sys_id"] not in self.rules.hidden_rows]
        if table == "sysapproval_approver":
            rows = as_told(
                [self.drift.sent(row, _moment(row["sys_updated_on"])) for row in rows], self.faults, self.rng
            )
        headers = {} if request.first("sysparm_no_count") == "true" else {"X-Total-Count": str(len(found))}
        if request.first("sysparm_suppress_pagination_header") != "true":
            headers["Link"] = _links(request, limit, offset, len(found))
        if not rows and version == "v1":
            return _no_record(headers)
        return json_response(200, {"result": [self._view(request, table, row) for row in rows]}, headers)

    @route("GET", _ONE)
    def get_row(self, request: Request, table: str, sys_id: str, **_: Any) -> Response:
        """One row."""
        self._check(request, table)
        return json_response(200, {"result": self._view(request, table, self._row(table, sys_id))})

    @route("POST", _LIST)
    def insert_row(self, request: Request, table: str, **_: Any) -> Response:
        """A new row."""
        values = self._body(request, table)
        missing = [column for column in self.rules.mandatory.get(table, ()) if not values.get(column)]
        if missing:
            detail = f"Data Policy Exception:\r\n The following fields are mandatory: {', '.join(missing)}\r\n"
            return failure(403, "Operation Failed", detail)
        row = self.insert(table, values, self._integration_user)
        location = f"{_home(request)}/api/now/table/{table}/{row['sys_id']}"
        return json_response(201, {"result": self._view(request, table, row)}, {"Location": location})

    @route("PATCH", _ONE)
    @route("PUT", _ONE)
    def update_row(self, request: Request, table: str, sys_id: str, **_: Any) -> Response:
        """A row with some columns changed."""
        values = self._body(request, table)
        row = self._row(table, sys_id)
        self.update(table, row, values, self._integration_user)
        return json_response(200, {"result": self._view(request, table, row)})

    # Who asks, and for what

    def _check(self, request: Request, table: str) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, _LONG_AGO) <= self.clock():
            raise Refused(failure(401, "User Not Authenticated", "Required to provide Auth information"))
        if table not in TABLES:
            raise Refused(failure(400, f"Invalid table {table}", None))

    def _body(self, request: Request, table: str) -> dict[str, str]:
        self._check(request, table)
        if "accept" not in request.headers or "json" not in request.headers.get("content-type", ""):
            raise Refused(failure(400, "Both Accept and Content-Type headers are required", None))
        try:
            given = request.json()
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise Refused(failure(400, "Exception while reading request", "The payload is not valid JSON"))
        if table in self.rules.read_only_tables:
            raise Refused(failure(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints"))
        return {column: _stored(value) for column, value in given.items() if column in TABLES[table].defaults}

    def _row(self, table: str, sys_id: str) -> Row:
        row = self.tables[table].get(sys_id)
        if row is None or sys_id in self.rules.hidden_rows:
            raise Refused(_no_record())
        return row

    # How rows are found

    def _searchable(self, table: str, path: str) -> bool:
        column, _, rest = path.partition(".")
        barred = self.rules.hidden_columns | self.rules.unsearchable_columns
        if column not in TABLES[table].defaults or (table, column) in barred:
            return False
        targets = _targets(table, column)
        # Through a reference to the generic task only columns that every task has can be reached.
        return not rest or (bool(targets) and all(self._searchable(target, rest) for target in targets))

    def _value(self, table: str, row: Row, path: str) -> str | None:
        """What a dot-walked column holds; "" where a reference leads nowhere, None for what may not be seen."""
        column, _, rest = path.partition(".")
        if column not in TABLES[table].defaults or (table, column) in self.rules.hidden_columns:
            return None
        value: str = row[column]
        if not rest:
            return value
        for target in _targets(table, column):
            found = self.tables[target].get(value)
            if found is not None:
                return self._value(target, found, rest)
        return ""

    def _text(self, table: str, row: Row, path: str) -> str:
        return self._value(table, row, path) or ""

    def _select(self, table: str, query: Query) -> list[Row]:
        rows = [row for row in self._candidates(table, query) if query.holds(partial(self._text, table, row))]
        for column, descending in reversed(query.order):
            rows.sort(key=lambda row: self._text(table, row, column), reverse=descending)
        return rows

    def _candidates(self, table: str, query: Query) -> Iterable[Row]:
        """The rows that can be in the answer at all, without walking the table where a term says where to look."""
        store = self.tables[table]
        for term in query.required:
            values = {"IN": term.value.split(","), "=": [term.value]}.get(term.operator, [])
            if values and term.column == "sys_id":
                return [row for row in map(store.get, dict.fromkeys(values)) if row is not None]
            if values and term.column in TABLES[table].indexed:
                return [row for value in dict.fromkeys(values) for row in store.find(term.column, value)]
        for term in query.required:
            if term.column == "sys_updated_on" and term.operator in {">=", ">"}:
                return (row for _, row in store.changed_since(_moment(term.value)))
        return store

    # How a row is shown

    def _view(self, request: Request, table: str, row: Row) -> Row:
        asked_for = [path.strip() for path in request.first("sysparm_fields").split(",") if path.strip()]
        links = request.first("sysparm_exclude_reference_link") != "true"
        display = request.first("sysparm_display_value") == "true"
        view: Row = {}
        for path in asked_for or [column for column in row if not column.startswith("_")]:
            value = self._value(table, row, path) if "." in path else row.get(path)
            if value is None or path.startswith("_") or (table, path) in self.rules.hidden_columns:
                continue
            target = TABLES[table].references.get(path)
            if display and path in JOURNALS:
                value = self.journal(table, row)
            elif target and value and links:
                value = {"link": f"{_home(request)}/api/now/table/{target}/{value}", "value": value}
            view[path] = value
        return view


def _targets(table: str, column: str) -> tuple[str, ...]:
    target = TABLES[table].references.get(column)
    if target == "task":
        return TASK_TABLES
    return () if target is None else (target,)


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return _LONG_AGO


def _whole(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _stored(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _home(request: Request) -> str:
    return f"https://{request.headers.get('host', 'servicenow')}"


def _no_record(headers: dict[str, str] | None = None) -> Response:
    return failure(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval", headers)


def _links(request: Request, limit: int, offset: int, total: int) -> str:
    """The Link header: where the first, previous, next and last page are."""
    places = {"first": 0}
    if offset > 0:
        places["prev"] = max(0, offset - limit)
    if offset + limit < total:
        places["next"] = offset + limit
    places["last"] = max(0, (total - 1) // max(1, limit) * limit)
    asked = {name: values[0] for name, values in request.query.items()}
    base = f"{_home(request)}{request.path}"
    return ",".join(
        f'<{base}?{urlencode({**asked, "sysparm_offset": str(offset)}, quote_via=quote)}>;rel="{name}"'
        for name, offset in places.items()
    )
