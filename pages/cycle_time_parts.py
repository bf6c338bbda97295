"""The parts of the page on the cycle time that draw: better or worse, where the time goes, who, and is everything counted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_time, exporting, frame, switches
from pages.context import Addresses, Context
from pages.exporting import Exported
from pages.filters import Filters
from pages.format import count, day, duration, percent, plain, working_time
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES, Clock, Cohort, Figures, Honest, Stop
from sync_engine.insight.statistics import FEW, SOME

URL_PATH = "cycle-time"
STOP = Switch("stop", "From first submit until", {"ordered": "Order", "posted": "Posting"})
CLOCK = Switch("clock", "Counted in", {"business": "Working time", "wall": "Calendar time"})
SHARE_SETTLED = 0.95
Links = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the page is made of."""

    chosen: Filters
    stop: Stop
    clock: Clock
    figures: Figures
    cohort: Cohort
    weeks: pd.DataFrame
    honest: Honest
    versions: tuple[tuple[str, datetime], ...] = ()
    promised_s: float | None = None
    """What is promised for the way that is looked at, in its clock; None: nothing is."""

    def spoken(self, seconds: float | None) -> str:
        """A duration in the clock chosen; below a minute both are the same."""
        if seconds is not None and abs(seconds) < 60:
            return duration(seconds)
        return working_time(seconds) if self.clock == "business" else duration(seconds)

    def short(self, seconds: float | None) -> str:
        """A duration for a cell of a matrix: "1.1 wd" is a working day and a bit."""
        return self.spoken(seconds).replace("working days", "wd").replace("working hours", "wh").replace("working minutes", "wmin")  # fmt: skip

    def links(self) -> dict[str, Any]:
        """What a link within this page keeps."""
        return switches.kept(STOP.name, CLOCK.name, "chart", "compare")


# -- where the time goes ---------------------------------------------------------------------------------------------------


def stages(ctx: Context, facts: Facts) -> None:
    period = facts.chosen.period
    found = ask.stages(
        ctx.reports, facts.chosen.units, since=period.since, until=period.until, stop=facts.stop, clock=facts.clock,
    )  # fmt: skip
    found = _told_of_stages(found, facts, narrow=ctx.narrow)
    if found.empty:
        return
    shown = found[found["share"] >= 0.0005]
    figure = charts_time.split_bars(
        shown,
        label="label",
        parts=charts_time.SPLIT,
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
        height=(switches.bars_height(ctx, len(shown)) or 44 + 34 * len(shown)) + 30,
    )
    first = found.iloc[0]
    st.subheader(
        f"{percent(float(first['share']), digits=0)} of the time is “{plain(first['name']).lower()}”, where it waits for {plain(first['on'])}",
        anchor=False,
    )
    missing = facts.figures.of(facts.stop).n - int(found["documents"].max())
    whole_s = float(found["total_s"].sum())
    st.caption(
        f"Share of all time of {count(int(found['documents'].max()), 'requisition')} {facts.stop} in the period; the parts add up to the whole. Flow efficiency {percent(float(found['touch_s'].sum()) / whole_s, digits=2)}: so much of it a call of ours was running; how long people read is not known and counts as waiting."
        + (f" {missing:,} left out: some of their orders are still missing." if missing > 0 else "")
    )
    frame.show_figure(figure, key="cycle.stages", alt="Share of time by stage")
    exporting.draw(
        Exported(ctx, f"Share of time by stage, first submit to {'order' if facts.stop == 'ordered' else 'posting'}, {period.name}, {'working' if facts.clock == 'business' else 'calendar'} time", "time-by-stage"),
        figure, "Share of time by stage", "The parts of every requisition add up to its whole; seconds.",
        found[["name", "documents", "stays", "share", "total_s", "touch_s", "transfer_s", "wait_s", "p50_s", "p85_s"]], key="cycle.stages",
    )  # fmt: skip
    with st.expander("The stages as a table, and the requisitions behind each", icon=":material/table_rows:"):
        _stage_table(ctx, facts, found)


@once
def _told_of_stages(found: pd.DataFrame, facts: Facts, *, narrow: bool) -> pd.DataFrame:
    """The stages in which time passed, by the names people know, with what is said of each."""
    passed = found[found["total_s"] > 0]
    names = [STAGES.get(stage, (stage, ""))[0] for stage in passed["stage"]]
    named = passed.assign(name=names, on=[STAGES.get(stage, ("", "systems"))[1] for stage in passed["stage"]])
    return named.assign(
        label=[switches.label(name, narrow=narrow) for name in names],
        text=[
            percent(row.share) if narrow else f"{percent(row.share)}  ·  median {facts.spoken(row.p50_s)}"
            for row in named.itertuples()
        ],
        hover=[
            f"{row.name}: {percent(row.share)} of all time, {count(row.documents, 'requisition')} in {count(row.stays, 'stay')}, 85 % within {facts.spoken(row.p85_s)}<br>"
            f"a call was running {percent(row.touch_s / row.total_s)}, on its way between systems {percent(row.transfer_s / row.total_s)}, waiting {percent(row.wait_s / row.total_s)}"
            for row in named.itertuples()
        ],
        visits=named["stays"] / named["documents"],
    )


@once
def _opened(rows: pd.DataFrame, name: str, at: Addresses, links: Links) -> pd.DataFrame:
    """Each row with where its requisitions are: `links`, with the row's `name` as a parameter of the same name."""
    return rows.assign(open=[at.href(URL_PATH, **links | {name: value}) for value in rows[name]])


def _stage_table(ctx: Context, facts: Facts, rows: pd.DataFrame) -> None:
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    rows = _opened(rows, "stage", ctx.addresses, facts.links() | {"show": facts.stop})
    columns = (
        Column("name", "Stage", width=230), Column("on", "Waits for", on_card=True), Column("share", "Share of all time", "share", on_card=True), Column("total_s", "In all", kind), Column("touch_s", "A call was running", kind), Column("transfer_s", "Between systems", kind), Column("wait_s", "Waiting", kind),
        Column("p50_s", "Median", kind, on_card=True), Column("p85_s", "85 % within", kind), Column("p95_s", "95 % within", kind), Column("documents", "Requisitions (n)", "count"),
        Column("stays", "Stays", "count", help="More stays than requisitions: some came back to this stage."), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    work_table(
        ctx,
        rows,
        columns,
        key="cycle.stages.table",
        row_id="stage",
        noun="stage",
        title=lambda row: f"**{plain(row['name'])}**",
        card_action=lambda row: ctx.link(URL_PATH, "Show", show=facts.stop, stage=row["stage"], **facts.links()),
    )


# -- who -------------------------------------------------------------------------------------------------------------------


def units(ctx: Context, facts: Facts) -> None:
    rows = facts.figures.by_unit(facts.stop)
    if len(rows) < 2:
        return
    enough = rows[rows["n"] >= SOME]
    if len(enough) > 1:
        slowest, fastest = enough.loc[enough["p50_s"].idxmax()], enough.loc[enough["p50_s"].idxmin()]
        finding = f"{plain(slowest['business_unit'])} takes {facts.spoken(slowest['p50_s'])} in the median, {plain(fastest['business_unit'])} {facts.spoken(fastest['p50_s'])}"
    else:
        finding = "By business unit"
    st.subheader(finding, anchor=False)
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    columns = (
        Column("business_unit", "Unit"), Column("documents", "Requisitions", "count", on_card=True), Column("n", "n", "count", help="Of these with clocks that agree."),
        Column("p50_s", "Median", kind, on_card=True), Column("p85_s", "85 % within", kind, on_card=True), Column("p95_s", "95 % within", kind),
        Column("gap_s", "Median, change", kind, help="Against the period before, where both have enough."), Column("sample", "Sample", width=110), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    with switches.folded(ctx, "The business units"):
        work_table(
            ctx,
            _told_of_units(rows, ctx.addresses, facts.links() | {"show": facts.stop}),
            columns,
            key="cycle.units",
            row_id="business_unit",
            noun="business unit",
            title=lambda row: f"**{plain(row['business_unit'])}** {row['sample']}",
            card_action=lambda row: ctx.link(
                URL_PATH, "Show", show=facts.stop, **facts.links() | {"unit": row["business_unit"]}
            ),
        )


@once
def _told_of_units(rows: pd.DataFrame, at: Addresses, links: Links) -> pd.DataFrame:
    """The units with percentiles where there are enough, their change, and where their requisitions are."""
    enough = rows.assign(**{name: rows[name].where(rows["n"] >= FEW) for name in ("p50_s", "p85_s", "p95_s")})
    comparable = (rows["n"] >= FEW) & (rows["n_before"] >= FEW)
    return enough.assign(
        gap_s=(enough["p50_s"] - rows["p50_before_s"]).where(comparable),
        sample=["too few" if n < FEW else "small sample" if n < SOME else "" for n in rows["n"]],
        open=[at.href(URL_PATH, **links | {"unit": unit}) for unit in rows["business_unit"]],
    )


# -- is everything counted -------------------------------------------------------------------------------------------------


def completeness(ctx: Context, facts: Facts) -> None:
    if not facts.cohort.submitted:
        return
    rows = _told_of_weeks(facts.weeks, ctx.addresses, facts.links() | {"show": "under_way"})
    unsettled = rows[rows["settled"] < SHARE_SETTLED]
    st.subheader(
        f"{percent(facts.cohort.settled)} of what was submitted is settled"
        + (
            f"; the figures of {count(len(unsettled), 'week')} will still change"
            if len(unsettled)
            else "; nothing much is missing from the figures"
        ),
        anchor=False,
    )
    st.caption(
        f"By week of first submit. Below {SHARE_SETTLED:.0%} settled, what takes longest is not in any percentile yet, and the week looks faster than it was.".replace(
            "%", " %"
        )
    )
    columns = (
        Column("week", "Week from", "date"), Column("submitted", "Submitted", "count", on_card=True), Column("ordered", "Ordered", "count"), Column("ended_otherwise", "Ended without an order", "count"),
        Column("under_way", "Under way", "count", on_card=True), Column("settled", "Settled", "share", on_card=True), Column("open", "", "link", display="Show what is under way"),
    )  # fmt: skip
    with switches.folded(ctx, "The weeks"):
        work_table(
            ctx,
            rows,
            columns,
            key="cycle.cohort",
            row_id="week",
            noun="week",
            title=lambda row: f"**Week from {day(row['week'])}**",
            card_action=lambda row: (
                ctx.link(
                    URL_PATH, "Show what is under way", show="under_way", week=row["week"].isoformat(), **facts.links()
                )
                if row["under_way"]
                else None
            ),
        )


@once
def _told_of_weeks(weeks: pd.DataFrame, at: Addresses, links: Links) -> pd.DataFrame:
    """The weeks with the share that is settled, and where the rest is."""
    return weeks.assign(
        settled=[1 - row.under_way / row.submitted for row in weeks.itertuples()],
        open=[
            at.href(URL_PATH, week=week.isoformat(), **links) if under_way else None
            for week, under_way in zip(weeks["week"], weeks["under_way"], strict=True)
        ],
    )
