"""Changing and deleting purchase orders, on the screen and by changeset.

A change works on a copy. Only when every part of it has passed its checks is the copy kept and the commitment brought
to what it must be, so that a changeset is all or nothing.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import ACCOUNT, ITEM, ORDER, ORDERS, SCHEDULE
from sandbox.s4hana.gateway import Change
from sandbox.s4hana.master import ZERO
from sandbox.s4hana.messages import Rejected, message
from sandbox.s4hana.orders import moved_elsewhere
from sandbox.s4hana.requisitions import Requisitions
from sandbox.s4hana.wire import bare


class OrderChanges(Requisitions):
    """What can happen to an order after it was taken."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self.changers[ORDERS] = self._change_orders

    def lock_order(self, *, number: str, until: datetime) -> None:
        """Somebody has the order open on the screen until a moment."""
        with self.lock:
            order = self.order(number)
            order["_locked_until"] = until.isoformat()
            self._orders.put(number, order, self.clock())

    def delete_order(self, *, number: str, by: str) -> None:
        """A buyer deletes an order.

        Raises:
            Rejected: locked, or received or invoiced in part.
        """
        with self.lock:
            draft = deepcopy(self.order(number))
            self._delete(draft)
            self._commit_change(draft, by)

    def change_order_by_hand(
        self, *, number: str, item: int, quantity: Decimal | None = None, price: Decimal | None = None
    ) -> None:
        """A buyer changes an item on the screen."""
        with self.lock:
            draft = deepcopy(self.order(number))
            row = self.item_of(draft, str(item))
            row |= {"OrderQuantity": str(quantity)} if quantity is not None else {}
            row |= {"NetPriceAmount": str(price), "NetPriceQuantity": "1"} if price is not None else {}
            self._rework(draft, row, fitted=True)
            self._commit_change(draft, "BUYER")

    def _check_lock(self, order: Row) -> None:
        until = order.get("_locked_until")
        if until and datetime.fromisoformat(until) > self.clock():
            raise Rejected(message("MMPUR_INTEGRATION_PO/002", order["PurchaseOrder"]))

    def _change_orders(self, changes: Sequence[Change], user: str) -> list[Row | None]:
        """Apply a changeset to drafts, check them, and only then keep them: all or nothing."""
        drafts: dict[str, Row] = {}
        touched: dict[tuple[str, str], bool] = {}
        new: list[Row | None] = []
        for change in changes:
            keys = {**change.values, **(change.keys or {})}
            number = bare(keys.get("PurchaseOrder") or keys.get("PurchasingDocument") or "")
            if number not in drafts:
                drafts[number] = deepcopy(self.order(number))
            item = self._apply(drafts[number], change, keys)
            new.append(drafts[number]["_items"][-1] if change.method == "POST" else None)
            if item is not None:
                own = change.entity_set.type.name == ACCOUNT.name or change.method == "POST"
                touched[number, item] = touched.get((number, item), False) or own
        for (number, item), own in touched.items():
            self._rework(drafts[number], self.item_of(drafts[number], item), fitted=not own)
        for draft in drafts.values():
            self._commit_change(draft, user)
        return new

    def _apply(self, draft: Row, change: Change, keys: dict[str, Any]) -> str | None:
        """One change on a draft; returns the item whose amounts have to be worked out again."""
        entity_type, values = change.entity_set.type, {**change.values}
        if change.method == "DELETE":
            if entity_type.name == ORDER.name:
                self._delete(draft)
            else:
                self._delete_item(self.item_of(draft, keys["PurchaseOrderItem"]))
            return None
        if change.method == "POST":
            item = self.new_item(draft, values, len(draft["_items"]) + 1)
            draft["_items"].append(item)
            return str(item["PurchaseOrderItem"])
        if entity_type.name == ORDER.name:
            draft |= values
            return None
        item = self.item_of(draft, keys.get("PurchaseOrderItem") or keys["PurchasingDocumentItem"])
        parts = {ITEM.name: [item], ACCOUNT.name: item["_accounts"], SCHEDULE.name: item["_schedule"]}
        row: Row = next(
            row for row in parts[entity_type.name] if all(row[name] == keys[name] for name in entity_type.keys)
        )
        row |= values
        return str(item["PurchaseOrderItem"])

    def _rework(self, draft: Row, item: Row, *, fitted: bool) -> None:
        """Work an item out again after a change, and check what the change may not do."""
        self._check_lock(draft)
        received = Decimal(item.get("_received", "0"))
        if Decimal(item["OrderQuantity"]) < received:
            raise Rejected(message("ME/805", item["PurchaseOrderItem"], item["OrderQuantity"], received))
        if len(item["_schedule"]) == 1:
            item["_schedule"][0]["ScheduleLineOrderQuantity"] = item["OrderQuantity"]
        before = [
            ZERO if moved_elsewhere(account) else Decimal(account.get("PurgDocNetAmount") or 0)
            for account in item["_accounts"]
        ]
        messages = self.check_items(draft, [item], fitted=fitted)
        messages += self.budget_messages(self.wanted(draft, zip(item["_accounts"], before, strict=True)))
        if any(told.severity == "error" for told in messages):
            raise Rejected(*messages)

    def _delete(self, draft: Row) -> None:
        self._check_lock(draft)
        for item in draft["_items"]:
            self._delete_item(item)
        draft["PurchasingDocumentDeletionCode"] = "L"

    @staticmethod
    def _delete_item(item: Row) -> None:
        if Decimal(item.get("_received", "0")) or Decimal(item.get("_invoiced", "0")):
            raise Rejected(message("ME/804", item["PurchaseOrder"], target="PurchaseOrder"))
        item["PurchasingDocumentDeletionCode"] = "L"

    def _commit_change(self, draft: Row, user: str) -> None:
        self._check_lock(draft)
        draft["_changed_by"] = user
        self.commit(draft)
        self.store(draft)
