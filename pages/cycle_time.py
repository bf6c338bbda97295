"""How long requisitions take until they are ordered and until their invoices are posted, where that time goes, and whether the
figures count everything that began.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, filters, frame, switches
from pages.charts import Line
from pages.context import Context
from pages.filters import Filters
from pages.format import NOTHING, WORKING_DAY_S, count, day, duration, percent, plain, working_time
from pages.frame import Definition, Figure, Said
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES, Cohort, Figures, Honest, Percentiles
from sync_engine.insight.statistics import FEW, SOME

TITLE = "Cycle time"
QUESTION = "How long does it take from requisition to order and to posting, and where does the time go?"
URL_PATH = "cycle-time"
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/timer:"

STOP = Switch("stop", "From first submit until", {"ordered": "Order", "posted": "Posting"})
CLOCK = Switch("clock", "Counted in", {"business": "Working time", "wall": "Calendar time"})
SHOWN = {
    "ordered": ("Ordered in the period, slowest first", "First submit to order"),
    "posted": ("Posted in the period, slowest first", "First submit to posting"),
    "approved_to_ordered": ("Approved and ordered in the period, slowest first", "Approval to order"),
    "submitted": ("Submitted in the period and not ended otherwise, longest first", "Time so far, or to order"),
    "under_way": ("Submitted in the period and still under way, oldest first", "Time so far"),
    "ended": ("Submitted in the period and ended without an order, longest first", "Time until it ended"),
    "contradicting": ("Clocks that contradict each other", "Duration"),
}
NARROWED = ("show", "stage", "week")
SHARE_SETTLED = 0.95
LEAST_S = 60
"""A median that differs by less has not changed."""

DEFINITIONS = (
    Definition("Requisition to order", "first submit (resubmitting does not set it back) until the ERP's order number is back in procurement; change orders are not part of it. Median: half took no longer", "requisitions ordered in the period", "completed in the period", "the unit's working calendar, or the wall clock, as chosen above; a working day has 8 hours", "test documents, and clocks that contradict each other (order before submit), which are listed apart"),
    Definition("Requisition to posting", "first submit until the last of its invoices so far is in the ledger", "requisitions with an invoice posted in the period", "completed in the period", "as chosen", "the same"),
    Definition("Approval to order", "last approval until the order number is back in procurement: the part that systems take", "requisitions ordered in the period that were approved", "completed in the period", "as chosen", "the same"),
    Definition("Open ones counted", "median over everything submitted, those still under way counted with the age they have (Kaplan-Meier); what is already finished alone looks faster than it is", "requisitions submitted in the period", "entered in the period", "as chosen", "requisitions that ended without an order, and clocks that contradict each other"),
    Definition("Settled", "ordered, or ended without an order, of all submitted", "requisitions submitted in the period", "entered in the period", "none: a share of documents", "test documents"),
    Definition("Where the time goes", "the parts of every requisition add up to its whole; each share is of all their time together. Medians of parts do not add up to the median of the whole", "the requisitions of the figure chosen", "completed in the period", "as chosen", "requisitions some of whose orders are still missing"),
    Definition("Small numbers", f"fewer than {FEW}: no percentile; fewer than {SOME}: marked as a small sample", "units and weeks", "the period", "none"),
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What the page is made of."""

    chosen: Filters
    stop: str
    clock: str
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


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    switches.draw(STOP, CLOCK)
    switches.complain({"stop": STOP.options, "clock": CLOCK.options, "show": SHOWN, "stage": STAGES})
    facts = _gather(ctx, chosen)
    if not facts.cohort.submitted and not facts.figures.of("ordered").documents and not facts.figures.of("posted").documents:
        said.answer("There is nothing to measure here.")
        _empty(ctx, said, chosen)
        return
    said.answer(_answer(facts))
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    _better_or_worse(ctx, facts)
    with frame.part("Where the time goes"):
        _stages(ctx, facts)
    _units(ctx, facts)
    _completeness(ctx, facts)
    if not asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _gather(ctx: Context, chosen: Filters) -> Facts:
    clock: Any = switches.read(CLOCK)
    since, until, units, reports, zone = chosen.period.since, chosen.period.until, chosen.units, ctx.reports, ctx.zone.key
    found = ask.figures(reports, units, before=chosen.period.before.since, since=since, until=until, clock=clock, zone=zone)
    cohort, weeks = ask.cohort(reports, units, since=since, until=until, zone=zone)
    honest = ask.honest(reports, units, since=since, until=until, as_of=ctx.moment.as_of, clock=clock)
    return Facts(chosen, switches.read(STOP), clock, found, cohort, weeks, honest)


def _answer(facts: Facts) -> str:
    now = facts.figures.of(facts.stop)  # type: ignore[arg-type]
    what = "ordered" if facts.stop == "ordered" else "posted"
    if not now.n:
        sentence = f"No requisition was {what} in the {facts.chosen.period.name}."
    elif now.n < FEW:
        sentence = f"{count(now.n, 'requisition')} {'was' if now.n == 1 else 'were'} {what} in the {facts.chosen.period.name}: too few for a percentile."
    else:
        sentence = f"Half of {count(now.n, 'requisition')} {'are' if what == 'ordered' else 'have their invoice'} {what} within {facts.spoken(now.p50_s)}, 95 % within {facts.spoken(now.p95_s)}."
    if facts.cohort.under_way:
        sentence += f" {count(facts.cohort.under_way, 'requisition')} of {facts.cohort.submitted:,} submitted {'is' if facts.cohort.under_way == 1 else 'are'} still under way."
    elif facts.cohort.submitted:
        sentence += f" All {facts.cohort.submitted:,} submitted are settled."
    return sentence


# -- the figures ----------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    shown = [
        _percentile(ctx, facts, "ordered", "Requisition to order, median", "From the first submit to the order number back in procurement.", silent),
        _percentile(ctx, facts, "posted", "Requisition to posting, median", "From the first submit to the last invoice so far in the ledger.", silent),
        _percentile(ctx, facts, "approved_to_ordered", "Approval to order, median", "The part that systems take, after the last approval.", silent),
        _open_ones(ctx, facts, silent),
    ]
    now, before = facts.figures.of("ordered"), facts.figures.of("ordered", before=True)
    gap = now.documents - before.documents
    shown.append(
        Figure("Ordered", f"{now.documents:,}", n=f"{before.documents:,} in {facts.chosen.period.before.name}", change=f"{gap:+,}" if gap and before.documents else "", trend=[float(value) for value in facts.figures.by_week("ordered")["documents"]], link=partial(ctx.link, URL_PATH, switches.show(ctx, now.documents, "requisition"), show="ordered", **facts.links() | {"stop": "ordered"}) if now.documents else None, stale=silent)
    )
    settled, cohort = facts.cohort.settled, facts.cohort
    link = partial(ctx.link, URL_PATH, f"{switches.show(ctx, cohort.under_way, 'requisition')} under way", show="under_way", **facts.links()) if cohort.under_way else None
    shown.append(Figure("Settled of what was submitted", percent(settled), n=f"{cohort.submitted - cohort.under_way:,} of {cohort.submitted:,}; {cohort.ended_otherwise:,} without an order", target="target: 95 %", link=link, stale=silent, help="Below it, the figures on the left still change: what takes long is not in them yet."))
    return shown


def _percentile(ctx: Context, facts: Facts, measure: Any, label: str, what: str, silent: str) -> Figure:
    now, before = facts.figures.of(measure), facts.figures.of(measure, before=True)
    change = ""
    if now.n >= FEW and before.n >= FEW and now.p50_s is not None and before.p50_s is not None:
        gap = now.p50_s - before.p50_s
        change = f"{'+' if gap > 0 else '-'}{facts.spoken(abs(gap))}" if abs(gap) >= LEAST_S else ""
    links = facts.links() | ({"stop": measure} if measure in STOP.options else {})
    return Figure(
        label,
        switches.brief(ctx, _value(facts, now)),
        n=_clock(ctx, facts) + _sample(now) + (f"; 85 % within {facts.spoken(now.p85_s)}, 95 % within {facts.spoken(now.p95_s)}" if now.n >= FEW else ""),
        change=change,
        better=change.startswith("-") if change else None,
        target="" if change else f"n {before.n:,} before: no comparison" if now.n >= FEW and before.n < FEW else "",
        trend=[float(week["p50_s"]) for week in facts.figures.by_week(measure).to_dict("records") if week["n"] >= FEW],
        link=partial(ctx.link, URL_PATH, switches.show(ctx, now.documents, "requisition"), show=measure, **links) if now.documents else None,
        stale=silent,
        help=f"{what} Completed in the {facts.chosen.period.name}.",
    )


def _clock(ctx: Context, facts: Facts) -> str:
    return "working time, " if ctx.narrow and facts.clock == "business" else ""


def _value(facts: Facts, found: Percentiles) -> str:
    if not found.n:
        return "no data"
    return facts.spoken(found.p50_s) if found.n >= FEW else "too few"


def _sample(found: Percentiles) -> str:
    apart = f", {found.documents - found.n:,} with contradicting clocks" if found.documents > found.n else ""
    return f"n {found.n:,}{', small sample' if FEW <= found.n < SOME else ''}{apart}"


def _open_ones(ctx: Context, facts: Facts, silent: str) -> Figure:
    found = facts.honest
    if not found.n:
        value = "no data"
    elif found.n < FEW:
        value = "too few"
    else:
        value = facts.spoken(found.p50_s) if found.p50_s is not None else "not reached"
    return Figure(
        "To order, open ones counted",
        switches.brief(ctx, value),
        n=_clock(ctx, facts) + f"n {found.n:,}, {found.under_way:,} of them under way",
        target=f"85 % within {facts.spoken(found.p85_s)}" if found.n >= FEW and found.p85_s is not None else "85 %: not reached" if found.n >= FEW else "",
        link=partial(ctx.link, URL_PATH, switches.show(ctx, found.n, "requisition"), show="submitted", **facts.links()) if found.n else None,
        stale=silent,
        help=f"Median over everything submitted in the {facts.chosen.period.name}; what is under way counts with the age it has. The median of what is finished alone looks faster than it is.",
    )


# -- better or worse ----------------------------------------------------------------------------------------------------------


def _scale(facts: Facts, longest_s: float) -> tuple[float, str]:
    if facts.clock == "business":
        return (WORKING_DAY_S, "working days") if longest_s >= 2 * WORKING_DAY_S else (3600, "working hours")
    return (86400, "days") if longest_s >= 2 * 86400 else (3600, "hours")


def _better_or_worse(ctx: Context, facts: Facts) -> None:
    weeks = facts.figures.by_week(facts.stop)  # type: ignore[arg-type]
    enough = weeks[weeks["n"] >= FEW]
    if len(enough) < 2:
        return
    unit_s, unit = _scale(facts, float(enough["p85_s"].max()))
    drawn = enough.assign(p50=enough["p50_s"] / unit_s, p85=enough["p85_s"] / unit_s, week=pd.to_datetime(enough["week"]))
    style = charts.look(dark=ctx.dark)
    figure = charts.lines(drawn, x="week", series=[Line("p50", "median", style.accent), Line("p85", "85 %", charts.WATCH, dashed=True)], style=style, unit="")
    figure.update_yaxes(title={"text": unit, "font": {"color": style.quiet, "size": 12}})
    figure.update_xaxes(tickvals=list(drawn["week"])[:: 1 + len(drawn) // 4 if ctx.narrow else 1], tickformat="%d %b", tickangle=0)
    table = _written(facts, weeks, [("week", "Week from")])
    left_out = len(weeks) - len(enough)
    note = f"Median and 85th percentile of what was {facts.stop} in each week, in {unit}. The first and the last week may be cut by the period."
    frame.chart(figure, _trend(facts, enough), table, key="cycle.weeks", note=note + (f" {count(left_out, 'week')} with fewer than {FEW} not drawn." if left_out else ""))


def _trend(facts: Facts, weeks: pd.DataFrame) -> str:
    now, before = facts.figures.of(facts.stop), facts.figures.of(facts.stop, before=True)  # type: ignore[arg-type]
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
        table[label] = [facts.spoken(value) if n >= FEW else "too few" for value, n in zip(rows[name], rows["n"], strict=True)]
    return table


# -- where the time goes -------------------------------------------------------------------------------------------------------


def _stages(ctx: Context, facts: Facts) -> None:
    period = facts.chosen.period
    found = ask.stages(ctx.reports, facts.chosen.units, since=period.since, until=period.until, stop=facts.stop, clock=facts.clock)  # type: ignore[arg-type]
    found = found[found["total_s"] > 0]
    if found.empty:
        return
    drawn = found.assign(
        name=[STAGES.get(stage, (stage, ""))[0] for stage in found["stage"]],
        on=[STAGES.get(stage, ("", "systems"))[1] for stage in found["stage"]],
    )
    drawn["label"] = [switches.label(ctx, name) for name in drawn["name"]]
    drawn["text"] = [percent(row.share) if ctx.narrow else f"{percent(row.share)}  ·  median {facts.spoken(row.p50_s)}" for row in drawn.itertuples()]
    drawn["hover"] = [f"{row.name}: {percent(row.share)} of all time, {count(row.documents, 'requisition')} in {count(row.stays, 'stay')}, 85 % within {facts.spoken(row.p85_s)}" for row in drawn.itertuples()]
    shown = drawn[drawn["share"] >= 0.0005]
    figure = charts.bars(shown, label="label", value="share", text="text", hover="hover", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(shown)))
    first = drawn.iloc[0]
    st.subheader(f"{percent(float(first['share']), digits=0)} of the time is “{plain(first['name']).lower()}”, where it waits for {plain(first['on'])}", anchor=False)
    missing = facts.figures.of(facts.stop).n - int(found["documents"].max())  # type: ignore[arg-type]
    st.caption(f"Share of all time of {count(int(found['documents'].max()), 'requisition')} {facts.stop} in the period; the parts add up to the whole." + (f" {missing:,} left out: some of their orders are still missing." if missing > 0 else ""))
    st.plotly_chart(figure, theme=None, key="cycle.stages", config={"displaylogo": False, "displayModeBar": False, "responsive": True}, alt="Share of time by stage")
    with st.expander("The stages as a table, and the requisitions behind each", icon=":material/table_rows:"):
        _stage_table(ctx, facts, drawn)


def _stage_table(ctx: Context, facts: Facts, rows: pd.DataFrame) -> None:
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    rows = rows.assign(visits=rows["stays"] / rows["documents"], open=[ctx.href(URL_PATH, show=facts.stop, stage=stage, **facts.links()) for stage in rows["stage"]])
    columns = (
        Column("name", "Stage", width=230), Column("on", "Waits for", on_card=True), Column("share", "Share of all time", "share", on_card=True), Column("total_s", "In all", kind),
        Column("p50_s", "Median", kind, on_card=True), Column("p85_s", "85 % within", kind), Column("p95_s", "95 % within", kind), Column("documents", "Requisitions (n)", "count"),
        Column("stays", "Stays", "count", help="More stays than requisitions: some came back to this stage."), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    work_table(ctx, rows, columns, key="cycle.stages.table", row_id="stage", noun="stage", title=lambda row: f"**{plain(row['name'])}**", card_action=lambda row: ctx.link(URL_PATH, "Show", show=facts.stop, stage=row["stage"], **facts.links()))


# -- who ----------------------------------------------------------------------------------------------------------------------------


def _units(ctx: Context, facts: Facts) -> None:
    rows = facts.figures.by_unit(facts.stop)  # type: ignore[arg-type]
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
    rows["open"] = [ctx.href(URL_PATH, show=facts.stop, **facts.links() | {"unit": unit}) for unit in rows["business_unit"]]
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    columns = (
        Column("business_unit", "Unit"), Column("documents", "Requisitions", "count", on_card=True), Column("n", "n", "count", help="Of these with clocks that agree."),
        Column("p50_s", "Median", kind, on_card=True), Column("p85_s", "85 % within", kind, on_card=True), Column("p95_s", "95 % within", kind),
        Column("gap_s", "Median, change", kind, help="Against the period before, where both have enough."), Column("sample", "Sample", width=110), Column("open", "", "link", display="Show"),
    )  # fmt: skip
    with switches.folded(ctx, "The business units"):
        work_table(ctx, rows, columns, key="cycle.units", row_id="business_unit", noun="business unit", title=lambda row: f"**{plain(row['business_unit'])}** {row['sample']}", card_action=lambda row: ctx.link(URL_PATH, "Show", show=facts.stop, **facts.links() | {"unit": row["business_unit"]}))


# -- is everything counted -------------------------------------------------------------------------------------------------------------


def _completeness(ctx: Context, facts: Facts) -> None:
    if not facts.cohort.submitted:
        return
    rows = facts.weeks.assign(settled=[1 - row.under_way / row.submitted for row in facts.weeks.itertuples()])
    rows["open"] = [ctx.href(URL_PATH, show="under_way", week=week.isoformat(), **facts.links()) if under_way else None for week, under_way in zip(rows["week"], rows["under_way"], strict=True)]
    unsettled = rows[rows["settled"] < SHARE_SETTLED]
    st.subheader(f"{percent(facts.cohort.settled)} of what was submitted is settled" + (f"; the figures of {count(len(unsettled), 'week')} will still change" if len(unsettled) else "; nothing much is missing from the figures"), anchor=False)
    st.caption(f"By week of first submit. Below {SHARE_SETTLED:.0%} settled, what takes longest is not in any percentile yet, and the week looks faster than it was.".replace("%", " %"))
    columns = (
        Column("week", "Week from", "date"), Column("submitted", "Submitted", "count", on_card=True), Column("ordered", "Ordered", "count"), Column("ended_otherwise", "Ended without an order", "count"),
        Column("under_way", "Under way", "count", on_card=True), Column("settled", "Settled", "share", on_card=True), Column("open", "", "link", display="Show what is under way"),
    )  # fmt: skip
    with switches.folded(ctx, "The weeks"):
        work_table(ctx, rows, columns, key="cycle.cohort", row_id="week", noun="week", title=lambda row: f"**Week from {day(row['week'])}**", card_action=lambda row: ctx.link(URL_PATH, "Show what is under way", show="under_way", week=row["week"].isoformat(), **facts.links()) if row["under_way"] else None)


# -- the rows ------------------------------------------------------------------------------------------------------------------------------


def _rows(ctx: Context, facts: Facts) -> None:
    which: Any = switches.one_of("show", SHOWN) or facts.stop
    heading, measured = SHOWN[which]
    period, stage, week = facts.chosen.period, switches.one_of("stage", STAGES), st.query_params.get("week")
    rows = ask.rows(ctx.reports, facts.chosen.units, since=period.since, until=period.until, as_of=ctx.moment.as_of, which=which, clock=facts.clock)  # type: ignore[arg-type]
    if stage is not None and which in STOP.options:
        inside = ask.in_stage(ctx.reports, facts.chosen.units, since=period.since, until=period.until, stop=which, clock=facts.clock, stage=stage)  # type: ignore[arg-type]
        rows = rows.merge(inside, on="document_id").sort_values("stage_s", ascending=False)
        heading = f"{STAGES[stage][0]}: longest first"
    if week is not None:
        rows = rows[[monday is not None and monday.isoformat() == week for monday in ask.week_of(rows["submitted_at"], ctx.zone.key)]]
        heading += f", week from {plain(week[:10])}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(heading, anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **facts.links())
    if rows.empty:
        frame.nothing_happened("There is no such requisition.")
        return
    rows = rows.assign(
        trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
        longest=[STAGES.get(name, (NOTHING, ""))[0] if isinstance(name, str) else NOTHING for name in rows["longest_stage"]],
        again=["yes" if value else "" for value in rows["went_back"]],
    )
    work_table(ctx, rows, _columns(facts, measured, stage if "stage_s" in rows else None), key="cycle.rows", row_id="document_id", noun="requisition", title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}", card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])))


def _columns(facts: Facts, measured: str, stage: str | None) -> list[Column]:
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    inside = [Column("stage_s", STAGES[stage][0], kind, on_card=True), Column("stays", "Stays", "count")] if stage else []
    return [
        Column("number", "Requisition", "id"), Column("business_unit", "Unit", width=110), *inside, Column("s", measured, kind, on_card=True), Column("longest", "Longest stage", on_card=True, width=170),
        Column("longest_s", "In it", kind), Column("group_amount", "Value (EUR)", "group_money", on_card=not inside), Column("exceptions", "Exceptions", "count"),
        Column("again", "Went back", help="It was in one stage more than once."), Column("requester", "Requester"), Column("submitted_at", "First submit", "time"),
        Column("approved_at", "Approved", "time"), Column("ordered_at", "Ordered", "time"), Column("posted_at", "Posted", "time"), Column("state", "Stands at", "words"), Column("trace", "", "link", display="Trace"),
    ]  # fmt: skip


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission("No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”.")
        return
    if not _is_filtered(chosen) and (said.stale or all(source.age_s is None for source in said.sources)):
        frame.no_data(ctx, said)
        return
    dropped = [name for name, is_set in (("the period", True), ("business units", chosen.units is not None)) if is_set]
    frame.nothing_matches(f"requisitions submitted, ordered or posted in the {chosen.period.name}", dropped, names=(*NARROWED,))


def _is_filtered(chosen: Filters) -> bool:
    return chosen.units is not None or "period" in st.query_params or any(chosen.chosen.values())
