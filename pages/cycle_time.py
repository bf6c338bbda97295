"""How long requisitions take until they are ordered and until their invoices are posted, where that time goes, and whether the
figures count everything that began.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import cycle_time_charts, cycle_time_imported, filters, frame, imported, switches
from pages import cycle_time_figures as figures
from pages import cycle_time_parts as parts
from pages.context import Addresses, Context
from pages.cycle_time_charts import CHART, COMPARE
from pages.cycle_time_parts import CLOCK, STOP, Facts
from pages.filters import Filters
from pages.format import NOTHING, count, plain
from pages.frame import Said
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.once import once
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES, Surroundings
from sync_engine.insight.reports.reading import in_parts
from sync_engine.insight.statistics import FEW

TITLE = "Cycle time"
QUESTION = "How long does it take from requisition to order and to posting, and where does the time go?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/timer:"
LACKS = ""

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


def render(ctx: Context) -> None:
    """The page."""
    if ctx.is_imported:
        cycle_time_imported.render(ctx)
        return
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    around = ask.surroundings(ctx.reports)
    imported.draw(ctx, STOP, CLOCK)
    switches.complain(
        {"stop": STOP.options, "clock": CLOCK.options, "show": SHOWN, "stage": STAGES, "chart": CHART.options, "compare": COMPARE.options}
    )  # fmt: skip
    facts = _gather(ctx, chosen, around)
    if (
        not facts.cohort.submitted
        and not facts.figures.of("ordered").documents
        and not facts.figures.of("posted").documents
    ):
        said.answer("There is nothing to measure here.")
        _empty(ctx, said, chosen)
        return
    said.answer(_answer(facts))
    frame.figures(figures.shown(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    cycle_time_charts.draw(ctx, facts)
    with frame.part("Where the time goes"):
        parts.stages(ctx, facts)
    parts.units(ctx, facts)
    parts.completeness(ctx, facts)
    if not asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, figures.DEFINITIONS)


def _gather(ctx: Context, chosen: Filters, around: Surroundings) -> Facts:
    stop: Any = switches.read(STOP)
    clock: Any = switches.read(CLOCK)
    since, until, units, reports, zone = (
        chosen.period.since,
        chosen.period.until,
        chosen.units,
        ctx.reports,
        ctx.zone.key,
    )
    found = ask.figures(
        reports,
        units,
        before=chosen.period.before.since,
        since=since,
        until=until,
        clock=clock,
        zone=zone,
    )
    cohort, weeks = ask.cohort(reports, units, since=since, until=until, zone=zone)
    honest = ask.honest(reports, units, since=since, until=until, as_of=ctx.moment.as_of, clock=clock)
    promised_s = around.promised_s.get(clock) if stop == "ordered" else None
    return Facts(chosen, stop, clock, found, cohort, weeks, honest, around.versions, promised_s)


def _answer(facts: Facts) -> str:
    now = facts.figures.of(facts.stop)
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


# -- the rows ------------------------------------------------------------------------------------------------------------------------------


def _rows(ctx: Context, facts: Facts) -> None:
    which: Any = switches.one_of("show", SHOWN) or facts.stop
    heading, measured = SHOWN[which]
    period, stage, week = facts.chosen.period, switches.one_of("stage", STAGES), st.query_params.get("week")
    asked: dict[str, Any] = {"since": period.since, "until": period.until, "as_of": ctx.moment.as_of, "which": which, "clock": facts.clock}  # fmt: skip
    is_narrowed = stage is not None or week is not None
    rows = ask.rows(ctx.reports, facts.chosen.units, **asked, most=ask.EVERY_ROW if is_narrowed else ask.MOST_ROWS)
    there = int(rows["found"].iloc[0]) if len(rows) and not is_narrowed else None
    if stage is not None and which in STOP.options:
        inside = ask.in_stage(
            ctx.reports,
            facts.chosen.units,
            since=period.since,
            until=period.until,
            stop=which,
            clock=facts.clock,
            stage=stage,
        )
        rows = rows.merge(inside, on="document_id").sort_values("stage_s", ascending=False)
        heading = f"{STAGES[stage][0]}: longest first"
    if week is not None:
        rows = rows[
            [
                monday is not None and monday.isoformat() == week
                for monday in ask.week_of(rows["submitted_at"], ctx.zone.key)
            ]
        ]
        heading += f", week from {plain(week[:10])}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(heading, anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **facts.links())
    if rows.empty:
        frame.nothing_happened("There is no such requisition.")
        return
    rows = _in_words(rows, ctx.addresses)
    work_table(
        ctx,
        rows,
        _columns(facts, measured, stage if "stage_s" in rows else None),
        key="cycle.rows",
        row_id="document_id",
        noun="requisition",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
        there=there,
        everything=None
        if is_narrowed
        else lambda: _everything(ctx, partial(ask.rows, ctx.reports, facts.chosen.units, **asked, remember=False)),
    )


def _everything(ctx: Context, ask_for: Callable[..., pd.DataFrame]) -> Iterator[pd.DataFrame]:
    at = ctx.addresses
    return (_in_words(part, at) for part in in_parts(ask_for, ask.place_of, most=ask.EXPORT_ROWS))


@once
def _in_words(rows: pd.DataFrame, at: Addresses) -> pd.DataFrame:
    return rows.assign(
        trace=[at.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
        longest=[
            STAGES.get(name, (NOTHING, ""))[0] if isinstance(name, str) else NOTHING for name in rows["longest_stage"]
        ],
        again=["yes" if value else "" for value in rows["went_back"]],
    )


def _columns(facts: Facts, measured: str, stage: str | None) -> list[Column]:
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    inside = (
        [Column("stage_s", STAGES[stage][0], kind, on_card=True), Column("stays", "Stays", "count")] if stage else []
    )
    return [
        Column("number", "Requisition", "id"), Column("business_unit", "Unit", width=110), *inside, Column("s", measured, kind, on_card=True), Column("longest", "Longest stage", on_card=True, width=170),
        Column("longest_s", "In it", kind), Column("group_amount", "Value (EUR)", "group_money", on_card=not inside), Column("exceptions", "Exceptions", "count"),
        Column("again", "Went back", help="It was in one stage more than once."), Column("requester", "Requester"), Column("submitted_at", "First submit", "time"),
        Column("approved_at", "Approved", "time"), Column("ordered_at", "Ordered", "time"), Column("posted_at", "Posted", "time"), Column("state", "Stands at", "words"), Column("trace", "", "link", display="Trace"),
    ]  # fmt: skip


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
        return
    if not _is_filtered(chosen) and (said.stale or all(source.age_s is None for source in said.sources)):
        frame.no_data(ctx, said)
        return
    if chosen.units is not None:
        frame.nothing_matches(f"requisitions submitted, ordered or posted {chosen.period.within}", ["the period", "business units"], names=NARROWED)  # fmt: skip
    else:
        imported.outside(ctx, said, chosen.period, "No requisition was submitted, ordered or posted", **switches.kept(STOP.name, CLOCK.name))  # fmt: skip


def _is_filtered(chosen: Filters) -> bool:
    return chosen.units is not None or "period" in st.query_params or any(chosen.chosen.values())
