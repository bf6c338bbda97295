"""How long requisitions take until they are ordered and until their invoices are posted, where that time goes, and whether the
figures count everything that began.
"""

from functools import partial
from typing import Any

import streamlit as st

from pages import cycle_time_parts as parts
from pages import filters, frame, switches
from pages.context import Context
from pages.cycle_time_parts import CLOCK, STOP, Facts
from pages.filters import Filters
from pages.format import NOTHING, count, duration, percent, plain
from pages.frame import Definition, Figure, Said
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES, Percentiles
from sync_engine.insight.statistics import FEW, SOME

TITLE = "Cycle time"
QUESTION = "How long does it take from requisition to order and to posting, and where does the time go?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/timer:"

SHOWN = {
    "ordered": ("Ordered in the period, slowest first", "First submit to order"),
    "posted": ("Posted in the period, slowest first", "First submit to posting"),
    "approved_to_ordered": ("Approved and ordered in the period, slowest first", "Approval to order"),
    "submitted": ("Submitted in the period and not ended otherwise, longest first", "Time so far, or to order"),
    "under_way": ("Submitted in the period and still under way, oldest first", "Time so far"),
    "ended": ("Submitted in the period and ended without an order, longest first", "Time until it ended"),
    "contradicting": ("Clocks that contradict each other", "Duration"),
}
MEASURES = (
    ("ordered", "Requisition to order, median", "From the first submit to the order number back in procurement."),
    ("posted", "Requisition to posting, median", "From the first submit to the last invoice so far in the ledger."),
    ("approved_to_ordered", "Approval to order, median", "The part that systems take, after the last approval."),
)
NARROWED = ("show", "stage", "week")
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


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    switches.draw(STOP, CLOCK)
    switches.complain({"stop": STOP.options, "clock": CLOCK.options, "show": SHOWN, "stage": STAGES})
    facts = _gather(ctx, chosen)
    if (
        not facts.cohort.submitted
        and not facts.figures.of("ordered").documents
        and not facts.figures.of("posted").documents
    ):
        said.answer("There is nothing to measure here.")
        _empty(ctx, said, chosen)
        return
    said.answer(_answer(facts))
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    parts.better_or_worse(ctx, facts)
    with frame.part("Where the time goes"):
        parts.stages(ctx, facts)
    parts.units(ctx, facts)
    parts.completeness(ctx, facts)
    if not asked_for_rows:
        with frame.part("The rows"):
            _rows(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _gather(ctx: Context, chosen: Filters) -> Facts:
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
        reports, units, before=chosen.period.before.since, since=since, until=until, clock=clock, zone=zone
    )
    cohort, weeks = ask.cohort(reports, units, since=since, until=until, zone=zone)
    honest = ask.honest(reports, units, since=since, until=until, as_of=ctx.moment.as_of, clock=clock)
    return Facts(chosen, stop, clock, found, cohort, weeks, honest)


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


# -- the figures ----------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    return [
        *(_percentile(ctx, facts, measure, label, what, silent) for measure, label, what in MEASURES),
        _open_ones(ctx, facts, silent),
        _ordered(ctx, facts, silent),
        _settled(ctx, facts, silent),
    ]


def _ordered(ctx: Context, facts: Facts, silent: str) -> Figure:
    now, before = facts.figures.of("ordered"), facts.figures.of("ordered", before=True)
    gap = now.documents - before.documents
    return Figure(
        "Ordered",
        f"{now.documents:,}",
        n=f"{before.documents:,} in {facts.chosen.period.before.name}",
        change=f"{gap:+,}" if gap and before.documents else "",
        trend=[float(value) for value in facts.figures.by_week("ordered")["documents"]],
        link=partial(
            ctx.link,
            URL_PATH,
            switches.show(ctx, now.documents, "requisition"),
            show="ordered",
            **facts.links() | {"stop": "ordered"},
        )
        if now.documents
        else None,
        stale=silent,
    )


def _settled(ctx: Context, facts: Facts, silent: str) -> Figure:
    cohort = facts.cohort
    link = (
        partial(
            ctx.link,
            URL_PATH,
            f"{switches.show(ctx, cohort.under_way, 'requisition')} under way",
            show="under_way",
            **facts.links(),
        )
        if cohort.under_way
        else None
    )
    return Figure(
        "Settled of what was submitted",
        percent(cohort.settled),
        n=f"{cohort.submitted - cohort.under_way:,} of {cohort.submitted:,}; {cohort.ended_otherwise:,} without an order",
        target="target: 95 %",
        link=link,
        stale=silent,
        help="Below it, the figures on the left still change: what takes long is not in them yet.",
    )


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
        n=_clock(ctx, facts)
        + _sample(now)
        + (f"; 85 % within {facts.spoken(now.p85_s)}, 95 % within {facts.spoken(now.p95_s)}" if now.n >= FEW else ""),
        change=change,
        better=change.startswith("-") if change else None,
        target="" if change else f"n {before.n:,} before: no comparison" if now.n >= FEW and before.n < FEW else "",
        trend=[float(week["p50_s"]) for week in facts.figures.by_week(measure).to_dict("records") if week["n"] >= FEW],
        link=partial(ctx.link, URL_PATH, switches.show(ctx, now.documents, "requisition"), show=measure, **links)
        if now.documents
        else None,
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
        target=f"85 % within {facts.spoken(found.p85_s)}"
        if found.n >= FEW and found.p85_s is not None
        else "85 %: not reached"
        if found.n >= FEW
        else "",
        link=partial(ctx.link, URL_PATH, switches.show(ctx, found.n, "requisition"), show="submitted", **facts.links())
        if found.n
        else None,
        stale=silent,
        help=f"Median over everything submitted in the {facts.chosen.period.name}; what is under way counts with the age it has. The median of what is finished alone looks faster than it is.",
    )


# -- the rows ------------------------------------------------------------------------------------------------------------------------------


def _rows(ctx: Context, facts: Facts) -> None:
    which: Any = switches.one_of("show", SHOWN) or facts.stop
    heading, measured = SHOWN[which]
    period, stage, week = facts.chosen.period, switches.one_of("stage", STAGES), st.query_params.get("week")
    rows = ask.rows(
        ctx.reports,
        facts.chosen.units,
        since=period.since,
        until=period.until,
        as_of=ctx.moment.as_of,
        which=which,
        clock=facts.clock,
    )
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
    rows = rows.assign(
        trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
        longest=[
            STAGES.get(name, (NOTHING, ""))[0] if isinstance(name, str) else NOTHING for name in rows["longest_stage"]
        ],
        again=["yes" if value else "" for value in rows["went_back"]],
    )
    work_table(
        ctx,
        rows,
        _columns(facts, measured, stage if "stage_s" in rows else None),
        key="cycle.rows",
        row_id="document_id",
        noun="requisition",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
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
    dropped = [name for name, is_set in (("the period", True), ("business units", chosen.units is not None)) if is_set]
    frame.nothing_matches(
        f"requisitions submitted, ordered or posted in the {chosen.period.name}", dropped, names=(*NARROWED,)
    )


def _is_filtered(chosen: Filters) -> bool:
    return chosen.units is not None or "period" in st.query_params or any(chosen.chosen.values())
