"""Requisition to order: validation and enrichment, policies and budget, approvals, segregation. Its orders: `drafting`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sync_engine.engine import store
from sync_engine.engine.decisions.desk import (
    LOOK_AGAIN_S,
    Desk,
    accepted,
    deciders,
    document,
    named,
    place_of,
    refused,
    refused_because,
    votes,
)
from sync_engine.engine.decisions.withdrawing import after_withdrawals
from sync_engine.engine.outcomes import Item, Kind, Outcome
from sync_engine.model import policies
from sync_engine.model.documents import (
    Approval,
    Decision,
    Enrichment,
    Requisition,
    Supplier,
)
from sync_engine.model.errors import MappingError, SyncError
from sync_engine.model.flows import Role
from sync_engine.model.mappings import nearest
from sync_engine.model.money import written

SUPPLIER_PATIENCE_S = 300
"""A supplier entered together with its first requisition arrives by another feed and is checked first; nobody needs to hear
of the minutes between."""


def validate_requisition(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Translate and enrich: cost-centre hierarchy, plants, suppliers, group amount (R108-R110). Refuses the first word that
    no table knows, with the nearest ones it does."""
    wanted = {supplier for item in items for supplier in document(item, Requisition).suppliers if supplier}
    known, changing = _suppliers(desk, wanted)
    outcomes: list[Outcome | None] = []
    for item in items:
        requisition = document(item, Requisition)
        try:
            outcomes.append(_validated(requisition, known, desk))
        except SyncError as error:
            patient = (
                error.code in {"supplier_unknown", "supplier_not_ready"}
                and (desk.now - item.step_since).total_seconds() < SUPPLIER_PATIENCE_S
            )
            outcomes.append(_awaiting_suppliers(requisition, changing) if patient else refused(error))
    return outcomes


def _awaiting_suppliers(requisition: Requisition, changing: set[str]) -> Outcome:
    """Wait for the suppliers' checks, whose ends wake whoever waits for them (`record.wake_buyers`). One that is changing at
    this very moment may have looked for us already."""
    awaited = [number for number in requisition.suppliers if number]
    return Outcome(
        Kind.WAIT,
        facts={"suppliers_awaited": awaited},
        wait_s=1.0 if changing.intersection(awaited) else store.SUPPLIER_WAIT_S,
        waiting_for="the supplier's check",
    )


def _suppliers(desk: Desk, procurement_ids: Iterable[str]) -> tuple[dict[str, tuple[str, Supplier]], set[str]]:
    """Supplier documents by procurement's id, (state, supplier), and the ids of those that somebody is changing now. One that
    is not ready is held as it is until this decision stands, so that its check cannot end unnoticed meanwhile."""
    ids = sorted(procurement_ids)
    system = desk.setup.role_of(Role.PROCUREMENT, "")
    rows = (
        desk.rows("documents_by_identifier", system=[system] * len(ids), kind=["supplier"] * len(ids), external_id=ids)
        if ids
        else []
    )
    unready = [row["document_id"] for row in rows if row["state"] != "ready"]
    states = (
        {row["document_id"]: row["state"] for row in desk.rows("hold_states", document_id=sorted(unready))}
        if unready
        else {}
    )
    known = {
        row["external_id"]: (
            states.get(row["document_id"], row["state"]),
            Supplier.model_validate_json(row["canonical"]),
        )
        for row in rows
        if row["canonical"]
    }
    changing = {
        row["external_id"] for row in rows if row["document_id"] in unready and row["document_id"] not in states
    }
    return known, changing


def _validated(requisition: Requisition, known: dict[str, tuple[str, Supplier]], desk: Desk) -> Outcome:
    mappings = desk.setup.mappings
    unit = mappings.unit(requisition.business_unit)
    today = mappings.local_day(unit.code, desk.now)
    centres = {
        part.cost_centre: mappings.cost_centre(part.cost_centre, today).path
        for line in requisition.lines
        for part in line.distributions
    }
    plants = {line.plant: mappings.plant(line.plant) for line in requisition.lines if line.plant}
    for line in requisition.lines:
        if line.tax_code:
            mappings.tax_code(line.tax_code)
        mappings.unit_of_measure(line.unit)
    suppliers = {}
    names, terms = {}, {}
    for number in requisition.suppliers:
        supplier = _ready_supplier(number, known, desk)
        suppliers[number] = supplier.erp_number
        names[supplier.erp_number] = supplier.name
        terms[supplier.erp_number] = mappings.payment_term(supplier.payment_term) if supplier.payment_term else ""
    converted = mappings.in_group_currency(requisition.amount, requisition.currency, today)
    enrichment = Enrichment(
        mapping_version=mappings.version,
        suppliers=suppliers,
        supplier_names=names,
        payment_terms=terms,
        purchasing_organization=unit.purchasing_organization,
        purchasing_group=unit.purchasing_group,
        cost_centres=centres,
        plants=plants,
        group_amount=converted.amount,
        group_currency=converted.currency,
        rate=converted.rate,
        rate_on=converted.rate_on,
        rate_source=converted.rate_source,
    )
    return Outcome(
        Kind.DONE,
        document=requisition.model_copy(update={"enrichment": enrichment}),
        attributes={"mapping_version": mappings.version},
    )


def _ready_supplier(number: str, known: dict[str, tuple[str, Supplier]], desk: Desk) -> Supplier:
    if number not in known:
        raise MappingError(
            f"Supplier {number or '(none)'} of procurement is not known here.",
            code="supplier_unknown",
            facts={"supplier": number},
        )
    state, supplier = known[number]
    if not supplier.erp_number:
        candidates = {f"{row['name']} ({row['erp_number']})" for row in desk.rows("supplier_names")}
        raise MappingError(
            f"Supplier {supplier.name} ({number}) has no number in the ERP{nearest(supplier.name, candidates)}.",
            code="supplier_unknown",
            facts={"supplier": number, "supplier_name": supplier.name},
        )
    if state != "ready":
        raise MappingError(
            f"Supplier {supplier.name} ({supplier.erp_number}) is not ready to trade: its check stands at {state}.",
            code="supplier_not_ready",
            facts={"supplier": supplier.erp_number, "supplier_name": supplier.name},
        )
    return supplier


def check_policies(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Budget, duplicates and the approval route. Decisions on one budget take turns, so that two requisitions decided at
    the same moment cannot both have the last euro (R086), and so do requisitions over the same amount, which may be one and the
    same purchase (R041)."""
    wishes = {item.head.document_id: _wishes(item, document(item, Requisition), desk) for item in items}
    keys = {key for wish in wishes.values() for key in wish}
    budgets = {f"budget:{cost_centre}:{period}" for cost_centre, period in keys}
    desk.take_turns(
        budgets
        | {place_of("purchase", item.head.business_unit, item.head.currency, item.head.amount) for item in items}
    )
    books = _books(desk, items, keys)
    own: dict[UUID, dict[tuple[str, str], Decimal]] = defaultdict(dict)
    for row in desk.rows("reserved_by", document_id=[item.head.document_id for item in items]):
        own[row["document_id"]][row["cost_centre"], row["period"]] = row["amount"]
    alike: dict[UUID, list[policies.Purchase]] = defaultdict(list)
    for row in desk.rows(
        "purchases_alike",
        document_id=[item.head.document_id for item in items],
        days=desk.setup.policies.duplicate_order_days,
    ):
        alike[row["document_id"]].append(purchase_of(Requisition.model_validate_json(row["canonical"])))
    outcomes = [
        _checked(
            item, wishes[item.head.document_id], books, own[item.head.document_id], alike[item.head.document_id], desk
        )
        for item in items
    ]
    return after_withdrawals(items, outcomes, desk)


Wishes = dict[tuple[str, str], Decimal]


def _wishes(item: Item, requisition: Requisition, desk: Desk) -> Wishes:
    """What the requisition wants from each budget: (cost centre, period) to amount in the budget's currency."""
    currency_of = {
        row["cost_centre"]: (row["period"], row["currency"]) for row in item.facts.get("procurement_budget", [])
    }
    wanted: Wishes = defaultdict(lambda: Decimal(0))
    today = desk.setup.mappings.local_day(requisition.business_unit, desk.now)
    for line in requisition.lines:
        for part in line.distributions:
            if part.cost_centre not in currency_of:
                continue
            period, currency = currency_of[part.cost_centre]
            amount = part.amount
            if currency != requisition.currency:
                mappings = desk.setup.mappings
                amount = mappings.in_currency(
                    mappings.in_group_currency(amount, requisition.currency, today).amount, currency, today
                )
            wanted[part.cost_centre, period] += amount
    return dict(wanted)


def _books(desk: Desk, items: Sequence[Item], keys: set[tuple[str, str]]) -> dict[tuple[str, str], policies.Budget]:
    """The budgets as they stand, those nobody has seen before as procurement has just stated them."""
    ordered = sorted(keys)
    rows = (
        desk.rows("budgets", cost_centre=[key[0] for key in ordered], period=[key[1] for key in ordered])
        if ordered
        else []
    )
    books = {
        (row["cost_centre"], row["period"]): policies.Budget(
            row["cost_centre"], row["currency"], row["amount"], row["reserved"]
        )
        for row in rows
    }
    for item in items:
        for told in item.facts.get("procurement_budget", []):
            key = (told["cost_centre"], told["period"])
            amount = Decimal(told["amount"])
            if key not in books:
                books[key] = policies.Budget(
                    told["cost_centre"], told["currency"], amount, amount - Decimal(told["remaining"])
                )
            elif books[key].amount != amount:
                books[key] = policies.Budget(told["cost_centre"], told["currency"], amount, books[key].reserved)
    return books


def _checked(
    item: Item,
    wishes: Wishes,
    books: dict[tuple[str, str], policies.Budget],
    own: Wishes,
    alike: list[policies.Purchase],
    desk: Desk,
) -> Outcome:
    requisition = document(item, Requisition)
    reasons = (
        []
        if accepted(item, "duplicate_order")
        else list(
            policies.duplicate_orders(purchase_of(requisition), alike, days=desk.setup.policies.duplicate_order_days)
        )
    )
    if reasons:
        return refused_because(reasons)
    budget = _budget_refusal(item, wishes, books, own)
    if budget is not None:
        return budget
    reservations, told = [], []
    for key, wanted in wishes.items():
        book = books[key]
        reservations.append((*key, wanted))
        told.append((*key, book.currency, book.amount, book.reserved - own.get(key, Decimal(0)), "procurement"))
        books[key] = policies.Budget(
            book.cost_centre, book.currency, book.amount, book.reserved - own.get(key, Decimal(0)) + wanted
        )
    route = policies.approval_route(
        desk.setup.policies,
        business_unit=requisition.business_unit,
        amount=requisition.amount,
        currency=requisition.currency,
        suppliers_without_contract=tuple(
            dict.fromkeys(line.supplier for line in requisition.lines if not line.contract)
        ),
    )
    facts: dict[str, Any] = {
        "route_reasons": [reason.sentence for reason in route.reasons],
        "route_codes": [reason.code for reason in route.reasons],
    }
    return Outcome(
        Kind.DONE,
        facts=facts,
        reservations=reservations,
        budgets=told,
        attributes={"route": ",".join(facts["route_codes"])},
    )


def _budget_refusal(
    item: Item, wishes: Wishes, books: dict[tuple[str, str], policies.Budget], own: Wishes
) -> Outcome | None:
    """Both systems' budget answers, side by side when they differ (R004)."""
    ours = [
        reason
        for key, wanted in wishes.items()
        for reason in policies.budget(wanted - own.get(key, Decimal(0)), books[key], cost_centre=key[0])
    ]
    erp = item.facts.get("erp_budget") or {}
    exceeded_there = erp.get("verdict") == "exceeded"
    if accepted(item, "budget_exceeded") or accepted(item, "budget_conflict"):
        return None
    if ours:
        return refused_because(ours, more={"erp_verdict": str(erp.get("verdict", "not asked"))})
    if exceeded_there:
        there = f"The ERP says: {erp.get('message')} ({_read(erp)})."
        here = "Procurement says it is covered: " + "; ".join(
            f"{written(Decimal(told['remaining']), told['currency'])} left of {written(Decimal(told['amount']), told['currency'])} for {told['cost_centre']} ({_read(told)})"
            for told in item.facts.get("procurement_budget", [])
        )
        centre = next(iter(wishes), ("", ""))[0]
        return refused_because([policies.Reason("budget_conflict", f"{there} {here}.", {"cost_centre": centre})])
    return None


def _read(told: Mapping[str, Any]) -> str:
    """When a system was asked, to the minute."""
    at = told.get("read_at")
    return f"read {datetime.fromisoformat(at).astimezone(UTC):%d %b %Y, %H:%M} UTC" if at else "not read"


def purchase_of(requisition: Requisition) -> policies.Purchase:
    """What of a requisition is compared to find an order given twice."""
    lines = sorted(
        f"{line.description.casefold().strip()}|{line.quantity}|{line.unit_price}" for line in requisition.lines
    )
    return policies.Purchase(
        requisition.number,
        requisition.requester.user,
        ",".join(requisition.suppliers),
        requisition.amount,
        requisition.currency,
        requisition.submitted_at.date(),
        "\n".join(lines),
    )


def await_approval(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Procurement's own approvers and, where the route asks for it, both exception groups. Either refusal ends it (R111);
    a refusal in procurement ends the requisition there, and arrives as its status."""
    ids = [item.head.document_id for item in items]
    agreed = {row["document_id"] for row in desk.rows("agreed_by_procurement", document_id=ids)}
    approvals = desk.approvals(items)
    return [
        _awaited(item, approvals.get(item.head.document_id, []), item.head.document_id in agreed, desk)
        for item in items
    ]


def _awaited(item: Item, approvals: list[Approval], procurement_agrees: bool, desk: Desk) -> Outcome:
    procurement = desk.setup.role_of(Role.PROCUREMENT, item.head.business_unit)
    human = _latest_per_place(a for a in approvals if a.system == procurement)
    request = item.facts.get("approval_request", "")
    groups = item.facts.get("approval_groups", [])
    said = votes(approvals, request) if request else []
    joint = policies.joint_decision(groups, said) if request else Decision.APPROVED
    exceptional = deciders(approvals, request) if request else []
    if joint is Decision.REJECTED:
        last = next((a for a in reversed(exceptional) if a.decision is Decision.REJECTED), None)
        why = f"{named(last)}: {last.comment}" if last else "The request for approval was cancelled."
        return Outcome(
            Kind.DECLINED,
            event="approval_refused",
            at=last.decided_at if last else None,
            actor=named(last) if last else "",
            facts={"refusal_reason": why},
            releases_budget=True,
            attributes={"reason": why},
        )
    if joint is Decision.APPROVED and procurement_agrees:
        decided = sorted([*deciders(human, ""), *exceptional], key=lambda a: a.decided_at or a.requested_at)
        names = [named(a) for a in decided if a.decision is Decision.APPROVED]
        return Outcome(
            Kind.DONE,
            at=decided[-1].decided_at if decided else None,
            actor=names[-1] if names else "",
            facts={"decision_comment": "Approved by " + ", ".join(names)},
            attributes={"approved_by": names},
        )
    waiting = (
        [a.approver.user for a in human if a.approver and a.decision is Decision.PENDING]
        if not procurement_agrees
        else []
    )
    waiting += [
        group for group in groups if group not in {vote.where for vote in said if vote.decision is Decision.APPROVED}
    ]
    return Outcome(
        Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for=", ".join(dict.fromkeys(waiting)) or "procurement's approvers"
    )


def _latest_per_place(approvals: Iterable[Approval]) -> list[Approval]:
    """The newest request at each place of the chain: after a change the chain begins anew and the old ones are history."""
    newest: dict[int, Approval] = {}
    for approval in sorted(approvals, key=lambda a: a.requested_at):
        newest[approval.position] = approval
    return list(newest.values())


def check_segregation(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Nobody approves what they asked for, whatever login they used where (R085)."""
    approvals = desk.approvals(items)
    mappings = desk.setup.mappings
    outcomes: list[Outcome | None] = []
    for item in items:
        requisition = document(item, Requisition)
        procurement = desk.setup.role_of(Role.PROCUREMENT, item.head.business_unit)
        who = mappings.employee(procurement, requisition.requester.user, requisition.requester.email)
        approvers = [
            (mappings.employee(approval.system, person.user, person.email), approval.system)
            for approval in approvals.get(item.head.document_id, [])
            if approval.decision is Decision.APPROVED
            for person in (approval.approver, approval.decided_by)
            if person is not None and not mappings.is_integration_user(approval.system, person.user)
        ]
        conflicts = policies.segregation_of_duties(who, dict.fromkeys(approvers))
        outcomes.append(
            refused_because(conflicts)
            if conflicts and not accepted(item, "segregation_of_duties")
            else Outcome(Kind.DONE)
        )
    return outcomes


DECISIONS = {
    "validate_requisition": validate_requisition,
    "check_policies": check_policies,
    "await_approval": await_approval,
    "check_segregation": check_segregation,
}
