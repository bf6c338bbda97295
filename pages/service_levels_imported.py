"""The page on service levels for another maker's log: those of our objectives that its stages can tell, whether its documents kept them, and
which did not. Of the others it says in plain words why such a log cannot tell them. It does not go on, so nothing burns here.
"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import filters, frame, imported, switches
from pages.context import Context
from pages.filters import Filters
from pages.format import count, duration, percent, plain, visible, words, working_time
from pages.frame import Definition, Explainer, Figure, Said
from pages.tables import Column, work_table
from sync_engine.insight.reports import imported_promises as ask
from sync_engine.insight.reports.imported import Within
from sync_engine.insight.reports.imported_promises import Kept, Promise
from sync_engine.insight.reports.service_levels import LOW_BUDGET, MEASURABLE
from sync_engine.insight.statistics import wilson

QUESTION = "Would the documents of this log have kept what we promise of ours?"
URL_PATH = "service-levels"
SHOWN = {"missed": "Missed, latest first", "kept": "In time, closest first", "due": "All that were due, latest first", "ahead": "Deadline after the log's end, not counted"}  # fmt: skip
NAMES = ("objective", "show")
POPULATION = "documents that an event of their own brought to a stage at which the objective begins"

DEFINITIONS = (
    Definition("Attained", "came to a stage at which the objective ends by its deadline, also by an event of another document that names it. Which activity comes to which stage, the log's mapping says, or else the activity's name", POPULATION, "deadline in the period and not after the log's last event; open past its deadline counts as missed at its deadline", "working hours of the document's unit where the objective counts those and our calendar of the unit reaches there; else wall clock, a working day as one day", "deadlines after the log's last event, and events whose time cannot be right"),
    Definition("95 % interval", "Wilson: where the share would lie if more such documents had been seen", POPULATION, "the same"),
    Definition("Error budget", "documents that may miss: (1 - target) x n due. Left: 1 - missed / budget, below zero when more missed", POPULATION, "the same"),
    Definition("State", f"broken: below target. At risk: less than {percent(LOW_BUDGET, digits=0)} of the budget left. Measuring: fewer than {MEASURABLE} due, no verdict. No data: nothing was due", "objectives that the log's stages can tell", "the same"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    imported.draw(ctx)
    within = Within(ctx.log, chosen.period.since, chosen.period.until, chosen.units)
    promises = ask.promises(ctx.reports)
    told = [one for one in promises if one.is_told]
    switches.complain({"objective": [one.name for one in told], "show": SHOWN})
    levels, units = ask.kept(ctx.reports, within, told) if told else ((), pd.DataFrame())
    said.answer(_answer(levels, chosen))
    if any(level.began for level in levels):
        frame.figures([_figure(ctx, said, level, chosen) for level in levels if level.began][:6])
        opened = _opened(levels)
        _clock(opened)
        if "show" in st.query_params:
            _rows(ctx, within, opened)
        _table(ctx, levels)
        _units(ctx, opened, units)
    elif chosen.units is not None:
        frame.nothing_matches("documents", ["business units"], names=NAMES)
    elif told:
        frame.nothing_happened("No document of this log came to a stage at which one of these objectives begins. Stages are as the log's mapping names them: `finsync import-log FILE --guess-mapping` prints one to correct.")  # fmt: skip
    if levels and not any(level.due for level in levels):
        imported.outside(ctx, said, chosen.period, "No deadline that the log can tell lies")
    _not_told(promises)
    frame.explain(ctx, DEFINITIONS)


def _promise(one: Promise) -> str:
    return f"{percent(one.target)} within {working_time(one.threshold_s) if one.clock == 'business' else duration(one.threshold_s)}"


def _ends(stages: tuple[str, ...]) -> str:
    return " or ".join(f"“{words(stage)}”" for stage in stages)


def _answer(levels: tuple[Kept, ...], chosen: Filters) -> str:
    due = [level for level in levels if level.due]
    if not due:
        return "Nothing that this log can tell was due here, so there is nothing to judge."
    first = due[0]
    of = f"{first.good:,} of {count(first.due, 'document')} {chosen.period.within} kept “{plain(first.promise.title)}”"
    if first.state == "measuring":
        return f"{of}: too few for a verdict."
    low, high = first.interval or (0.0, 1.0)
    verdict = "kept" if first.state in {"ok", "at risk"} else "broken"
    return f"{of}: {percent(first.attained)} ({percent(low)} to {percent(high)}), where {percent(first.promise.target)} was promised, so it would be {verdict}."


def _link(ctx: Context, level: Kept, which: str, n: int, what: str = "due") -> Any:
    return partial(ctx.link, URL_PATH, f"Show {n:,} {what}", objective=level.promise.name, show=which) if n else None  # fmt: skip


def _figure(ctx: Context, said: Said, level: Kept, chosen: Filters) -> Figure:
    low, high = level.interval or (None, None)
    why = Explainer(ctx, DEFINITIONS, said.sources, chosen.period)
    link = _link(ctx, level, "missed", level.missed, "missed") or _link(ctx, level, "due", level.due)
    return Figure(
        plain(level.promise.title),
        percent(level.attained),
        n=f"{level.good:,} of {count(level.due, 'document')}; 95 %: {percent(low)} to {percent(high)}" if level.due else "nothing was due",
        target=f"target {percent(level.promise.target)}",
        link=link,
        explained=why(level.promise.name, "Attained", f"in time / due = {level.good:,} / {level.due:,}; promise: {_promise(level.promise)}", level.due, "document", link=link),
        help=f"From {_ends(level.promise.starts)} to {_ends(level.promise.goods)}.",
    )  # fmt: skip


def _clock(level: Kept) -> None:
    """By which clock the deadlines of working time were: not everybody's calendar is known."""
    if level.promise.clock == "business" and level.by_wall:
        st.caption(f"{level.by_wall:,} of {count(level.due, 'deadline')} are by the wall clock, {duration(level.promise.wall_s)} for {working_time(level.promise.threshold_s)}: no working calendar of ours covers them.")  # fmt: skip


def _opened(levels: tuple[Kept, ...]) -> Kept:
    asked = st.query_params.get("objective")
    return next((level for level in levels if level.promise.name == asked), levels[0])


def _table(ctx: Context, levels: tuple[Kept, ...]) -> None:
    st.subheader("What this log can tell, least budget first", anchor=False)
    rows = pd.DataFrame(
        [
            {
                "objective": level.promise.name,
                "state": level.state,
                "title": level.promise.title,
                "promise": _promise(level.promise),
                "told": f"{_ends(level.promise.starts)} to {_ends(level.promise.goods)}",
                "attained": level.attained,
                "interval": _interval(level.good, level.due),
                "due": level.due,
                "missed": level.missed,
                "budget_left": level.budget_left,
                "by_wall": level.by_wall,
                "ahead": level.ahead,
                "open": ctx.href(URL_PATH, objective=level.promise.name, show="missed" if level.missed else "due"),
            }
            for level in levels
        ]
    )
    work_table(
        ctx,
        rows,
        (
            Column("state", "State", "status", on_card=True, width=105),
            Column("title", "Objective"),
            Column("promise", "Promise"),
            Column("told", "Told by the stages", width="medium"),
            Column("attained", "Attained", "share", on_card=True),
            Column("interval", "95 % interval"),
            Column("due", "Due (n)", "count", on_card=True),
            Column("missed", "Missed", "count"),
            Column("budget_left", "Budget left", "share", on_card=True, help="1 - missed / (documents that may miss). Negative: more missed than was allowed."),
            Column("by_wall", "By wall clock", "count", help="Of those due: their unit has no working calendar here, or it does not reach there."),
            Column("ahead", "After the end", "count", help="Deadlines after the log's last event: in no figure."),
            Column("open", "Rows", "link", display="Show"),
        ),
        key="service_levels.imported",
        row_id="objective",
        noun="objective",
        title=lambda row: f"**{plain(row['title'])}**",
        card_action=lambda row: ctx.link(URL_PATH, f"Show {row['missed'] or row['due']:,}", objective=row["objective"], show="missed" if row["missed"] else "due") if row["due"] else None,
    )  # fmt: skip


def _interval(good: int, due: int) -> str:
    bounds = wilson(good, due)
    return f"{percent(bounds[0])} to {percent(bounds[1])}" if bounds else ""


def _units(ctx: Context, level: Kept, units: pd.DataFrame) -> None:
    own = units[(units["name"] == level.promise.name) & (units["due"].astype(int) > 0)]
    if len(own) < 2:
        return
    shown = own.assign(
        unit=[visible(code or "of no unit") for code in own["business_unit"]],
        missed=own["due"] - own["good"],
        attained=[good / due for good, due in zip(own["good"], own["due"], strict=True)],
        interval=[_interval(good, due) for good, due in zip(own["good"], own["due"], strict=True)],
    ).sort_values("missed", ascending=False, kind="stable")
    worst = shown.iloc[0]
    st.subheader(f"{plain(level.promise.title)}: {plain(worst['unit'])} missed most, {worst['missed']:,} of {worst['due']:,}", anchor=False)  # fmt: skip
    columns = (Column("unit", "Unit"), Column("due", "Due (n)", "count", on_card=True), Column("missed", "Missed", "count", on_card=True), Column("attained", "Attained", "share", on_card=True), Column("interval", "95 % interval"))  # fmt: skip
    work_table(ctx, shown, columns, key="service_levels.imported.units", row_id="unit", noun="unit", title=lambda row: f"**{plain(row['unit'])}**")  # fmt: skip


def _rows(ctx: Context, within: Within, level: Kept) -> None:
    which = switches.one_of("show", SHOWN) or "missed"
    imported.rows(
        ctx, f"{plain(level.promise.title)}: {SHOWN[which].lower()}", partial(ask.rows, ctx.reports, within, level.promise, which), _in_words,
        lambda _: (
            Column("number", "Document", "id"),
            Column("document_type", "Type", "words"),
            Column("business_unit", "Unit"),
            Column("late", "Late by", "elapsed", on_card=True, help="Wall time past the deadline; up to the log's end, where it was still open. Empty: in time."),
            Column("started_at", "Began", "time"),
            Column("deadline_at", "Deadline", "time", on_card=True),
            Column("good_at", "Done", "time", help="Empty: not in this log."),
            Column("clock", "Timed by"),
            Column("state", "Stands at", "words"),
        ),
        key="service_levels.imported.rows", of=DEFINITIONS[0], closes={"objective": level.promise.name},
    )  # fmt: skip


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        late=[late if late > 0 else None for late in rows["late_s"]],
        clock=["wall clock" if is_wall else "working hours" for is_wall in rows["is_wall"]],
    )


def _not_told(promises: tuple[Promise, ...]) -> None:
    missing = [one for one in promises if not one.is_told]
    if not promises:
        st.info("Objectives come from config/objectives; an engine puts them in force when it starts.", icon=":material/target:")  # fmt: skip
    if not missing:
        return
    st.subheader(f"{count(len(missing), 'objective')} cannot be told from a log like this", anchor=False)
    for one in missing:
        ends = [name for name, stages in (("begins", one.starts), ("ends", one.goods)) if not stages]
        st.markdown(f"- **{plain(one.title)}** ({_promise(one)}): it {' and '.join(ends)} with something between our own systems, which leaves no stage in another maker's log.")  # fmt: skip
