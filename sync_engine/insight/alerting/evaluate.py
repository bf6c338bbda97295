"""One evaluation of every rule in force: a singleton job, so that two engines never tell twice; and if they did evaluate at once,
the locks on a rule's alerts and the key of an alert would still leave one of each.

Each rule stands in a transaction of its own: read what is found, lock its alerts, decide, write what has changed. Its cost goes
with what is open, not with what has been.
"""

import json
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog

from sync_engine.database.arrays import array_literal
from sync_engine.engine import store
from sync_engine.engine.alert_rules import AlertConfiguration, RuleInForce, in_force
from sync_engine.insight.alerting import findings, notices, states
from sync_engine.insight.alerting.notices import Notice
from sync_engine.insight.alerting.states import Alert, Happening
from sync_engine.model.ids import NewId

log = structlog.get_logger()


@dataclass(slots=True)
class Evaluated:
    """What one evaluation came to."""

    firing: int = 0
    fired: int = 0
    resolved: int = 0
    notices: int = 0


def evaluate(
    connection: psycopg.Connection,
    configuration: AlertConfiguration,
    *,
    group_currency: str,
    now: datetime,
    new_id: NewId,
    link: str = "",
) -> Evaluated:
    """Evaluate every rule in force.

    Args:
        connection: As the engine.
        configuration: Who is reached how; the rules themselves are those in force in the database.
        group_currency: Of the amounts.
        now: The moment.
        new_id: Makes ids.
        link: Where the application is, for links in notices.

    Raises:
        psycopg.Error: of the first rule that could not be evaluated, once the others have been.
    """
    done, first_error = Evaluated(), None
    calendars = {row["code"]: row["calendar"] for row in store.rows(connection, "alert.calendars_of_units")}
    rules = {name: rule for name, rule in in_force(connection).items() if rule.rule.enabled}
    for rule in rules.values():
        try:
            with connection.transaction():
                _one(
                    connection,
                    rule,
                    configuration,
                    calendars,
                    done,
                    now=now,
                    new_id=new_id,
                    link=link,
                    currency=group_currency,
                )
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            log.warning("an alert rule could not be evaluated", rule=rule.name, error=str(error).splitlines()[0])
            first_error = first_error or error
    with connection.transaction():
        ended = store.rows(connection, "alert.end_alerts_of_other_rules", rule=list(rules), now=now)
        done.resolved += len(ended)
        write_events(
            connection,
            ended,
            "resolved",
            actor=states.ENGINE,
            reason="the rule is switched off",
            state="resolved",
            now=now,
        )
    if first_error is not None:
        raise first_error
    return done


def _one(
    connection: psycopg.Connection,
    rule: RuleInForce,
    configuration: AlertConfiguration,
    calendars: dict[str, str],
    done: Evaluated,
    *,
    now: datetime,
    new_id: NewId,
    link: str,
    currency: str,
) -> None:
    def ask(statement: str, **values: Any) -> list[dict[str, Any]]:
        return store.rows(connection, statement, **values)

    found = findings.find_now(ask, rule.rule, now)
    known = [
        Alert(**{name: row[name] for name in states.COLUMNS})
        for row in ask(
            "alert.lock_alerts",
            rule=rule.name,
            subject=[one.subject for one in found],
            occasion=[states.occasion_of(one, now) for one in found],
        )
    ]
    before = {alert.alert_id: copy(alert) for alert in known}
    _note_acts(connection, known, now)
    alerts, happened = states.evaluate(known, found, rule, now=now, new_id=new_id, currency=currency)
    groups = notices.groups_to_tell(alerts, rule, now)
    told = notices.plan(ask, groups, rule, configuration, calendars=calendars, now=now, link=link, currency=currency)
    _write(connection, [alert for alert in alerts if before.get(alert.alert_id) != alert])
    _write_history(connection, happened, now)
    _write_notices(connection, told, new_id, now)
    done.firing += sum(alert.state == "firing" and not alert.is_silent for alert in alerts)
    done.fired += sum(one.what == "fired" for one in happened)
    done.resolved += sum(one.what == "resolved" for one in happened)
    done.notices += len(told)


def _note_acts(connection: psycopg.Connection, alerts: Iterable[Alert], now: datetime) -> None:
    """Whoever works on the exception behind an alert acts upon the alert, whether or not they have touched it."""
    waiting = {
        alert.document_id: alert
        for alert in alerts
        if alert.is_open and alert.acted_at is None and alert.fired_at is not None and alert.document_id is not None
    }
    if not waiting:
        return
    since = min(alert.fired_at or now for alert in waiting.values())
    for row in store.rows(connection, "alert.acts", document_id=list(waiting), since=since):
        alert = waiting[row["document_id"]]
        if alert.acted_at is None and alert.fired_at is not None and row["happened_at"] > alert.fired_at:
            alert.acted_at = row["happened_at"]


def _write(connection: psycopg.Connection, alerts: list[Alert]) -> None:
    if alerts:
        columns = {name: array_literal([getattr(alert, name) for alert in alerts]) for name in states.COLUMNS}
        store.run(connection, "alert.put_alerts", **columns)


def _write_history(connection: psycopg.Connection, happened: list[Happening], now: datetime) -> None:
    if happened:
        store.run(
            connection,
            "alert.add_alert_events",
            alert_id=array_literal([one.alert.alert_id for one in happened]),
            what=array_literal([one.what for one in happened]),
            actor=array_literal([one.actor for one in happened]),
            reason=array_literal([one.reason for one in happened]),
            state=array_literal([one.alert.state for one in happened]),
            business_unit=array_literal([one.alert.business_unit for one in happened]),
            now=now,
        )


def write_events(
    connection: psycopg.Connection,
    rows: list[dict[str, Any]],
    what: str,
    *,
    actor: str,
    reason: str,
    state: str,
    now: datetime,
) -> None:
    """The same thing that has happened to several alerts (alert_id and business_unit in each row)."""
    if rows:
        n = len(rows)
        store.run(
            connection,
            "alert.add_alert_events",
            alert_id=array_literal([row["alert_id"] for row in rows]),
            what=[what] * n,
            actor=[actor] * n,
            reason=[reason] * n,
            state=[state] * n,
            business_unit=array_literal([row["business_unit"] for row in rows]),
            now=now,
        )


def _write_notices(connection: psycopg.Connection, told: list[Notice], new_id: NewId, now: datetime) -> None:
    if told:
        store.run(
            connection,
            "alert.add_notices",
            notice_id=array_literal([new_id(now) for _ in told]),
            rule=array_literal([one.rule for one in told]),
            group_key=array_literal([one.group_key for one in told]),
            destination=array_literal([one.destination for one in told]),
            severity=array_literal([one.severity for one in told]),
            alert_ids=array_literal([",".join(str(alert.alert_id) for alert in one.alerts) for one in told]),
            content=array_literal([json.dumps(one.content) for one in told]),
            is_digest=array_literal([one.is_digest for one in told]),
            due_at=array_literal([one.due_at for one in told]),
            business_unit=array_literal([one.business_unit for one in told]),
            now=now,
        )
