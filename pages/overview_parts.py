"""The parts of the overview that draw: what holds the money up, and what has changed."""

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd
import streamlit as st

from pages import charts, filters, frame
from pages.context import Context
from pages.format import count, day, duration, money_short, percent, sentence, visible, when
from sync_engine.insight.reports import cycle_time, service_levels
from sync_engine.insight.reports import overview as ask
from sync_engine.model.exceptions import kind_of


@dataclass
class Facts:
    """What the page is made of; None where a question stayed without an answer."""

    gap: ask.Gap | None = None
    documents: pd.DataFrame | None = None
    speed: cycle_time.Figures | None = None
    exceptions: ask.Share | None = None
    exceptions_before: ask.Share | None = None
    objectives: tuple[service_levels.ServiceLevel, ...] | None = None
    risk: pd.DataFrame | None = None

    @property
    def stuck(self) -> pd.DataFrame | None:
        """The open documents that are stuck."""
        return None if self.documents is None else ask.stuck_of(self.documents)


# -- what holds the money up ----------------------------------------------------------------------------------------------------


def holds_up(ctx: Context, facts: Facts) -> None:
    stuck = facts.stuck
    if stuck is None:
        return
    if stuck.empty:
        st.subheader("Nothing holds money up", anchor=False)
        frame.nothing_happened(
            f"0 of {count(len(facts.documents) if facts.documents is not None else 0, 'open document')} is past the 95th percentile of its peers, past an objective or behind a blocking exception."
        )
        return
    money = stuck.assign(value=stuck["group_amount"].fillna(0).astype(float))
    reasons = (
        money.groupby("reason")
        .agg(value=("value", "sum"), documents=("document_id", "nunique"), oldest_s=("age_wall_s", "max"))
        .reset_index()
        .sort_values("value", ascending=False)
    )
    reasons["reason"] = [sentence(visible(reason)) for reason in reasons["reason"]]
    # A phone has room for the money; how many documents it is stands in the table behind the chart.
    reasons["text"] = [
        money_short(row.value) + ("" if ctx.narrow else f" · {count(row.documents, 'document')}")
        for row in reasons.itertuples()
    ]
    reasons["hover"] = [
        f"{row.reason}: {money_short(row.value)} in {count(row.documents, 'document')}, oldest {duration(row.oldest_s)}"
        for row in reasons.itertuples()
    ]
    total = float(reasons["value"].sum()) or 1.0
    top = reasons.iloc[0]
    figure = charts.bars(
        reasons,
        label="reason",
        value="value",
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
        colour=charts.STUCK,
    )
    table = reasons[["reason", "documents", "value"]].rename(
        columns={"reason": "Reason", "documents": "Documents", "value": "Value (EUR)"}
    )
    frame.chart(
        figure,
        f"{visible(top['reason'])} holds up {percent(float(top['value']) / total, digits=0)} of the stuck money",
        table,
        key="overview.reasons",
        note="Value of stuck documents by what they stand for, in EUR.",
    )


# -- what changed -------------------------------------------------------------------------------------------------------------------


def changed(ctx: Context, chosen: filters.Filters) -> None:
    now = ctx.moment.as_of
    since = now - timedelta(days=1)
    moved = ask.moved(ctx.reports, chosen.units, since=since, until=now)
    causes = ask.new_causes(ctx.reports, chosen.units, since=since)
    st.subheader("In the last 24 hours", anchor=False)
    st.markdown(
        f"{count(moved.ordered, 'order')} accepted by the ERP, {count(moved.posted, 'invoice')} posted, {count(moved.decided, 'approval')} decided. "
        f"{count(moved.raised, 'exception')} came up and {moved.closed:,} were closed, {moved.self_cured:,} of them by themselves."
    )
    if causes.empty:
        st.caption("No cause was met for the first time.")
        return
    st.caption(f"{count(len(causes), 'cause')} met for the first time:")
    for row in causes.head(5).to_dict("records"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge("New", color="blue")
            st.text(f"{kind_of(row['code']).title}: {visible(row['message'])[:160]}", width="content")
            st.caption(f"{money_short(row['value'])}, since {when(row['first_seen'], ctx.zone)}", width="content")
            ctx.link("exceptions", f"Show {count(row['open'], 'open exception')}", cause=row["fingerprint"])
    st.caption(f"{day(since.astimezone(ctx.zone).date())} to {day(now.astimezone(ctx.zone).date())}.")
