"""The rules in force: from `alerts.toml` and from the application, every version on record.

A rule of the file comes into force when it differs from the last one the file had; what people have changed in the application
meanwhile is then replaced, and stands in the history. A rule that has gone from the file is switched off.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sync_engine.configuration import BadConfiguration, digest, read_toml
from sync_engine.engine import store
from sync_engine.model.alerts import AlertRule, Destination

Ask = Callable[..., list[dict[str, Any]]]
"""Puts a named statement with its parameters; over the engine's connection or as a person, who sees less."""


class AlertConfiguration(BaseModel):
    """`alerts.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    digest_at: time
    """When low severities are told, UTC."""
    routes: dict[str, tuple[str, ...]] = {}
    """Names of destinations by name of the route; a rule that names no route takes that of its team."""
    destinations: dict[str, Destination] = {}
    rules: dict[str, AlertRule] = Field(min_length=1)

    @model_validator(mode="after")
    def _destinations_exist(self) -> Self:
        for route, names in self.routes.items():
            if strange := [name for name in names if name not in self.destinations]:
                raise ValueError(f"route {route!r} names the destination {strange[0]!r}, which is not there")
        return self


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule with the version that is in force, and until when nobody is told."""

    name: str
    version: int
    rule: AlertRule
    silent_until: datetime
    source: str = "file"
    changed_at: datetime | None = None
    changed_by: str = ""


def load_alerts(folder: Path) -> AlertConfiguration:
    """`folder`/alerts.toml.

    Raises:
        BadConfiguration: it is missing or wrong; names the rule and what is wrong with it.
    """
    path = folder / "alerts.toml"
    try:
        return AlertConfiguration.model_validate(read_toml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadConfiguration(f"{path}: {place}: {first['msg']}") from None


def content_of(rule: AlertRule) -> dict[str, Any]:
    """A rule as it is kept: everything it says, defaults too, so that a later default changes no rule in force."""
    return rule.model_dump(mode="json")


def put_in_force(
    connection: psycopg.Connection, configuration: AlertConfiguration, *, now: datetime, by: str
) -> list[str]:
    """Put what has changed in the file in force. Answers the names of the rules that were."""
    with connection.transaction():
        store.rows(connection, "alert.lock_rules")
        known = {row["rule"]: bytes(row["sha256"]) for row in store.rows(connection, "alert.rules_of_files")}
        current = in_force(connection)
        changed = [name for name, rule in configuration.rules.items() if known.get(name) != digest(content_of(rule))]
        for name in changed:
            add_version(
                connection, name, configuration.rules[name], source="file", by=by, now=now, reason=configuration.version
            )
        for name in sorted(set(known) - set(configuration.rules)):
            if name in current and current[name].rule.enabled:
                switched_off = current[name].rule.model_copy(update={"enabled": False})
                add_version(
                    connection, name, switched_off, source="file", by=by, now=now, reason="it has gone from the file"
                )
                changed.append(name)
    return changed


def add_version(
    connection: psycopg.Connection,
    name: str,
    rule: AlertRule,
    *,
    source: str,
    by: str,
    now: datetime,
    reason: str,
    simulated: Mapping[str, Any] | None = None,
) -> int:
    """Put a version of a rule in force; silent for as long as it says."""
    content = content_of(rule)
    [row] = store.rows(
        connection,
        "alert.add_rule_version",
        rule=name,
        content=json.dumps(content),
        sha256=digest(content),
        source=source,
        silent_until=now + timedelta(days=rule.silent_days),
        now=now,
        changed_by=by,
        reason=reason,
        simulated=json.dumps(dict(simulated or {}), default=str),
    )
    return int(row["version"])


def in_force(connection: psycopg.Connection) -> dict[str, RuleInForce]:
    """The newest version of every rule, by name; those switched off too."""
    return {row["rule"]: rule_of(row) for row in store.rows(connection, "alert.rules_in_force")}


def rule_of(row: Mapping[str, Any]) -> RuleInForce:
    """A row of `rules_in_force` as a rule."""
    return RuleInForce(
        row["rule"],
        row["version"],
        AlertRule.model_validate(row["content"]),
        row["silent_until"],
        row["source"],
        row["changed_at"],
        row["changed_by"],
    )
