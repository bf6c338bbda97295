"""Purchase requisitions that are only validated: what SAP would say to the order, before there is one.

`PurReqnDoOnlyValidation` makes a POST check everything and keep nothing.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import REQUISITION, REQUISITION_ACCOUNT, REQUISITION_ITEM, REQUISITIONS
from sandbox.s4hana.gateway import Created
from sandbox.s4hana.master import ZERO
from sandbox.s4hana.messages import Message, Rejected, message
from sandbox.s4hana.purchasing import Purchasing
from sandbox.s4hana.query import EntitySet


class Requisitions(Purchasing):
    """Requisitions; see the module."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        none = ledger.table("requisition")
        self.register(
            EntitySet(REQUISITION, none, {"PurchaseRequisition": ""}),
            EntitySet(REQUISITION_ITEM, none, {}),
            EntitySet(REQUISITION_ACCOUNT, none, {}),
        )
        self.creates[REQUISITIONS, REQUISITION.name] = self._validate_requisition

    def _validate_requisition(self, body: dict[str, Any], user: str) -> Created:
        """Check a requisition as an order would be checked; nothing is kept.

        Raises:
            Rejected: it would be refused; or somebody wants a real requisition, which the stand-in does not keep.
        """
        given = self.read_in(REQUISITION, body)
        if not given.get("PurReqnDoOnlyValidation") or not given.get("to_PurchaseReqnItem"):
            raise Rejected(message("ME/801", "PurReqnDoOnlyValidation and items: the sandbox keeps no requisitions"))
        messages: list[Message] = []
        wanted: dict[tuple[str, str], Decimal] = {}
        for position, item in enumerate(given["to_PurchaseReqnItem"], start=1):
            order = self._as_order(item, position, user)
            messages += self.check_items(order, order["_items"])
            messages += self.check_period(order["CompanyCode"], order["PurchaseOrderDate"])
            if order["Supplier"]:
                messages += self.check_supplier(order["Supplier"], organization=order["PurchasingOrganization"])
            accounts = [(account, ZERO) for account in order["_items"][0]["_accounts"]]
            for key, amount in self.wanted(order, accounts).items():
                wanted[key] = wanted.get(key, ZERO) + amount
        messages = [*dict.fromkeys(messages), *self.budget_messages(wanted)]
        if any(told.severity == "error" for told in messages):
            raise Rejected(*messages)
        return Created(REQUISITION, {**given, "PurchaseRequisition": ""}, messages)

    def _as_order(self, item: Row, position: int, user: str) -> Row:
        """The order that a requisition's item would become today."""
        accounts = [
            {**account, "PurgDocNetAmount": account.get("PurReqnNetAmount", "0")}
            for account in item.get("to_PurchaseReqnAcctAssgmt", ())
        ]
        order: Row = {
            "CompanyCode": item.get("CompanyCode", ""),
            "PurchaseOrder": "",
            "PurchaseOrderDate": self.today(),
            "DocumentCurrency": item.get("PurReqnItemCurrency", ""),
            "Supplier": item.get("FixedSupplier") or item.get("Supplier", ""),
            "PurchasingOrganization": item.get("PurchasingOrganization", ""),
            "CreatedByUser": user,
        }
        like = {
            "PurchaseOrderItem": item.get("PurchaseRequisitionItem") or str(position),
            "OrderQuantity": item.get("RequestedQuantity", "0"),
            "NetPriceAmount": item.get("PurchaseRequisitionPrice", "0"),
            "NetPriceQuantity": item.get("PurReqnPriceQuantity", "1"),
            "Plant": item.get("Plant", ""),
            "AccountAssignmentCategory": item.get("AccountAssignmentCategory", ""),
            "MultipleAcctAssgmtDistribution": item.get("MultipleAcctAssgmtDistribution", ""),
            "to_AccountAssignment": accounts,
        }
        order["_items"] = [self.new_item(order, like, position)]
        return order
