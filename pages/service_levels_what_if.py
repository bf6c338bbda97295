"""What if the promise were another one, and what does not count: the parts of the service level page that people play and decide with."""

from datetime import date, datetime, time
from typing import Any
from uuid import uuid4
from zoneinfo import available_timezones

import pandas as pd
import streamlit as st

from pages import charts, charts_time, filters, frame
from pages.context import Context
from pages.format import count, duration, percent, plain, visible, when, working_time
from pages.switches import one_of
from pages.tables import Column, work_table
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action
from sync_engine.insight.reports import what_if as ask
from sync_engine.insight.reports.service_levels import MEASURABLE, ServiceLevel

TARGETS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
FACTORS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 12, 24, 48)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OPEN = {"what-if": "What if it were another promise", "left-out": "What does not count"}


def draw(ctx: Context, chosen: filters.Filters, level: ServiceLevel) -> None:
    """Both parts, each asked for only when the address opens it."""
    opened = one_of("open", OPEN)
    with st.container(horizontal=True, gap="small"):
        for name, words in OPEN.items():
            ctx.link(
                ctx.url_path,
                f"Close: {words.lower()}" if name == opened else words,
                icon=":material/close:" if name == opened else ":material/tune:" if name == "what-if" else ":material/event_busy:",
                objective=level.objective,
                open=None if name == opened else name,
            )  # fmt: skip
    if opened == "what-if":
        with frame.part(OPEN["what-if"]):
            _what_if(ctx, chosen, level)
    elif opened == "left-out":
        with frame.part(OPEN["left-out"]):
            _left_out(ctx, level)


# -- what if ---------------------------------------------------------------------------------------------------------------


def _spoken(level: ServiceLevel, seconds: float) -> str:
    return working_time(seconds) if level.clock == "business" else duration(seconds)


def _asked(name: str, offered: tuple[float, ...], default: float) -> float:
    """What the address says of a slider; what it says wrongly is left out."""
    try:
        found = float(st.query_params.get(name, default))
    except ValueError:
        return default
    return found if found in offered else default


def _slide(label: str, name: str, offered: tuple[float, ...], default: float, words: Any) -> float:
    key = f"service_levels.{name}"
    st.session_state[key] = _asked(name, offered, default)

    def write() -> None:
        value = st.session_state[key]
        filters.put(name, None if value == default else f"{value:g}")

    return float(st.select_slider(label, offered, key=key, format_func=words, on_change=write))


def _what_if(ctx: Context, chosen: filters.Filters, level: ServiceLevel) -> None:
    found = ask.took(ctx.reports, level.objective, chosen.units, as_of=ctx.moment.as_of)
    targets = tuple(sorted({*TARGETS, level.target}))
    first, second = st.columns(2, gap="large")
    with first:
        factor = _slide("Promised within", "factor", tuple(float(one) for one in FACTORS), 1.0, lambda one: _spoken(level, one * level.threshold_s))  # fmt: skip
    with second:
        target = _slide("For", "target", targets, level.target, percent)
    threshold_s = factor * level.threshold_s
    good, due = found.at(threshold_s)
    if due < MEASURABLE:
        st.info(f"{count(due, 'document')} due in {ask.WHAT_IF_DAYS} days: too few to say.", icon=":material/tune:")
        return
    share, bad, budget = good / due, due - good, (1 - target) * due
    verdict = "would have been kept" if share >= target else "would have been broken"
    curve = pd.DataFrame([{"s": one * level.threshold_s, "share": _share(found, one * level.threshold_s)} for one in FACTORS])  # fmt: skip
    figure = charts_time.promise(
        curve.dropna(),
        x="s",
        y="share",
        words=[_spoken(level, s) for s in curve.dropna()["s"]],
        at=(threshold_s, share),
        target=target,
        style=charts.look(dark=ctx.dark),
    )
    table = pd.DataFrame({"Promised within": [_spoken(level, s) for s in curve["s"]], "Would have been in time": [percent(s) for s in curve["share"]]})  # fmt: skip
    frame.chart(
        figure,
        f"{percent(target)} within {_spoken(level, threshold_s)} {verdict}: {percent(share, digits=2)} of {count(due, 'document')} in {ask.WHAT_IF_DAYS} days",
        table,
        key="service_levels.what_if",
        note=f"{bad:,} would have missed, {budget:,.1f} may. Of the documents whose present deadline fell in the last {ask.WHAT_IF_DAYS} days, start to done, within 1 %; open ones count as missed once they are older than the promise.",
        exported=frame.Exported(ctx, f"{level.title}: share in time against the promise", f"what-if-{level.objective}"),
    )


def _share(found: ask.Took, threshold_s: float) -> float | None:
    good, due = found.at(threshold_s)
    return good / due if due else None


# -- what does not count -----------------------------------------------------------------------------------------------------

COLUMNS = (
    Column("standing", "State", "status", on_card=True, width=100), Column("when", "Deadlines", on_card=True, width=260), Column("unit", "Unit"), Column("scope", "Objective"),
    Column("reason", "Reason", on_card=True, width=260), Column("author", "Who"), Column("written_at", "Since", "time"), Column("withdrawn_by", "Counted again by"), Column("withdrawn_at", "On", "time"),
)  # fmt: skip


def _left_out(ctx: Context, level: ServiceLevel) -> None:
    st.subheader(
        f"{count(level.left_out, 'deadline')} left out in {level.window_days} days: {percent(level.attained, digits=2)} attained, {percent(level.attained_with_all, digits=2)} with everything",
        anchor=False,
    )
    rows = ask.exclusions(ctx.reports, level.objective)
    if rows.empty:
        frame.nothing_happened("Nothing is left out, and nothing ever was: every deadline counts.")
    else:
        rows = rows.assign(
            standing=["in force" if value is None else "stopped" for value in rows["withdrawn_at"]],
            when=[_stretch(ctx, row) for row in rows.to_dict("records")],
            unit=[value or "every unit" for value in rows["business_unit"]],
            scope=["this one" if value else "every objective" for value in rows["objective"]],
        )
        work_table(
            ctx, rows, COLUMNS, key="service_levels.left_out", row_id="exclusion_id", noun="exclusion", title=lambda row: f"**{plain(row['when'])}**",
        )  # fmt: skip
    if not ctx.may(Action.LEAVE_OUT):
        st.caption(ctx.why_not(Action.LEAVE_OUT))
        return
    in_force = rows[rows["withdrawn_at"].isna()] if len(rows) else rows
    if len(in_force):
        _count_again(ctx, in_force)
    _form(ctx, level)


def _stretch(ctx: Context, row: dict[str, Any]) -> str:
    if row["weekday"] is None:
        return f"{when(row['starts_at'], ctx.zone)} to {when(row['ends_at'], ctx.zone)}"
    return f"every {DAYS[int(row['weekday']) - 1]}, {row['from_time']:%H:%M} to {row['to_time']:%H:%M} ({row['time_zone']})"


def _send(ctx: Context, action: Action, reason: str, **arguments: Any) -> None:
    try:
        answered = ctx.ask(action, uuid4(), reason=reason, **arguments)
    except NotAllowed as error:
        st.error(str(error), icon=":material/error:")
        return
    if answered is None or answered.status in {"asked", "done"}:
        st.toast(plain(answered.sentence if answered else "The engine has not got to it yet."))
        st.rerun()
    st.error(plain(answered.sentence), icon=":material/error:")


def _count_again(ctx: Context, in_force: pd.DataFrame) -> None:
    words = {str(row["exclusion_id"]): f"{row['when']}, {row['unit']}" for row in in_force.to_dict("records")}
    with st.form("service_levels.count_again", border=True):
        chosen = st.selectbox("Count again", list(words), format_func=lambda one: visible(words[one]))
        reason = st.text_input("Why", key="service_levels.count_again.why", max_chars=300)
        if st.form_submit_button("Count these deadlines again", icon=":material/undo:"):
            _send(ctx, Action.COUNT_AGAIN, reason, exclusion_id=chosen)


def _form(ctx: Context, level: ServiceLevel) -> None:
    today: date = ctx.moment.as_of.astimezone(ctx.zone).date()
    units = ([""] if ctx.person.sees_all else []) + [unit.code for unit in ctx.units]
    weekly = st.toggle("Every week", key="service_levels.weekly")
    with st.form("service_levels.leave_out", border=True):
        unit = st.selectbox("Business unit", units, format_func=lambda one: one or "Every unit")
        begins, ends = st.columns(2)
        if weekly:
            weekday = st.selectbox("Day", range(1, 8), format_func=lambda one: DAYS[one - 1])
            zones = sorted(available_timezones())
            zone = st.selectbox("Time zone", zones, index=zones.index(ctx.zone.key) if ctx.zone.key in zones else 0)
        else:
            first = begins.date_input("First day", today, format="YYYY-MM-DD")
            last = ends.date_input("Last day", today, format="YYYY-MM-DD")
        since = begins.time_input("From", time(0, 0), step=900)
        until = ends.time_input("To", time(23, 45), step=900)
        reason = st.text_input("Why", key="service_levels.leave_out.why", max_chars=300, placeholder="Announced maintenance of the ERP")  # fmt: skip
        if not st.form_submit_button(f"Leave these deadlines out of “{plain(level.title)}”", icon=":material/event_busy:"):  # fmt: skip
            return
        if weekly:
            _send(ctx, Action.LEAVE_OUT, reason, kind="weekly", objective=level.objective, weekday=weekday, from_time=since.isoformat(), to_time=until.isoformat(), time_zone=zone, unit=unit, business_unit=unit)  # fmt: skip
        else:
            begin, end = (datetime.combine(on, at, ctx.zone) for on, at in ((first, since), (last, until)))
            _send(ctx, Action.LEAVE_OUT, reason, kind="once", objective=level.objective, starts_at=begin.isoformat(), ends_at=end.isoformat(), unit=unit, business_unit=unit)  # fmt: skip


def said_of(level: ServiceLevel) -> str:
    """With and without what is left out, where something is."""
    if not level.left_out:
        return ""
    return (
        f" {count(level.left_out, 'deadline')} left out; with everything {percent(level.attained_with_all, digits=2)}."
    )
