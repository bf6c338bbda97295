"""`finsync doctor`: is everything there, safe and reachable? In plain words, with what to do, and an exit code.

In production mode a half-configured or unsafe start is refused: what is a warning in evaluation is an error there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import SystemRandom
from typing import Any, LiteralString

import httpx2
import psycopg
import sqlalchemy as sa
from pydantic import SecretStr

from sync_engine.cli.wiring import connect_systems, make_setup
from sync_engine.configuration import BadConfiguration, Systems, load_retention, load_systems
from sync_engine.database.connections import ROLES, Database, dsn
from sync_engine.database.migrate import pending
from sync_engine.database.postgres import NoPostgres
from sync_engine.engine import promote, retention
from sync_engine.engine.alert_rules import load_alerts
from sync_engine.engine.engine import database_now
from sync_engine.model.errors import SyncError
from sync_engine.model.ports import System
from sync_engine.opening import Opened, open_database
from sync_engine.settings import Settings, secret

OLDEST_POSTGRES = 15
CLOCKS_APART_S = 5.0
COOKIE_SECRET_CHARS = 32


class Grade(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it is, and what to do about it."""

    subject: str
    grade: Grade
    says: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order a person would want to know."""
    return list(_examine(settings))


def passed(findings: list[Finding]) -> bool:
    """Whether the program may start."""
    return all(finding.grade is not Grade.ERROR for finding in findings)


def _examine(settings: Settings) -> Iterator[Finding]:
    yield from _settings(settings)
    systems, bad = _configuration(settings)
    yield from bad
    if systems is not None:
        yield from _destinations(settings)
    yield from _identity(settings)
    try:
        found = open_database(settings)
    except NoPostgres as error:
        yield Finding(
            "database", Grade.ERROR, str(error), "Set DATABASE_URL, or install finance-workflow-sync[embedded]."
        )
        return
    except psycopg.Error as error:
        yield Finding("database", Grade.ERROR, str(error).strip(), "Check DATABASE_URL.")
        return
    try:
        yield from _database(settings, found)
    finally:
        found.close()
    if systems is not None:
        yield from _systems(settings, systems)


def _settings(settings: Settings) -> Iterator[Finding]:
    for name, field in type(settings).model_fields.items():
        variable = field.validation_alias or f"FINSYNC_{name.upper()}"
        value = getattr(settings, name)
        shown = (
            ("set" if value.get_secret_value() else "not set")
            if isinstance(value, SecretStr)
            else "not set"
            if value in (None, "")
            else str(value)
        )
        yield Finding(str(variable), Grade.OK, shown)
    writable = _try(lambda: settings.home.mkdir(parents=True, exist_ok=True))
    if writable:
        yield Finding(
            "home",
            Grade.ERROR,
            f"{settings.home} cannot be made: {writable}",
            "Set FINSYNC_HOME to a folder you may write to.",
        )


def _try(step: Callable[[], object]) -> str:
    try:
        step()
    except OSError as error:
        return str(error)
    return ""


def _configuration(settings: Settings) -> tuple[Systems | None, list[Finding]]:
    try:
        loaded = promote.load(settings.config)
        load_alerts(settings.config)
        load_retention(settings.config)
        systems = load_systems(settings.config)
    except BadConfiguration as error:
        return None, [
            Finding(
                "configuration", Grade.ERROR, str(error), "Correct the file; nothing starts on half a configuration."
            )
        ]
    says = (
        f"mappings {loaded.mappings.version}, policies {loaded.policies.version}, {len(loaded.objectives)} objectives, "
        f"payments {loaded.payments.version} ({len(loaded.payments.runs)} payment runs), {len(systems.systems)} systems"
    )
    return systems, [Finding("configuration", Grade.OK, says)]


def _destinations(settings: Settings) -> Iterator[Finding]:
    """Whether what alerts are told through has what it needs; nothing is sent."""
    configuration = load_alerts(settings.config)
    routed = sorted({name for names in configuration.routes.values() for name in names})
    worse = Grade.ERROR if settings.is_production else Grade.WARNING
    for name in routed:
        one = configuration.destinations[name]
        missing = [needed for needed in (one.url_secret, one.key_secret) if needed and not secret(needed)]
        if one.kind == "mail":
            missing = [
                variable
                for variable, value in (
                    ("FINSYNC_SMTP_HOST", settings.smtp_host),
                    ("FINSYNC_SMTP_SENDER", settings.smtp_sender),
                )
                if not value
            ]
        if missing:
            yield Finding(
                f"alerts to {name}",
                worse,
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set",
                "Put it into the environment, or the name of a file that holds it under the same name with _FILE behind.",
            )
        else:
            yield Finding(f"alerts to {name}", Grade.OK, f"{one.kind}, with all it needs")
    if not routed:
        yield Finding("alerts", Grade.OK, "the inbox alone: no route in alerts.toml names a destination")


def _identity(settings: Settings) -> Iterator[Finding]:
    if not settings.has_identity_provider:
        yield Finding(
            "identity provider",
            Grade.ERROR if settings.is_production else Grade.WARNING,
            "None is configured"
            + ("." if settings.is_production else ": everybody who opens the page may choose who to be."),
            "Set FINSYNC_OIDC_METADATA_URL, FINSYNC_OIDC_CLIENT_ID, FINSYNC_OIDC_CLIENT_SECRET and FINSYNC_COOKIE_SECRET.",
        )
        return
    if len(settings.cookie_secret.get_secret_value()) < COOKIE_SECRET_CHARS:
        yield Finding(
            "identity provider",
            Grade.ERROR,
            f"FINSYNC_COOKIE_SECRET has fewer than {COOKIE_SECRET_CHARS} characters.",
            "Make a longer one: openssl rand -hex 32",
        )
    try:
        answer = httpx2.get(settings.oidc_metadata_url, timeout=10)
        answer.raise_for_status()
        issuer = answer.json()["issuer"]
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        yield Finding(
            "identity provider",
            Grade.ERROR,
            f"{settings.oidc_metadata_url}: {error}",
            "Check FINSYNC_OIDC_METADATA_URL; it ends in /.well-known/openid-configuration.",
        )
    else:
        yield Finding("identity provider", Grade.OK, f"{issuer} answers.")
    if settings.is_production and not settings.app_url.startswith("https://"):
        yield Finding(
            "application address",
            Grade.ERROR,
            f"{settings.app_url} is not https.",
            "Set FINSYNC_APP_URL to the https address people use.",
        )


def _database(settings: Settings, found: Opened) -> Iterator[Finding]:
    strict = Grade.ERROR if settings.is_production else Grade.WARNING
    if found.embedded is not None:
        yield Finding(
            "database",
            strict if settings.is_production else Grade.OK,
            f"The embedded server, data in {found.embedded.data}.",
            "Set DATABASE_URL." if settings.is_production else "",
        )
    database = found.database
    try:
        with database.connect_owner() as connection:
            connection.execute("SELECT set_config('search_path', %s, false)", [database.cell])
            yield from _server(connection, strict)
            missing = pending(connection)
    except psycopg.OperationalError as error:
        yield Finding("database", Grade.ERROR, str(error).strip(), "Is PostgreSQL running, and is DATABASE_URL right?")
        return
    if missing:
        yield Finding(
            "schema",
            Grade.ERROR if settings.is_production else Grade.WARNING,
            f"The cell {database.cell!r} lacks {', '.join(missing)}.",
            "Run `finsync migrate`.",
        )
        return
    yield Finding("schema", Grade.OK, f"The cell {database.cell!r} is up to date.")
    yield from _roles(settings, database)
    yield from _retention(settings, database)


def _server(connection: psycopg.Connection, strict: Grade) -> Iterator[Finding]:
    version = connection.info.server_version // 10000
    if version < OLDEST_POSTGRES:
        yield Finding(
            "PostgreSQL", Grade.ERROR, f"It is version {version}.", f"Version {OLDEST_POSTGRES} or newer is needed."
        )
    else:
        yield Finding("PostgreSQL", Grade.OK, f"version {version}")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = str(_one(connection, "SELECT current_setting(%s)", [name]))
        if value == "off":
            yield Finding(
                f"durability: {name}",
                strict,
                "It is off: a crash of the machine loses what was recorded.",
                f"Switch {name} on in postgresql.conf.",
            )
        else:
            yield Finding(f"durability: {name}", Grade.OK, value)
    told: datetime = _one(connection, "SELECT clock_timestamp()")
    apart = abs((datetime.now(UTC) - told).total_seconds())
    if apart > CLOCKS_APART_S:
        yield Finding(
            "clocks",
            Grade.WARNING,
            f"This machine and the database are {apart:.0f} s apart.",
            "Synchronise both with a time server; engines go by the database's clock.",
        )


def _one(connection: psycopg.Connection, question: LiteralString, values: Sequence[Any] = ()) -> Any:
    row = connection.execute(question, values).fetchone()
    return row[0] if row else None


def _roles(settings: Settings, database: Database) -> Iterator[Finding]:
    for role, own in zip(
        ROLES, (settings.engine_database_url, settings.app_database_url, settings.gate_database_url), strict=True
    ):
        variable = f"FINSYNC_{role.removeprefix('finsync_').upper()}_DATABASE_URL"
        if own is None and not database.roles_log_in and settings.is_production:
            yield Finding(
                f"role {role}",
                Grade.ERROR,
                "It shares the owner's address: whoever takes the process over could read and change everything.",
                f"Set {variable} to a login that is only a member of {role}.",
            )
            continue
        try:
            with psycopg.connect(dsn(database.url(role)), connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.OperationalError as error:
            yield Finding(f"role {role}", Grade.ERROR, str(error).strip(), f"Check {variable}.")
            continue
        if row and row[0]:
            yield Finding(
                f"role {role}",
                Grade.ERROR,
                "It may see every business unit whatever the session.",
                "Take SUPERUSER and BYPASSRLS away from it.",
            )
        else:
            yield Finding(f"role {role}", Grade.OK, "connects with its own rights")


def _retention(settings: Settings, database: Database) -> Iterator[Finding]:
    """What the next run of the job "retention" would do."""
    try:
        keep = load_retention(settings.config)
        with database.connected("finsync_engine") as connection:
            due = retention.due(connection, keep, now=database_now(connection))
    except BadConfiguration:
        return  # told with the configuration
    except sa.exc.OperationalError:
        return  # told with the role
    except retention.UnknownHold as error:
        yield Finding("retention", Grade.ERROR, str(error), "Correct the hold in retention.toml.")
        return
    parts = [f"{len(due.unsettled)} months without a partition of their own"] if due.unsettled else []
    parts += [f"{of_table} of {month:%Y-%m}" for of_table, month in due.months]
    if due.work:
        parts.append(f"{due.work}{' or more' if due.work == retention.WORK_BATCH else ''} finished work items")
    under = f"{len(keep.holds)} legal holds. " if keep.holds else ""
    yield Finding(
        "retention",
        Grade.OK,
        under + ("Nothing is due." if due.is_nothing else f"Due at the engines' next run: {', '.join(parts)}."),
    )


def _systems(settings: Settings, systems: Systems) -> Iterator[Finding]:
    setup = make_setup(promote.load(settings.config), systems, rng=SystemRandom())
    for name, system in setup.systems.items():
        block = systems.systems[name]
        variable = f"FINSYNC_{name.upper()}_CLIENT_ID"
        if not secret(variable):
            yield Finding(
                f"system {name}",
                Grade.ERROR if settings.is_production else Grade.WARNING,
                f"No credentials for {block.base_url}.",
                f"Set {variable} and {variable.replace('_ID', '_SECRET')}, or the same with _FILE.",
            )
            continue
        yield _contact(name, system, connect_systems(setup, systems, timer=time.perf_counter)[name], block.base_url)


def _contact(name: str, system: System, session: Any, base_url: str) -> Finding:
    feed = system.feeds[0]
    began = time.perf_counter()
    try:
        page = feed.read(session, {}, datetime.now(UTC))
    except SyncError as error:
        return Finding(
            f"system {name}",
            Grade.ERROR,
            f"{base_url}: {error}",
            "Check the address in systems.toml, the credentials, and whether the system is up.",
        )
    return Finding(
        f"system {name}",
        Grade.OK,
        f"{base_url} answered the feed {feed.name} in {time.perf_counter() - began:.2f} s ({len(page.records)} records).",
    )
