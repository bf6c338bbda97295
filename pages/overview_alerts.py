"""The alerts on the overview: money that stands still with a date near, said in business words. Part of the overview page."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import streamlit as st

from pages.context import Context
from pages.format import count, due_words, money_short, plain, visible, when
from sync_engine.control.roles import Action
from sync_engine.insight.reports import overview as ask

ALERTS_SHOWN = 3
ALERT_COMMANDS = UUID("6f9f1b0e-8a4e-5a52-9a0e-0f6f4f0c7a11")
"""Acknowledging one alert is one command per person, however often the button is pressed."""


def draw(ctx: Context, units: Sequence[str] | None) -> None:
    """Open alerts, firing ones first, each with its way to the document and its acknowledgement."""
    found = ask.alerts(ctx.reports, units)
    firing = [alert for alert in found if alert.state == "firing"]
    st.subheader(f"{count(len(firing), 'alert')} to look at" if firing else "No alert is waiting", anchor=False)
    if not found:
        st.caption(
            "Blocked orders of EUR 10,000 and more needed within 5 days, and invoices of EUR 5,000 and more due within 5 days, would stand here."
        )
        return
    for alert in found[:ALERTS_SHOWN]:
        _alert(ctx, alert)
    more = found[ALERTS_SHOWN:]
    if more:
        with st.expander(f"{count(len(more), 'more alert')}, of less value"):
            for alert in more:
                _alert(ctx, alert)


def _alert(ctx: Context, alert: ask.Alert) -> None:
    days = (alert.deadline_on - ctx.moment.as_of.date()).days
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(f"Due {due_words(days)}", color="red" if days <= 1 else "orange")
            st.markdown(
                f"**{money_short(alert.group_amount)}** · {plain(alert.number)} · {plain(alert.business_unit)}",
                anchors=False,
                width="content",
            )
        st.text(visible(alert.message))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            ctx.link("trace", "Trace", document=str(alert.document_id))
            if alert.state == "acknowledged":
                st.caption(f"Acknowledged by {plain(alert.acknowledged_by)}", width="content")
            elif ctx.may(Action.ACKNOWLEDGE_ALERT):
                st.button(
                    "Acknowledge",
                    key=f"overview.alert.{alert.alert_id}",
                    on_click=_acknowledge,
                    args=(ctx, alert.alert_id),
                    type="tertiary",
                    icon=":material/check:",
                )
            st.caption(f"{plain(alert.owner_team)}, since {when(alert.fired_at, ctx.zone)}", width="content")


def _acknowledge(ctx: Context, alert_id: UUID) -> None:
    answered = ctx.ask(
        Action.ACKNOWLEDGE_ALERT, uuid5(ALERT_COMMANDS, f"{alert_id} {ctx.person.user_id}"), alert_id=str(alert_id)
    )
    if answered is not None and answered.status != "done":
        st.toast(plain(answered.sentence))
