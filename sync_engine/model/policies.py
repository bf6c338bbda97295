"""The rules that span systems, as named pure functions over versioned configuration (R084-R086).

Each answers with reasons; no reason means the rule is content. A reason carries the kind of exception and one sentence
with the figures that decided.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz

from sync_engine.model.documents import Decision
from sync_engine.model.matching import Tolerance
from sync_engine.model.money import written

ZERO = Decimal(0)


class ApprovalThreshold(BaseModel):
    """From this amount on, regional finance and procurement decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    business_unit: str
    currency: str
    amount: Decimal


class Policies(BaseModel):
    """The policy file. Amounts are in the currency beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    valid_from: date
    approval_thresholds: tuple[ApprovalThreshold, ...]
    contract_required: bool = True
    """A supplier not under contract needs the exception approval at any amount (R112)."""
    duplicate_order_days: int = 14
    duplicate_invoice_days: int = 400
    duplicate_name_score: int = 92
    forbidden_pairs: tuple[tuple[str, str], ...] = (("requester", "approver"),)
    tolerances: dict[str, Tolerance]
    """By company code, or by "category:<name>", which wins."""
    default_tolerance: Tolerance
    change_reapproval_percent: Decimal = Decimal(10)
    """A change that raises an order by more than this needs a new approval."""
    second_person_above: Decimal | None = None
    """A reprocessing worth more than this, in group currency, is sent only when a second person has confirmed it (D07);
    None: never for its value alone."""

    def tolerance(self, company_code: str, categories: Iterable[str]) -> Tolerance:
        """The limits for an invoice: the commodity's where it has its own, else the company code's."""
        for category in categories:
            if f"category:{category}" in self.tolerances:
                return self.tolerances[f"category:{category}"]
        return self.tolerances.get(company_code, self.default_tolerance)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule is not content."""

    code: str
    sentence: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """Who has to agree beyond procurement's own chain, and why. No reason: nobody."""

    reasons: tuple[Reason, ...]

    @property
    def needs_exception_approval(self) -> bool:
        """Whether regional finance and procurement both have to decide (R111)."""
        return bool(self.reasons)


def approval_route(
    policies: Policies, *, business_unit: str, amount: Decimal, currency: str, suppliers_without_contract: Sequence[str]
) -> Route:
    """Whether a purchase of `amount` needs the exception approval.

    The threshold is inclusive: the amount itself already needs approval. A business unit without a threshold in the
    document's currency always needs it, because nobody has said that it does not.
    """
    reasons = []
    threshold = next(
        (t.amount for t in policies.approval_thresholds if (t.business_unit, t.currency) == (business_unit, currency)),
        None,
    )
    if threshold is None:
        reasons.append(
            Reason(
                "threshold_missing",
                f"{business_unit} has no approval threshold in {currency}.",
                {"business_unit": business_unit, "currency": currency},
            )
        )
    elif amount >= threshold:
        reasons.append(
            Reason(
                "above_threshold",
                f"{amount} {currency} is at or above the threshold of {threshold} for {business_unit}.",
                {"threshold": str(threshold)},
            )
        )
    if policies.contract_required and suppliers_without_contract:
        names = ", ".join(suppliers_without_contract)
        reasons.append(Reason("no_contract", f"{names} is not under contract.", {"suppliers": names}))
    return Route(tuple(reasons))


def segregation_of_duties(requester: str, approvers: Iterable[tuple[str, str]]) -> tuple[Reason, ...]:
    """Nobody approves what they asked for. People are employee ids, the same behind every system's login (R085).

    `approvers` are (employee, where they approved).
    """
    return tuple(
        Reason(
            "segregation_of_duties",
            f"{employee} requested this and approved it in {where}.",
            {"employee": employee, "system": where},
        )
        for employee, where in approvers
        if employee == requester
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """What one cost centre may still commit, in its own currency."""

    cost_centre: str
    currency: str
    amount: Decimal
    reserved: Decimal

    @property
    def available(self) -> Decimal:
        """What is left."""
        return self.amount - self.reserved


def budget(wanted: Decimal, book: Budget | None, *, cost_centre: str) -> tuple[Reason, ...]:
    """Whether `wanted` (in the budget's currency) fits what is left after every reservation, parallel ones included.

    A cost centre without a budget is not controlled: not every cost centre is given one.
    """
    if book is None or wanted <= book.available:
        return ()
    whole = written(book.amount, book.currency)
    left = (
        f"nothing is left of {whole}, it is overdrawn by {written(-book.available, book.currency)}"
        if book.available < 0
        else f"{written(book.available, book.currency)} of {whole} is left"
    )
    return (
        Reason(
            "budget_exceeded",
            f"{written(wanted, book.currency)} is wanted from cost centre {cost_centre}; {left}.",
            {
                "cost_centre": cost_centre,
                "wanted": str(wanted),
                "available": str(book.available),
                "budget": str(book.amount),
            },
        ),
    )


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is compared to find an order given twice."""

    number: str
    requester: str
    supplier: str
    amount: Decimal
    currency: str
    asked_on: date
    fingerprint: str
    """Descriptions, quantities and prices of the lines, normalised."""


def duplicate_orders(new: Purchase, known: Iterable[Purchase], *, days: int) -> tuple[Reason, ...]:
    """Purchases of the same things from the same supplier for the same money within `days`."""
    return tuple(
        Reason(
            "duplicate_order",
            f"{new.number} asks for the same as {other.number} of {other.asked_on}: {other.amount} {other.currency}.",
            {"other": other.number},
        )
        for other in known
        if other.number != new.number
        and (other.supplier, other.amount, other.currency, other.fingerprint)
        == (new.supplier, new.amount, new.currency, new.fingerprint)
        and abs((new.asked_on - other.asked_on).days) <= days
    )


@dataclass(frozen=True, slots=True)
class Bill:
    """The four fields by which invoices are compared: reference, date, value, vendor."""

    number: str
    reference: str
    invoiced_on: date
    amount: Decimal
    currency: str
    supplier: str
    supplier_name: str


_LEGAL_FORMS = {
    "gmbh",
    "ag",
    "kg",
    "se",
    "co",
    "inc",
    "llc",
    "ltd",
    "limited",
    "corp",
    "plc",
    "kk",
    "sa",
    "sarl",
    "bv",
    "nv",
}


def normalised_reference(reference: str) -> str:
    """An invoice reference without what clerks add or lose: punctuation, case, leading letters and zeros.

    >>> normalised_reference("RE-0003411"), normalised_reference("003411/A")
    ('3411', '3411A')
    """
    kept = "".join(char for char in reference.upper() if char.isalnum())
    return kept.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").lstrip("0") or kept


def nearly_the_same_reference(one: str, other: str) -> bool:
    """Whether two invoice references are the same once normalised, or but for two neighbours that have changed places.

    >>> nearly_the_same_reference("RE-4711", "04711"), nearly_the_same_reference("RE-4711", "RE-4171")
    (True, True)
    >>> nearly_the_same_reference("RE-4711", "RE-4712")
    False
    """
    first, second = normalised_reference(one), normalised_reference(other)
    if first == second or len(first) != len(second):
        return first == second
    apart = [i for i in range(len(first)) if first[i] != second[i]]
    return len(apart) == 2 and apart[1] == apart[0] + 1 and sorted(first) == sorted(second)


def normalised_name(name: str) -> str:
    """A company name without legal form, case and punctuation.

    >>> normalised_name("Müller & Söhne GmbH & Co. KG"), normalised_name("MULLER SOHNE")
    ('müller söhne', 'muller sohne')
    """
    words = "".join(char if char.isalnum() else " " for char in name.lower()).split()
    return " ".join(word for word in words if word not in _LEGAL_FORMS)


def duplicate_invoices(new: Bill, known: Iterable[Bill], *, days: int, name_score: int) -> tuple[Reason, ...]:
    """Bills that agree on all four fields, or on three exactly and on the fourth nearly (PRODUCT.md 2F).

    Nearly is: the same reference once normalised, or with two neighbours swapped; a date within `days`; a value off by at most one per cent; a vendor
    whose normalised name scores at least `name_score` of 100.
    """
    reasons = []
    for other in known:
        if other.number == new.number or other.currency != new.currency:
            continue
        exact = (
            other.reference == new.reference,
            other.invoiced_on == new.invoiced_on,
            other.amount == new.amount,
            other.supplier == new.supplier,
        )
        near = (
            nearly_the_same_reference(other.reference, new.reference),
            abs((other.invoiced_on - new.invoiced_on).days) <= days and other.reference == new.reference,
            abs(other.amount - new.amount) * 100 <= max(abs(new.amount), abs(other.amount)),
            fuzz.token_sort_ratio(normalised_name(other.supplier_name), normalised_name(new.supplier_name))
            >= name_score,
        )
        pattern = (
            "exact"
            if all(exact)
            else next((_FIELDS[i] for i in range(4) if near[i] and all(exact[:i] + exact[i + 1 :])), None)
        )
        if pattern:
            same = "in all four fields" if pattern == "exact" else f"but for its {pattern}"
            reasons.append(
                Reason(
                    "duplicate_invoice",
                    f"{new.reference} of {new.supplier_name} over {new.amount} {new.currency} is {other.reference} ({other.number}) {same}.",
                    {"other": other.number, "pattern": pattern},
                )
            )
    return tuple(reasons)


_FIELDS = ("reference", "date", "value", "vendor")


@dataclass(frozen=True, slots=True)
class Vote:
    """One group's or person's decision on a document, as far as it is known."""

    where: str
    decision: Decision


def joint_decision(required: Iterable[str], votes: Iterable[Vote]) -> Decision:
    """What the required groups decided together: either refusal ends it, all have to agree (R111)."""
    by_group = {vote.where: vote.decision for vote in votes}
    decisions = [by_group.get(group, Decision.PENDING) for group in required]
    if any(decision in {Decision.REJECTED, Decision.CANCELLED} for decision in decisions):
        return Decision.REJECTED
    if all(decision in {Decision.APPROVED, Decision.NOT_REQUIRED} for decision in decisions):
        return Decision.APPROVED
    return Decision.PENDING
