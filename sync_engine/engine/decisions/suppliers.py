"""Supplier check: the tax number holds, nobody exists twice (R002, R047)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from stdnum import get_cc_module

from sync_engine.engine.decisions.desk import Desk, accepted, document, one_by_one
from sync_engine.engine.outcomes import Item, Kind, Outcome
from sync_engine.engine.troubles import Trouble
from sync_engine.model.documents import Supplier


def tax_number_is_valid(country: str, tax_id: str) -> bool | None:
    """Whether `tax_id` holds by its country's own rule; None where no rule is known for the country."""
    for kind in ("vat", "ein", "cn", "businessid", "gstin"):
        module = get_cc_module(country.lower(), kind) if country else None
        if module is not None:
            return bool(module.is_valid(tax_id))
    return None


def _validated(item: Item, _desk: Desk) -> Outcome:
    supplier = document(item, Supplier)
    if not supplier.tax_id:
        return Outcome(Kind.WAIT, wait_s=86_400, waiting_for="the supplier's tax number")
    verdict = tax_number_is_valid(supplier.country, supplier.tax_id)
    if verdict is False and not accepted(item, "supplier_tax_invalid"):
        trouble = Trouble(
            "supplier_tax_invalid",
            f"Tax number {supplier.tax_id} of {supplier.name} is not a valid number of {supplier.country}.",
            "finsync",
            {"supplier": supplier.number, "field": "tax_id", "value": supplier.tax_id},
        )
        return Outcome(Kind.REFUSED, trouble=trouble)
    return Outcome(Kind.DONE, attributes={"tax_number": "valid" if verdict else "no rule for the country"})


def exclude_duplicates(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Another record with the same tax number or, in the same country, the same name."""
    alike: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in desk.rows("suppliers_alike", document_id=[item.head.document_id for item in items]):
        alike[row["document_id"]].append(row)
    outcomes: list[Outcome | None] = []
    for item in items:
        twins = alike[item.head.document_id]
        if not twins or accepted(item, "supplier_duplicate"):
            outcomes.append(Outcome(Kind.DONE))
            continue
        twin = twins[0]
        by = "tax number" if twin["other_tax_id"] == document(item, Supplier).tax_id else "name"
        sentence = f"{document(item, Supplier).name} ({item.head.number}) has the same {by} as {twin['other_name']} ({twin['other_number']})."
        outcomes.append(
            Outcome(
                Kind.REFUSED,
                trouble=Trouble(
                    "supplier_duplicate",
                    sentence,
                    "finsync",
                    {"supplier": item.head.number, "other": twin["other_number"]},
                ),
            )
        )
    return outcomes


DECISIONS = {"validate_supplier": one_by_one(_validated), "exclude_duplicate_suppliers": exclude_duplicates}
