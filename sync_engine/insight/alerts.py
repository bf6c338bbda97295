"""Alerts that mean money: the business rules of `config/alerts.toml`, evaluated on the engine (R141).

One alert per rule, document and deadline; it resolves by itself when the document is no longer in danger.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from pydantic import BaseModel, ConfigDict, ValidationError

from sync_engine.configuration import BadConfiguration, read_toml
from sync_engine.database.arrays import array_literal
from sync_engine.engine import store
from sync_engine.model.ids import NewId


class AlertRule(BaseModel):
    """One rule: which documents, from which amount (group currency), how near to their date."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    severity: str
    owner_team: str
    document_type: str
    amount_min: Decimal
    days_max: int


class AlertRules(BaseModel):
    """`alerts.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    rules: dict[str, AlertRule]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one evaluation found."""

    firing: int
    resolved: int


def load_rules(folder: Path) -> AlertRules:
    """The rules of `folder`/alerts.toml.

    Raises:
        BadConfiguration: the file is missing or wrong.
    """
    path = folder / "alerts.toml"
    try:
        return AlertRules.model_validate(read_toml(path))
    except ValidationError as error:
        raise BadConfiguration(f"{path}: {error.errors(include_url=False)[0]}") from None


def evaluate(
    connection: psycopg.Connection, rules: AlertRules, *, group_currency: str, now: datetime, new_id: NewId
) -> Evaluated:
    """Fire what the rules find and resolve what they no longer find."""
    firing = resolved = 0
    with connection.transaction():
        for name, rule in rules.rules.items():
            rows = store.rows(
                connection,
                "engine.alert_candidates",
                document_type=rule.document_type,
                amount_min=rule.amount_min,
                days_max=rule.days_max,
                now=now,
            )
            columns: dict[str, list[Any]] = {
                "alert_id": [new_id(now) for _ in rows],
                "rule": [name] * len(rows),
                "document_id": [row["document_id"] for row in rows],
                "deadline_on": [row["deadline_on"] for row in rows],
                "severity": [rule.severity] * len(rows),
                "message": [message(rule, row, group_currency) for row in rows],
                "owner_team": [rule.owner_team] * len(rows),
                "group_amount": [row["group_amount"] for row in rows],
                "business_unit": [row["business_unit"] for row in rows],
            }
            store.run(
                connection,
                "engine.fire_alerts",
                now=now,
                **{key: array_literal(values) for key, values in columns.items()},
            )
            resolved += store.run(
                connection, "engine.resolve_alerts", rule=name, document_id=columns["document_id"], now=now
            )
            firing += len(rows)
    return Evaluated(firing, resolved)


def message(rule: AlertRule, row: dict[str, object], currency: str) -> str:
    """The alert in business words: what, how much, how long, why."""
    days = int(str(row["days_left"]))
    when = "today" if days == 0 else f"in {days} days" if days > 0 else f"{-days} days ago"
    why = row["case_message"] or row["reason"]
    return f"{rule.title}: {row['number']} ({row['supplier_name'] or 'no supplier'}), {Decimal(str(row['group_amount'])):,.2f} {currency}, due {when}. {why}"
