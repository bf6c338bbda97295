"""Deadlines that do not count towards an objective: a closed period, an announced maintenance, the nightly stop of a system. Somebody
says so with a reason; nothing is removed, and figures are shown with and without (PRODUCT.md 4.4).
"""

from datetime import time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from sync_engine.control.asked import Asked, Doing, Refusal
from sync_engine.control.roles import sees
from sync_engine.engine import store

LONGEST = timedelta(days=92)
"""Nobody leaves out more than a quarter at a time: then it is the objective that is wrong."""


class _Wanted(BaseModel):
    objective: str = Field(max_length=100)
    """Empty: every objective."""
    unit: str = Field(max_length=60)
    """Empty: every business unit."""


class Once(_Wanted):
    """From one moment to another."""

    kind: Literal["once"]
    starts_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def _is_forward(self) -> "Once":
        if not timedelta(0) < self.ends_at - self.starts_at <= LONGEST:
            raise ValueError(f"the end lies after the beginning, and at most {LONGEST.days} days after it")
        return self


class Weekly(_Wanted):
    """Every week on a day, between two times of a zone."""

    kind: Literal["weekly"]
    weekday: int = Field(ge=1, le=7)
    from_time: time
    to_time: time
    time_zone: str

    @model_validator(mode="after")
    def _is_forward(self) -> "Weekly":
        if self.to_time <= self.from_time:
            raise ValueError("the end lies after the beginning; what goes past midnight is two of them")
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone") from None
        return self


_WANTED: TypeAdapter[Once | Weekly] = TypeAdapter(Annotated[Once | Weekly, Field(discriminator="kind")])


def leave_out(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Deadlines in a stretch of time no longer count towards an objective."""
    try:
        wanted = _WANTED.validate_python(asked.arguments)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise Refusal("failed", f"Nothing is left out: {said}.") from None
    _check(asked, doing, wanted.objective, wanted.unit)
    values: dict[str, Any] = dict.fromkeys(("starts_at", "ends_at", "weekday", "from_time", "to_time", "time_zone"))
    values |= wanted.model_dump(exclude={"kind", "unit"}) | {"business_unit": wanted.unit}
    exclusion_id = doing.setup.new_id(doing.now)
    store.run(
        doing.connection, "command.leave_out", exclusion_id=exclusion_id, reason=asked.reason, author=asked.actor, now=doing.now, **values
    )  # fmt: skip
    return {"sentence": "These deadlines do not count from now on.", "exclusion_id": str(exclusion_id)}


def count_again(asked: Asked, doing: Doing) -> dict[str, Any]:
    """What was left out counts again; that it was left out stays written down."""
    try:
        exclusion_id = UUID(str(asked.arguments.get("exclusion_id")))
    except ValueError:
        raise Refusal("failed", "The command does not say what is to count again.") from None
    found = store.rows(doing.connection, "command.lock_exclusion", exclusion_id=exclusion_id)
    if not found or not _may(asked, found[0]["business_unit"]):
        raise Refusal("denied", "There is no such exclusion among those you may change.")
    if found[0]["withdrawn_at"] is not None:
        raise Refusal("conflict", f"{found[0]['withdrawn_by']} has done so already.")
    doing.business_units.update(unit for unit in [found[0]["business_unit"]] if unit)
    store.run(doing.connection, "command.count_again", exclusion_id=exclusion_id, actor=asked.actor, now=doing.now)
    return {"sentence": "These deadlines count again."}


def _may(asked: Asked, business_unit: str) -> bool:
    """What holds for every unit is decided by whoever sees every unit."""
    return sees(asked.units, business_unit) if business_unit else "*" in asked.units


def _check(asked: Asked, doing: Doing, objective: str, business_unit: str) -> None:
    if not _may(asked, business_unit):
        raise Refusal("denied", f"You do not see {business_unit or 'every business unit'}.")
    [known] = store.rows(doing.connection, "command.is_known", objective=objective, business_unit=business_unit)
    if not known["objective_is"]:
        raise Refusal("failed", f"There is no objective {objective}.")
    if not known["unit_is"]:
        raise Refusal("failed", f"There is no business unit {business_unit}.")
    doing.business_units.update([business_unit] if business_unit else [])
