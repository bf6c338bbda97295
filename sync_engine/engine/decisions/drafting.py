"""The orders of a requisition: drafted, one per supplier, and awaited until the ERP has accepted each of them."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from sync_engine.engine.decisions.desk import LOOK_AGAIN_S, Desk, document, one_by_one
from sync_engine.engine.outcomes import Item, Kind, Outcome, Spawn
from sync_engine.model.documents import Enrichment, Line, PurchaseOrder, Requisition
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.money import rounded

ITEM_STEP = 10
"""Order lines are numbered as the ERP numbers them: 10, 20, 30."""

_CONFIRMED = {"returned", "ordered", "partially_received", "received", "closed"}


def _drafted(item: Item, desk: Desk) -> Outcome:
    """One order per supplier, in the ERP's words."""
    requisition = document(item, Requisition)
    enrichment = requisition.enrichment
    if enrichment is None:
        raise ValueError("a requisition reaches drafting only after it was enriched")
    by_supplier: dict[str, list[Line]] = defaultdict(list)
    for line in requisition.lines:
        by_supplier[line.supplier].append(line)
    spawns = []
    for place, (supplier, lines) in enumerate(by_supplier.items(), start=1):
        number = f"{requisition.number}-{place}"
        spawns.append(
            Spawn(
                _order(requisition, enrichment, supplier, lines, number, desk),
                "order_drafted",
                LIFECYCLES[PurchaseOrder.type].initial,
                relation="fulfils",
            )
        )
    return Outcome(Kind.DONE, spawns=spawns, attributes={"orders": [spawn.document.number for spawn in spawns]})


def _order(
    requisition: Requisition, enrichment: Enrichment, supplier: str, lines: list[Line], number: str, desk: Desk
) -> PurchaseOrder:
    mappings = desk.setup.mappings
    erp_supplier = enrichment.suppliers[supplier]
    translated = tuple(
        line.model_copy(
            update={
                "number": place * ITEM_STEP,
                "supplier": erp_supplier,
                "plant": enrichment.plants.get(line.plant, ""),
                "tax_code": mappings.tax_code(line.tax_code) if line.tax_code else "",
                "unit": mappings.unit_of_measure(line.unit),
            }
        )
        for place, line in enumerate(lines, start=1)
    )
    return PurchaseOrder(
        number=number,
        business_unit=requisition.business_unit,
        company_code=requisition.company_code,
        requisition_number=requisition.number,
        requisition_source_id=requisition.number,
        requester=requisition.requester,
        supplier=erp_supplier,
        supplier_name=enrichment.supplier_names.get(erp_supplier, ""),
        currency=requisition.currency,
        amount=rounded(sum((line.amount for line in lines), Decimal(0)), requisition.currency),
        purchasing_organization=enrichment.purchasing_organization,
        purchasing_group=enrichment.purchasing_group,
        payment_term=enrichment.payment_terms.get(erp_supplier, ""),
        ordered_on=mappings.local_day(requisition.business_unit, desk.now),
        need_by_on=requisition.need_by_on,
        lines=translated,
    )


def await_orders(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The requisition is ordered when every order of it has its ERP number and procurement knows it."""
    orders = desk.linking((item.head.document_id for item in items), "fulfils")
    outcomes: list[Outcome | None] = []
    for item in items:
        states = {row["state"] for row in orders.get(item.head.document_id, [])}
        if states and states <= {"cancelled"}:
            outcomes.append(Outcome(Kind.DONE, event="orders_cancelled", releases_budget=True))
        elif states and states <= _CONFIRMED | {"cancelled"}:
            outcomes.append(Outcome(Kind.DONE))
        else:
            outcomes.append(
                Outcome(
                    Kind.WAIT,
                    wait_s=LOOK_AGAIN_S,
                    waiting_for="the ERP to accept "
                    + ", ".join(
                        row["number"] for row in orders.get(item.head.document_id, []) if row["state"] not in _CONFIRMED
                    ),
                )
            )
    return outcomes


DECISIONS = {
    "draft_orders": one_by_one(_drafted),
    "await_orders": await_orders,
}
