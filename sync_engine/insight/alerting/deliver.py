"""Tries to get notices through: any engine may take one, one at a time has it, and what failed is due again later.

A notice is sent at least once: an engine that dies between sending and noting it sends again, under the same id, by which the
receiver knows it. What nobody has to know any more (every alert in it is over) is not sent. One that is given up is shown, and is
itself an alert, in the inbox alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog

from sync_engine.database.arrays import array_literal
from sync_engine.engine import store
from sync_engine.engine.alert_rules import AlertConfiguration
from sync_engine.insight.alerting.shapes import BadKey, Message, shaped
from sync_engine.model.alerts import Destination
from sync_engine.model.errors import BusinessRejection, ConfigurationError, SyncError

RETRY_AFTER = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""The schedule that Standard Webhooks proposes: ten tries in a little over three days."""

LEASE = timedelta(minutes=2)
"""Longer than every timeout of a sender together."""

WANTED = 20
MESSAGE_CHARS = 300

Send = Callable[[Destination, str, Message], None]
"""Sends a message to a destination under its address. Raises SyncError; ConfigurationError: no try will do."""

Secret = Callable[[str], str]
"""A secret by its name, read anew every time."""

log = structlog.get_logger()


@dataclass(slots=True)
class Delivered:
    """What one round came to."""

    sent: int = 0
    later: int = 0
    given_up: int = 0
    overtaken: int = 0


@dataclass(frozen=True, slots=True)
class _Settled:
    notice_id: UUID
    status: str
    due_at: datetime | None = None
    error: str = ""


def deliver(
    connection: psycopg.Connection,
    configuration: AlertConfiguration,
    *,
    send: Send,
    secret: Secret,
    now: Callable[[], datetime],
) -> Delivered:
    """Send what is due. The connection is idle while a destination is spoken to: no transaction waits for the network.

    Args:
        connection: As the engine, in autocommit.
        configuration: The destinations.
        send: The network.
        secret: Where addresses and keys are.
        now: The time, asked again for every message.
    """
    done = Delivered()
    began = now()
    claimed = store.rows(connection, "alert.claim_notices", wanted=WANTED, lease_until=began + LEASE, now=began)
    claimed.sort(key=lambda row: (row["created_at"], row["notice_id"]))
    for group in _together(claimed):
        told = [row for row in group if row["is_open"]]
        settled = [_Settled(row["notice_id"], "overtaken") for row in group if not row["is_open"]]
        if told:
            settled += _try(told, configuration, send, secret, now())
        _settle(connection, settled, now())
        for one in settled:
            done.sent += one.status == "sent"
            done.later += one.status == "due"
            done.given_up += one.status == "given_up"
            done.overtaken += one.status == "overtaken"
    return done


def _together(claimed: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Notices of a digest to one destination are one message; every other is its own."""
    groups: dict[object, list[dict[str, Any]]] = {}
    for row in claimed:
        groups.setdefault(("digest", row["destination"]) if row["is_digest"] else row["notice_id"], []).append(row)
    return list(groups.values())


def _try(
    rows: Sequence[dict[str, Any]], configuration: AlertConfiguration, send: Send, secret: Secret, now: datetime
) -> list[_Settled]:
    name = rows[0]["destination"]
    try:
        destination = configuration.destinations.get(name)
        if destination is None:
            raise ConfigurationError(f"There is no destination {name} any more.")
        try:
            message = shaped(
                destination.kind,
                [row["content"] for row in rows],
                notice_id=rows[0]["notice_id"],
                now=now,
                key=secret(destination.key_secret) if destination.key_secret else "",
                to=destination.to,
            )
            address = secret(destination.url_secret) if destination.url_secret else destination.url
        except (BadKey, OSError) as error:
            raise ConfigurationError(f"The secret of {name} cannot be used: {error}") from error
        if destination.kind != "mail" and not address:
            raise ConfigurationError(f"The secret {destination.url_secret} with the address of {name} is not there.")
        send(destination, address, message)
    except SyncError as error:
        return [_failed(row, error, now) for row in rows]
    return [_Settled(row["notice_id"], "sent") for row in rows]


def _failed(row: dict[str, Any], error: SyncError, now: datetime) -> _Settled:
    said = str(error)[:MESSAGE_CHARS]
    log.warning(
        "a notice did not get through",
        destination=row["destination"],
        notice=str(row["notice_id"]),
        tries=row["tries"],
        error=said,
    )
    is_gone = isinstance(error, BusinessRejection) and error.facts.get("status") == "410"
    if is_gone or row["tries"] > len(RETRY_AFTER):
        return _Settled(row["notice_id"], "given_up", error=said)
    return _Settled(row["notice_id"], "due", now + RETRY_AFTER[row["tries"] - 1], said)


def _settle(connection: psycopg.Connection, settled: Sequence[_Settled], now: datetime) -> None:
    store.run(
        connection,
        "alert.settle_notices",
        notice_id=array_literal([one.notice_id for one in settled]),
        status=array_literal([one.status for one in settled]),
        due_at=array_literal([one.due_at for one in settled]),
        last_error=array_literal([one.error for one in settled]),
        now=now,
    )
