"""What is wrong with a requisition, all of it at once: the pure checks the engine makes before it moves one.

The engine stops at the first thing it cannot accept, because one is enough to park a document; somebody who is still filling
in the form wants to hear of every one. The rules are the same functions over the same tables, and a test holds that what the
engine refuses is among what is found here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from sync_engine.engine.decisions.requisitions import purchase_of
from sync_engine.model import policies
from sync_engine.model.documents import Requisition
from sync_engine.model.errors import MappingError
from sync_engine.model.exceptions import KINDS, kind_of
from sync_engine.model.mappings import Mappings
from sync_engine.model.policies import Policies, Reason

FINDINGS_MAX = 200
VALUE_CHARS_MAX = 200


class Finding(BaseModel):
    """One thing the engine would not accept."""

    code: str = Field(examples=["cost_centre_unknown"])
    field: str = Field(
        description="Where in the requisition; empty when it is about the whole.",
        examples=["lines.0.distributions.0.cost_centre"],
    )
    value: str
    title: str
    message: str
    next_step: str


def _finding(code: str, field: str, value: object, message: str) -> Finding:
    kind = kind_of(code)
    return Finding(
        code=kind.code,
        field=field,
        value=str(value)[:VALUE_CHARS_MAX],
        title=kind.title,
        message=message,
        next_step=kind.next_step,
    )


def unreadable(error: ValidationError) -> list[Finding]:
    """Every field that keeps a requisition from being one."""
    findings = []
    for one in error.errors(include_url=False, include_context=False)[:FINDINGS_MAX]:
        given = one.get("input")
        value = "" if isinstance(given, BaseModel | dict | list | tuple) or one["type"] == "missing" else str(given)
        code = one["type"] if one["type"] in KINDS else "field_invalid"
        findings.append(_finding(code, ".".join(str(part) for part in one["loc"]), value, one["msg"]))
    return findings


def translations(requisition: Requisition, mappings: Mappings, today: date) -> Iterator[Finding]:
    """Words that no table knows, each place they stand in."""

    def asked(field: str, value: str, translate: Callable[[], object]) -> Iterator[Finding]:
        try:
            translate()
        except MappingError as error:
            yield _finding(error.code, field, value, str(error))

    unit = requisition.business_unit
    yield from asked("business_unit", unit, partial(mappings.unit, unit))
    for place, line in enumerate(requisition.lines):
        for part_place, part in enumerate(line.distributions):
            field = f"lines.{place}.distributions.{part_place}.cost_centre"
            yield from asked(field, part.cost_centre, partial(mappings.cost_centre, part.cost_centre, today))
        if line.plant:
            yield from asked(f"lines.{place}.plant", line.plant, partial(mappings.plant, line.plant))
        if line.tax_code:
            yield from asked(f"lines.{place}.tax_code", line.tax_code, partial(mappings.tax_code, line.tax_code))
        yield from asked(f"lines.{place}.unit", line.unit, partial(mappings.unit_of_measure, line.unit))
    converted = partial(mappings.in_group_currency, requisition.amount, requisition.currency, today)
    yield from asked("currency", requisition.currency, converted)


def suppliers(
    requisition: Requisition, known: Mapping[str, Mapping[str, Any]], mappings: Mappings
) -> Iterator[Finding]:
    """Suppliers one cannot buy from. `known` is their standing (state, name, erp_number, payment_term) by procurement's id."""
    for number in requisition.suppliers:
        place = next(i for i, line in enumerate(requisition.lines) if line.supplier == number)
        field, standing = f"lines.{place}.supplier", known.get(number)
        if standing is None:
            yield _finding(
                "supplier_unknown", field, number, f"Supplier {number or '(none)'} of procurement is not known here."
            )
        elif not standing["erp_number"]:
            yield _finding(
                "supplier_unknown", field, number, f"Supplier {standing['name']} ({number}) has no number in the ERP."
            )
        elif standing["state"] != "ready":
            yield _finding(
                "supplier_not_ready",
                field,
                number,
                f"Supplier {standing['name']} is not ready to trade: its check stands at {standing['state']}.",
            )
        elif standing["payment_term"]:
            try:
                mappings.payment_term(standing["payment_term"])
            except MappingError as error:
                yield _finding(error.code, field, number, str(error))


def duplicates(requisition: Requisition, alike: Sequence[Requisition], rules: Policies) -> Iterator[Finding]:
    """Requisitions that ask for the same."""
    reasons = policies.duplicate_orders(
        purchase_of(requisition), [purchase_of(other) for other in alike], days=rules.duplicate_order_days
    )
    for reason in reasons:
        yield _finding(reason.code, "", reason.facts["other"], reason.sentence)


def route(requisition: Requisition, rules: Policies) -> tuple[Reason, ...]:
    """Why the exception approval will be asked for; nothing when procurement's own chain is enough."""
    uncontracted = tuple(dict.fromkeys(line.supplier for line in requisition.lines if not line.contract))
    return policies.approval_route(
        rules,
        business_unit=requisition.business_unit,
        amount=requisition.amount,
        currency=requisition.currency,
        suppliers_without_contract=uncontracted,
    ).reasons


class BudgetStanding(BaseModel):
    """What a requisition wants from one cost centre, and what is left there, in the budget's currency."""

    cost_centre: str
    period: str
    currency: str
    wanted: Decimal
    available: Decimal
    sufficient: bool


def budgets(
    requisition: Requisition, books: Sequence[Mapping[str, Any]], mappings: Mappings, today: date
) -> list[tuple[BudgetStanding, tuple[Reason, ...]]]:
    """Each budget the requisition draws on, as far as it is known here, with what speaks against it."""
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    for line in requisition.lines:
        for part in line.distributions:
            wanted[part.cost_centre] += part.amount
    answered = []
    for row in books:
        amount = wanted[row["cost_centre"]]
        if row["currency"] != requisition.currency:
            amount = mappings.in_currency(
                mappings.in_group_currency(amount, requisition.currency, today).amount, row["currency"], today
            )
        book = policies.Budget(row["cost_centre"], row["currency"], row["amount"], row["reserved"])
        reasons = policies.budget(amount, book, cost_centre=row["cost_centre"])
        answered.append(
            (
                BudgetStanding(
                    cost_centre=row["cost_centre"],
                    period=row["period"],
                    currency=row["currency"],
                    wanted=amount,
                    available=book.available,
                    sufficient=not reasons,
                ),
                reasons,
            )
        )
    return answered


def of_budget(standing: BudgetStanding, reason: Reason) -> Finding:
    """A budget that does not cover it."""
    return _finding(reason.code, "", standing.cost_centre, reason.sentence)
