"""SAP Gateway: who may come in, the OData V2 protocol around the services, and nothing of their business.

The layers above register entity sets that can be read, creates, changes and function imports. Everything a caller can
get wrong about the protocol is answered here as SAP does: no token (401), no CSRF token (403 with "Required"), a stale
or missing ETag (412, 428), a query that cannot be read (400).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.drift import Drift, as_told
from sandbox.ledger import Ledger, Row
from sandbox.s4hana.batch import Operation, batch_body, batch_parts
from sandbox.s4hana.logon import Logon
from sandbox.s4hana.messages import Message, Rejected, error_body, message, warning_header
from sandbox.s4hana.query import EntitySet, in_order, parse, parse_order, until_settled
from sandbox.s4hana.wire import (
    DAYS,
    EntityType,
    Tree,
    moment_text,
    paths,
    segment,
    stored,
)
from sandbox.wire import Request, Response, json_response, route


class Change(NamedTuple):
    """One change of an entity that exists, or a new one below it."""

    method: str
    entity_set: EntitySet
    keys: dict[str, Any] | None
    values: dict[str, Any]
    if_match: str


class Created(NamedTuple):
    """A new entity, and what SAP remarked on the way."""

    entity_type: EntityType
    row: Row
    warnings: Sequence[Message] = ()
    expand: str = ""


class Gateway(Logon):
    """The protocol; see the module.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults, tokens and ids.
        page_size: Entities per page of a set, whatever the caller asks for.
        settings: Passed on to `Logon`.
    """

    name: ClassVar[str] = "s4hana"

    def __init__(
        self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, *, page_size: int = 200, **settings: Any
    ) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self.page_size = page_size
        self.types: dict[str, EntityType] = {}
        self.sets: dict[tuple[str, str], EntitySet] = {}
        self.creates: dict[tuple[str, str], Callable[[dict[str, Any], str], Created]] = {}
        self.functions: dict[tuple[str, str], Callable[[dict[str, Any], str], dict[str, Any]]] = {}
        self.changers: dict[str, Callable[[Sequence[Change], str], list[Row | None]]] = {}
        self._answered = ledger.table("repeatability")
        self._drift = Drift(self, "PostingDate")

    def register(self, *entity_sets: EntitySet) -> None:
        """Make sets readable."""
        for entity_set in entity_sets:
            self.types[entity_set.type.name] = entity_set.type
            self.sets[entity_set.type.service, entity_set.type.name] = entity_set

    def today(self) -> str:
        """The day it is for SAP, whose system time here is UTC."""
        return self.clock().astimezone(UTC).date().isoformat()

    def now_to_the_second(self) -> datetime:
        """The time as SAP stamps what it writes: without a fraction."""
        self._drift.notice()
        return self.clock().astimezone(UTC).replace(microsecond=0)

    @route("GET", r"/sap/opu/odata/sap/(?P<service>\w+)/?(?P<path>.*)")
    def _get(self, request: Request, service: str, path: str) -> Response:
        self._let_in(request)
        csrf = self._csrf_headers(request)
        response = self._answered_or_refused(service, lambda: self._read(request, service, path))
        response.headers.update(csrf)
        return response

    def _read(self, request: Request, service: str, path: str) -> Response:
        known = [entity_set.type.name for entity_set in self.sets.values() if entity_set.type.service == service]
        if not known:
            raise Rejected(message("/IWFND/MED/170", service), status=404)
        if not path:
            return json_response(200, {"d": {"EntitySets": known}})
        first, _, rest = path.partition("/")
        entity_set, keys = self._resolve(service, first)
        tree = Tree.of(paths(request.first("$select")), paths(request.first("$expand")))
        host = f"http://{request.headers.get('host', self.name)}"
        if keys is None:
            return self._list(entity_set, request, tree, host)
        row = self._one(entity_set, keys)
        if rest:
            return self._follow(entity_set, row, rest, tree, host)
        entity = entity_set.type.shown(row, host, self.types, tree)
        etag = entity_set.type.etag_of(row)
        return json_response(200, {"d": entity}, {"ETag": etag} if etag else {})

    def _resolve(self, service: str, text: str) -> tuple[EntitySet, dict[str, Any] | None]:
        name, _ = segment(text.partition("(")[0])
        entity_set = self.sets.get((service, name))
        if entity_set is None:
            raise Rejected(message("/IWBEP/CM_MGW_RT/020", name), status=404)
        return entity_set, segment(text, entity_set.type.keys)[1]

    def _one(self, entity_set: EntitySet, keys: dict[str, Any]) -> Row:
        row = entity_set.one(keys)
        if row is None:
            raise Rejected(message("/IWBEP/CM_MGW_RT/020", f"{entity_set.type.name}{tuple(keys.values())}"), status=404)
        return row

    def _follow(self, entity_set: EntitySet, row: Row, name: str, tree: Tree, host: str) -> Response:
        nav = entity_set.type.navs.get(name)
        if nav is None or nav.target not in self.types:
            raise Rejected(message("/IWBEP/CM_MGW_RT/020", name), status=404)
        shown = [self.types[nav.target].shown(child, host, self.types, tree) for child in nav.rows(row)]
        return json_response(200, {"d": {"results": shown} if nav.many else next(iter(shown), None)})

    def _list(self, entity_set: EntitySet, request: Request, tree: Tree, host: str) -> Response:
        condition = parse(request.first("$filter"), entity_set.type)
        orders = parse_order(request.first("$orderby"), entity_set.type)
        top = _whole(request, "$top", 1_000_000_000)
        skip = _whole(request, "$skiptoken", _whole(request, "$skip", 0))
        counted = request.first("$inlinecount") == "allpages"
        size = min(top, self.page_size)
        prefix = [order.name for order in orders[: len(entity_set.changed_in)] if not order.descending]
        by_change = bool(prefix) and tuple(prefix) == entity_set.changed_in
        candidates = entity_set.candidates(condition, in_change_order=by_change)
        matching: Iterator[Row] = (row for row in candidates if condition.test(row))
        if by_change and not counted:
            matching = until_settled(matching, skip + size, entity_set.changed_in)
        elif not orders and not counted:
            matching = islice(matching, skip + size + 1)
        rows = in_order(list(matching), orders, entity_set.type)
        page = rows[skip : skip + size]
        shown = [entity_set.type.shown(row, host, self.types, tree) for row in page]
        content: dict[str, Any] = {"results": self._as_news(entity_set, page, shown)}
        if counted:
            content["__count"] = str(len(rows))
        if len(rows) > skip + size and top > size:
            query = {name: values[0] for name, values in request.query.items() if name not in {"$skip", "$top"}}
            query["$skiptoken"] = str(skip + size)
            if "$top" in request.query:
                query["$top"] = str(top - size)
            content["__next"] = f"{host}{request.path}?{urlencode(query)}"
        return json_response(200, {"d": content})

    def _as_news(self, entity_set: EntitySet, rows: list[Row], shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a poller is told, with the faults of news in it."""
        if not entity_set.is_feed:
            return shown
        told = [self._drift.sent(entity, entity_set.changed_at(row)) for row, entity in zip(rows, shown, strict=True)]
        return as_told(told, self.faults, self.rng)

    @route("POST", r"/sap/opu/odata/sap/(?P<service>\w+)/\$batch")
    def _post_batch(self, request: Request, service: str) -> Response:
        self._let_in(request)
        self._check_csrf(request)
        return self._answered_or_refused(service, lambda: self._batch(request, service))

    @route("POST", r"/sap/opu/odata/sap/(?P<service>\w+)/(?P<path>[^$].*)")
    def _post(self, request: Request, service: str, path: str) -> Response:
        return self._write(request, service, path, request.headers.get("x-http-method", "POST"))

    @route("PATCH", r"/sap/opu/odata/sap/(?P<service>\w+)/(?P<path>.*)")
    @route("MERGE", r"/sap/opu/odata/sap/(?P<service>\w+)/(?P<path>.*)")
    @route("DELETE", r"/sap/opu/odata/sap/(?P<service>\w+)/(?P<path>.*)")
    def _change_one(self, request: Request, service: str, path: str) -> Response:
        return self._write(request, service, path, request.method)

    def _write(self, request: Request, service: str, path: str, method: str) -> Response:
        self._let_in(request)
        self._check_csrf(request)
        headers = {**request.headers, "_query": urlencode({name: values[0] for name, values in request.query.items()})}
        operation = Operation(method, path, headers, request.body)
        return self._answered_or_refused(service, lambda: self._changeset(service, [operation])[0])

    def _batch(self, request: Request, service: str) -> Response:
        answers: list[Sequence[Response] | Response] = []
        for group in batch_parts(request.body, request.headers.get("content-type", "")):
            try:
                if group[0].method == "GET":
                    inner = Request.of("GET", group[0].path, request.headers)
                    answers.append(self._read(inner, service, inner.path))
                else:
                    answers.append(self._changeset(service, group))
            except Rejected as rejected:
                answers.append(self.refusal(service, rejected))
        boundary = f"{self.rng.getrandbits(64):016X}"
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        return Response(202, batch_body(answers, boundary), headers)

    def _changeset(self, service: str, operations: Sequence[Operation]) -> list[Response]:
        """All of it or nothing. Changes of what exists may stand together; a create or a function stands alone."""
        if len(operations) == 1 and operations[0].method == "POST":
            name = operations[0].path.partition("?")[0]
            if (service, name) in self.functions:
                return [self._call(service, name, operations[0])]
            if (service, name) in self.creates:
                return [self._create(service, name, operations[0])]
        changer = self.changers.get(service)
        if changer is None:
            raise Rejected(message("/IWBEP/CM_MGW_RT/024", operations[0].method, operations[0].path), status=405)
        changes = []
        for operation in operations:
            first, _, below = operation.path.partition("/")
            entity_set, keys = self._resolve(service, first)
            values = _body(operation) if operation.body else {}
            if below:
                nav = entity_set.type.navs.get(below)
                if nav is None:
                    raise Rejected(message("/IWBEP/CM_MGW_RT/020", below), status=404)
                values = {**(keys or {}), **values}
                entity_set, keys = self.sets[service, nav.target], None
            elif operation.method != "POST" and keys is not None:
                self._check_etag(entity_set, keys, operation.headers.get("if-match", ""))
            values = self.read_in(entity_set.type, values)
            changes.append(Change(operation.method, entity_set, keys, values, operation.headers.get("if-match", "")))
        host = f"http://{operations[0].headers.get('host', self.name)}"
        answers = []
        for change, new in zip(changes, changer(changes, self.user), strict=True):
            entity = None if new is None else change.entity_set.type.shown(new, host, self.types, Tree())
            answers.append(Response(204) if entity is None else json_response(201, {"d": entity}))
        return answers

    def _check_etag(self, entity_set: EntitySet, keys: dict[str, Any], if_match: str) -> None:
        row = self._one(entity_set, keys)
        if not if_match:
            raise Rejected(message("/IWFND/CM_MGW/428"), status=428)
        if if_match not in {"*", entity_set.type.etag_of(row)}:
            raise Rejected(message("/IWFND/CM_MGW/412"), status=412)

    def _create(self, service: str, name: str, operation: Operation) -> Response:
        request_id = operation.headers.get("requestid", "")
        created_at = operation.headers.get("repeatabilitycreation", "")
        entity_type = self.types[name]
        seen_as = f"{name} {request_id}"
        before = self._answered.get(seen_as) if request_id else None
        if before is not None:
            if before["created_at"] != created_at:
                raise Rejected(message("/IWFND/CM_MGW/409", request_id), status=409)
            created = Created(entity_type, self._one(self.sets[service, name], before["keys"]))
        else:
            created = self.creates[service, name](_body(operation), self.user)
            if request_id and all(created.row.get(key) for key in entity_type.keys):
                keys = {key: created.row[key] for key in entity_type.keys}
                self._answered.put(seen_as, {"created_at": created_at, "keys": keys}, self.clock())
        host = f"http://{operation.headers.get('host', self.name)}"
        entity = entity_type.shown(created.row, host, self.types, Tree.of((), paths(created.expand)))
        headers = {"Location": entity["__metadata"]["uri"]}
        if entity_type.etag:
            headers["ETag"] = entity_type.etag_of(created.row)
        if created.warnings:
            headers["sap-message"] = warning_header(created.warnings)
        if request_id:
            headers["RepeatabilityResult"] = "accepted"
        return json_response(201, {"d": entity}, headers)

    def _call(self, service: str, name: str, operation: Operation) -> Response:
        query = operation.headers.get("_query", "") or urlsplit(operation.path).query
        given = {}
        for parameter, values in parse_qs(query).items():
            text = values[0]
            given[parameter] = stored(parameter, text if parameter in DAYS else text.strip("'"))
        return json_response(200, {"d": {name: self.functions[service, name](given, self.user)}})

    def read_in(self, entity_type: EntityType, values: dict[str, Any]) -> dict[str, Any]:
        """An incoming entity as a row: known properties in stored form, navigation as lists of rows.

        Both array shapes are accepted, as in the vendor's own payloads.

        Raises:
            Rejected: a property the type does not have (here), or a value it cannot have.
        """
        row: dict[str, Any] = {}
        for name, value in values.items():
            nav = entity_type.navs.get(name)
            if nav is not None:
                listed = value.get("results", []) if isinstance(value, dict) else value
                row[name] = [self.read_in(self.types[nav.target], child) for child in listed]
            elif name in entity_type.fields:
                row[name] = stored(name, value)
            elif name != "__metadata":
                raise Rejected(message("/IWBEP/CM_MGW_RT/022", f"Property {name}", entity_type.name, target=name))
        return row

    def _answered_or_refused(self, service: str, answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except Rejected as rejected:
            return self.refusal(service, rejected)

    def refusal(self, service: str, rejected: Rejected) -> Response:
        """The OData answer to what SAP does not do."""
        transaction = f"{self.rng.getrandbits(128):032X}"
        body = error_body(rejected.messages, service=service, transaction_id=transaction, at=self.clock())
        return json_response(rejected.status, body)

    def not_found(self, request: Request) -> Response:
        """No such path."""
        return self.refusal("", Rejected(message("/IWFND/MED/170", request.path), status=404))

    def moment(self, at: datetime) -> str:
        """A moment as rows keep it."""
        return moment_text(at.astimezone(UTC))


def _body(operation: Operation) -> dict[str, Any]:
    try:
        values = json.loads(operation.body)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise Rejected(message("/IWBEP/CM_MGW_RT/023", "the body is no JSON object"))
    return values


def _whole(request: Request, name: str, default: int) -> int:
    text = request.first(name)
    if text and not text.isdigit():
        raise Rejected(message("/IWBEP/CM_MGW_RT/023", f"{name} is {text!r}"))
    return int(text) if text else default
