"""What approvers and task owners read in ServiceNow: a title and plain text, and which groups decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from collectors.servicenow_api import SHORT_CHARS, plain
from sync_engine.model.documents import ChangeOrder, Invoice, Line, Requisition
from sync_engine.model.ports import Ask, Json

LINES_SHOWN = 20
TITLE_CHARS, TEXT_CHARS = 160, 4000
"""How much short_description and description hold."""

URGENCY_AND_IMPACT = {"1": ("1", "1"), "2": ("2", "1"), "3": ("2", "2"), "4": ("3", "2"), "5": ("3", "3")}
"""By priority. ServiceNow works the priority out of these two, so that it cannot be written itself."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What approvers are asked. `groups` maps a part of our correlation id to the name of the group that decides it."""

    title: str
    text: str
    amount: Decimal
    groups: Mapping[str, str]


def approval_paper(ask: Ask) -> Paper:
    """A requisition or a change order that its region's finance and procurement approvers decide.

    Raises:
        MappingError: no such business unit.
    """
    document = ask.document
    if isinstance(document, Requisition):
        title = f"Approve requisition {document.number}: {document.title}"
        intro = [f"{document.requester.name or document.requester.user} asks to buy: {document.title}"]
        if document.justification:
            intro.append(f"Reason given: {document.justification}")
    elif isinstance(document, ChangeOrder):
        verb = "cancel" if document.cancels else "change"
        title = f"Approve to {verb} order {document.order_number}"
        who = document.requested_by.name or document.requested_by.user
        intro = [f"{who} asks to {verb} purchase order {document.order_number} (version {document.version})."]
    else:
        raise TypeError(f"nobody approves a {type(document).__name__} in ServiceNow")
    unit = ask.mappings.unit(document.business_unit)
    groups = {"finance": unit.finance_group, "procurement": unit.procurement_group}
    if unit.finance_group == unit.procurement_group:
        del groups["procurement"]  # nobody is asked twice for the same decision
    text = [
        *intro,
        f"Business unit: {unit.name}",
        f"Amount: {document.amount} {document.currency}",
        *_listed("Why this needs approval:", ask.facts.get("route_reasons", ())),
        *_lines(document.lines, document.currency),
    ]
    return Paper(f"{title}, {document.amount} {document.currency}", "\n".join(text), document.amount, groups)


def review_paper(ask: Ask) -> Paper:
    """An invoice that does not match its order, for the region's finance approvers.

    Raises:
        MappingError: no such business unit.
    """
    document = ask.document
    if not isinstance(document, Invoice):
        raise TypeError(f"nobody reviews a {type(document).__name__} in ServiceNow")
    unit = ask.mappings.unit(document.business_unit)
    about = f"invoice {document.supplier_invoice_number} of {document.supplier_name or document.supplier}"
    amount = f"{document.gross_amount} {document.currency}"
    text = [
        f"The {about} does not match its order or receipt.",
        f"Business unit: {unit.name}",
        f"Amount: {amount} (net {document.net_amount})",
        f"Orders: {', '.join(document.order_numbers) or 'none named'}",
        *_listed("What does not match:", ask.facts.get("variances", ())),
        "",
        "Approve to pay it as it is; reject to return it to the supplier.",
        *_lines(document.lines, document.currency),
    ]
    return Paper(f"Review {about}, {amount}", "\n".join(text), document.gross_amount, {"finance": unit.finance_group})


def _listed(heading: str, sentences: Sequence[str]) -> list[str]:
    return ["", heading, *(f"- {sentence}" for sentence in sentences)] if sentences else []


def _lines(lines: Sequence[Line], currency: str) -> list[str]:
    shown = [
        f"{line.number}. {line.description}: {line.quantity} {line.unit} at {line.unit_price}, {line.amount} {currency}"
        for line in lines[:LINES_SHOWN]
    ]
    left = len(lines) - LINES_SHOWN
    return ["", "Lines:", *shown, *([f"... and {left} more"] if left > 0 else [])]


def request_body(ask: Ask, paper: Paper, reference: str) -> Json:
    """The row of the approval request. The price carries no currency there; the text does."""
    return {
        "short_description": plain(paper.title, TITLE_CHARS),
        "description": plain(paper.text, TEXT_CHARS),
        "price": str(paper.amount),
        "correlation_id": reference,
        "correlation_display": plain(ask.document.number, SHORT_CHARS),
    }


def task_body(ask: Ask, reference: str) -> Json:
    """The row of a remediation task, from the particulars of the exception in `ask.subject`."""
    case = ask.subject
    number = case.get("number") or ask.document.number
    urgency, impact = URGENCY_AND_IMPACT.get(str(case.get("priority", "3")), URGENCY_AND_IMPACT["3"])
    text = [
        case.get("message", ""),
        "",
        f"Next step: {case.get('next_step', '')}",
        f"Team: {case.get('owner_team', '')}",
        f"Document: {number}",
        f"Amount: {case.get('amount') or 'not known'} {case.get('currency', '')}",
        f"Business unit: {case.get('business_unit', '')}",
        f"Trace: {case.get('url', '')}",
    ]
    return {
        "short_description": plain(f"{case['title']}: {number}", TITLE_CHARS),
        "description": plain("\n".join(map(str, text)), TEXT_CHARS),
        "category": plain(case.get("category", ""), 40),
        "urgency": urgency,
        "impact": impact,
        "correlation_id": reference,
        "correlation_display": plain(number, SHORT_CHARS),
    }
