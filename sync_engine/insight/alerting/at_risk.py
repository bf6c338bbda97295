"""Invoices that will probably be paid late (PRODUCT.md 4.8): by P(on time) as the page on what is due works it out, from the same
statements and the same peers, so that an alert and the page never say two chances."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sync_engine.engine.alert_rules import Ask
from sync_engine.insight import open_invoices
from sync_engine.insight.due import LEAST
from sync_engine.insight.statistics import SOME
from sync_engine.model.alerts import AlertRule


class _Asking:
    """The engine's way of asking, as the reports put it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def remembered(self, question: str, **arguments: Any) -> list[dict[str, Any]]:
        """The rows that answer."""
        return self._ask(question, **arguments)


def find(ask: Ask, rule: AlertRule, now: datetime) -> list[dict[str, Any]]:
    """Open invoices whose due date is at most so many working days away, or past, and whose P(on time) is below the rule's. What rests on
    fewer than 30 peers is a guess and disturbs nobody; what is past its due date needs no peers."""
    asking = _Asking(ask)
    known = open_invoices.rules(asking, as_of=now)
    if known is None:
        return []
    found = open_invoices.judge(asking, rule.units or None, known, as_of=now, suppliers=rule.suppliers or None)
    below, days, least = float(rule.number("percent")) / 100, int(rule.number("days")), rule.number("amount_min")
    return [
        {
            "subject": f"document:{row['document_id']}", "subject_name": row["number"], "document_id": row["document_id"], "business_unit": row["business_unit"], "deadline_on": row["due_on"], "group_amount": row["group_amount"],
            "group_key": f"unit:{row['business_unit']}", "group_title": f"Invoices of {row['business_unit']} that will probably be paid late", "standing": row["state"], "who": row["supplier_name"], "why": _why(row),
        }
        for row in found.rows
        if row["p_on_time"] is not None and row["p_on_time"] < below and (row["p_on_time"] <= LEAST or row["peers"] >= SOME)
        and row["working_days_to_due"] is not None and row["working_days_to_due"] <= days and (row["group_amount"] or 0) >= least
    ]  # fmt: skip


def _why(row: Mapping[str, Any]) -> str:
    if row["p_on_time"] <= LEAST:
        return f"cannot be paid in time any more: {row['reason']}"
    return f"in time with {row['p_on_time']:.0%} ({row['peers']:,} peers): {row['reason']}"
