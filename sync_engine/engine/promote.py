"""Puts the configuration in force: versions with their digest, business units, calendars, objectives.

Everything here can be done again at every start; only what is new changes anything, and what was in force when stays on
record in `config_version`.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import yaml

from sync_engine.configuration import (
    BadConfiguration,
    Calendars,
    digest,
    load_calendars,
    load_mappings,
    load_payments,
    load_policies,
    plain,
)
from sync_engine.database.arrays import array_literal
from sync_engine.database.statements import sql
from sync_engine.engine import calendars
from sync_engine.model.mappings import Mappings
from sync_engine.model.payments import Payments
from sync_engine.model.policies import Policies

CALENDAR_YEARS_BEHIND, CALENDAR_YEARS_AHEAD = 2, 2


@dataclass(frozen=True, slots=True)
class Objective:
    """One service level objective, as an OpenSLO file states it with our annotations."""

    name: str
    title: str
    owner_team: str
    document_type: str
    start_activity: str
    good_activities: tuple[str, ...]
    threshold_s: float
    clock: str
    target: float
    window_days: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the configuration folder says."""

    mappings: Mappings
    policies: Policies
    calendars: Calendars
    payments: Payments
    objectives: tuple[Objective, ...]


def load(folder: Path) -> Configuration:
    """Read the whole folder.

    Raises:
        BadConfiguration: something in it is missing, unreadable or wrong.
    """
    objectives = tuple(_objective(path) for path in sorted((folder / "objectives").glob("*.yaml")))
    mappings, calendars_, payments = load_mappings(folder), load_calendars(folder), load_payments(folder)
    companies = {unit.company_code for unit in mappings.business_units.values()}
    wrong = payments.valid(set(calendars_.calendars), companies)
    if wrong:
        raise BadConfiguration(f"{folder / 'payments.toml'}: {' '.join(wrong)}")
    return Configuration(mappings, load_policies(folder), calendars_, payments, objectives)


def _objective(path: Path) -> Objective:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        notes = {key.removeprefix("finsync/"): str(value) for key, value in content["metadata"]["annotations"].items()}
        spec = content["spec"]
        if content["apiVersion"] != "openslo/v1" or content["kind"] != "SLO":
            raise BadConfiguration(f"{path} is not an openslo/v1 SLO.")
        target = float(spec["objectives"][0]["target"])
        if not 0 < target < 1:
            raise BadConfiguration(
                f"{path}: the target is {target:g}, which leaves no error budget or asks for nothing; it has to lie between 0 and 1."
            )
        return Objective(
            name=content["metadata"]["name"],
            title=content["metadata"]["displayName"],
            owner_team=notes["owner-team"],
            document_type=notes["document-type"],
            start_activity=notes["starts"],
            good_activities=tuple(notes["good"].split(",")),
            threshold_s=float(notes["threshold-seconds"]),
            clock=notes["clock"],
            target=target,
            window_days=int(str(spec["timeWindow"][0]["duration"]).removesuffix("d")),
        )
    except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
        raise BadConfiguration(f"{path}: {type(error).__name__}: {error}") from None


def put_in_force(
    connection: psycopg.Connection, configuration: Configuration, *, today: date, now: datetime, by: str
) -> None:
    """Make the database know what is in force from now on."""
    first = date(today.year - CALENDAR_YEARS_BEHIND, 1, 1)
    last = date(today.year + CALENDAR_YEARS_AHEAD, 12, 31)
    mappings, policies = configuration.mappings, configuration.policies
    with connection.transaction():
        connection.execute(sql("engine.lock_promotion"))
        _units(connection, mappings)
        calendars.fill(connection, configuration.calendars.calendars, first=first, last=last)
        _objectives(connection, configuration.objectives)
        tables = {name: table.model_dump(mode="json") for name, table in mappings.tables.items()}
        for kind, version, content in (
            ("mappings", mappings.version, tables),
            ("policies", policies.version, policies.model_dump(mode="json")),
            ("calendars", configuration.calendars.version, configuration.calendars.model_dump(mode="json")),
            ("payments", configuration.payments.version, configuration.payments.model_dump(mode="json")),
            ("objectives", "", [plain(_asdict(objective)) for objective in configuration.objectives]),
        ):
            print_of_it = digest(content)
            named = f"{version}.{print_of_it.hex()[:8]}" if kind != "mappings" else version
            connection.execute(
                sql("engine.put_config"),
                {
                    "kind": kind,
                    "version": named.lstrip("."),
                    "content": json.dumps(content),
                    "sha256": print_of_it,
                    "now": now,
                    "promoted_by": by,
                },
            )


def _asdict(objective: Objective) -> dict[str, Any]:
    return {name: getattr(objective, name) for name in objective.__slots__}


def _units(connection: psycopg.Connection, mappings: Mappings) -> None:
    units = list(mappings.business_units.values())
    columns = ("code", "name", "country", "currency", "company_code", "calendar", "time_zone")
    connection.execute(
        sql("engine.put_business_units"),
        {column: array_literal([getattr(unit, column) for unit in units]) for column in columns},
    )


def _objectives(connection: psycopg.Connection, objectives: tuple[Objective, ...]) -> None:
    connection.execute(sql("engine.forget_objectives"))
    columns = (
        "name",
        "title",
        "owner_team",
        "document_type",
        "start_activity",
        "threshold_s",
        "clock",
        "target",
        "window_days",
    )
    values: dict[str, str] = {
        column: array_literal([getattr(objective, column) for objective in objectives]) for column in columns
    }
    values["good_activities"] = array_literal([",".join(objective.good_activities) for objective in objectives])
    connection.execute(sql("engine.put_objectives"), values)
