"""Checking a requisition before it is submitted (R051): request and answer, nothing is kept and nothing happens."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from sync_engine.api import checks
from sync_engine.api.asking import Asked, ByCaller, Room
from sync_engine.api.checks import BudgetStanding, Finding
from sync_engine.api.problems import Problem, told
from sync_engine.model.documents import Requisition
from sync_engine.model.errors import MappingError

VALID_FOR_S = 300
"""How long an answer may be relied on: budgets, suppliers and tables change under it."""

router = APIRouter(tags=["requisitions"])


class ApprovalReason(BaseModel):
    """Why somebody beyond procurement's own chain has to agree."""

    code: str = Field(examples=["above_threshold"])
    sentence: str


class RequisitionCheck(BaseModel):
    """What the engine would say of a requisition if it came now."""

    schema_version: Literal["1.0"] = "1.0"
    as_of: datetime
    valid_until: datetime = Field(description="Ask again after that.")
    mapping_version: str
    policy_version: str
    number: str | None
    acceptable: bool = Field(description="There is no finding.")
    findings: list[Finding]
    exception_approval_required: bool | None = Field(
        description="Regional finance and procurement both have to agree; null when it could not be decided."
    )
    approval_reasons: list[ApprovalReason]
    group_amount: Decimal | None = Field(description="The amount in group currency, at today's rate.")
    group_currency: str
    budgets: list[BudgetStanding] = Field(
        description="Budgets known here that it draws on; a cost centre without one is not controlled."
    )


class Unreadable:
    """A body that is no requisition, and why."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings


def _or_findings(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError as error:
        return Unreadable(checks.unreadable(error))


# What does not fit the schema is not a bad request here but the answer to it.
Told = Annotated[Requisition, WrapValidator(_or_findings)]


@router.post(
    "/v1/requisitions/validate",
    operation_id="validateRequisition",
    summary="Check a requisition",
    responses=told(400, 403, 413),
)
def validate_requisition(requisition: Told, caller: ByCaller) -> RequisitionCheck:
    """Every reason the engine would have to stop this requisition, and who would have to agree to it. Has no side effect."""
    told_of: object = requisition
    with caller.asking() as asked:
        if isinstance(told_of, Unreadable):
            return _answer(caller.room, asked, told_of.findings)
        if requisition.business_unit and not asked.sees(requisition.business_unit):
            raise Problem(
                403,
                "forbidden",
                f"Your token does not cover the business unit {requisition.business_unit!r}.",
                next_step="Use a token that covers it, or correct the unit.",
            )
        return _checked(requisition, caller.room, asked)


def _checked(requisition: Requisition, room: Room, asked: Asked) -> RequisitionCheck:
    mappings, policies = room.configuration.mappings, room.configuration.policies
    is_unit = requisition.business_unit in mappings.business_units
    today = (
        mappings.local_day(requisition.business_unit, asked.as_of) if is_unit else asked.as_of.astimezone(UTC).date()
    )
    findings = list(checks.translations(requisition, mappings, today))
    known = {
        row["external_id"]: row
        for row in asked.rows("suppliers", system=room.procurement, external_id=list(requisition.suppliers))
    }
    findings += checks.suppliers(requisition, known, mappings)
    rows = asked.rows(
        "requisitions_alike",
        business_unit=requisition.business_unit,
        currency=requisition.currency,
        amount=requisition.amount,
        submitted_at=requisition.submitted_at,
        days=policies.duplicate_order_days,
    )
    findings += checks.duplicates(
        requisition, [Requisition.model_validate_json(row["canonical"]) for row in rows], policies
    )
    try:
        converted = mappings.in_group_currency(requisition.amount, requisition.currency, today)
    except MappingError:
        return _answer(room, asked, findings, requisition)  # `translations` has found it
    centres = sorted({part.cost_centre for line in requisition.lines for part in line.distributions})
    books = asked.rows("budgets_of", cost_centre=centres, number=requisition.number)
    standings = checks.budgets(requisition, books, mappings, today)
    findings += [checks.of_budget(standing, reason) for standing, reasons in standings for reason in reasons]
    reasons = checks.route(requisition, policies)
    return _answer(
        room,
        asked,
        findings,
        requisition,
        exception_approval_required=bool(reasons),
        approval_reasons=[ApprovalReason(code=reason.code, sentence=reason.sentence) for reason in reasons],
        group_amount=converted.amount,
        budgets=[standing for standing, _ in standings],
    )


def _answer(
    room: Room, asked: Asked, findings: list[Finding], requisition: Requisition | None = None, **decided: Any
) -> RequisitionCheck:
    values: dict[str, Any] = {
        "exception_approval_required": None,
        "approval_reasons": [],
        "group_amount": None,
        "budgets": [],
        **decided,
    }
    return RequisitionCheck(
        as_of=asked.as_of,
        valid_until=asked.as_of + timedelta(seconds=VALID_FOR_S),
        mapping_version=room.configuration.mappings.version,
        policy_version=room.policy_version,
        number=requisition.number if requisition else None,
        acceptable=not findings,
        findings=findings[: checks.FINDINGS_MAX],
        group_currency=room.configuration.mappings.group_currency,
        **values,
    )
