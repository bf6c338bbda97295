"""Reads the configuration folder: mappings, policies, systems and calendars, each checked when it is read.

A mistake in a file is told with the file, the entry and what is wrong with it; nothing starts on half a configuration.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sync_engine.model.flows import Role
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.payments import Payments
from sync_engine.model.policies import Policies
from sync_engine.model.ports import Access
from sync_engine.settings import secret

GROUP_CURRENCY = "EUR"


class BadConfiguration(Exception):
    """A configuration file says something that cannot be; names the file and the place."""


class SystemBlock(BaseModel):
    """One system as `systems.toml` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    token_url: str = ""
    options: dict[str, str] = {}
    requests_per_s: float | None = None
    max_in_flight: int | None = None
    poll_s: float | None = None
    """How often its feeds are read, instead of the connector's own pace."""
    secret_expires_on: date | None = None
    """The day on which its client secret stops working; an alert comes before it."""
    certificate_expires_on: date | None = None


class Roles(BaseModel):
    """Who plays which role, in general and for single business units (R043)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    procurement: str
    approvals: str
    erp: str
    ap_automation: str
    by_unit: dict[str, dict[Role, str]] = {}

    def system(self, role: Role, business_unit: str) -> str:
        """The system that plays `role` for a unit."""
        special = self.by_unit.get(business_unit, {}).get(role)
        return special or str(getattr(self, role.value))


class Systems(BaseModel):
    """`systems.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: Roles
    systems: dict[str, SystemBlock]

    def expiries(self) -> list[tuple[str, str, date]]:
        """(system, "secret" or "certificate", day) of everything that is known to expire."""
        dates = [
            (name, kind, day)
            for name, block in self.systems.items()
            for kind, day in (("secret", block.secret_expires_on), ("certificate", block.certificate_expires_on))
        ]
        return [(name, kind, day) for name, kind, day in dates if day is not None]

    def access(self, name: str) -> Access:
        """How to reach a system; credentials are read from the environment at every token."""
        block = self.systems[name]
        prefix = f"FINSYNC_{name.upper()}_"
        return Access(
            base_url=block.base_url,
            token_url=block.token_url,
            credentials=lambda: (secret(prefix + "CLIENT_ID"), secret(prefix + "CLIENT_SECRET")),
            options=block.options,
        )


class Calendar(BaseModel):
    """Working hours of one business calendar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: str
    country: str
    region: str = ""
    days: tuple[int, ...]
    hours: tuple[tuple[time, time], ...]
    closed: tuple[date, ...] = ()
    """Days nobody works beside the public holidays (a freeze, a company day)."""


class Calendars(BaseModel):
    """`calendars.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    calendars: dict[str, Calendar]


class Hold(BaseModel):
    """What may not be removed while a case about it is open, in court or with an authority."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reason: str
    documents: tuple[str, ...] = ()
    """By any number of any system; each stands for its whole journey."""
    business_units: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.documents or self.business_units):
            raise ValueError(f"the hold {self.name!r} names neither a document nor a business unit")
        return self


class Days(BaseModel):
    """How many days each kind of record is kept; the database itself refuses less than what is refused here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt_body: int = Field(ge=7)
    attempt: int = Field(ge=30)
    inbound_message: int = Field(ge=365)
    finished_work: int = Field(ge=30)

    @model_validator(mode="after")
    def _calls_outlive_their_bodies(self) -> Self:
        if self.attempt_body > self.attempt:
            raise ValueError("attempt_body may not be kept longer than attempt: nobody could tell whose it was")
        return self


class Retention(BaseModel):
    """`retention.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    days: Days
    holds: tuple[Hold, ...] = ()


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadConfiguration(f"{path} is missing.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} cannot be read: {error}") from None


def _checked(path: Path, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadConfiguration(f"{path}: {place}: {first['msg']} (value {str(first.get('input'))[:100]!r})") from None


def digest(content: Any) -> bytes:
    """SHA-256 of a configuration's content, whatever its layout."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).digest()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def plain(content: Any) -> Any:
    """Content as JSON has it."""
    return json.loads(json.dumps(content, sort_keys=True, default=_plain))


def load_mappings(folder: Path) -> Mappings:
    """The mapping tables of `folder`/mappings, at one version that names their exact content.

    Raises:
        BadConfiguration: a file is missing, unreadable or wrong.
    """
    contents = {path.stem: read_toml(path) for path in sorted((folder / "mappings").glob("*.toml"))}
    if "business_units" not in contents:
        raise BadConfiguration(f"{folder / 'mappings' / 'business_units.toml'} is missing.")
    tables: dict[str, Table] = {}
    for name, content in contents.items():
        path = folder / "mappings" / f"{name}.toml"
        tables[name] = _checked(path, partial(Table, name=name, **content))
    newest = max(table.version for table in tables.values())
    version = f"{newest}.{digest(contents).hex()[:8]}"
    mappings: Mappings = _checked(
        folder / "mappings", lambda: Mappings(tables, version=version, group_currency=GROUP_CURRENCY)
    )
    return mappings


def load_policies(folder: Path) -> Policies:
    """The policies of `folder`/policies.toml."""
    path = folder / "policies.toml"
    content = read_toml(path)
    policies: Policies = _checked(path, lambda: Policies.model_validate(content))
    return policies


def load_systems(folder: Path, overrides: Mapping[str, str] | None = None, *, poll_s: float | None = None) -> Systems:
    """The systems of `folder`/systems.toml; `overrides` replaces base addresses by system (the demo's free ports), `poll_s`
    the pace of every feed."""
    path = folder / "systems.toml"
    content = read_toml(path)
    for name, base_url in (overrides or {}).items():
        block = content["systems"][name]
        block["token_url"] = block["token_url"].replace(block["base_url"], base_url)
        block["base_url"] = base_url
    if poll_s is not None:
        for block in content["systems"].values():
            block["poll_s"] = poll_s
    systems: Systems = _checked(path, lambda: Systems.model_validate(content))
    return systems


def load_calendars(folder: Path) -> Calendars:
    """The calendars of `folder`/calendars.toml."""
    path = folder / "calendars.toml"
    content = read_toml(path)
    calendars: Calendars = _checked(path, lambda: Calendars.model_validate(content))
    return calendars


def load_payments(folder: Path) -> Payments:
    """When suppliers are paid and what being late costs, by `folder`/payments.toml."""
    path = folder / "payments.toml"
    content = read_toml(path)
    payments: Payments = _checked(path, lambda: Payments.model_validate(content))
    return payments


def load_retention(folder: Path) -> Retention:
    """How long what is kept, by `folder`/retention.toml."""
    path = folder / "retention.toml"
    content = read_toml(path)
    retention: Retention = _checked(path, lambda: Retention.model_validate(content))
    return retention
