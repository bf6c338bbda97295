"""What the engine's process does about alerts: puts the rules in force, evaluates them, and sends what is to be told."""

import psycopg

from collectors import notices
from collectors.notices import MailServer
from sync_engine.configuration import Systems
from sync_engine.database.arrays import array_literal
from sync_engine.engine import alert_rules, store
from sync_engine.engine.engine import database_now
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.schedule import Job, every
from sync_engine.insight.alerting.deliver import Send, deliver
from sync_engine.insight.alerting.evaluate import evaluate
from sync_engine.insight.alerting.shapes import Message
from sync_engine.model.alerts import Destination
from sync_engine.model.errors import ConfigurationError
from sync_engine.settings import Settings, secret

EVALUATED_EVERY_S = 60
SENT_EVERY_S = 5


def put_in_force(settings: Settings, systems: Systems, connection: psycopg.Connection, *, by: str) -> None:
    """Put the file's rules in force, and note what will expire."""
    now = database_now(connection)
    alert_rules.put_in_force(connection, alert_rules.load_alerts(settings.config), now=now, by=by)
    stated = systems.expiries()
    store.rows(
        connection,
        "alert.put_expiries",
        name=array_literal([name for name, _, _ in stated]),
        kind=array_literal([kind for _, kind, _ in stated]),
        expires_on=array_literal([day for _, _, day in stated]),
        now=now,
    )


def jobs(settings: Settings, setup: Setup) -> list[Job]:
    """The evaluation, once for all engines; and the sending, which engines share."""
    send = sender(settings)

    def look(connection: psycopg.Connection) -> str:
        done = evaluate(
            connection,
            alert_rules.load_alerts(settings.config),
            group_currency=setup.mappings.group_currency,
            now=database_now(connection),
            new_id=setup.new_id,
            link=settings.app_url,
        )
        return f"{done.firing} firing, {done.fired} new, {done.resolved} resolved, {done.notices} notices"

    def tell(connection: psycopg.Connection) -> str:
        done = deliver(
            connection,
            alert_rules.load_alerts(settings.config),
            send=send,
            secret=secret,
            now=lambda: database_now(connection),
        )
        return f"{done.sent} sent, {done.later} later, {done.given_up} given up, {done.overtaken} overtaken"

    # fmt: off
    return [
        Job("alerts",  every(EVALUATED_EVERY_S), 60, look, singleton=True),
        Job("notices", every(SENT_EVERY_S),      30, tell),
    ]
    # fmt: on


def sender(settings: Settings) -> Send:
    """The network behind every kind of destination."""

    def send(destination: Destination, address: str, message: Message) -> None:
        if message.mail is None:
            notices.post(address, message.body, message.headers, allow_private=destination.allow_private)
            return
        if not settings.smtp_host or not settings.smtp_sender:
            raise ConfigurationError("Mail needs FINSYNC_SMTP_HOST and FINSYNC_SMTP_SENDER.")
        server = MailServer(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_sender,
            settings.smtp_starttls,
            lambda: (secret("FINSYNC_SMTP_USER"), secret("FINSYNC_SMTP_PASSWORD")),
        )
        notices.hand_in(message.mail, server)

    return send
