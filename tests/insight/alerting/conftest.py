"""A house with the alert rules in force, looked at as an engine would look."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from config import FOLDER
from sync_engine.database.connections import Database
from sync_engine.engine import alert_rules, store
from sync_engine.engine.alert_rules import AlertConfiguration
from sync_engine.engine.clock import VirtualClock
from sync_engine.insight import fold
from sync_engine.insight.alerting.evaluate import Evaluated, evaluate
from sync_engine.insight.alerting.simulate import Answer, simulate
from sync_engine.model.alerts import AlertRule
from tests.house import TUESDAY, House

SHIPPED = alert_rules.load_alerts(FOLDER)


def shipped(name: str, **changes: Any) -> AlertRule:
    """A rule as it ships, with changes; its parameters are added to."""
    rule = SHIPPED.rules[name]
    changes["parameters"] = {**rule.parameters, **changes.get("parameters", {})}
    return AlertRule.model_validate({**rule.model_dump(mode="json"), **changes})


@dataclass
class Watch:
    """A house, and an engine's eye on it."""

    house: House
    configuration: AlertConfiguration = field(default=SHIPPED)
    began: datetime = TUESDAY

    @property
    def connection(self) -> psycopg.Connection:
        return self.house.connection

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def switch_on(self, **rules: AlertRule) -> None:
        """Put these rules in force, and no others; what is in force stays."""
        for name, rule in rules.items():
            alert_rules.add_version(self.connection, name, rule, source="app", by="test", now=self.now, reason="a test")
        self.began = self.now

    def look(self, now: datetime | None = None) -> Evaluated:
        """One evaluation, of what an engine has folded by then."""
        fold.fold_all(self.connection, now=now or self.now)
        return evaluate(
            self.connection,
            self.configuration,
            group_currency="EUR",
            now=now or self.now,
            new_id=self.house.engine.setup.new_id,
            link="https://finsync.test",
        )

    def pass_time(self, *, days: float, every: timedelta) -> None:
        """Let time pass, with a look after every stretch."""
        until = self.now + timedelta(days=days)
        while self.now < until:
            self.house.run(seconds=min(every, until - self.now).total_seconds())
            self.look()

    def ask(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        return store.rows(self.connection, statement, **values)

    def rewind(self, rule: AlertRule, *, tick: timedelta) -> Answer:
        """What the time machine says of a rule switched on when the last ones were."""
        calendars = {row["code"]: row["calendar"] for row in self.ask("alert.calendars_of_units")}
        return simulate(self.ask, rule, since=self.began, now=self.now, calendars=calendars, currency="EUR", tick=tick)

    def alerts(self, rule: str = "", *, only_open: bool = False) -> list[dict[str, Any]]:
        """Alerts as they stand, in the order in which they were found."""
        with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(
                "SELECT * FROM alert WHERE (%(rule)s = '' OR rule = %(rule)s) AND (resolved_at IS NULL OR NOT %(open)s) ORDER BY fired_at, subject",
                {"rule": rule, "open": only_open},
            ).fetchall()

    def history(self) -> list[str]:
        """What has happened to alerts, in order."""
        return [
            row[0] for row in self.connection.execute("SELECT what FROM alert_event ORDER BY happened_at, alert_id")
        ]

    def notices(self) -> list[dict[str, Any]]:
        """What is to be told outside."""
        with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute("SELECT * FROM alert_notice ORDER BY created_at, destination, notice_id").fetchall()

    def blocked_orders(self, *quantities: int) -> None:
        """Orders of so many pieces at 20.00 behind a cost centre that is blocked, need-by 25 September."""
        house = self.house
        made = [house.submit(house.line(quantity=str(quantity))) for quantity in quantities]
        house.run(minutes=10)
        house.s4hana.block_cost_centre(code="4711")
        for requisition in made:
            house.approve_in_coupa(requisition)
        house.run(minutes=30)

    def repair(self) -> None:
        """The cost centre is open again, and everything is reprocessed by somebody."""
        from sync_engine.control.roles import Role

        self.house.run(minutes=1)  # nobody repairs in the very moment of the last look
        self.house.s4hana.unblock_cost_centre(code="4711")
        self.house.reprocess(self.house.put_person("ops@demo.test", Role.FINANCE_OPERATIONS))


@pytest.fixture
def watch(connection: psycopg.Connection, database: Database) -> Watch:
    """Tuesday morning, no rule in force yet."""
    return Watch(House(VirtualClock(TUESDAY), connection, database))
