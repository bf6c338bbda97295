"""The parts of the page on the cycle time that draw: better or worse, where the time goes, who, and is everything counted."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, frame, switches
from pages.charts import Line
from pages.context import Context
from pages.filters import Filters
from pages.format import WORKING_DAY_S, count, day, duration, percent, plain, working_time
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES, Clock, Cohort, Figures, Honest, Stop
from sync_engine.insight.statistics import FEW, SOME

URL_PATH = "cycle-time"
STOP = Switch("stop", "From first submit until", {"ordered": "Order", "posted": "Posting"})
CLOCK = Switch("clock", "Counted in", {"business": "Working time", "wall": "Calendar time"})
SHARE_SETTLED = 0.95


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

    def spoken(self, seconds: float | None) -> str:
        """A duration in the clock chosen; below a minute both are the same."""
        if seconds is not None and abs(seconds) < 60:
            return duration(seconds)
        return working_time(seconds) if self.clock == "business" else duration(seconds)

    def links(self) -> dict[str, Any]:
        """What a link within this page keeps."""
        return switches.kept(STOP.name, CLOCK.name)


# -- better or worse -------------------------------------------------------------------------------------------------------


def _scale(facts: Facts, longest_s: float) -> tuple[float, str]:
    if facts.clock == "business":
        return (WORKING_DAY_S, "working days") if longest_s >= 2 * WORKING_DAY_S else (3600, "working hours")
    return (86400, "days") if longest_s >= 2 * 86400 else (3600, "hours")


def better_or_worse(ctx: Context, facts: Facts) -> None:
    weeks = facts.figures.by_week(facts.stop)
    enough = weeks[weeks["n"] >= FEW]
    if len(enough) < 2:
        return
    unit_s, unit = _scale(facts, float(enough["p85_s"].max()))
    drawn = enough.assign(
        p50=enough["p50_s"] / unit_s, p85=enough["p85_s"] / unit_s, week=pd.to_datetime(enough["week"])
    )
    style = charts.look(dark=ctx.dark)
    figure = charts.lines(
        drawn,
        x="week",
        series=[Line("p50", "median", style.accent), Line("p85", "85 %", charts.WATCH, dashed=True)],
        style=style,
        unit="",
    )
    figure.update_yaxes(title={"text": unit, "font": {"color": style.quiet, "size": 12}})
    figure.update_xaxes(
        tickvals=list(drawn["week"])[:: 1 + len(drawn) // 4 if ctx.narrow else 1], tickformat="%d %b", tickangle=0
    )
    table = _written(facts, weeks, [("week", "Week from")])
    left_out = len(weeks) - len(enough)
    note = f"Median and 85th percentile of what was {facts.stop} in each week, in {unit}. The first and the last week may be cut by the period."
    frame.chart(
        figure,
        _trend(facts, enough),
        table,
        key="cycle.weeks",
        note=note + (f" {count(left_out, 'week')} with fewer than {FEW} not drawn." if left_out else ""),
    )


def _trend(facts: Facts, weeks: pd.DataFrame) -> str:
    now, before = facts.figures.of(facts.stop), facts.figures.of(facts.stop, before=True)
    if now.p50_s is not None and before.p50_s is not None and now.n >= FEW and before.n >= FEW:
        gap = now.p50_s - before.p50_s
        if abs(gap) < 0.02 * max(before.p50_s, 1):
            return f"The median stays at {facts.spoken(now.p50_s)}"
        return f"The median {'rose' if gap > 0 else 'fell'} to {facts.spoken(now.p50_s)}, {facts.spoken(abs(gap))} {'more' if gap > 0 else 'less'} than in {facts.chosen.period.before.name}"
    slowest, fastest = weeks.loc[weeks["p50_s"].idxmax()], weeks.loc[weeks["p50_s"].idxmin()]
    return f"The median lay between {facts.spoken(fastest['p50_s'])} (week of {day(fastest['week'])}) and {facts.spoken(slowest['p50_s'])} (week of {day(slowest['week'])})"


def _written(facts: Facts, rows: pd.DataFrame, first: list[tuple[str, str]]) -> pd.DataFrame:
    """Percentiles in words, for the table behind a chart; none where there are too few."""
    names = {"p50_s": "Median", "p85_s": "85 % within", "p95_s": "95 % within"}
    table = rows[[name for name, _ in first]].rename(columns=dict(first)).assign(n=rows["n"])
    for name, label in names.items():
        table[label] = [
            facts.spoken(value) if n >= FEW else "too few" for value, n in zip(rows[name], rows["n"], strict=True)
        ]
    return table


# -- where the time goes ---------------------------------------------------------------------------------------------------


def stages(ctx: Context, facts: Facts) -> None:
    period = facts.chosen.period
    found = ask.stages(
        ctx.reports, facts.chosen.units, since=period.since, until=period.until, stop=facts.stop, clock=facts.clock
    )
    found = found[found["total_s"] > 0]
    if found.empty:
        return
    drawn = found.assign(
        name=[STAGES.get(stage, (stage, ""))[0] for stage in found["stage"]],
        on=[STAGES.get(stage, ("", "systems"))[1] for stage in found["stage"]],
    )
    drawn["label"] = [switches.label(ctx, name) for name in drawn["name"]]
    drawn["text"] = [
        percent(row.share) if ctx.narrow else f"{percent(row.share)}  ·  median {facts.spoken(row.p50_s)}"
        for row in drawn.itertuples()
    ]
    drawn["hover"] = [
        f"{row.name}: {percent(row.share)} of all time, {count(row.documents, 'requisition')} in {count(row.stays, 'stay')}, 85 % within {facts.spoken(row.p85_s)}"
        for row in drawn.itertuples()
    ]
    shown = drawn[drawn["share"] >= 0.0005]
    figure = charts.bars(
        shown,
        label="label",
        value="share",
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
        height=switches.bars_height(ctx, len(shown)),
    )
    first = drawn.iloc[0]
    st.subheader(
        f"{percent(float(first['share']), digits=0)} of the time is “{plain(first['name']).lower()}”, where it waits for {plain(first['on'])}",
        anchor=False,
    )
    missing = facts.figures.of(facts.stop).n - int(found["documents"].max())
    st.caption(
        f"Share of all time of {count(int(found['documents'].max()), 'requisition')} {facts.stop} in the period; the parts add up to the whole."
        + (f" {missing:,} left out: some of their orders are still missing." if missing > 0 else "")
    )
    st.plotly_chart(
        figure,
        theme=None,
        key="cycle.stages",
        config={"displaylogo": False, "displayModeBar": False, "responsive": True},
        alt="Share of time by stage",
    )
    with st.expander("The stages as a table, and the requisitions behind each", icon=":material/table_rows:"):
        _stage_table(ctx, facts, drawn)


def _stage_table(ctx: Context, facts: Facts, rows: pd.DataFrame) -> None:
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    rows = rows.assign(
        visits=rows["stays"] / rows["documents"],
        open=[ctx.href(URL_PATH, show=facts.stop, stage=stage, **facts.links()) for stage in rows["stage"]],
    )
    columns = (
        Column("name", "Stage", width=230), Column("on", "Waits for", on_card=True), Column("share", "Share of all time", "share", on_card=True), Column("total_s", "In all", kind),
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
    for name in ("p50_s", "p85_s", "p95_s"):
        rows[name] = rows[name].where(rows["n"] >= FEW)
    comparable = (rows["n"] >= FEW) & (rows["n_before"] >= FEW)
    rows["gap_s"] = (rows["p50_s"] - rows["p50_before_s"]).where(comparable)
    rows["sample"] = ["too few" if n < FEW else "small sample" if n < SOME else "" for n in rows["n"]]
    rows["open"] = [
        ctx.href(URL_PATH, show=facts.stop, **facts.links() | {"unit": unit}) for unit in rows["business_unit"]
    ]
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    columns = (
        Column("business_unit", "Unit"), Column("documents", "Requisitions", "count", on_card=True), Column("n", "n", "count", help="Of these with clocks that agree."),
        Column("p50_s", "Median", kind, on_card=True), Column("p85_s", "85 % within", kind, on_card=True), Column("p95_s", "95 % within", kind),
        Column("gap_s", "Median, change", kind, help="Against the period before, where both have enough."), Column("sample", "Sample", width=110), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    with switches.folded(ctx, "The business units"):
        work_table(
            ctx,
            rows,
            columns,
            key="cycle.units",
            row_id="business_unit",
            noun="business unit",
            title=lambda row: f"**{plain(row['business_unit'])}** {row['sample']}",
            card_action=lambda row: ctx.link(
                URL_PATH, "Show", show=facts.stop, **facts.links() | {"unit": row["business_unit"]}
            ),
        )


# -- is everything counted -------------------------------------------------------------------------------------------------


def completeness(ctx: Context, facts: Facts) -> None:
    if not facts.cohort.submitted:
        return
    rows = facts.weeks.assign(settled=[1 - row.under_way / row.submitted for row in facts.weeks.itertuples()])
    rows["open"] = [
        ctx.href(URL_PATH, show="under_way", week=week.isoformat(), **facts.links()) if under_way else None
        for week, under_way in zip(rows["week"], rows["under_way"], strict=True)
    ]
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
