"""The comparison of the books: what procurement, AP automation and the ERP each have, against what the hub believes.

The systems' side is read by listing their own books over their own APIs, not by what they told us changed, so that news
that was lost shows. Nothing in it trusts the hub: a difference is a sentence with both figures. What is legitimately under
way (an order drafted and not yet sent), or a contradiction the hub shows as one (approval_status conflict), is no difference;
a document known on one side only is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from sync_engine.database.arrays import array_literal
from sync_engine.engine import store
from sync_engine.engine.outcomes import Setup
from sync_engine.model.flows import Role
from sync_engine.model.ids import NewId
from sync_engine.model.ports import Holding

ENDED = {"cancelled", "rejected"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which two books disagree."""

    kind: str
    document: str
    business_unit: str
    sentence: str


@dataclass(slots=True)
class Reconciliation:
    """The result of one comparison; amounts by (side, kind, currency)."""

    differences: list[Difference] = field(default_factory=list)
    requisitions_with_two_live_orders: int = 0
    purchase_orders_in_erp: int = 0
    events_lost: int = 0
    parked_without_reason: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, dict[str, str]] = field(default_factory=dict)

    def found(self, kind: str, document: str, business_unit: str, sentence: str) -> None:
        """Note a difference."""
        self.differences.append(Difference(kind, document, business_unit, sentence))

    def as_json(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "reconciliation_differences": len(self.differences),
            "requisitions_with_two_live_orders": self.requisitions_with_two_live_orders,
            "purchase_orders_in_erp": self.purchase_orders_in_erp,
            "events_lost": self.events_lost,
            "parked_without_reason": self.parked_without_reason,
            **self.counts,
            "totals": self.totals,
            "differences": [
                {
                    "kind": one.kind,
                    "document": one.document,
                    "business_unit": one.business_unit,
                    "sentence": one.sentence,
                }
                for one in self.differences[:200]
            ],
        }


class Books:
    """What the systems have, listed.

    Args:
        setup: Who plays which role.
        sessions: The network to them.
    """

    def __init__(self, setup: Setup, sessions: Mapping[str, Any]) -> None:
        self._setup = setup
        self._sessions = sessions

    def of(self, role: Role, kind: str) -> tuple[str, list[Holding]]:
        """The name of the system that plays a role, and everything of a kind it has."""
        name = self._setup.role_of(role, "")
        return name, list(self._setup.systems[name].holdings[kind](self._sessions[name]))


def reconcile(connection: psycopg.Connection, setup: Setup, sessions: Mapping[str, Any]) -> Reconciliation:
    """Compare the books of all systems with the hub's."""
    result, books = Reconciliation(), Books(setup, sessions)
    procurement, wanted = books.of(Role.PROCUREMENT, "requisition")
    _, shown = books.of(Role.PROCUREMENT, "purchase_order")
    erp, ordered = books.of(Role.ERP, "purchase_order")
    _, posted = books.of(Role.ERP, "supplier_invoice")
    ap, billed = books.of(Role.AP_AUTOMATION, "invoice")
    _requisitions(connection, result, procurement, wanted)
    orders = _orders(connection, result, erp, ordered)
    _numbers_in_procurement(result, orders, shown)
    _invoices(connection, result, ap, erp, billed, posted)
    _two_live_orders(connection, result, ordered)
    _never_told(connection, result, {procurement: wanted, ap: [one for one in billed if one.is_live]})
    row = store.rows(connection, "reconcile.unsettled_messages")[0]
    result.events_lost += int(row["lost"])
    result.parked_without_reason = int(store.rows(connection, "reconcile.parked_without_reason")[0]["?column?"])
    result.counts = dict(store.rows(connection, "reconcile.counts")[0])
    result.purchase_orders_in_erp = sum(one.is_live for one in ordered)
    result.totals = {
        f"{procurement} requisitions": _sums(wanted),
        f"{erp} purchase orders": _sums(ordered),
        f"{erp} supplier invoices": _sums(posted),
        f"{ap} invoices": _sums(billed),
    }
    return result


def remember(
    connection: psycopg.Connection,
    found: Sequence[Difference],
    *,
    now: datetime,
    new_id: NewId,
    of_record: bool = False,
) -> None:
    """Keep what was found, by comparing the books or (`of_record`) the record with itself, for the alert on it: since when they differ,
    and until when they did."""
    store.rows(
        connection,
        "alert.put_drift",
        drift_id=array_literal([new_id(now) for _ in found]),
        kind=array_literal([one.kind for one in found]),
        document=array_literal([one.document for one in found]),
        sentence=array_literal([one.sentence for one in found]),
        business_unit=array_literal([one.business_unit for one in found]),
        of_record=of_record,
        now=now,
    )


def _sums(holdings: Iterable[Holding]) -> dict[str, str]:
    sums: dict[str, Decimal] = defaultdict(lambda: Decimal(0))
    for one in holdings:
        if one.is_live:
            sums[one.currency] += one.amount
    return {currency: str(amount) for currency, amount in sorted(sums.items())}


def _requisitions(connection: psycopg.Connection, result: Reconciliation, system: str, wanted: list[Holding]) -> None:
    ours = {row["external_id"]: row for row in store.rows(connection, "reconcile.requisitions", system=system)}
    theirs = {one.external_id: one for one in wanted}
    for number, row in ours.items():
        one = theirs.get(number)
        if one is None:
            result.found(
                "requisition", number, row["business_unit"], f"The hub has requisition {number}; {system} does not."
            )
        elif (
            row["state"] not in ENDED
            and row["amount"] is not None
            and one.is_live
            and (row["currency"], row["amount"]) != (one.currency, one.amount)
        ):
            result.found(
                "requisition",
                number,
                row["business_unit"],
                f"Requisition {number} is {row['amount']} {row['currency']} in the hub and {one.amount} {one.currency} in {system}.",
            )
        elif row["state"] == "ordered" and not one.is_live and row["approval_status"] != "conflict":
            result.found(
                "requisition",
                number,
                row["business_unit"],
                f"Requisition {number} is ordered in the hub and given up in {system}.",
            )


def _orders(
    connection: psycopg.Connection, result: Reconciliation, system: str, ordered: list[Holding]
) -> dict[str, dict[str, Any]]:
    ours = {row["external_id"]: row for row in store.rows(connection, "reconcile.orders", system=system)}
    theirs = {one.external_id: one for one in ordered}
    for number, one in theirs.items():
        if one.is_live and one.reference and number not in ours:
            result.found(
                "purchase_order",
                number,
                "",
                f"{system} has order {number} under our reference {one.reference}; the hub does not know it.",
            )
    for number, row in ours.items():
        found = theirs.get(number)
        if found is None:
            result.found(
                "purchase_order",
                number,
                row["business_unit"],
                f"The hub has order {number} ({row['number']}); {system} does not.",
            )
        elif row["state"] == "cancelled":
            if found.is_live:
                result.found(
                    "purchase_order",
                    number,
                    row["business_unit"],
                    f"Order {number} is cancelled in the hub and live in {system}.",
                )
        elif not found.is_live:
            result.found(
                "purchase_order",
                number,
                row["business_unit"],
                f"Order {number} is {row['state']} in the hub and deleted in {system}.",
            )
        elif (row["currency"], row["amount"]) != (found.currency, found.amount):
            result.found(
                "purchase_order",
                number,
                row["business_unit"],
                f"Order {number} is {row['amount']} {row['currency']} in the hub and {found.amount} {found.currency} in {system}.",
            )
    return ours


def _numbers_in_procurement(result: Reconciliation, orders: dict[str, dict[str, Any]], shown: list[Holding]) -> None:
    known = {one.refers_to for one in shown}
    for number, row in orders.items():
        if row["state"] in {"ordered", "partially_received", "received", "closed"} and number not in known:
            result.found(
                "purchase_order",
                number,
                row["business_unit"],
                f"Procurement does not show the ERP's order {number} ({row['number']}).",
            )


def _invoices(
    connection: psycopg.Connection,
    result: Reconciliation,
    ap: str,
    erp: str,
    billed: list[Holding],
    posted: list[Holding],
) -> None:
    ours = {
        row["external_id"]: row for row in store.rows(connection, "reconcile.invoices", ap_system=ap, erp_system=erp)
    }
    in_ap = {one.external_id: one for one in billed}
    in_erp = {one.external_id: one for one in posted}
    for number, row in ours.items():
        one = in_ap.get(number)
        if one is None:
            result.found("invoice", number, row["business_unit"], f"The hub has invoice {number}; {ap} does not.")
        if row["erp_number"] is None:
            continue
        booked = in_erp.get(row["erp_number"])
        if booked is None:
            result.found(
                "invoice",
                number,
                row["business_unit"],
                f"The hub says that invoice {number} is posted as {row['erp_number']}; {erp} does not have it.",
            )
        elif booked.is_live and (row["currency"], row["amount"]) != (booked.currency, booked.amount):
            result.found(
                "invoice",
                number,
                row["business_unit"],
                f"Invoice {number} is {row['amount']} {row['currency']} in the hub and {booked.amount} {booked.currency} in {erp}.",
            )
    told = {row["erp_number"] for row in ours.values()}
    for number, booked in in_erp.items():
        if booked.is_live and number not in told:
            result.found(
                "invoice",
                number,
                "",
                f"{erp} has supplier invoice {number} ({booked.reference}); the hub does not know it.",
            )


def _two_live_orders(connection: psycopg.Connection, result: Reconciliation, ordered: list[Holding]) -> None:
    """By the ERP's own books first: two live orders under one reference; then by requisition line."""
    by_reference = Counter(one.reference for one in ordered if one.is_live and one.reference)
    twice = {reference: count for reference, count in by_reference.items() if count > 1}
    for reference, count in twice.items():
        result.found(
            "purchase_order", reference, "", f"The ERP has {count} live orders under our reference {reference}."
        )
    lines = store.rows(connection, "reconcile.orders_of_requisitions")
    for row in lines:
        result.found(
            "requisition",
            row["requisition"],
            "",
            f"Line {row['line']} of requisition {row['requisition']} has {row['live_orders']} live orders: {', '.join(row['orders'])}.",
        )
    result.requisitions_with_two_live_orders = len(twice) + len({row["requisition"] for row in lines})


def _never_told(connection: psycopg.Connection, result: Reconciliation, books: dict[str, list[Holding]]) -> None:
    """Documents that a system has and that no message ever told us of."""
    for system, holdings in books.items():
        live = [one for one in holdings if one.is_live]
        rows = store.rows(
            connection,
            "reconcile.known_messages",
            system=system,
            kind=array_literal([one.kind for one in live]) if live else "{}",
            external_id=array_literal([one.external_id for one in live]) if live else "{}",
        )
        known = {(row["kind"], row["external_id"]) for row in rows}
        for one in live:
            if (one.kind, one.external_id) not in known:
                result.events_lost += 1
                result.found(
                    one.kind,
                    one.external_id,
                    "",
                    f"{system} has {one.kind} {one.external_id}, of which the hub was never told.",
                )
