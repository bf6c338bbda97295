"""Whether what was promised was kept: each objective over its own window, how fast its error budget burns, what missed and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pandas as pd
import streamlit as st

from pages import filters, frame, imported, service_levels_detail, service_levels_imported
from pages.context import Context
from pages.explaining import Explained, LeftOut, Reported
from pages.format import count, day, duration, percent, plain
from pages.frame import Definition, Figure, Said
from pages.service_levels_detail import BURN_WINDOWS, promise_of
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import explain
from sync_engine.insight.reports import service_levels as ask
from sync_engine.insight.reports.service_levels import ServiceLevel

TITLE = "Service levels"
QUESTION = "Do we keep what we promised, and what is left of the error budget?"
URL_PATH = "service-levels"
ROLES = frozenset(Role)
SECTION = "Today"
ICON = ":material/target:"
LACKS = ""

SOURCES = {
    "requisition": ("coupa", "servicenow"),
    "purchase_order": ("coupa", "s4hana"),
    "invoice": ("basware", "s4hana"),
}
"""Which systems' silence makes an objective about such documents doubtful."""


COLUMNS = (
    Column("state", "State", "status", on_card=True, width=105),
    Column("title", "Objective"),
    Column("promise", "Promise"),
    Column("attained", "Attained", "share", on_card=True),
    Column("due", "Due (n)", "count"),
    Column("bad", "Missed", "count"),
    Column(
        "budget_left",
        "Budget left",
        "share",
        on_card=True,
        help="1 - missed / (documents that may miss). Negative: more missed than was allowed.",
    ),
    Column(
        "burn_1h",
        "Burn 1 h",
        "rate",
        help="Share of bad documents over the share that is allowed: 1 uses the budget up in exactly one window.",
    ),
    Column("burn_6h", "6 h", "rate"),
    Column("burn_1d", "1 d", "rate"),
    Column("burn_3d", "3 d", "rate"),
    Column("exhausted", "Budget ends"),
    Column("this_month", "This month", "share", help="The same share in this calendar month (UTC)."),
    Column("owner_team", "Owner"),
    Column("open", "", "link", display="Show"),
)

_ATTAINED = Definition("Attained", "documents done by their deadline, of those whose deadline fell in the window; open past its deadline counts as missed at its deadline", "documents the objective speaks of", "the objective's own rolling window, up to now", "wall or working hours, as the promise says", "test documents, and documents whose deadline is still ahead")  # fmt: skip
DEFINITIONS = (
    _ATTAINED,
    Definition("Error budget", "documents that may miss: (1 - target) x n due. Left: 1 - missed / budget, below zero when more missed", "the same documents", "the same window"),
    Definition("Burn rate", "share of bad documents in a window over the share that is allowed; 1 uses the budget up in one whole window", "documents whose deadline fell in the last hour, 6 hours, day, 3 days", "up to now", "wall"),
    Definition("Alert windows", f"urgent at 14.4 (1 h and 5 min) or 6 (6 h and 30 min), ticket at 3 (1 d and 2 h) or 1 (3 d and 6 h); with fewer than {ask.ENOUGH} due or {ask.ENOUGH_BAD} missed no rate alarms, then {ask.ENOUGH_BAD} missed of the last five do", "the same documents", "up to now", "wall"),
    Definition("State", f"broken: below target. At risk: less than {percent(ask.LOW_BUDGET, digits=0)} of the budget left, or an alert window fires. Measuring: fewer than {ask.MEASURABLE} due. No data: nothing was due, or nothing could be known", "objectives in force", "the objective's own window"),
    Definition("Why", "the first exception that was open between start and end; without one the system whose call failed; without either only that it was slow", "documents that missed", "from start to done, or now", "wall", "nothing"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    if ctx.is_imported:
        service_levels_imported.render(ctx)
        return
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, with_period=False)
    imported.draw(ctx)
    levels = ask.service_levels(ctx.reports, chosen.units, as_of=ctx.moment.as_of)
    if not levels:
        said.answer("No objective is in force.")
        st.info(
            "Objectives come from config/objectives; an engine puts them in force when it starts.",
            icon=":material/target:",
        )
        return
    said.answer(_answer(levels))
    if not any(level.due for level in levels):
        _empty(ctx, said, chosen)
        return
    longest = max(level.window_days for level in levels)
    days = ask.by_day(
        ctx.reports, chosen.units, since=min(level.since for level in levels), until=levels[0].until, zone=ctx.zone
    )
    frame.figures([_figure(ctx, said, level, days, chosen.units) for level in levels[:6]])
    _table(ctx, levels, longest)
    level = _opened(levels)
    with frame.part(level.title):
        service_levels_detail.draw(ctx, chosen, level, days[days["objective"] == level.objective])
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _answer(levels: Sequence[ServiceLevel]) -> str:
    measured = [level for level in levels if level.has_verdict]
    broken = [level for level in measured if level.state == "broken"]
    if not measured:
        return "There is no verdict yet: too little was due."
    if not broken:
        least = measured[0]
        return f"All {count(len(measured), 'objective')} with a verdict are kept. Least budget is left for {plain(least.title).lower()}: {percent(least.budget_left, digits=0)}, {least.bad:,} of {count(least.due, 'document')} missed."
    first = broken[0]
    return (
        f"{len(measured) - len(broken)} of {count(len(measured), 'objective')} with a verdict {'is' if len(measured) - len(broken) == 1 else 'are'} kept. "
        f"{plain(first.title)} has used {percent(1 - (first.budget_left or 0), digits=0)} of its error budget: {first.bad:,} of {count(first.due, 'document')} missed in {first.window_days} days. "
        f"{plain(first.owner_team).capitalize()} owns it."
    )


def _figure(ctx: Context, said: Said, level: ServiceLevel, days: pd.DataFrame, units: Sequence[str] | None) -> Figure:
    own = days[days["objective"] == level.objective]
    points = (
        round((level.attained - level.before) * 100, 1)
        if level.attained is not None and level.before is not None
        else 0.0
    )
    silent = "; ".join(
        f"{source.title} has been silent for {duration(source.age_s)}"
        for source in said.stale
        if source.system in SOURCES.get(level.document_type, ())
    )
    return Figure(
        plain(level.title),
        percent(level.attained),
        n=f"{level.good:,} of {level.due:,} in {level.window_days} days"
        if level.due
        else f"nothing due in {level.window_days} days",
        change=f"{points:+.1f} points" if points else "",
        better=points > 0 if points else None,
        target=f"target {percent(level.target)}",
        trend=[float(good) / float(due) for good, due in zip(own["good"], own["due"], strict=True)],
        link=partial(
            ctx.link, URL_PATH, f"Show {level.bad:,} missed" if level.bad else "Open", objective=level.objective
        ),
        stale=silent,
        explained=_explained(ctx, said, level, units),
        help=f"{promise_of(level)}; the change is against the {level.window_days} days before ({percent(level.before)}, n {level.due_before:,}).",
    )


def _explained(ctx: Context, said: Said, level: ServiceLevel, units: Sequence[str] | None) -> Explained:
    measures = ("objective_due", "objective_good")

    def reported(evening: date) -> Reported:
        found = explain.as_reported(
            ctx.reports, measures, units, since=level.since, until=level.until, evening=evening, part=level.objective
        )

        def spoken(one: dict[str, explain.Counted]) -> str:
            due, good = (one.get(name, explain.NOTHING).documents for name in measures)
            return f"{percent(good / due if due else None, digits=2)}, {good:,} of {due:,}"

        return Reported(
            spoken(found.then),
            spoken(found.now),
            f"deadlines from {day(found.since_on)} to {day(found.until_on - timedelta(days=1))} (UTC days, nothing left out)",
            [
                (learned_on, n, "in time" if measure == "objective_good" else "due")
                for learned_on, measure, n in found.restated
            ],
        )

    definition = replace(_ATTAINED, name=plain(level.title), window=f"deadline in the last {level.window_days} days")
    left_out = LeftOut("an exclusion says that their deadline does not count", level.left_out, partial(ctx.link, URL_PATH, "Show what does not count", objective=level.objective, open="left-out"))  # fmt: skip
    return Explained(
        ctx,
        level.objective,
        definition,
        f"good / due = {level.good:,} / {level.due:,}; promise: {promise_of(level)}",
        level.due,
        "document",
        period=filters.Period(level.since, level.until, f"last {level.window_days} days"),
        link=partial(ctx.link, URL_PATH, f"Show {level.bad:,} missed", objective=level.objective),
        left_out=(left_out,),
        sources=[source for source in said.sources if source.system in SOURCES.get(level.document_type, ())],
        reported=reported,
    )


def _table(ctx: Context, levels: Sequence[ServiceLevel], longest: int) -> None:
    st.subheader("Every objective, least budget first", anchor=False)
    rows = pd.DataFrame(
        [
            {
                "objective": level.objective,
                "state": level.state,
                "title": level.title,
                "promise": promise_of(level),
                "attained": level.attained,
                "due": level.due,
                "bad": level.bad,
                "budget_left": level.budget_left,
                **{f"burn_{name}": level.windows[name].burn for name in BURN_WINDOWS},
                "exhausted": f"in {duration(level.exhausted_in_days * 86400)}" if level.exhausted_in_days is not None and level.exhausted_in_days < longest else "spent" if level.state == "broken" else "not at this rate",
                "this_month": level.this_month,
                "owner_team": level.owner_team,
                "open": ctx.href(URL_PATH, objective=level.objective),
            }
            for level in levels
        ]
    )  # fmt: skip
    work_table(
        ctx, rows, COLUMNS, key="service_levels.all", row_id="objective", noun="objective", title=lambda row: f"**{plain(row['title'])}**",
        card_action=lambda row: ctx.link(URL_PATH, "Open", icon=":material/arrow_forward:", objective=str(row["objective"])),
    )  # fmt: skip


# -- one objective -------------------------------------------------------------------------------------------------------


def _opened(levels: Sequence[ServiceLevel]) -> ServiceLevel:
    """The objective the address names; the one with the least budget left without."""
    asked = st.query_params.get("objective")
    found = next((level for level in levels if level.objective == asked), None)
    if asked and found is None:
        st.warning(
            f"There is no objective {plain(asked[:60])}; this is the one with the least budget left.",
            icon=":material/link_off:",
        )
    return found or levels[0]


# -- empty ------------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: filters.Filters) -> None:
    if chosen.units:
        frame.nothing_matches("documents with a deadline", ["business units"], names=())
    elif not ctx.units:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
    else:
        frame.no_data(ctx, said)
    frame.explain(ctx, DEFINITIONS)
