"""Coupa's records as they go over the wire: the pieces that requisitions, orders and approvals are made of.

Element names are dashed, money and quantities are text, moments carry the instance's own offset, and references repeat
a slice of what they refer to: all as the vendor has it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypedDict

from babel.numbers import get_currency_precision

Row = dict[str, Any]
Lookup = Callable[[str, str], int]
"""Answers the id of a piece of master data by its kind and name."""

INSTANCE_ZONE = timezone(timedelta(hours=-7))
"""Coupa writes moments in the instance's own zone, not in UTC."""

FOUR_PLACES = Decimal("0.0001")


class Wanted(TypedDict, total=False):
    """One line as a requester enters it. Amounts and quantities are text."""

    description: str
    quantity: str
    unit: str
    unit_price: str
    supplier_id: int
    company_code: str
    cost_centre: str
    account: str
    plant: str
    commodity: str
    contract: str
    tax_code: str
    need_by: date | None
    splits: Sequence[tuple[str, str]]
    """(cost centre, per cent) instead of the one cost centre."""
    amount_line: bool
    """Bought by amount: it has a price and no quantity."""


def stamp(moment: datetime) -> str:
    """A moment on the wire: whole seconds, the instance's offset."""
    return moment.astimezone(INSTANCE_ZONE).isoformat(timespec="seconds")


def day_stamp(day: date | None) -> str | None:
    """A day on the wire: its midnight at the instance."""
    return None if day is None else datetime.combine(day, time(), INSTANCE_ZONE).isoformat(timespec="seconds")


def money(amount: Decimal, currency: str) -> str:
    """An amount on the wire, with as many decimals as its currency has."""
    return str(amount.quantize(Decimal(1).scaleb(-int(get_currency_precision(currency))), ROUND_HALF_UP))


def person(user: Row) -> Row:
    """The slice of a user that other records repeat."""
    return {
        name: user[name] for name in ("id", "login", "email", "employee-number", "firstname", "lastname", "fullname")
    }


def currency_row(code: str, lookup: Lookup) -> Row:
    """A currency as records repeat it."""
    return {"id": lookup("currency", code), "code": code, "decimals": int(get_currency_precision(code))}


def account_row(company_code: str, cost_centre: str, account: str, lookup: Lookup) -> Row:
    """An account of the chart: company code, cost centre, general ledger account."""
    code = "-".join(part for part in (company_code, cost_centre, account) if part)
    return {
        "id": lookup("account", code),
        "name": code,
        "code": code,
        "active": True,
        "segment-1": company_code,
        "segment-2": cost_centre or None,
        "segment-3": account or None,
        "segment-4": None,
    }


def allocations(line_id: int, total: Decimal, splits: Sequence[tuple[Row, str]]) -> list[Row]:
    """The splits of a line. Coupa keeps their amounts to four decimals, not to the currency's minor unit."""
    return [
        {
            "id": line_id * 100 + position,
            "account": account,
            "pct": str(Decimal(pct).quantize(Decimal("0.0000000001"))),
            "amount": str((total * Decimal(pct) / 100).quantize(FOUR_PLACES, ROUND_HALF_UP)),
        }
        for position, (account, pct) in enumerate(splits)
    ]


def line_total(quantity: str | None, price: str, currency: str) -> Decimal:
    """What a line comes to; without a quantity it is its price."""
    return Decimal(money(Decimal(quantity or "1") * Decimal(price), currency))


def requisition_line(
    line_id: int, position: int, wanted: Wanted, *, currency: str, supplier: Row | None, at: str, lookup: Lookup
) -> Row:
    """A line of a requisition, as it was asked for."""
    quantity = None if wanted.get("amount_line") else str(Decimal(wanted["quantity"]))
    total = line_total(quantity, wanted["unit_price"], currency)
    company_code, account = wanted.get("company_code", ""), wanted.get("account", "")
    splits = [(account_row(company_code, centre, account, lookup), pct) for centre, pct in wanted.get("splits", ())]
    single = None if splits else account_row(company_code, wanted.get("cost_centre", ""), account, lookup)
    unit, commodity, contract = (wanted.get("unit", "EA"), wanted.get("commodity", ""), wanted.get("contract", ""))
    return {
        "id": line_id,
        "created-at": at,
        "updated-at": at,
        "line-num": position,
        "line-type": "RequisitionAmountLine" if quantity is None else "RequisitionQuantityLine",
        "description": wanted.get("description", ""),
        "quantity": quantity,
        "unit-price": wanted["unit_price"],
        "total": money(total, currency),
        "currency": currency_row(currency, lookup),
        "uom": {"id": lookup("uom", unit), "code": unit, "name": unit},
        "supplier": supplier,
        "commodity": {"id": lookup("commodity", commodity), "name": commodity} if commodity else None,
        "contract": {"id": lookup("contract", contract), "number": contract, "name": contract} if contract else None,
        "need-by-date": day_stamp(wanted.get("need_by")),
        "account": single,
        "account-allocations": allocations(line_id, total, splits),
        "receipt-required": True,
        "order-line-id": None,
        "status": None,
        "source-type": "Non-Catalog Request",
        "custom-fields": {"plant": wanted.get("plant", ""), "tax-code": wanted.get("tax_code", "")},
    }


def order_line(
    line_id: int, order_id: int, position: int, asked: Row, *, po_number: str, department: Row, at: str
) -> Row:
    """A line of an order, as its requisition line asked for it."""
    amount_based = asked["line-type"] == "RequisitionAmountLine"
    kept = ("description", "quantity", "total", "currency", "uom", "commodity", "contract", "need-by-date", "account")
    return {
        "id": line_id,
        "created-at": at,
        "updated-at": at,
        "line-num": position,
        "type": "OrderAmountLine" if amount_based else "OrderQuantityLine",
        **{name: asked[name] for name in kept},
        "price": asked["unit-price"],
        "account-allocations": asked["account-allocations"],
        "accounting-total": asked["total"],
        "receipt-required": asked["receipt-required"],
        "order-header-id": order_id,
        "order-header-number": po_number,
        "requisition-line-id": str(asked["id"]),
        "department": department,
        "received": "0",
        "invoiced": "0.0",
        "status": "created",
        "custom-fields": dict(asked["custom-fields"]),
    }


def shares(line: Row) -> list[tuple[str, str, str, Decimal]]:
    """Who bears a line: (company code, cost centre, account, amount)."""
    parts = [(part["account"], part["amount"]) for part in line["account-allocations"]] or [
        (line["account"], line["total"])
    ]
    return [
        (account["segment-1"], account["segment-2"] or "", account["segment-3"] or "", Decimal(amount))
        for account, amount in parts
    ]


def repriced(line: Row, changes: Mapping[str, str], *, currency: str, at: str) -> Row:
    """An order line with another quantity or price; its splits keep their percentages."""
    quantity = changes.get("quantity", line["quantity"])
    price = changes.get("unit-price", line["price"])
    total = line_total(quantity, price, currency)
    return {
        **line,
        "quantity": quantity,
        "price": price,
        "total": money(total, currency),
        "accounting-total": money(total, currency),
        "account-allocations": [
            {**part, "amount": str((total * Decimal(part["pct"]) / 100).quantize(FOUR_PLACES, ROUND_HALF_UP))}
            for part in line["account-allocations"]
        ],
        "updated-at": at,
    }
