"""What people do: requesters, approvers, receivers, suppliers and buyers, each at their own pace.

People look at the systems' screens and never at us: an act waits until its system shows what it needs (an order to receive
against, an approval to give). So a journey takes the same way however late anything is, and its end can be compared.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from sandbox.coupa.records import Wanted
from sandbox.ledger import Row
from sandbox.s4hana.messages import Rejected
from sandbox.simulation.journeys import Journey, bill_number, cost_centre, price
from sandbox.simulation.kinds import KINDS
from sandbox.simulation.landscape import SUPPLIERS, Landscape
from sandbox.simulation.operators import Operators
from sandbox.simulation.plan import Plan

LOOKS_AGAIN_S = 1_800
"""How often somebody looks whether what they wait for has come."""

PLANTS = {"DE-SOUTH": "DES1", "DE-NORTH": "DEN1"}


class People:
    """Everybody in a schedule.

    Args:
        plan: The stories.
        landscape: Their systems.
        operators: Who works at our exceptions.
    """

    def __init__(self, plan: Plan, landscape: Landscape, operators: Operators) -> None:
        self._landscape = landscape
        self._operators = operators
        self.journeys = [Journey(story, float(story.begins_s)) for story in plan.stories]

    def next_s(self) -> float | None:
        """When somebody does something next, in elapsed seconds; None: everybody is done."""
        return min((journey.due_s for journey in self.journeys if not journey.is_over), default=None)

    def act(self, now_s: float) -> list[str]:
        """Do what is due. Answers what was done, in words."""
        done = []
        for journey in self.journeys:
            if journey.is_over or journey.due_s > now_s:
                continue
            name, arguments = journey.acts[journey.done]
            try:
                went_well = getattr(self, f"_{name}")(journey, **arguments)
            except Rejected:
                went_well = False  # the ERP would not let them yet; they try again
            if went_well:
                journey.done += 1
                journey.due_s = now_s + journey.story.pace_s
                done.append(f"{journey.story.tag} {name}")
            else:
                journey.due_s = now_s + LOOKS_AGAIN_S
        return done

    # -- in procurement ---------------------------------------------------------------------------------------------

    def _line(self, journey: Journey, **changes: Any) -> Wanted:
        story = journey.story
        line: dict[str, Any] = {
            "description": f"{story.tag} Bearing {story.price_cents}",
            "quantity": str(story.quantity),
            "unit": "EA",
            "unit_price": str(price(story)),
            "supplier_id": self._landscape.supplier_ids[SUPPLIERS[0][0]],
            "company_code": "1010",
            "cost_centre": cost_centre(story),
            "account": "51600000",
            "plant": PLANTS[story.unit],
            "commodity": "Spare parts",
            "contract": "C-100",
            "tax_code": "VAT19",
            "need_by": (self._landscape.world_clock.now() + timedelta(days=10)).date(),
        }
        return cast("Wanted", line | KINDS[story.kind].line | changes)

    def _submit(
        self, journey: Journey, *, suppliers: int = 1, supplier: int = 0, department: str = "", **changes: Any
    ) -> bool:
        lines = [self._line(journey, supplier_id=self._landscape.supplier_ids[SUPPLIERS[supplier][0]], **changes)]
        if suppliers > 1:
            other = self._landscape.supplier_ids[SUPPLIERS[1][0]]
            lines.append(self._line(journey, supplier_id=other, description=f"{journey.story.tag} Sheet steel"))
        journey.requisition = self._landscape.coupa.submit_requisition(
            requester=f"planner.{journey.low}",
            department=department or f"{journey.story.unit} Plant",
            currency="EUR",
            title=f"{journey.story.tag} {journey.story.kind}",
            lines=lines,
            need_by=lines[0]["need_by"],
        )
        return True

    def _pending(self, journey: Journey) -> tuple[int, str] | None:
        return self._landscape.coupa.pending_approval(_submitted(journey))

    def _approve(self, journey: Journey) -> bool:
        while (waiting := self._pending(journey)) is not None and waiting[1] != "finsync":
            self._landscape.coupa.approve(approval_id=waiting[0], by=waiting[1], comment="needed")
        return True

    def _reject(self, journey: Journey) -> bool:
        waiting = self._pending(journey)
        if waiting is None:
            return False
        self._landscape.coupa.reject(approval_id=waiting[0], by=waiting[1], comment="not this year")
        return True

    def _withdraw(self, journey: Journey, *, once_asked: bool = False) -> bool:
        if once_asked and not self._asked(journey):
            return False
        self._landscape.coupa.withdraw(requisition_id=_submitted(journey), by=f"planner.{journey.low}")
        return True

    def _edit(self, journey: Journey, *, once_asked: bool = False) -> bool:
        if once_asked and not self._asked(journey):
            return False
        lines = [self._line(journey, quantity=str(journey.story.quantity + 1))]
        return self._rewrite(journey, lines)

    def _correct(self, journey: Journey) -> bool:
        return self._rewrite(journey, [self._line(journey)])

    def _rewrite(self, journey: Journey, lines: list[Wanted]) -> bool:
        self._landscape.coupa.edit_requisition(
            requisition_id=_submitted(journey), by=f"planner.{journey.low}", lines=lines
        )
        return True

    def _order_in_coupa(self, journey: Journey) -> Row | None:
        for order in self.orders(journey):
            for row in self._landscape.coupa.orders(po_number=order["PurchaseOrder"]):
                return row
        return None

    def _revise(self, journey: Journey, percent: int) -> bool:
        row = self._order_in_coupa(journey)
        if row is None or row["status"] != "issued":
            return False
        dearer = (price(journey.story) * (100 + percent) / 100).quantize(Decimal("0.01"))
        self._landscape.coupa.revise_order(
            order_id=row["id"], by=f"head.{journey.low}", changes={1: {"unit-price": str(dearer)}}
        )
        return True

    def _cancel(self, journey: Journey) -> bool:
        row = self._order_in_coupa(journey)
        if row is None or row["status"] != "issued":
            return False
        self._landscape.coupa.cancel_order(order_id=row["id"], by=f"head.{journey.low}")
        return True

    def _rename_supplier(self, _journey: Journey) -> bool:
        number, name, _ = SUPPLIERS[0]
        self._landscape.coupa.update_supplier(
            supplier_id=self._landscape.supplier_ids[number], display_name=f"{name} (Nordwerk)"
        )
        return True

    # -- in the service desk ----------------------------------------------------------------------------------------

    def _decide(self, journey: Journey, teams: tuple[str, ...], state: str) -> bool:
        """Everybody asked decides; done when each team has been asked."""
        desk = self._landscape.servicenow
        for team in teams:
            user = f"{team}.{journey.low}"
            for row in desk.open_approvals(user_name=user):
                if journey.story.tag in _asked_about(desk, row):
                    desk.decide(
                        approver_row=row["sys_id"],
                        state=state,
                        comment="the figures are fine" if state == "approved" else "too dear",
                    )
                    journey.decided.add(team)
                    if state != "approved":
                        return True
        return journey.decided >= set(teams)

    def deciders(self, journey: Journey) -> set[str]:
        """Who agreed to what a journey asked, by the service desk's own ledger."""
        desk = self._landscape.servicenow
        return {
            row["sys_updated_by"]
            for row in desk.tables["sysapproval_approver"]
            if row["state"] == "approved" and journey.story.tag in _asked_about(desk, row)
        }

    def _agree(self, journey: Journey) -> bool:
        return self._decide(journey, ("fin", "proc"), "approved")

    def _agree_to_the_last(self, journey: Journey) -> bool:
        """Whatever is asked is agreed to, until it is ordered: what was asked first may be withdrawn."""
        self._decide(journey, ("fin", "proc"), "approved")
        return bool(self.orders(journey))

    def _asked(self, journey: Journey) -> bool:
        """Whether somebody's answer is waited for."""
        desk = self._landscape.servicenow
        return any(
            journey.story.tag in _asked_about(desk, row) for row in desk.open_approvals(user_name=f"fin.{journey.low}")
        )

    def _agree_by_half(self, journey: Journey) -> bool:
        return self._decide(journey, ("fin",), "approved")

    def _refuse(self, journey: Journey) -> bool:
        return self._decide(journey, ("fin",), "rejected")

    def _agree_to_bill(self, journey: Journey) -> bool:
        return self._decide(journey, ("fin",), "approved")

    def _refuse_bill(self, journey: Journey) -> bool:
        return self._decide(journey, ("fin",), "rejected")

    # -- in the ERP -------------------------------------------------------------------------------------------------

    def orders(self, journey: Journey) -> list[Row]:
        """The live orders of a journey, by the ERP's own ledger."""
        return [
            order
            for order in self._landscape.s4hana.orders.values()
            if not order.get("PurchasingDocumentDeletionCode")
            and any(item["PurchaseOrderItemText"].startswith(journey.story.tag) for item in order["_items"])
        ]

    def _receive(self, journey: Journey, share: int = 1) -> bool:
        orders = self.orders(journey)
        if len(orders) < _orders_wanted(journey):
            return False
        for order in orders:
            quantity = Decimal(order["_items"][0]["OrderQuantity"]) / share
            journey.receipts.append(
                self._landscape.s4hana.post_goods_receipt(
                    order=order["PurchaseOrder"], lines=[(10, quantity)], by="RECEIVER1"
                )
            )
        return True

    def _send_back(self, journey: Journey) -> bool:
        number, year = journey.receipts[-1]
        self._landscape.s4hana.reverse_goods_receipt(number=number, year=year, by="RECEIVER1")
        return True

    def _number_is_back(self, journey: Journey) -> Row | None:
        shown = self._landscape.coupa.requisition(_submitted(journey))["external-po-reference"]
        return next((order for order in self.orders(journey) if shown and order["PurchaseOrder"] in shown), None)

    def _change_by_hand(self, journey: Journey) -> bool:
        order = self._number_is_back(journey)
        if order is None:
            return False
        self._landscape.s4hana.change_order_by_hand(
            number=order["PurchaseOrder"], item=10, price=price(journey.story) + 1
        )
        return True

    def _delete_by_hand(self, journey: Journey) -> bool:
        order = self._number_is_back(journey)
        if order is None:
            return False
        self._landscape.s4hana.delete_order(number=order["PurchaseOrder"], by="BUYER1")
        return True

    def _block(self, journey: Journey, *, once_ordered: bool = False) -> bool:
        if once_ordered and self._order_in_coupa(journey) is None:
            return False
        self._landscape.s4hana.block_cost_centre(code=cost_centre(journey.story))
        return True

    def _unblock(self, journey: Journey) -> bool:
        self._landscape.s4hana.unblock_cost_centre(code=cost_centre(journey.story))
        return True

    def _block_posting(self, _journey: Journey) -> bool:
        self._landscape.s4hana.block_supplier(number=SUPPLIERS[1][0], kind="posting")
        return True

    def _unblock_posting(self, _journey: Journey) -> bool:
        self._landscape.s4hana.unblock_supplier(number=SUPPLIERS[1][0])
        return True

    def _ask_until_booked(self, journey: Journey) -> bool:
        """An operator asks for everything until the bill is in the ERP."""
        if self._invoice_in_erp(journey) is not None:
            return True
        self._operators.tidy_up()
        return False

    def _ask_until_changed(self, journey: Journey, percent: int) -> bool:
        """An operator asks for everything until the order has its new price."""
        dearer = (price(journey.story) * (100 + percent) / 100).quantize(Decimal("0.01"))
        if any(Decimal(order["_items"][0]["NetPriceAmount"]) == dearer for order in self.orders(journey)):
            return True
        self._operators.tidy_up()
        return False

    def _ask_to_reprocess(self, journey: Journey) -> bool:
        """An operator asks until the order is there."""
        if self.orders(journey):
            return True
        self._operators.reprocess_of(journey.requisition)
        return False

    def _give_up(self, journey: Journey) -> bool:
        """An operator gives the journey's document up, as soon as something stands in its way."""
        return self._given_up(journey, f"{journey.requisition}")

    def _give_up_bill(self, journey: Journey) -> bool:
        """An operator gives the journey's bill up, as soon as something stands in its way."""
        return self._given_up(journey, bill_number(journey.story))

    def _given_up(self, journey: Journey, number: str) -> bool:
        journey.given_up = self._operators.give_up(number) or journey.given_up
        return journey.given_up and not self._operators.sees_open(number)

    def _take_back_early(self, journey: Journey) -> bool:
        """An operator asks for the order to be cancelled as soon as we know of one, however far it has come, until it is."""
        journey.given_up = self._operators.take_back(journey.requisition) > 0 or journey.given_up
        return journey.given_up and not self.orders(journey) and not self._operators.take_back(journey.requisition)

    def _take_back_in_vain(self, journey: Journey) -> bool:
        """An operator asks for the order to be cancelled although goods have come."""
        return self._operators.take_back(journey.requisition) > 0

    def _take_back(self, journey: Journey) -> bool:
        """An operator asks for the order to be cancelled as soon as procurement shows its number, until it is."""
        if self._number_is_back(journey) is not None:
            self._operators.take_back(journey.requisition)
            journey.given_up = True
        return journey.given_up and not self.orders(journey)

    def _pay(self, journey: Journey) -> bool:
        booked = self._invoice_in_erp(journey)
        if booked is None or booked.get("PaymentBlockingReason"):
            return False
        self._landscape.s4hana.run_payment(company_code="1010", on=self._landscape.world_clock.now().date())
        return True

    def _release(self, journey: Journey) -> bool:
        booked = self._invoice_in_erp(journey)
        if booked is None:
            return False
        if booked.get("PaymentBlockingReason"):
            self._landscape.s4hana.release_invoice(
                number=booked["SupplierInvoice"], year=booked["FiscalYear"], by="AP1"
            )
        return True

    def _invoice_in_erp(self, journey: Journey) -> Row | None:
        for row in self._landscape.s4hana.invoices.values():
            if row.get("SupplierInvoiceIDByInvcgParty") == bill_number(journey.story):
                return row
        return None

    # -- in AP automation -------------------------------------------------------------------------------------------

    def _bill(
        self,
        journey: Journey,
        *,
        order: bool = True,
        supplier: int = 0,
        share: int = 1,
        dearer_percent: int = 0,
        again: str = "",
    ) -> bool:
        orders = self.orders(journey)
        if order and not orders:
            return False
        story, clock = journey.story, self._landscape.world_clock
        quantity = Decimal(story.quantity) / share
        each = (price(story) * (100 + dearer_percent) / 100).quantize(Decimal("0.01"))
        amount = (quantity * each).quantize(Decimal("0.01"))
        today = clock.now().date()
        number, name, _ = SUPPLIERS[supplier]
        journey.bills.append(
            self._landscape.basware.receive_invoice(
                supplier_code=number,
                supplier_name=name,
                organization_code=f"ORG-{story.unit}",
                company_code="1010",
                invoice_number=bill_number(story) + again,
                currency="EUR",
                invoice_date=today,
                baseline_date=today,
                due_date=today + timedelta(days=0 if story.kind == "paid" else 30),
                payment_term="NET 30",
                tax_code="VAT19",
                tax=(amount * Decimal("0.19")).quantize(Decimal("0.01")),
                lines=[
                    {
                        "order_number": orders[0]["PurchaseOrder"] if order else "",
                        "order_line": 10,
                        "description": f"{story.tag} Bearing",
                        "quantity": str(quantity),
                        "unit": "EA",
                        "unit_price": str(each),
                        "amount": str(amount),
                    }
                ],
            )
        )
        return True


def _submitted(journey: Journey) -> int:
    if journey.requisition is None:
        raise ValueError(f"{journey.story.tag} has not been submitted")
    return journey.requisition


def _orders_wanted(journey: Journey) -> int:
    return int(KINDS[journey.story.kind].acts[0][1].get("suppliers", 1))


def _asked_about(desk: Any, row: Row) -> str:
    """The text of what an approver is asked to decide."""
    for table in desk.tables.values():
        found = table.get(row["sysapproval"])
        if found is not None:
            return f"{found.get('short_description', '')} {found.get('description', '')}"
    return ""
