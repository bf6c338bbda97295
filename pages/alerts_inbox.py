"""The inbox: open alerts by cause, what to do about each, and who has it. Part of the alerts page.

An action is named by what it is about (the alerts as they stand, the person): a second click, a refresh or a second tab asks for
the same thing once.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid5

import streamlit as st

from pages import frame, overview_alerts
from pages.context import Context
from pages.format import count, due_words, duration, money, money_short, plain, visible, when
from pages.grids import grid
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action
from sync_engine.insight.reports import alerts as ask
from sync_engine.insight.reports.alerts import Alert, Cause, RuleInForce

COMMANDS = UUID("b5a1a9d0-2f6e-5d2c-9d35-5a1f6a6f5c02")
CAUSES_SHOWN = 12
LINES_SHOWN = 3
SEVERITY_COLOURS: dict[str, Any] = {"critical": "red", "high": "orange", "normal": "blue", "low": "gray"}
SNOOZE = {"4": "For 4 hours", "24": "For a day", "72": "For 3 days", "168": "For a week", "change": "Until it changes"}
_SAID = "alerts.said"


def draw(ctx: Context, found: list[Cause], rules: Mapping[str, RuleInForce], *, filtered: bool) -> None:
    """Causes with their actions, those that need somebody first."""
    said = st.session_state.pop(_SAID, None)
    if said:
        st.info(plain(said), icon=":material/info:")
    if not found:
        if filtered:
            frame.nothing_matches("open alerts", ["the business unit"], names=())
        elif rules:
            frame.nothing_happened("No alert is open. Every rule in force is looked at once a minute.")
        return
    shown = st.session_state.get("alerts.shown", CAUSES_SHOWN)
    for cause in found[:shown]:
        rule = rules.get(cause.first.rule)
        _cause(
            ctx,
            cause,
            title=rule.rule.title if rule else cause.first.rule,
            impact=rule.rule.impact if rule else "",
            runbook=rule.rule.runbook if rule else "",
        )
    if len(found) > shown:
        st.button(
            f"Show {count(min(CAUSES_SHOWN, len(found) - shown), 'more cause')} of {len(found) - shown:,}",
            on_click=_more,
            args=(shown,),
            icon=":material/expand_more:",
            key="alerts.more",
        )


def _more(shown: int) -> None:
    st.session_state["alerts.shown"] = shown + CAUSES_SHOWN


def _cause(ctx: Context, cause: Cause, *, title: str, impact: str, runbook: str) -> None:
    first = cause.first
    with st.container(border=True, gap="xsmall", key=f"alerts.cause.{first.alert_id}"):
        _head(ctx, cause)
        worth = f", {money_short(cause.value)}" if cause.value is not None else ""
        many = f"{len(cause.alerts)} with one cause" if len(cause.alerts) > 1 else plain(first.subject_name)
        st.markdown(f"**{plain(title)}**: {many}{worth}", anchors=False)
        if len(cause.alerts) > 1:
            st.text(visible(first.group_title))
        for alert in cause.alerts[:LINES_SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.text(_line(ctx, cause, alert), width="content")
                if alert.document_id is not None:
                    ctx.link("trace", "Trace", document=str(alert.document_id))
        more = len(cause.alerts) - LINES_SHOWN
        if more > 0:
            with st.expander(f"{count(more, 'more alert')}"):
                grid(
                    {"Alert": [_line(ctx, cause, alert) for alert in cause.alerts[LINES_SHOWN:]]},
                    key=f"alerts.rest.{first.alert_id}",
                )
        if impact:
            st.caption(plain(impact))
        overview_alerts.lead(ctx, cause)
        _actions(ctx, cause)
        with st.expander("What to do, and what was done", icon=":material/menu_book:"):
            st.text(runbook.strip() or "The rule is not in force any more.")
            _history(ctx, cause)


def _line(ctx: Context, cause: Cause, alert: Alert) -> str:
    """One alert: where several stand under one cause, what differs; else the whole message."""
    if len(cause.alerts) == 1:
        return visible(alert.message)
    parts = [alert.subject_name]
    if alert.group_amount is not None:
        parts.append(money(alert.group_amount))
    if alert.deadline_on is not None:
        parts.append(f"due {due_words((alert.deadline_on - ctx.moment.as_of.date()).days)}")
    return visible(", ".join(parts))


def _head(ctx: Context, cause: Cause) -> None:
    first = cause.first
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(first.severity.capitalize(), color=SEVERITY_COLOURS.get(first.severity, "gray"))
        if cause.is_escalated:
            st.badge("Escalated", color="red", icon=":material/priority_high:")
        if cause.nearest_on is not None:
            days = (cause.nearest_on - ctx.moment.as_of.date()).days
            st.badge(f"Due {due_words(days)}", color="red" if days <= 1 else "orange")
        if cause.state == "acknowledged":
            st.badge(f"Taken on by {plain(_who(cause, 'acknowledged_by'))}", color="blue")
        if cause.state == "snoozed":
            until = max((one.snoozed_until for one in cause.alerts if one.snoozed_until), default=None)
            st.badge(f"Put aside until {when(until, ctx.zone) if until else 'it changes'}", color="gray")
        age = duration((ctx.moment.as_of - cause.since).total_seconds())
        units = sorted({alert.business_unit for alert in cause.alerts} - {""})
        where = f"{', '.join(units[:3])}{' ...' if len(units) > 3 else ''}"
        st.caption(" · ".join(plain(part) for part in (where, first.owner_team, f"for {age}") if part), width="content")


def _who(cause: Cause, column: str) -> str:
    names = sorted({str(name) for one in cause.alerts if (name := getattr(one, column))})
    return ", ".join(names[:2]) + (" ..." if len(names) > 2 else "")


def _history(ctx: Context, cause: Cause) -> None:
    rows = ask.history(ctx.reports, [alert.alert_id for alert in cause.alerts])
    for row in rows[:12]:
        who = "" if row["actor"] == "finsync" else f" by {plain(row['actor'])}"
        name = f"{plain(row['subject_name'])} " if len(cause.alerts) > 1 else ""
        why = f": {plain(row['reason'])}" if row["reason"] else ""
        st.caption(f"{when(row['happened_at'], ctx.zone)} · {name}{row['what']}{who}{why}")


# -- what can be done -------------------------------------------------------------------------------------------------------


def _actions(ctx: Context, cause: Cause) -> None:
    if not ctx.may(Action.ACKNOWLEDGE_ALERT):
        st.caption(ctx.why_not(Action.ACKNOWLEDGE_ALERT))
        return
    key = str(cause.first.alert_id)
    with st.container(horizontal=True, gap="small"):
        if cause.firing:
            n = len(cause.firing)
            st.button(
                "Acknowledge" if n == 1 else f"Acknowledge {n}",
                key=f"alerts.acknowledge.{key}",
                icon=":material/check:",
                on_click=_ask,
                args=(ctx, Action.ACKNOWLEDGE_ALERT, cause, dict),
                help="You have it: nobody is reminded of it, and it resolves by itself when it is not so any more.",
            )
        if ctx.may(Action.SNOOZE_ALERT):
            with st.popover("Put aside", icon=":material/snooze:"):
                st.radio("How long", list(SNOOZE), format_func=SNOOZE.__getitem__, key=f"alerts.snooze.{key}")
                st.button(
                    "Put aside",
                    key=f"alerts.snooze.do.{key}",
                    on_click=_snooze,
                    args=(ctx, cause, f"alerts.snooze.{key}"),
                )
        if ctx.may(Action.RESOLVE_ALERT):
            with st.popover("It is over", icon=":material/done_all:"):
                st.text_input("Why", key=f"alerts.resolve.{key}", placeholder="Paid by hand on Monday, document 4711")
                st.button(
                    f"Resolve {count(len(cause.alerts), 'alert')}",
                    key=f"alerts.resolve.do.{key}",
                    on_click=_resolve,
                    args=(ctx, cause, f"alerts.resolve.{key}"),
                )


def _snooze(ctx: Context, cause: Cause, key: str) -> None:
    chosen = st.session_state[key]
    how: dict[str, Any] = {"until_change": True} if chosen == "change" else {"hours": int(chosen)}
    _ask(ctx, Action.SNOOZE_ALERT, cause, lambda: how)


def _resolve(ctx: Context, cause: Cause, key: str) -> None:
    _ask(ctx, Action.RESOLVE_ALERT, cause, dict, reason=str(st.session_state[key] or ""))


def _ask(ctx: Context, action: Action, cause: Cause, more: Callable[[], dict[str, Any]], *, reason: str = "") -> None:
    alerts = cause.firing if action is Action.ACKNOWLEDGE_ALERT else cause.alerts
    extra = more()
    command = uuid5(COMMANDS, f"{cause.turn(action.value, ctx.person.user_id)} {extra} {reason}")
    try:
        answered = ctx.ask(action, command, reason=reason, alert_ids=[str(one.alert_id) for one in alerts], **extra)
    except NotAllowed as refusal:
        st.session_state[_SAID] = str(refusal)
        return
    if answered is not None and answered.status != "done":
        st.session_state[_SAID] = answered.sentence
