"""Requisitions in a hurry: somebody at the switchboard is watching, so everybody concerned acts at once, at any hour.

What is in a hurry is remembered by its requisition; what follows from it (its order's changes, the review of its
invoices) is found by the number that people see in the approval tool.
"""

from datetime import timedelta
from random import Random

from sandbox.company.office import Office

SECONDS = (1.0, 4.0)
"""So soon after being asked somebody decides."""


class Hurried:
    """The requisitions in a hurry.

    Args:
        office: The surroundings.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._table = office.ledger.table("hurried")

    def remember(self, requisition_id: int, *, approve: bool) -> None:
        """From now on a requisition is in a hurry.

        Args:
            requisition_id: Procurement's id.
            approve: Whether the approval tool lets it pass; procurement's own approvers always do.
        """
        self._table.put(str(requisition_id), {"approve": approve}, self._office.now)

    def is_requisition(self, requisition_id: int) -> bool:
        """Whether a requisition is in a hurry."""
        return str(requisition_id) in self._table.rows

    def verdict_on(self, number: str) -> bool | None:
        """How a request in the approval tool is to be decided, by the number of what it is about.

        A requisition is asked for under its own number, a change under "order/version", a review under the invoice's
        id. Only the requisition itself is ever refused. None: nobody is in a hurry about it.
        """
        if not self._table:
            return None
        row = self._table.get(number)
        if row is not None:
            return bool(row["approve"])
        invoice = self._office.basware.invoices.get(number)
        orders = [number.partition("/")[0]] if invoice is None else invoice["orderNumbers"]
        return True if any(map(self._is_order, orders)) else None

    def _is_order(self, number: str) -> bool:
        orders = self._office.coupa.orders(po_number=number) if number else []
        return any(self.is_requisition(order["requisition-header"]["id"]) for order in orders)

    def pause(self, luck: Random) -> timedelta:
        """How long somebody in a hurry takes."""
        return timedelta(seconds=luck.uniform(*SECONDS))
