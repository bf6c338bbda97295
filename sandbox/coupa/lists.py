"""How Coupa answers a list: which records a condition may look at, which come into question, how a page is told.

A page can be told badly on purpose: records twice, shuffled, visible late, or of another shape than agreed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sandbox.coupa.query import BadQuery, Query, moment, parse
from sandbox.coupa.records import Row
from sandbox.drift import Drift, as_told
from sandbox.ledger import Table
from sandbox.wire import Request, Response, Standin, json_response

LATE_BY = timedelta(seconds=4)
"""With news out of order, a record may become visible this much after its own updated-at."""

DRIFTING = {"requisition": "total", "approval": "status", "supplier": "name", "purchase_order": "version"}
"""The field of each object that schema drift hits."""

_RECORD = "id created-at updated-at created-by updated-by"
_ATTRIBUTES = {
    "requisition": f"""{_RECORD} status exported last-exported-at custom-fields req-title submitted-at need-by-date
        justification buyer-note currency total line-count reject-reason-comment external-po-reference department
        requested-by requisition-lines approvals current-approval""",
    "approval": f"""{_RECORD} status position approval-chain-id approval-date note type approvable-type approvable-id
        delegate-id approver-id approver-type approver approved-by""",
    "supplier": f"""{_RECORD} status name display-name number on-hold tax-id payment-term primary-address""",
    "purchase_order": f"""{_RECORD} status exported last-exported-at custom-fields po-number version internal-revision
        change-type transmission-status currency supplier payment-term ship-to-user requisition-header order-lines""",
    "budget_line": f"""{_RECORD} description notes amount remaining remaining-budget pending-requisitions-amount
        currency period segment-1 segment-2 segment-3""",
    "user": f"""{_RECORD} login email employee-number firstname lastname fullname active manager""",
    "comment": f"""{_RECORD} comments commentable-type commentable-id""",
}
ATTRIBUTES = {name: frozenset(words.split()) for name, words in _ATTRIBUTES.items()}
"""What a condition may name, by object."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of record that can be listed.

    `scope` is the middle of the OAuth scopes that open it, `wire` turns a stored row into what goes over the wire,
    `indexed` names the attributes by which the table finds rows.
    """

    name: str
    scope: str
    table: Table
    wire: Callable[[Row], Row]
    indexed: tuple[str, ...] = ()


class Lists:
    """Answers lists.

    Args:
        standin: Whose lists; its faults say how badly they are told.
    """

    def __init__(self, standin: Standin) -> None:
        self._standin = standin
        self._drifts = {name: Drift(standin, field) for name, field in DRIFTING.items()}

    def page(self, request: Request, resource: Resource, rows: Iterable[Row] | None = None) -> Response:
        """The page a request asks for, among `rows` or all the resource has."""
        try:
            query = parse(request.query, ATTRIBUTES[resource.name])
            candidates = self._candidates(resource, query) if rows is None else rows
            matching: Iterable[Row] = (row for row in map(resource.wire, candidates) if query.holds(row))
            if rows is not None or not _comes_sorted(query):
                matching = sorted(matching, key=lambda row: _sort_key(row, query.order_by), reverse=query.descending)
            wanted = list(islice(matching, query.offset, query.offset + query.limit))
        except BadQuery as bad:
            return refusal(resource.name, str(bad))
        told = self._as_told(resource.name, wanted)
        return json_response(200, [query.projected(row) for row in told])

    def notice(self) -> None:
        """See whether the switch for another shape was moved; to be called before every write."""
        for drift in self._drifts.values():
            drift.notice()

    def _candidates(self, resource: Resource, query: Query) -> Iterator[Row]:
        """Rows among which the matching ones are: found by id, by what changed or by an index; else all of them."""
        ids, since = query.wanted("id", "", "in"), query.wanted("updated-at", "gt_or_eq", "gt")
        if ids is not None:
            return (row for row in map(resource.table.get, ids.split(",")) if row is not None)
        if since is not None:
            return self._changed_rows(resource.table, since, query.wanted("updated-at", "lt", "lt_or_eq"))
        for field in resource.indexed:
            wanted = query.wanted(field, "")
            if wanted is not None:
                return iter(
                    resource.table.find(field, int(wanted) if wanted.isdecimal() and field.endswith("-id") else wanted)
                )
        return iter(resource.table)

    def _changed_rows(self, table: Table, since: str, until: str | None) -> Iterator[Row]:
        last = moment(until) if until is not None else None
        for at, row in table.changed_since(moment(since)):
            if last is not None and at > last:
                return
            if not self._is_held_back(at):
                yield row

    def _is_held_back(self, changed_at: datetime) -> bool:
        share = self._standin.faults.out_of_order_share
        return share > 0 and self._standin.clock() - changed_at < LATE_BY and self._standin.rng.random() < share

    def _as_told(self, name: str, rows: list[Row]) -> list[Row]:
        drift = self._drifts.get(name)
        if drift is not None:
            rows = [drift.sent(row, datetime.fromisoformat(row["updated-at"])) for row in rows]
        return as_told(rows, self._standin.faults, self._standin.rng)


def refusal(what: str, said: str, *, status: int = 400) -> Response:
    """An error as Coupa words it: under the object it is about, a list of sentences."""
    return json_response(status, {"errors": {what: [said]}})


def _comes_sorted(query: Query) -> bool:
    """Whether the candidates come in the order asked for: changed rows do, oldest change first."""
    by_change = query.wanted("updated-at", "gt_or_eq", "gt") is not None and query.wanted("id", "", "in") is None
    return by_change and query.order_by == "updated-at" and not query.descending


def _sort_key(row: Row, field: str) -> tuple[bool, Any]:
    value = row.get(field)
    return (value is not None, value)
