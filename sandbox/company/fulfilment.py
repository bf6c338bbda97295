"""After the hub has ordered: goods and services arrive and are received, buyers change and cancel orders.

People see an order where it is: the ERP's own screen for what is to come, procurement's for what is to be changed.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from sandbox.company import odds
from sandbox.company.agenda import action
from sandbox.company.catalogue import BY_ACCOUNT
from sandbox.company.office import Office, Watch, plain
from sandbox.company.units import Unit
from sandbox.ledger import Row
from sandbox.s4hana import Rejected

RECEIPT_TRIES = 12
"""So often a receiver tries to post, once a working day, before he leaves it to somebody else."""
FIRST_PART = Decimal("0.6")


class Fulfilment:
    """Deliveries, receipts, changes.

    Args:
        office: The surroundings.
        bill: Called with order, part and the moment of delivery when a part of an order has been delivered; answers
            when the supplier's invoice will be there.
    """

    def __init__(self, office: Office, bill: Callable[[str, int, datetime], datetime]) -> None:
        self._office = office
        self._bill = bill
        self._memory = office.ledger.table("order")
        self._ordered = Watch("order", office.s4hana.ledger.table("purchase_order"), office.ledger, _ordered)
        self._issued = Watch("issued", office.coupa.ledger.table("purchase_order"), office.ledger, _issued)

    def notice(self) -> None:
        """See which orders have come about, and plan what becomes of them."""
        for number, order in self._ordered.news():
            self._expect(number, order)
        for _, row in self._issued.news():
            self._think_again(row)

    def recent_orders(self) -> list[str]:
        """Orders of which nothing has been delivered yet, latest first."""
        return sorted(
            (number for number, row in self._memory.rows.items() if not row["delivered"]), key=int, reverse=True
        )

    def issued_order(self, number: str) -> Row | None:
        """Procurement's order under the ERP's number, while it is issued; None otherwise."""
        return next((row for row in self._office.coupa.orders(po_number=number) if row["status"] == "issued"), None)

    # Delivery

    def _expect(self, number: str, order: Row) -> None:
        office, unit = self._office, self._office.unit_of_order(order)
        luck = office.luck("delivery", number)
        is_service = is_service_order(order)
        need_by = unit.calendar.working_day(_need_by(order) or unit.calendar.day(office.now) + timedelta(days=10))
        fate = luck.random()
        parts = 1
        if fate < odds.LATE_DELIVERY_SHARE:
            need_by = unit.calendar.working_day(need_by, luck.randrange(5, 16))
        elif fate < odds.LATE_DELIVERY_SHARE + odds.IN_TWO_PARTS_SHARE:
            parts = 2
        elif not is_service:
            need_by = unit.calendar.working_day(need_by - timedelta(days=luck.choice((0, 0, 0, 1, 2))))
        self._memory.put(number, {"unit": unit.code, "parts": parts, "delivered": {}}, office.now)
        for part in range(1, parts + 1):
            at = unit.calendar.within(need_by, luck.random())
            office.agenda.add(max(at, unit.calendar.after(office.now, 4)), self.deliver, order=number, part=part)
            need_by = unit.calendar.working_day(need_by, luck.randrange(3, 9))

    @action
    def deliver(self, *, order: str, part: int) -> None:
        """A part of an order arrives. The last part brings whatever is still missing."""
        office, sap = self._office, self._office.s4hana
        memory = self._memory.rows[order]
        unit, now = office.units[memory["unit"]], office.now
        came: dict[str, str] = {}
        with sap.lock:
            for item in live_items(sap.orders[order]):
                open_quantity = Decimal(item["OrderQuantity"]) - self._delivered(order, item["PurchaseOrderItem"])
                quantity = open_quantity
                if part < memory["parts"] and open_quantity >= 2:
                    quantity = (open_quantity * FIRST_PART).to_integral_value()
                if quantity > 0:
                    came[item["PurchaseOrderItem"]] = plain(quantity)
        if not came:
            return
        self._memory.put(order, {**memory, "delivered": {**memory["delivered"], str(part): came}}, now)
        luck = office.luck("receipt", order, part)
        billed_at = self._bill(order, part, now)
        received_at = self._received_at(unit, luck, now)
        if luck.random() < odds.INVOICE_BEFORE_RECEIPT_SHARE:
            what = f"Order {order} is billed before it is received."
            office.begin("invoice_before_receipt", "s4hana", what, lasts=False)
            received_at = unit.calendar.after(billed_at, luck.uniform(3, 26))
        elif received_at >= billed_at:
            received_at = unit.calendar.after(now, 0.05)
        office.agenda.add(received_at, self.receive, order=order, part=part, tries=1)

    def _delivered(self, order: str, item: str) -> Decimal:
        parts = self._memory.rows[order]["delivered"].values()
        return sum((Decimal(part.get(item, "0")) for part in parts), Decimal(0))

    @staticmethod
    def _received_at(unit: Unit, luck: Random, now: datetime) -> datetime:
        """Mostly the same day, else the next, else when somebody asks for it."""
        when = luck.random()
        if when < odds.RECEIPT_SAME_DAY_SHARE:
            return unit.calendar.after(now, luck.uniform(0.2, 3))
        if when < odds.RECEIPT_SAME_DAY_SHARE + odds.RECEIPT_NEXT_DAY_SHARE:
            return unit.calendar.after(now, luck.uniform(6, 12))
        return unit.calendar.after(now, luck.uniform(20, 50))

    @action
    def receive(self, *, order: str, part: int, tries: int) -> None:
        """Post the goods receipt. What the ERP refuses (a closed period) is tried again the next working day."""
        office, memory = self._office, self._memory.rows[order]
        unit = office.units[memory["unit"]]
        came = memory["delivered"][str(part)]
        lines = [(int(item), Decimal(quantity)) for item, quantity in came.items()]
        try:
            office.s4hana.post_goods_receipt(
                order=order, lines=lines, by=f"RCV {unit.code}", posted_on=unit.calendar.day(office.now)
            )
        except Rejected:
            if tries < RECEIPT_TRIES:
                at = unit.calendar.after(office.now, 8)
                office.agenda.add(at, self.receive, order=order, part=part, tries=tries + 1)

    # Changes

    def _think_again(self, row: Row) -> None:
        office = self._office
        number = row["po-number"]
        if self._memory.get(number) is None:
            return
        unit = office.units[self._memory.rows[number]["unit"]]
        luck = office.luck("change", number)
        fate = luck.random()
        at = unit.calendar.after(office.now, luck.uniform(2, 14))
        if fate < odds.REVISED_SHARE:
            office.agenda.add(at, self.revise, order=number)
        elif fate < odds.REVISED_SHARE + odds.CANCELLED_SHARE:
            office.agenda.add(at, self.cancel, order=number)

    @action
    def revise(self, *, order: str) -> None:
        """The buyer changes quantity or price of a line, if nothing has come yet."""
        office = self._office
        luck = office.luck("revision", order)
        with office.coupa.lock:
            row = self.issued_order(order)
            if row is None or self._memory.rows[order]["delivered"]:
                return
            unit = office.units[self._memory.rows[order]["unit"]]
            line = luck.choice(row["order-lines"])
            large = luck.random() < odds.LARGE_REVISION_SHARE
            quantity, price = line["quantity"], Decimal(line["price"])
            if quantity is not None and Decimal(quantity) >= 4 and luck.random() < 0.6:
                factor = luck.uniform(1.15, 1.5) if large else luck.choice((0.75, 0.9, 1.05, 1.08))
                count = max(Decimal(1), (Decimal(quantity) * Decimal(factor)).to_integral_value())
                change = {"quantity": plain(count)}
            else:
                factor = luck.uniform(1.12, 1.3) if large else luck.choice((0.9, 0.95, 1.03, 1.06))
                step = Decimal(1) if row["currency"]["code"] == "JPY" else Decimal("0.01")
                change = {"unit-price": plain((price * Decimal(factor)).quantize(step))}
            office.coupa.revise_order(order_id=row["id"], by=f"buyer.{unit.slug}", changes={line["line-num"]: change})

    @action
    def cancel(self, *, order: str) -> None:
        """The buyer cancels the order, if nothing has come yet."""
        office = self._office
        with office.coupa.lock:
            row = self.issued_order(order)
            if row is not None and not self._memory.rows[order]["delivered"]:
                unit = office.units[self._memory.rows[order]["unit"]]
                office.coupa.cancel_order(order_id=row["id"], by=f"buyer.{unit.slug}")


def live_items(order: Row) -> list[Row]:
    """The items of an order that are not deleted; none of a deleted order."""
    if order.get("PurchasingDocumentDeletionCode"):
        return []
    return [item for item in order["_items"] if not item.get("PurchasingDocumentDeletionCode")]


def is_service_order(order: Row) -> bool:
    """Whether services were ordered, which the account says."""
    accounts = [account["GLAccount"] for item in order["_items"] for account in item["_accounts"]]
    return any(account in BY_ACCOUNT and BY_ACCOUNT[account].is_service for account in accounts)


def _need_by(order: Row) -> date | None:
    days = [
        line["ScheduleLineDeliveryDate"]
        for item in order["_items"]
        for line in item["_schedule"]
        if line.get("ScheduleLineDeliveryDate")
    ]
    return date.fromisoformat(max(days)) if days else None


def _ordered(order: Row) -> str:
    return str(order["PurchaseOrder"])


def _issued(row: Row) -> str:
    return str(row["id"])
