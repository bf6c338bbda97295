"""What needs somebody now, by cause and in money; how the rules do that say so; and what was told outside."""

from functools import partial

import streamlit as st

from pages import alerts_inbox, alerts_notices, alerts_rules, filters, frame, switches
from pages.context import Context
from pages.format import count, due_words, money_short
from pages.frame import Definition, Explainer, Figure, LeftOut, Said
from pages.switches import Switch
from sync_engine.control.roles import Role
from sync_engine.insight.reports import alerts as ask
from sync_engine.insight.reports.alerts import Cause

TITLE = "Alerts"
QUESTION = "What needs somebody now, and who has it?"
URL_PATH = "alerts"
ROLES = frozenset(Role)
SECTION = "Today"
ICON = ":material/notifications:"
LACKS = "rules, owners and deadlines: alerts watch our own documents and the systems we read"

VIEW = Switch("view", "Show", {"inbox": "Inbox", "rules": "Rules", "notices": "Told outside"})

DEFINITIONS = (
    Definition("Alert", "one rule, one subject, one occasion: a document and its date, or a source, cause or approver and the day on which it began. However often it is found, it is one", "what the rules in force find", "now", "the rule's own"),
    Definition("Cause", "alerts of one rule with the same cause stand together: 37 requisitions behind one blocked cost centre are one line with a list", "open alerts", "now"),
    Definition("Firing", "found, for as long as the rule asks, and neither taken on nor put aside", "open alerts", "now"),
    Definition("Worth", "amounts of the documents; a document that two rules speak of counts in both causes and once in the figure", "open alerts about documents", "now"),
    Definition("Escalated", "causes that were told again, higher: nobody took them on in time, they are large, or their date is near", "causes that are firing", "now"),
    Definition("In somebody's hands", "alerts that somebody has acknowledged, for as long as they said", "open alerts", "now"),
    Definition("Put aside", "alerts that are not told until a moment; they are looked at all the same", "open alerts", "now"),
    Definition("Not got through", "notices that were given up after every repeat", "notices to destinations outside", f"last {alerts_notices.SHOWN.days} days", left_out="notices that still wait or are being repeated"),
    Definition("Acted upon", "somebody took the alert on, put it aside, said that it is over, or worked on the exception of its document, within the rule's own time", f"alerts of the last {ask.HEALTH_DAYS} days that are old enough to be judged", "fired in the last 90 days", "wall"),
    Definition("Went by itself", "not found any more, and nobody had acted", "alerts that fired", "fired in the last 90 days"),
    Definition("Lead time", "from the alert to the end of the day it is about, median; negative: it came too late", "alerts with a date", "fired in the last 90 days", "wall"),
    Definition("Time machine", f"the rule over the last 90 days, looked at every {ask.STEP.total_seconds() / 60:.0f} minutes, with amounts and dates as documents have them now; people's acknowledgements are left out", "what you may see", "90 days", "the rule's own"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, with_period=False)
    found = ask.causes(ask.alerts(ctx.reports, chosen.units))
    told = ask.notices(ctx.reports, since=ctx.moment.as_of - alerts_notices.SHOWN)
    failed = [row for row in told if row["status"] == "given_up"]
    rules = ask.rules(ctx.reports)
    watching = sum(one.rule.enabled for one in rules.values())
    said.answer(_answer(ctx, found, watching, len(failed)))
    if not rules:
        frame.no_data(ctx, said)
    is_editing = switches.read(VIEW) == "rules" and "rule" in st.query_params
    if not is_editing:
        frame.figures(_figures(ctx, said, found, len(failed), len(told)))
    switches.complain({"view": VIEW.options})
    switches.draw(VIEW)
    match switches.read(VIEW):
        case "rules":
            alerts_rules.draw(ctx, rules)
        case "notices":
            alerts_notices.draw(ctx, told)
        case _:
            alerts_inbox.draw(ctx, found, rules, filtered=bool(chosen.units))
    frame.explain(ctx, DEFINITIONS)


def _answer(ctx: Context, found: list[Cause], watching: int, failed: int) -> str:
    firing = [cause for cause in found if cause.state == "firing"]
    parts = []
    if firing:
        n = sum(len(cause.firing) for cause in firing)
        verb = "needs" if len(firing) == 1 else "need"
        worth = _worth(firing)
        dated = [cause.nearest_on for cause in firing if cause.nearest_on is not None]
        nearest = f", the nearest due {due_words((min(dated) - ctx.moment.as_of.date()).days)}" if dated else ""
        of = f" ({count(n, 'alert')})" if n != len(firing) else ""
        parts.append(
            f"{count(len(firing), 'cause')}{of} {verb} somebody{f', worth {money_short(worth)}' if worth else ''}{nearest}."
        )
    elif found:
        parts.append(
            f"Nothing waits: {count(len(found), 'cause')} {'is' if len(found) == 1 else 'are'} in somebody's hands."
        )
    else:
        parts.append(
            f"None of the {count(watching, 'rule')} in force finds anything."
            if watching
            else "No rule is in force yet: nothing has been looked at."
        )
    if failed:
        parts.append(f"{count(failed, 'notice')} did not get through.")
    return " ".join(parts)


def _worth(causes: list[Cause]) -> float:
    """Amounts together, a document once."""
    amounts = {
        alert.document_id or alert.alert_id: alert.group_amount
        for cause in causes
        for alert in cause.alerts
        if alert.group_amount is not None
    }
    return float(sum(amounts.values()))


def _figures(ctx: Context, said: Said, found: list[Cause], failed: int, told: int) -> list[Figure]:
    firing = [cause for cause in found if cause.state == "firing"]
    held = [alert for cause in found for alert in cause.alerts if alert.state == "acknowledged"]
    aside = [alert for cause in found for alert in cause.alerts if alert.state == "snoozed"]
    escalated = [cause for cause in firing if cause.is_escalated]
    alerts = sum(len(cause.firing) for cause in firing)
    worthy = len({alert.document_id for cause in firing for alert in cause.alerts if alert.document_id is not None})
    why = Explainer(ctx, DEFINITIONS, said.sources)
    return [
        Figure(
            "Causes that need somebody",
            f"{len(firing):,}",
            n=count(alerts, "alert"),
            target="target: none",
            explained=why(
                "firing",
                "Firing",
                "count of causes with an alert that fires",
                alerts,
                "alert",
                left_out=(LeftOut("in somebody's hands", len(held)), LeftOut("put aside", len(aside))),
            ),
        ),
        Figure(
            "Worth",
            money_short(_worth(firing)),
            n="each document once",
            explained=why(
                "worth", "Worth", "sum of the amounts in group currency, each document once", worthy, "document"
            ),
        ),
        Figure(
            "Escalated",
            f"{len(escalated):,}",
            n="nobody in time, large, or near",
            explained=why("escalated", "Escalated", "count of causes", len(escalated), "cause"),
        ),
        Figure(
            "In somebody's hands",
            f"{len(held):,}",
            n="acknowledged",
            explained=why("held", "In somebody's hands", "count of alerts", len(held), "alert"),
        ),
        Figure(
            "Put aside",
            f"{len(aside):,}",
            n="evaluated all the same",
            explained=why("aside", "Put aside", "count of alerts", len(aside), "alert"),
        ),
        Figure(
            "Not got through",
            f"{failed:,}",
            n=f"of {count(told, 'notice')} in {alerts_notices.SHOWN.days} days" if told else "nothing was told outside",
            target="target: 0",
            link=partial(ctx.link, URL_PATH, f"Show {count(failed, 'notice')}", view="notices") if failed else None,
            explained=why("undelivered", "Not got through", "count of notices given up", told, "notice"),
        ),
    ]
