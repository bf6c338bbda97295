"""Purchase orders and their commitments.

An order and its commitment lines are written together; `next_orders_without_commitment` breaks that on purpose. SAP
does not mind two orders under one reference of their sender, and neither does this.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import (
    ACCOUNT,
    COMMITMENT,
    ITEM,
    ORDER,
    ORDERS,
    SCHEDULE,
)
from sandbox.s4hana.gateway import Created
from sandbox.s4hana.journal import Journal, shares
from sandbox.s4hana.master import ZERO, CostObject
from sandbox.s4hana.messages import Message, Rejected, message
from sandbox.s4hana.orders import COST_OBJECT, distribute, find_item, moved_elsewhere, open_commitment
from sandbox.s4hana.query import EntitySet
from sandbox.s4hana.wire import bare

DEFAULT_ACCOUNT = "51600000"
"""What SAP's account determination finds here when the caller names no account."""


class Purchasing(Journal):
    """Taking orders, and what is committed for them; see the module."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self.next_orders_without_commitment = 0
        """So many orders are taken without a commitment entry."""
        self._orders = ledger.table("purchase_order", ("CorrespncExternalReference", "Supplier"))
        by_number = {"PurchaseOrder": ""}
        self.register(
            EntitySet(
                ORDER,
                self._orders,
                {**by_number, "CorrespncExternalReference": "CorrespncExternalReference", "Supplier": "Supplier"},
                ("LastChangeDateTime",),
            ),
            EntitySet(ITEM, self._orders, by_number, entities=lambda row: list(row["_items"])),
            EntitySet(ACCOUNT, self._orders, by_number, entities=lambda row: _inside(row, "_accounts")),
            EntitySet(
                SCHEDULE, self._orders, {"PurchasingDocument": ""}, entities=lambda row: _inside(row, "_schedule")
            ),
        )
        self.creates[ORDERS, ORDER.name] = self._create_order

    @property
    def orders(self) -> dict[str, Row]:
        """Every order by number, items under "_items". For reading only."""
        return self._orders.rows

    def live_orders_by_reference(self) -> dict[str, list[str]]:
        """Numbers of the orders that are not deleted, by the reference their sender gave.

        Two under one reference are a duplicate of the sender's making: SAP does not mind.
        """
        with self.lock:
            found: dict[str, list[str]] = {}
            for order in self._orders:
                if not order.get("PurchasingDocumentDeletionCode"):
                    found.setdefault(order.get("CorrespncExternalReference", ""), []).append(order["PurchaseOrder"])
            return found

    def commitment_of(self, order: str) -> Decimal:
        """What is still committed for an order, in its currency."""
        with self.lock:
            lines = self._lines.find("PurchasingDocument", order)
            open_lines = (row for row in lines if row.get("IsCommitment") and not row.get("_vanished"))
            return sum((Decimal(row["AmountInTransactionCurrency"]) for row in open_lines), ZERO)

    def order(self, number: str) -> Row:
        """The order, deleted or not.

        Raises:
            Rejected: there is none.
        """
        row = self._orders.get(bare(number))
        if row is None:
            raise Rejected(message("ME/809", number, target="PurchaseOrder"))
        return row

    def item_of(self, order: Row, number: str) -> Row:
        """An item of an order that stands.

        Raises:
            Rejected: the order or the item is deleted, or there is no such item.
        """
        if order.get("PurchasingDocumentDeletionCode"):
            raise Rejected(message("ME/808", order["PurchaseOrder"], target="PurchaseOrder"))
        item = find_item(order, number)
        if item is None:
            raise Rejected(message("ME/803", number, order["PurchaseOrder"], target="PurchaseOrderItem"))
        return item

    def _create_order(self, body: dict[str, Any], user: str) -> Created:
        given = self.read_in(ORDER, body)
        missing = [
            name
            for name in (
                "CompanyCode",
                "PurchaseOrderType",
                "Supplier",
                "PurchasingOrganization",
                "to_PurchaseOrderItem",
            )
            if not given.get(name)
        ]
        if missing:
            raise Rejected(*(message("ME/801", name, target=name) for name in missing))
        company = self.company(given["CompanyCode"])
        items = given.pop("to_PurchaseOrderItem")
        organization = given["PurchasingOrganization"]
        order = {
            "PurchaseOrderDate": self.today(),
            "DocumentCurrency": company["currency"],
            "PaymentTerms": self.payment_terms_of(given["Supplier"], organization),
            **given,
            "CreatedByUser": user,
            "CreationDate": self.today(),
            "PurchaseOrder": "",
        }
        order["_items"] = [self.new_item(order, item, position) for position, item in enumerate(items, start=1)]
        messages = [
            *self.check_supplier(given["Supplier"], organization=organization),
            *self.check_period(given["CompanyCode"], order["PurchaseOrderDate"]),
            *self.check_items(order, order["_items"]),
        ]
        wanted = self.wanted(order, [(account, ZERO) for item in order["_items"] for account in item["_accounts"]])
        messages += self.budget_messages(wanted)
        errors = [told for told in messages if told.severity == "error"]
        if errors:
            raise Rejected(*messages)
        self._number(order, str(self.ledger.number("purchase_order", 4_500_000_001)))
        self.store(order)
        if self.next_orders_without_commitment > 0:
            self.next_orders_without_commitment -= 1
        else:
            self.commit(order)
        return Created(ORDER, order, messages, "to_PurchaseOrderItem")

    def new_item(self, order: Row, given: Row, position: int) -> Row:
        """An incoming item as a row of an order, with what SAP fills in."""
        accounts, schedule = given.pop("to_AccountAssignment", []), given.pop("to_ScheduleLine", [])
        item = {"PurchaseOrderItem": str(position * 10), **given, "DocumentCurrency": order["DocumentCurrency"]}
        unit = item.setdefault("PurchaseOrderQuantityUnit", "EA")
        item.setdefault("OrderPriceUnit", unit)
        area = self.company(order["CompanyCode"])["controlling_area"]
        item["_accounts"] = [
            {
                "AccountAssignmentNumber": str(number),
                **account,
                "GLAccount": account.get("GLAccount") or DEFAULT_ACCOUNT,
                "ControllingArea": area,
                "DocumentCurrency": order["DocumentCurrency"],
            }
            for number, account in enumerate(accounts, start=1)
        ]
        item["_schedule"] = [
            {"ScheduleLine": str(number), "ScheduleLineOrderQuantity": item.get("OrderQuantity", "0"), **line}
            for number, line in enumerate(schedule or [{}], start=1)
        ]
        self._number({"_items": [item], "PurchaseOrder": order["PurchaseOrder"]}, order["PurchaseOrder"])
        return item

    @staticmethod
    def _number(order: Row, number: str) -> None:
        order["PurchaseOrder"] = number
        for item in order["_items"]:
            item["PurchaseOrder"] = number
            for account in item["_accounts"]:
                account |= {"PurchaseOrder": number, "PurchaseOrderItem": item["PurchaseOrderItem"]}
            for line in item["_schedule"]:
                line |= {"PurchasingDocument": number, "PurchasingDocumentItem": item["PurchaseOrderItem"]}

    def check_items(self, order: Row, items: Iterable[Row], *, fitted: bool = False) -> list[Message]:
        """What is wrong with items; works their amounts out on the way, as `distribute` does."""
        said: list[Message] = []
        for item in items:
            said += [
                message("ME/801", f"{name} of item {item['PurchaseOrderItem']}", target=name)
                for name in ("OrderQuantity", "NetPriceAmount")
                if Decimal(item.get(name) or 0) <= 0
            ]
            if item.get("Plant") and self._plants.get(item["Plant"]) is None:
                said.append(message("ME/807", item["Plant"], target="Plant"))
            if not said:
                said += distribute(item, fitted=fitted)
            category = item.get("AccountAssignmentCategory")
            accounts = item["_accounts"] or (
                [{"GLAccount": DEFAULT_ACCOUNT}] if category or not item.get("Material") else []
            )
            for account in accounts:
                if account.get("OrderID") or account.get("WBSElement"):
                    continue  # an internal order or a project bears the cost; neither is modelled further
                asked = CostObject(
                    order["CompanyCode"],
                    account["GLAccount"],
                    account.get("CostCenter", ""),
                    order["PurchaseOrderDate"],
                )
                said += self.check_cost_object(asked)
        return list(dict.fromkeys(said))

    def wanted(self, order: Row, accounts: Iterable[tuple[Row, Decimal]]) -> dict[tuple[str, str], Decimal]:
        """What more is to be committed per cost centre and year: each assignment's amount less what it had before."""
        rate = self.rate(order["DocumentCurrency"], order["CompanyCode"], order["PurchaseOrderDate"])
        year = order["PurchaseOrderDate"][:4]
        wanted: dict[tuple[str, str], Decimal] = {}
        for account, before in accounts:
            key = (account.get("CostCenter", ""), year)
            more = (Decimal(account.get("PurgDocNetAmount") or 0) - before) * rate
            wanted[key] = wanted.get(key, ZERO) + more
        return wanted

    def store(self, order: Row) -> None:
        """Keep an order as changed now. Its stamp always grows, or its ETag would not tell two changes apart."""
        at = self.clock().astimezone(UTC)
        if order.get("LastChangeDateTime"):
            at = max(at, datetime.fromisoformat(order["LastChangeDateTime"]) + timedelta(milliseconds=1))
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        order["LastChangeDateTime"] = self.moment(at)
        for item in order["_items"]:
            for part in (item, *item["_accounts"], *item["_schedule"]):
                part["_changed_at"] = order["LastChangeDateTime"]
        self._orders.put(order["PurchaseOrder"], order, at)

    def commit(self, order: Row) -> None:
        """Bring the commitment of every account assignment to what is still to be received or invoiced."""
        for item in order["_items"]:
            gone = bool(item.get("PurchasingDocumentDeletionCode"))
            for account in item["_accounts"]:
                committed = Decimal(account.get("_committed", "0"))
                if committed and moved_elsewhere(account):
                    self.move_commitment(order, item, account | account["_committed_on"], -committed)
                    committed = ZERO
                    account["_committed"] = "0"
                target = ZERO if gone else open_commitment(account)
                self.move_commitment(order, item, account, target - committed)

    def move_commitment(self, order: Row, item: Row, account: Row, amount: Decimal) -> None:
        """Post a commitment line: positive commits more, negative gives back."""
        if amount == 0:
            return
        rate = self.rate(order["DocumentCurrency"], order["CompanyCode"], order["PurchaseOrderDate"])
        account["_committed"] = str(Decimal(account.get("_committed", "0")) + amount)
        account["_committed_on"] = {name: account.get(name, "") for name in COST_OBJECT}
        today = self.today()
        head = {
            "CompanyCode": order["CompanyCode"],
            "FiscalYear": today[:4],
            "Ledger": COMMITMENT,
            "SourceLedger": COMMITMENT,
            "IsCommitment": True,
            "TransactionCurrency": order["DocumentCurrency"],
            "PostingDate": today,
            "DocumentDate": order["PurchaseOrderDate"],
            "ReferenceDocument": order["PurchaseOrder"],
            "PurchasingDocument": order["PurchaseOrder"],
            "PurchasingDocumentItem": item["PurchaseOrderItem"],
        }
        line = {
            "amount": amount,
            "GLAccount": account["GLAccount"],
            "CostCenter": account.get("CostCenter", ""),
            "AccountAssignmentNumber": account["AccountAssignmentNumber"],
        }
        self.post(head, [line], rate=rate)
        self.book_budget(account.get("CostCenter", ""), order["PurchaseOrderDate"][:4], committed=amount * rate)

    def consume(self, order: Row, item: Row, value: Decimal) -> None:
        """Turn commitment into actual cost as goods or an invoice arrive; a negative value turns it back."""
        accounts = item["_accounts"]
        if not accounts:
            return
        year = order["PurchaseOrderDate"][:4]
        rate = self.rate(order["DocumentCurrency"], order["CompanyCode"], order["PurchaseOrderDate"])
        weights = [Decimal(account["PurgDocNetAmount"]) for account in accounts]
        for account, part in zip(accounts, shares(value, weights, order["DocumentCurrency"]), strict=True):
            account["_consumed"] = str(Decimal(account.get("_consumed", "0")) + part)
            self.book_budget(account.get("CostCenter", ""), year, actual=part * rate)
            self.move_commitment(
                order, item, account, open_commitment(account) - Decimal(account.get("_committed", "0"))
            )

    def cost_lines(self, item: Row, value: Decimal) -> list[dict[str, Any]]:
        """Debit lines for `value` by the item's account assignments."""
        accounts = item["_accounts"] or [{"GLAccount": DEFAULT_ACCOUNT, "PurgDocNetAmount": "1"}]
        weights = [Decimal(account["PurgDocNetAmount"]) for account in accounts]
        parts = shares(value, weights, item["DocumentCurrency"])
        return [
            {
                "amount": part,
                "GLAccount": account["GLAccount"],
                "CostCenter": account.get("CostCenter", ""),
                "PurchasingDocument": item["PurchaseOrder"],
                "PurchasingDocumentItem": item["PurchaseOrderItem"],
                "PostingKey": "40" if part >= 0 else "50",
            }
            for account, part in zip(accounts, parts, strict=True)
        ]


def _inside(order: Row, name: str) -> list[Row]:
    return [part for item in order["_items"] for part in item[name]]
