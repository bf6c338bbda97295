"""The alerts on the overview: money that stands still with a date near, said in business words. Part of the overview page."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import streamlit as st

from pages.context import Context
from pages.format import count, due_words, money_short, plain, visible, when
from sync_engine.control.roles import Action
from sync_engine.insight.reports import alerts as ask
from sync_engine.insight.reports.alerts import Cause

CAUSES_SHOWN = 3
ALERT_COMMANDS = UUID("6f9f1b0e-8a4e-5a52-9a0e-0f6f4f0c7a11")
"""Acknowledging the same alerts is one command per person, however often the button is pressed."""


def draw(ctx: Context, units: Sequence[str] | None) -> None:
    """What nobody has taken on yet, by cause, each with its way to the document and its acknowledgement."""
    found = ask.causes(ask.alerts(ctx.reports, units))
    firing = [cause for cause in found if cause.state == "firing"]
    st.subheader(f"{count(len(firing), 'alert')} to look at" if firing else "No alert is waiting", anchor=False)
    if not found:
        st.caption("Every rule was looked at; nothing it watches is so.")
    for cause in found[:CAUSES_SHOWN]:
        _cause(ctx, cause)
    more = len(found) - CAUSES_SHOWN
    ctx.link(
        "alerts",
        f"All alerts, {more} more" if more > 0 else "Alerts and their rules",
        icon=":material/notifications:",
    )


def _cause(ctx: Context, cause: Cause) -> None:
    first = cause.first
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if cause.nearest_on is not None:
                days = (cause.nearest_on - ctx.moment.as_of.date()).days
                st.badge(f"Due {due_words(days)}", color="red" if days <= 1 else "orange")
            worth = f"**{money_short(cause.value)}** · " if cause.value is not None else ""
            name = plain(first.subject_name) if len(cause.alerts) == 1 else f"{len(cause.alerts)} with one cause"
            unit = f" · {plain(first.business_unit)}" if first.business_unit else ""
            st.markdown(f"{worth}{name}{unit}", anchors=False, width="content")
        st.text(visible(first.message))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if first.document_id is not None:
                ctx.link("trace", "Trace", document=str(first.document_id))
            lead(ctx, cause)
            if cause.state == "acknowledged":
                st.caption(f"Acknowledged by {plain(first.acknowledged_by)}", width="content")
            elif cause.firing and ctx.may(Action.ACKNOWLEDGE_ALERT):
                st.button(
                    "Acknowledge",
                    key=f"overview.alert.{first.alert_id}",
                    on_click=acknowledge,
                    args=(ctx, cause),
                    type="tertiary",
                    icon=":material/check:",
                )
            st.caption(f"{plain(first.owner_team)}, since {when(cause.since, ctx.zone)}", width="content")


def lead(ctx: Context, cause: Cause) -> None:
    """The way to what a cause is about beside single documents: what is counted can be opened."""
    kind, _, what = cause.first.group_key.partition(":")
    units = sorted({alert.business_unit for alert in cause.alerts} - {""})
    if kind == "cause":
        ctx.link("exceptions", "Its exceptions", icon=":material/arrow_forward:", cause=what, unit=None)
    elif kind == "approver":
        where = visible(", ".join(units))
        ctx.link("stuck", f"What waits for approval in {where}", icon=":material/arrow_forward:", reason="awaiting approval", level="all", unit=units)  # fmt: skip
    elif kind == "objective":
        ctx.link("service-levels", "Its objective", icon=":material/arrow_forward:", objective=what, unit=None)
    elif kind == "system":
        ctx.link("health", "Open Integration health", icon=":material/arrow_forward:")


def acknowledge(ctx: Context, cause: Cause) -> None:
    """Take on everything of a cause that fires."""
    ids = sorted(str(alert.alert_id) for alert in cause.firing)
    command = uuid5(ALERT_COMMANDS, cause.turn("acknowledge", ctx.person.user_id))
    answered = ctx.ask(Action.ACKNOWLEDGE_ALERT, command, alert_ids=ids)
    if answered is not None and answered.status != "done":
        st.toast(plain(answered.sentence))
