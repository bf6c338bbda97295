"""The parts of the page on the exception rate that draw: where, why, better or worse, and the failed calls apart."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_spread, charts_time, exporting, frame, switches
from pages.charts import Line
from pages.context import Addresses, Context
from pages.exporting import Exported
from pages.filters import Filters
from pages.format import CATEGORIES, count, day, money_short, percent, plain, system, visible
from pages.marks import Marks
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.reports.cycle_time import surroundings
from sync_engine.insight.reports.exception_rate import Closing, Population, Rate, Rates
from sync_engine.insight.statistics import FEW, Z_99, by_chance, covered, wilson
from sync_engine.model.exceptions import kind_of

URL_PATH = "exception-rate"
NARROWED = ("show", "code", "week", "yield", "kind", "ended")
"""What of the page the address can open: documents with an exception of a cause, of a week; or those of the first-pass yield, of which type,
ended in which week."""

CAUSES_SHOWN = 12
FUNNEL_POINTS = 60


@dataclass(frozen=True)
class Facts:
    """What the page is made of."""

    chosen: Filters
    wanted: Population
    rates: Rates
    causes: pd.DataFrame
    closing: Closing
    rows: pd.DataFrame

    def links(self) -> dict[str, Any]:
        """The filters of this page, for a link that stays within them."""
        return {name: list(values) for name, values in self.chosen.chosen.items() if values}


def _out(ctx: Context, facts: Facts, figure: Any, finding: str, what: str, table: pd.DataFrame, name: str, *, key: str) -> None:  # fmt: skip
    """A chart's ways out of the page, with what it says."""
    meaning = "An exception counts once per document that entered in the period, whenever it came; failed calls are no exceptions."
    exporting.draw(Exported(ctx, f"{what}, entered {facts.chosen.period.within}", name), figure, finding, meaning, table, key=key)  # fmt: skip


# -- where -------------------------------------------------------------------------------------------------------------------


@once
def by_unit(facts: Facts, now: Rate) -> pd.DataFrame:
    """By unit, the surest high rate first, with its interval and whether it lies outside what chance explains."""
    units = facts.rates.by("business_unit")
    intervals = [
        wilson(part, whole) or (0.0, 1.0) for part, whole in zip(units["with_exception"], units["entered"], strict=True)
    ]
    lines = [by_chance(now.share or 0.0, whole) for whole in units["entered"]]
    before = facts.rates.by("business_unit", before=True).set_index("business_unit")["share"]
    units = units.assign(
        low=[low for low, _ in intervals],
        interval=[f"{percent(low)} to {percent(high)}" for low, high in intervals],
        apart=[not low <= share <= high for share, (low, high) in zip(units["share"], lines, strict=True)],
        change=units["share"] - units["business_unit"].map(before).astype(float),
    )
    return units.sort_values(["low", "entered"], ascending=False).reset_index(drop=True)


def _apart(units: pd.DataFrame, common: float) -> str:
    """Which units have more or fewer exceptions than chance explains, as a sentence."""
    apart = units[units["apart"]]
    more, less = apart[apart["share"] > common], apart[apart["share"] <= common]
    told = [
        f"{visible(', '.join(part['business_unit']))} {'has' if len(part) == 1 else 'have'} {word} exceptions than chance explains"
        for part, word in ((more, "more"), (less, "fewer"))
        if len(part)
    ]
    return "; ".join(told) or "No unit differs by more than chance explains"


@once
def _limits(units: pd.DataFrame, common: float) -> pd.DataFrame:
    """Between which shares chance keeps a unit, over all volumes that are drawn."""
    largest = int(units["entered"].max() * 1.12) + 1
    sizes = [max(1, round(largest * step / FUNNEL_POINTS)) for step in range(1, FUNNEL_POINTS + 1)]
    ranges = [(by_chance(common, n), by_chance(common, n, z=Z_99)) for n in sizes]
    return pd.DataFrame(
        {
            "n": sizes,
            "low_95": [a[0] for a, _ in ranges],
            "high_95": [a[1] for a, _ in ranges],
            "low_99": [b[0] for _, b in ranges],
            "high_99": [b[1] for _, b in ranges],
        }
    )


def where(ctx: Context, facts: Facts, now: Rate) -> None:
    units = by_unit(facts, now)
    if len(units) < 2 or now.share is None:
        return
    finding = _apart(units, now.share)
    units = _told_of_units(facts, now, ctx.addresses)
    figure = charts_spread.funnel(
        units,
        n="entered",
        share="share",
        label="business_unit",
        hover="hover",
        apart="apart",
        limits=_limits(units, now.share),
        common=now.share,
        style=charts.look(dark=ctx.dark),
        narrow=ctx.narrow,
    )
    st.subheader(finding, anchor=False)
    st.caption(
        "Each unit by how much entered and how much of it met an exception. Between the lines a unit differs only by chance (dashed 95 %, dotted 99 %). A click opens the unit's documents."
    )
    asks = [
        [],
        [],
        [],
        [],
        [{"show": "with", "unit": unit} for unit in units["business_unit"]],
    ]  # four lines, and the units
    frame.show_figure(figure, key="rate.funnel", alt=finding, opens=Marks(asks, (*NARROWED, "unit")))
    _out(ctx, facts, figure, finding, "Share of documents with an exception by business unit", units[["business_unit", "entered", "with_exception", "share", "interval"]], "exception-rate-by-unit", key="rate.funnel")  # fmt: skip
    columns = (
        Column("business_unit", "Unit"), Column("entered", "Entered (n)", "count", on_card=True), Column("with_exception", "With an exception", "count"), Column("share", "Rate", "share", on_card=True),
        Column("interval", "95 % interval"), Column("verdict", "Against all units", on_card=True), Column("moved", "Change", help="Against the period before, in percentage points."),
        Column("value_with_exception", "Their value (EUR)", "group_money"), Column("value_share", "Rate by value", "share"), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    with switches.folded(ctx, "The business units"):
        work_table(
            ctx,
            units,
            columns,
            key="rate.units",
            row_id="business_unit",
            noun="business unit",
            title=lambda row: f"**{plain(row['business_unit'])}**",
            card_action=lambda row: ctx.link(
                URL_PATH, "Show", show="with", **facts.links() | {"unit": row["business_unit"]}
            ),
        )


@once
def _told_of_units(facts: Facts, now: Rate, at: Addresses) -> pd.DataFrame:
    """`by_unit` with what is said of each unit, and where its documents are."""
    units, common = by_unit(facts, now), now.share or 0.0
    return units.assign(
        hover=[
            f"{visible(row.business_unit)}: {percent(row.share)}, {row.with_exception:,} of {count(row.entered, 'document')}<br>95 % interval {row.interval}; all units {percent(common)}"
            for row in units.itertuples()
        ],
        open=[at.href(URL_PATH, show="with", **facts.links() | {"unit": unit}) for unit in units["business_unit"]],
        moved=["" if pd.isna(change) else f"{change * 100:+.1f} points" for change in units["change"]],
        verdict=[
            "more than chance" if outside and share > common else "less than chance" if outside else ""
            for outside, share in zip(units["apart"], units["share"], strict=True)
        ],
    )


# -- why ------------------------------------------------------------------------------------------------------------------------


@once
def by_cause(facts: Facts) -> pd.DataFrame:
    """By kind of cause: documents and exceptions, most documents first; `running`: documents that met this cause or one above it."""
    by = facts.causes.groupby(["code", "category"], sort=False)
    found = by.agg(
        documents=("document_id", "nunique"), exceptions=("exceptions", "sum"), repairs=("fingerprints", "sum"), value=("value", lambda values: float(sum(values))), open=("open", "sum"),
        closed=("closed", "sum"), self_cured=("self_cured", "sum"),
    ).reset_index().sort_values(["documents", "value"], ascending=False).reset_index(drop=True)  # fmt: skip
    met = [frozenset(codes) for codes in facts.causes.groupby("document_id")["code"].agg(list)]
    found["running"] = covered(met, list(found["code"]))
    found["title"] = [kind_of(code).title for code in found["code"]]
    found["team"] = [kind_of(code).owner_team for code in found["code"]]
    found["cured_share"] = (found["self_cured"] / found["closed"].where(found["closed"] > 0)).astype(float)
    return found


def why(ctx: Context, facts: Facts, now: Rate) -> None:
    found = _told_of_causes(facts, now, ctx.addresses)
    half = int((found["running_share"] < 0.5).sum()) + 1
    finding = f"{count(half, 'cause')} of {len(found):,} {'is' if half == 1 else 'are'} behind {percent(float(found['running_share'].iloc[half - 1]), digits=0)} of the documents with an exception"
    shown = _causes_drawn(found, narrow=ctx.narrow)
    figure = charts.bars(
        shown,
        label="label",
        value="documents",
        text="text",
        hover="hover",
        colours="colour",
        style=charts.look(dark=ctx.dark),
        height=switches.bars_height(ctx, len(shown)),
    )
    unplanned = int(found[found["code"] == "unexpected"]["exceptions"].sum())
    st.subheader(finding, anchor=False)
    st.caption(
        f"Documents by cause, their value, and the share of all documents with an exception that met this cause or one above it. Colour is the category: {', '.join(CATEGORIES[name] for name in dict.fromkeys(shown['category']))}. A click opens its documents. "
        f"{unplanned:,} of {count(int(found['exceptions'].sum()), 'exception')} {'has' if unplanned == 1 else 'have'} a cause nobody planned for."
        + (f" {count(len(found) - len(shown), 'rarer cause')} in the table only." if len(found) > len(shown) else "")
    )
    asks = [[{"show": "with", "code": code} for code in charts.in_bars(shown, "documents")["code"]]]
    frame.show_figure(figure, key="rate.causes", alt=finding, opens=Marks(asks, NARROWED))
    _out(ctx, facts, figure, finding, "Documents with an exception by cause", found[["title", "category", "documents", "exceptions", "open", "value"]], "exceptions-by-cause", key="rate.causes")  # fmt: skip
    with st.expander("The causes as a table, by cause and by category", icon=":material/table_rows:"):
        _cause_table(ctx, facts, found, now)


@once
def _told_of_causes(facts: Facts, now: Rate, at: Addresses) -> pd.DataFrame:
    """`by_cause` with the share of documents so far, and where the documents are."""
    found = by_cause(facts)
    return found.assign(
        running_share=found["running"] / now.with_exception,
        show=[at.href(URL_PATH, show="with", code=code, **facts.links()) for code in found["code"]],
    )


@once
def _causes_drawn(found: pd.DataFrame, *, narrow: bool) -> pd.DataFrame:
    """The bars, the most frequent cause first."""
    shown = found.head(CAUSES_SHOWN)
    return shown.assign(
        text=[
            f"{row.documents:,}"
            if narrow
            else f"{row.documents:,} · {money_short(row.value)} · {percent(row.running_share, digits=0)}"
            for row in shown.itertuples()
        ],
        hover=[
            f"{row.title}: {count(row.documents, 'document')} worth {money_short(row.value)} in {count(row.exceptions, 'exception')}, {row.open:,} open<br>{CATEGORIES[row.category]}; with those above {percent(row.running_share)} of all"
            for row in shown.itertuples()
        ],
        label=[switches.label(title, narrow=narrow) for title in shown["title"]],
        colour=[charts.CATEGORY[category] for category in shown["category"]],
    )


@once
def _by_category(facts: Facts, now: Rate, at: Addresses) -> pd.DataFrame:
    """Documents, their value and exceptions by category; a document with two counts in both."""
    unique = facts.causes.drop_duplicates(["document_id", "category"])
    by = (
        unique.groupby("category", sort=False)
        .agg(documents=("document_id", "nunique"), value=("value", lambda values: float(sum(values))))
        .reset_index()
        .sort_values("documents", ascending=False)
    )
    exceptions = facts.causes.groupby("category")["exceptions"].sum()
    return by.assign(
        share=by["documents"] / now.entered,
        exceptions=by["category"].map(exceptions),
        value_share=by["value"] / float(now.value) if now.value else None,
        show=[at.href(URL_PATH, show="with", **facts.links() | {"category": category}) for category in by["category"]],
    )


def _cause_table(ctx: Context, facts: Facts, found: pd.DataFrame, now: Rate) -> None:
    columns = (
        Column("title", "Cause", width=260), Column("category", "Category", "category", on_card=True), Column("documents", "Documents", "count", on_card=True), Column("value", "Their value (EUR)", "group_money", on_card=True),
        Column("running_share", "Documents so far", "share"), Column("exceptions", "Exceptions", "count"), Column("open", "Open", "count"), Column("cured_share", "Cured by themselves", "share", help="Of those closed."),
        Column("team", "Owner"), Column("show", "", "link", display="Show"),
    )  # fmt: skip
    work_table(
        ctx,
        found,
        columns,
        key="rate.causes.table",
        row_id="code",
        noun="cause",
        title=lambda row: f"**{plain(row['title'])}**",
        card_action=lambda row: ctx.link(URL_PATH, "Show", show="with", code=row["code"], **facts.links()),
    )
    st.caption("By category. A document with exceptions of two categories counts in both.")
    columns = (
        Column("category", "Category", "category"), Column("documents", "Documents", "count", on_card=True), Column("share", "Rate", "share", on_card=True), Column("value", "Their value (EUR)", "group_money", on_card=True),
        Column("value_share", "Rate by value", "share"), Column("exceptions", "Exceptions", "count"), Column("show", "", "link", display="Show"),
    )  # fmt: skip
    work_table(
        ctx,
        _by_category(facts, now, ctx.addresses),
        columns,
        key="rate.categories",
        row_id="category",
        noun="row",
        title=lambda row: f"**{CATEGORIES[row['category']]}**",
        card_action=lambda row: ctx.link(
            URL_PATH, "Show", show="with", **facts.links() | {"category": row["category"]}
        ),
    )


# -- better or worse ---------------------------------------------------------------------------------------------------------------


def better_or_worse(ctx: Context, facts: Facts, now: Rate) -> None:
    weeks = facts.rates.by("week")
    enough, drawn = _weeks_drawn(weeks)
    if len(enough) < 2:
        return
    style = charts.look(dark=ctx.dark)
    changed = surroundings(ctx.reports).versions
    figure = charts.lines(
        drawn,
        x="week",
        series=[
            Line("count_share", "by count", charts.STUCK),
            Line("money_share", "by value", style.accent, dashed=True),
        ],
        style=style,
        unit=" %",
        across=charts.weeks(drawn["week"], narrow=ctx.narrow),
        versions=charts_time.versions_between(ctx.zone, changed, drawn["week"].iloc[0], drawn["week"].iloc[-1]),
    )
    worst = enough.loc[enough["share"].idxmax()]
    finding = f"The week of {day(worst['week'])} was the worst: {percent(worst['share'])} of {count(int(worst['entered']), 'document')}, against {percent(now.share)} over all weeks"
    st.subheader(finding, anchor=False)
    st.caption(
        "By the week a document entered. The newest weeks may still rise: what entered lately has had less time to meet an exception. Dotted lines: the configuration changed. The first and the last week may be cut by the period."
    )
    frame.show_figure(figure, key="rate.weeks", alt=finding)
    _out(ctx, facts, figure, finding, "Share of documents with an exception by the week in which they entered", weeks[["week", "entered", "with_exception", "share", "value_share"]], "exception-rate-by-week", key="rate.weeks")  # fmt: skip
    with st.expander("The same as a table", icon=":material/table_rows:"):
        columns = (
            Column("week", "Week from", "date"), Column("entered", "Entered (n)", "count", on_card=True), Column("with_exception", "With an exception", "count", on_card=True), Column("share", "Rate", "share", on_card=True),
            Column("value", "Value (EUR)", "group_money"), Column("value_with_exception", "With an exception (EUR)", "group_money"), Column("value_share", "Rate by value", "share"), Column("show", "", "link", display="Show"),
        )  # fmt: skip
        work_table(
            ctx,
            _told_of_weeks(weeks, facts, ctx.addresses),
            columns,
            key="rate.weeks.table",
            row_id="week",
            noun="week",
            title=lambda row: f"**Week from {day(row['week'])}**",
            card_action=lambda row: ctx.link(
                URL_PATH, "Show", show="with", week=row["week"].isoformat(), **facts.links()
            ),
        )


@once
def _weeks_drawn(weeks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The weeks in which enough entered, as they are and as the chart takes them: shares in percent."""
    enough = weeks[weeks["entered"] >= FEW]
    return enough, enough.assign(
        week=pd.to_datetime(enough["week"]), count_share=enough["share"] * 100, money_share=enough["value_share"] * 100
    )


@once
def _told_of_weeks(weeks: pd.DataFrame, facts: Facts, at: Addresses) -> pd.DataFrame:
    """Each week with where its documents are."""
    return weeks.assign(
        show=[
            at.href(URL_PATH, show="with", week=week.isoformat(), **facts.links()) if part else None
            for week, part in zip(weeks["week"], weeks["with_exception"], strict=True)
        ]
    )


# -- failed calls -------------------------------------------------------------------------------------------------------------------


def failed_calls(ctx: Context, chosen: Filters) -> None:
    found = ask.technical_failures(ctx.reports, chosen.units, since=chosen.period.since, until=chosen.period.until)
    if not found["attempts"].sum():
        return
    failed, attempts = int(found["failed"].sum()), int(found["attempts"].sum())
    st.subheader(f"Apart from that, {percent(failed / attempts, digits=2)} of the calls failed", anchor=False)
    st.caption(
        f"{failed:,} of {attempts:,} calls to outside systems: attempts, not documents. The engine repeats them by itself; one document can have many, and most of them never become an exception."
    )
    rows = _told_of_calls(found)
    columns = (
        Column("title", "System"), Column("attempts", "Calls (n)", "count", on_card=True), Column("failed", "Failed", "count", on_card=True), Column("share", "Share", "share", on_card=True),
        Column("throttled", "Asked to slow down", "count", help="Answered with 429."), Column("repeats", "Repeats", "count"), Column("last_failed_at", "Last failure", "time"),
    )  # fmt: skip
    with switches.folded(ctx, "The systems"):
        work_table(
            ctx,
            rows,
            columns,
            key="rate.calls",
            row_id="system",
            noun="system",
            title=lambda row: f"**{plain(row['title'])}**",
        )
    ctx.link("health", "Open Integration health", icon=":material/arrow_forward:")


@once
def _told_of_calls(found: pd.DataFrame) -> pd.DataFrame:
    """The systems that were called, by the names people know, with the share that failed."""
    called = found[found["attempts"] > 0]
    return called.assign(title=[system(name) for name in called["system"]], share=called["failed"] / called["attempts"])
