"""The parts of the overview that draw: what holds the money up, and what has changed."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pandas as pd
import streamlit as st

from pages import charts, filters, frame, switches
from pages.context import Addresses, Context
from pages.format import count, day, duration, money_short, percent, sentence, shortened, visible, when, words
from pages.stuck_parts import many
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import cycle_time, service_levels
from sync_engine.insight.reports import overview as ask
from sync_engine.insight.reports.reading import rounded
from sync_engine.model.exceptions import kind_of


@dataclass
class Facts:
    """What the page is made of; None where a question stayed without an answer."""

    gap: ask.Gap | None = None
    documents: pd.DataFrame | None = None
    """Everything open, counted."""
    speed: cycle_time.Figures | None = None
    exceptions: ask.Share | None = None
    exceptions_before: ask.Share | None = None
    objectives: tuple[service_levels.ServiceLevel, ...] | None = None
    risk: pd.DataFrame | None = None
    ledger: pd.DataFrame | None = None
    unresolved: ask.Unresolved | None = None
    controls: pd.DataFrame | None = None

    @property
    def stuck(self) -> pd.DataFrame | None:
        """The open documents that are stuck, counted."""
        return None if self.documents is None else self.documents[self.documents["level"] == "stuck"]


def value_of(rows: pd.DataFrame) -> Decimal:
    """What documents are worth together, in group currency."""
    return sum((Decimal(value) for value in rows["group_amount"].dropna()), Decimal(0))


# -- what holds the money up ----------------------------------------------------------------------------------------------------


def holds_up(ctx: Context, facts: Facts) -> None:
    stuck = facts.stuck
    if stuck is None or facts.documents is None:
        return
    if stuck.empty:
        st.subheader("Nothing holds money up", anchor=False)
        frame.nothing_happened(
            f"0 of {count(many(facts.documents), 'open document')} is past the 95th percentile of its peers, past an objective or behind a blocking exception."
        )
        return
    reasons, table = _reasons(facts.documents, rounded(ctx.moment.as_of), narrow=ctx.narrow)
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
    frame.chart(
        figure,
        f"{visible(top['reason'])} holds up {percent(float(top['value']) / total, digits=0)} of the stuck money",
        table,
        key="overview.reasons",
        note="Value of stuck documents by what they stand for, in EUR.",
        exported=frame.Exported(ctx, "Value of stuck documents by what they stand for, open now", "stuck-by-reason"),
    )


@once
def _reasons(documents: pd.DataFrame, as_of: datetime, *, narrow: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is stuck by what it stands for, most money first, with what is said of each, and the table under the chart."""
    stuck = documents[documents["level"] == "stuck"]
    reasons = (
        stuck.assign(value=stuck["value"].astype(float))
        .groupby("reason")
        .agg(value=("value", "sum"), documents=("documents", "sum"), since=("oldest_since", "min"))
        .reset_index()
        .sort_values("value", ascending=False)
    )
    reasons = reasons.assign(reason=[sentence(visible(reason)) for reason in reasons["reason"]])
    told = reasons.assign(
        # A phone has room for the money; how many documents it is stands in the table behind the chart.
        text=[
            money_short(row.value) + ("" if narrow else f" · {count(row.documents, 'document')}")
            for row in reasons.itertuples()
        ],
        hover=[
            f"{row.reason}: {money_short(row.value)} in {count(row.documents, 'document')}, oldest {duration((as_of - row.since).total_seconds())}"
            for row in reasons.itertuples()
        ],
    )
    named = {"reason": "Reason", "documents": "Documents", "value": "Value (EUR)"}
    return told, reasons[list(named)].rename(columns=named)


# -- two facts, side by side ---------------------------------------------------------------------------------------------------

AGREED_AND_ACCEPTED = ("approved", "not_required"), ("accepted", "posted", "cleared")
LEDGER = (
    Column("kind", "Document", on_card=True, width=130), Column("agreed", "The business says", "words", on_card=True), Column("posting_status", "The ledger says", "words", on_card=True),
    Column("standing", "So it is", width=210), Column("documents", "Documents", "count"), Column("value", "Value (EUR)", "group_money", on_card=True), Column("oldest_s", "Oldest in its state", "age"),
    Column("open", "", "link", display="Show"),
)  # fmt: skip


def two_facts(ctx: Context, facts: Facts) -> None:
    """What the business agreed beside what the ledger accepted, with the money between them (D02)."""
    if facts.ledger is None or facts.ledger.empty:
        return
    rows = _both_facts(facts.ledger, ctx.addresses)
    between = rows[rows["standing"] == BETWEEN]
    st.subheader(
        f"{money_short(sum((Decimal(value) for value in between['value']), Decimal(0)))} is agreed and not in the ledger"
        if len(between)
        else "Nothing that is agreed is missing in the ledger",
        anchor=False,
    )
    st.caption("What the business has agreed and what the ledger has accepted are two facts. Open requisitions and invoices, by both.")  # fmt: skip
    with switches.folded(ctx, "The two facts"):
        work_table(
            ctx, rows, LEDGER, key="overview.ledger", row_id="key", noun="line", title=lambda row: f"**{row['kind']}**: {count(int(row['documents']), 'document')}",
            card_action=lambda row: ctx.link("overview", "Show", show="ledger", kind=row["document_type"], agreed=row["approval_status"], ledger=row["posting_status"]),
        )  # fmt: skip


@once
def _both_facts(ledger: pd.DataFrame, at: Addresses) -> pd.DataFrame:
    """The lines in words, with where their documents are."""
    return ledger.assign(
        key=ledger["document_type"] + " " + ledger["approval_status"] + " " + ledger["posting_status"],
        kind=[sentence(words(kind)) for kind in ledger["document_type"]],
        agreed=ledger["approval_status"],
        standing=[_standing(a, b) for a, b in zip(ledger["approval_status"], ledger["posting_status"], strict=True)],
        open=[
            at.href("overview", show="ledger", kind=row["document_type"], agreed=row["approval_status"], ledger=row["posting_status"])
            for row in ledger.to_dict("records")
        ],
    )  # fmt: skip


BETWEEN = "agreed, not in the ledger"


def _standing(agreed: str, ledger: str) -> str:
    is_agreed, is_accepted = agreed in AGREED_AND_ACCEPTED[0], ledger in AGREED_AND_ACCEPTED[1]
    if agreed == "conflict":
        return "systems disagree"
    if is_agreed and is_accepted:
        return "final"
    if is_agreed:
        return BETWEEN
    return "in the ledger, not agreed" if is_accepted else "not agreed yet"


# -- what changed -------------------------------------------------------------------------------------------------------------------


def changed(ctx: Context, chosen: filters.Filters) -> None:
    now = ctx.moment.as_of
    moved = ask.moved(ctx.reports, chosen.units, as_of=now)
    since, causes = moved.since, moved.causes
    st.subheader(
        f"Since you were here on {when(since, ctx.zone)}" if moved.was_here else "In the last 24 hours", anchor=False
    )
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
            st.text(f"{kind_of(row['code']).title}: {shortened(row['message'], 160)}", width="content")
            st.caption(f"{money_short(row['value'])}, since {when(row['first_seen'], ctx.zone)}", width="content")
            ctx.link("exceptions", f"Show {count(row['open'], 'open exception')}", cause=row["fingerprint"])
    st.caption(f"{day(since.astimezone(ctx.zone).date())} to {day(now.astimezone(ctx.zone).date())}.")
