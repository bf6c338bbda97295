"""The parts of the page on the exception rate about the exceptions themselves: whether the open ones pile up, what nobody had met before,
and which unit meets which category.
"""

from datetime import timedelta

import pandas as pd
import streamlit as st

from pages import charts, charts_pile, charts_spread, frame
from pages.context import Addresses, Context
from pages.exception_rate_parts import URL_PATH, Facts
from pages.format import CATEGORIES, count, day, percent, plain, visible
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.statistics import FEW
from sync_engine.model.exceptions import kind_of

NEW_DAYS = 7


def pile(ctx: Context, facts: Facts) -> None:
    """What was raised and closed on each day, and how: a rate that looks good after a bulk close is told by it (PRODUCT.md section 6,
    traps 12 and 13)."""
    found = ask.backlog(ctx.reports, facts.wanted, zone=ctx.zone.key)
    begun, ended, cured = (int(found.days[name].sum()) for name in ("begun", "ended", "self_cured"))
    if not (begun or ended):
        return
    names = ("raised", "closed", "open at the end of the day")
    headings = {"day": "Day", "begun": "Raised", "ended": "Closed", "self_cured": "Of these by themselves", "stands": "Open at its end"}  # fmt: skip
    told, table = charts_pile.told_by_day(found.days, stands="stands", noun="exception", names=names, headings=headings)
    figure = charts_pile.inflow(
        told, x="day", up="begun", down="ended", stands="stands", names=names, hover="hover", style=charts.look(dark=ctx.dark),
    )  # fmt: skip
    share = found.held_documents / found.open_documents if found.open_documents else None
    gap = begun - ended
    verdict = "As many exceptions were raised as closed" if not gap else f"{abs(gap):,} {'more' if gap > 0 else 'fewer'} exceptions were raised than closed"  # fmt: skip
    frame.chart(
        figure,
        f"{verdict} {facts.chosen.period.within}",
        table,
        key="rate.pile",
        note=f"Exceptions by day ({ctx.zone.key}), whenever their document entered: {begun:,} raised, {ended:,} closed, {cured:,} of these by themselves. Now {found.held_documents:,} of {count(found.open_documents, 'open document')} ({percent(share)}) have an open exception.",
        exported=frame.Exported(ctx, f"Exceptions raised and closed by day, {facts.chosen.period.name}", "exceptions-by-day"),
    )  # fmt: skip


def new_causes(ctx: Context, facts: Facts) -> None:
    """Causes of the period's last week that nobody had met before."""
    until = facts.wanted.until
    since = max(facts.wanted.since, until - timedelta(days=NEW_DAYS))
    found = ask.new_causes(ctx.reports, facts.wanted, since=since)
    if found.empty:
        st.caption(f"No cause was met for the first time since {day(since.astimezone(ctx.zone).date())}.")
        return
    there = int(found["found"].iloc[0])
    st.subheader(f"{count(there, 'cause')} met for the first time since {day(since.astimezone(ctx.zone).date())}", anchor=False)  # fmt: skip
    columns = (
        Column("title", "Cause", width=230, on_card=True), Column("category", "Category", "category"), Column("documents", "Documents", "count", on_card=True), Column("exceptions", "Exceptions", "count"),
        Column("open", "Open", "count", on_card=True), Column("first_seen", "First met", "time"), Column("message", "What the system said", width=360), Column("show", "", "link", display="Show open"),
    )  # fmt: skip
    work_table(
        ctx, _told_of_causes(found, ctx.addresses), columns, key="rate.new", row_id="fingerprint", noun="cause", title=lambda row: f"**{plain(row['title'])}**", there=there,
        card_action=lambda row: ctx.link("exceptions", "Show open", cause=row["fingerprint"]) if row["open"] else None,
    )  # fmt: skip


@once
def _told_of_causes(found: pd.DataFrame, at: Addresses) -> pd.DataFrame:
    """The causes by the names people know, with where those that are open are."""
    return found.assign(
        title=[kind_of(code).title for code in found["code"]],
        message=[visible(message) for message in found["message"]],
        show=[at.href("exceptions", cause=name) if n else None for name, n in zip(found["fingerprint"], found["open"], strict=True)],
    )  # fmt: skip


@once
def met_by_unit(facts: Facts) -> pd.DataFrame:
    """business_unit, category, documents that met it, entered, share: a document with two categories counts in both."""
    met = facts.causes.groupby(["business_unit", "category"])["document_id"].nunique().rename("documents").reset_index()
    entered = facts.rates.by("business_unit").set_index("business_unit")["entered"].astype(int)
    met = met.assign(entered=met["business_unit"].map(entered))
    return met.assign(share=met["documents"] / met["entered"])


def heat(ctx: Context, facts: Facts) -> None:
    """Units against categories: who meets what."""
    cells = met_by_unit(facts)
    enough = cells[cells["entered"] >= FEW]
    if enough["business_unit"].nunique() < 2:
        return
    drawn = _cells_drawn(cells)
    worst = enough.loc[enough["share"].idxmax()]
    figure = charts_spread.matrix(
        drawn,
        row="business_unit", at="name", share="strength", hover="hover", order=list(dict.fromkeys(drawn["business_unit"])), style=charts.look(dark=ctx.dark),
    )  # fmt: skip
    left_out = cells["business_unit"].nunique() - enough["business_unit"].nunique()
    frame.chart(
        figure,
        f"{visible(worst['business_unit'])} meets {CATEGORIES[worst['category']].lower()} most: {percent(worst['share'])} of {count(int(worst['entered']), 'document')}",
        _cells_named(cells),
        key="rate.heat",
        note="Share of a unit's documents that met an exception of the category; the darker the larger. A document with two categories counts in both."
        + (f" {count(left_out, 'unit')} with fewer than {FEW} documents in the table only." if left_out else ""),
        exported=frame.Exported(ctx, f"Documents with an exception by unit and category, entered {facts.chosen.period.within}", "exceptions-by-unit-and-category"),
    )  # fmt: skip
    columns = (
        Column("business_unit", "Unit"), Column("category", "Category", "category", on_card=True), Column("entered", "Entered (n)", "count"), Column("documents", "With an exception", "count", on_card=True),
        Column("share", "Rate", "share", on_card=True), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    with st.expander("Units and categories, with their documents", icon=":material/grid_on:"):
        work_table(
            ctx, _cells_linked(cells, facts, ctx.addresses), columns, key="rate.heat.cells", row_id="key", noun="cell", title=lambda row: f"**{plain(row['business_unit'])}**",
            card_action=lambda row: ctx.link(URL_PATH, "Show", show="with", **facts.links() | {"unit": row["business_unit"], "category": row["category"]}),
        )  # fmt: skip


@once
def _cells_drawn(cells: pd.DataFrame) -> pd.DataFrame:
    """A row for every unit with enough documents and every category: one that was not met has no share."""
    enough = cells[cells["entered"] >= FEW]
    drawn = enough.assign(
        name=[CATEGORIES[category] for category in enough["category"]],
        strength=enough["share"] / enough["share"].max(),
        hover=[
            f"{visible(row.business_unit)}, {CATEGORIES[row.category]}: {percent(row.share)}, {row.documents:,} of {count(row.entered, 'document')}"
            for row in enough.itertuples()
        ],
    )
    units = sorted(drawn["business_unit"].unique())
    grid = pd.MultiIndex.from_product([units, list(CATEGORIES.values())], names=["business_unit", "name"])
    return drawn.set_index(["business_unit", "name"]).reindex(grid).reset_index()


@once
def _cells_named(cells: pd.DataFrame) -> pd.DataFrame:
    """The table under the chart."""
    named = {"business_unit": "Unit", "category": "Category", "documents": "With an exception", "entered": "Entered (n)", "share": "Rate"}  # fmt: skip
    return cells.assign(category=[CATEGORIES[name] for name in cells["category"]]).rename(columns=named)


@once
def _cells_linked(cells: pd.DataFrame, facts: Facts, at: Addresses) -> pd.DataFrame:
    """The cells, the highest share first, with where their documents are."""
    linked = cells.assign(
        key=cells["business_unit"] + " " + cells["category"],
        open=[
            at.href(URL_PATH, show="with", **facts.links() | {"unit": unit, "category": category})
            for unit, category in zip(cells["business_unit"], cells["category"], strict=True)
        ],
    )
    return linked.sort_values("share", ascending=False)
