"""One objective on the service level page: its days, its budget, the documents that missed and why, its alerts and units."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from pages import charts, filters, frame, service_levels_what_if, switches
from pages.charts import Line, Part
from pages.context import Addresses, Context
from pages.format import count, day, duration, percent, plain, system, visible, working_time
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import service_levels as ask
from sync_engine.insight.reports.reading import in_parts
from sync_engine.insight.reports.service_levels import WINDOWS, ServiceLevel
from sync_engine.model.exceptions import kind_of

PATH = "service-levels"
BURN_WINDOWS = ("1h", "6h", "1d", "3d")
SPOKEN = {"1h": "hour", "6h": "6 hours", "1d": "day", "3d": "3 days"}
SHORT = {"5m": "5 min", "30m": "30 min", "1h": "1 h", "2h": "2 h", "6h": "6 h", "1d": "1 d", "3d": "3 d"}
WORST_DAYS = 4

MISSED = (
    Column("number", "Document", "id"),
    Column("document_type", "Type", "words"),
    Column("business_unit", "Unit"),
    Column("why", "Why", on_card=True, width=240),
    Column(
        "late_s", "Late by", "age", on_card=True, help="Wall time past the deadline; so far, where it is still open."
    ),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("started_at", "Began", "time"),
    Column("deadline_at", "Deadline", "time"),
    Column("good_at", "Done", "time", help="Empty: still open."),
    Column("owner_team", "Who can repair it"),
    Column("supplier_name", "Supplier"),
    Column("trace", "", "link", display="Trace"),
)
UNITS = (
    Column("business_unit", "Unit"),
    Column("due", "Due (n)", "count", on_card=True),
    Column("bad", "Missed", "count", on_card=True),
    Column("attained", "Attained", "share", on_card=True),
    Column("interval", "95 % interval"),
)
ALERTS = (
    Column("standing", "State", "status", on_card=True, width=85),
    Column("rule", "Rule", width=190),
    Column("long", "Long window", on_card=True),
    Column("short", "Short window", on_card=True),
)


def promise_of(level: ServiceLevel) -> str:
    """What was promised, in words."""
    threshold = working_time(level.threshold_s) if level.clock == "business" else duration(level.threshold_s)
    return f"{percent(level.target)} within {threshold}"


def draw(ctx: Context, chosen: filters.Filters, level: ServiceLevel, days: pd.DataFrame) -> None:
    """The part of the page about one objective."""
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(plain(level.title), anchor=False, width="content")
        st.badge(level.state, color={"ok": "green", "broken": "red", "at risk": "orange"}.get(level.state, "gray"))  # type: ignore[arg-type]
    budget = (
        f"{level.budget:,.1f} of {count(level.due, 'document')} may miss, {level.bad:,} did"
        if level.due
        else "none without documents"
    )
    st.markdown(
        f"Promise: {promise_of(level)}. Attained: {percent(level.attained, digits=2)}. Budget: {budget}. Owner: {plain(level.owner_team)}.{service_levels_what_if.said_of(level)}",
        anchors=False,
    )
    service_levels_what_if.draw(ctx, chosen, level)
    if not level.due:
        frame.nothing_happened(
            f"Nothing was due in the last {level.window_days} days, so there is nothing to judge: no data, not 100 %."
        )
        return
    first, second = st.columns(2, gap="large")
    with first:
        _by_day(ctx, level, days)
    with second:
        _burn_down(ctx, level, days)
    _missed(ctx, chosen, level)
    first, second = st.columns(2, gap="large")
    with first:
        _alerts(ctx, level)
    with second, frame.part("By business unit"):
        _by_unit(ctx, chosen, level)


def _by_day(ctx: Context, level: ServiceLevel, days: pd.DataFrame) -> None:
    worst = days[days["bad"] > 0].sort_values("bad", ascending=False)
    if worst.empty:
        finding = f"All {count(level.due, 'document')} were in time"
    else:
        top = worst.iloc[0]
        finding = (
            f"{top['bad']:,} of {level.bad:,} missed on {day(top['day'])}"
            if len(worst) > 1
            else f"All {level.bad:,} missed on {day(top['day'])}"
        )
    shown, table = _told_of_days(days)
    parts = [Part("bad", "missed", charts.STUCK), Part("good", "in time", charts.OK)]
    figure = charts.columns(shown, x="day", parts=parts, hover="hover", style=charts.look(dark=ctx.dark))
    frame.chart(
        figure,
        finding,
        table,
        key="service_levels.days",
        note=f"Documents by the day their deadline fell ({ctx.zone.key}).",
        exported=frame.Exported(
            ctx,
            f"{level.title}: documents due by day, in time and missed, {level.window_days} days",
            f"days-{level.objective}",
        ),
    )
    if len(worst):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.caption("Worst days", width="content")
            for row in worst.head(WORST_DAYS).itertuples():
                ctx.link(PATH, f"{day(row.day)}: {row.bad:,}", objective=level.objective, day=row.day.isoformat())


@once
def _told_of_days(days: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The days with what is said of each, and as the table under the chart."""
    hover = [f"{day(row.day)}: {row.good:,} in time, {row.bad:,} missed, n {row.due:,}" for row in days.itertuples()]
    named = {"day": "Day", "due": "Due", "good": "In time", "bad": "Missed"}
    return days.assign(hover=hover), days[["day", "due", "good", "bad"]].rename(columns=named)


def _burn_down(ctx: Context, level: ServiceLevel, days: pd.DataFrame) -> None:
    left, table = _budget(days, level)
    spent = left[left["left"] < 0]
    finding = (
        f"The budget was spent on {day(spent.iloc[0]['day'])}"
        if len(spent)
        else f"{percent(level.budget_left, digits=0)} of the budget is left"
    )
    colour = charts.STUCK if len(spent) else charts.WAITING
    figure = charts.lines(
        left,
        x="day",
        series=[Line("percent", "budget left", colour)],
        style=charts.look(dark=ctx.dark),
        unit=" %",
        objective=(0.0, "spent"),
    )
    frame.chart(
        figure,
        finding,
        table,
        key="service_levels.burn",
        note="Share of this window's error budget that was left at the end of each day.",
        exported=frame.Exported(
            ctx, f"{level.title}: error budget left, {level.window_days} days", f"budget-{level.objective}"
        ),
    )


@once
def _budget(days: pd.DataFrame, level: ServiceLevel) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was left of the budget at the end of each day, in percent too, and the table under the chart."""
    left = ask.burn_down(days, level)
    left = left.assign(percent=left["left"] * 100)
    return left, left[["day", "percent"]].rename(columns={"day": "Day", "percent": "Budget left (%)"})


def _missed(ctx: Context, chosen: filters.Filters, level: ServiceLevel) -> None:
    window = st.query_params.get("window")
    only = st.query_params.get("day")
    most = ask.EVERY_ROW if only else ask.MOST_ROWS
    rows = ask.missed(
        ctx.reports, level.objective, chosen.units, since=level.since_of(window), until=level.until, most=most
    )
    rows = _reasoned(rows, ctx.addresses, on=only, zone=ctx.zone)
    there = int(rows["found"].iloc[0]) if len(rows) and not only else len(rows)
    where = (
        f"on {plain(only)}"
        if only
        else f"in the last {SPOKEN[window]}"
        if window in WINDOWS
        else f"in the last {level.window_days} days"
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(f"{count(there, 'document')} missed {where}", anchor=False, width="content")
        if only or window:
            ctx.link(PATH, f"Show all {level.bad:,}", icon=":material/close:", objective=level.objective)
        for name in BURN_WINDOWS:
            if level.windows[name].bad and name != window:
                ctx.link(
                    PATH, f"Last {SPOKEN[name]}: {level.windows[name].bad:,}", objective=level.objective, window=name
                )
    if rows.empty:
        frame.nothing_happened(
            f"No document missed {where}; {count(level.due, 'document')} {'was' if level.due == 1 else 'were'} due in {level.window_days} days."
        )
        return
    reasons = rows["why"].value_counts()
    st.caption(
        "Why: "
        + "; ".join(f"{n:,} {visible(why)[0].lower()}{visible(why)[1:]}" for why, n in reasons.head(5).items())
        + ("; others" if len(reasons) > 5 else "")
        + (f" (of the latest {len(rows):,})" if there > len(rows) else "")
    )
    if len(rows) > 1:
        _pareto(ctx, level, rows)
    work_table(
        ctx, rows, MISSED, key="service_levels.missed", row_id="document_id", noun="document", title=_card_title,
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])), there=there,
        everything=lambda: _everything(ctx, partial(ask.missed, ctx.reports, level.objective, chosen.units, since=level.since_of(window), until=level.until, remember=False)) if there > len(rows) else [rows],
    )  # fmt: skip


def _everything(ctx: Context, ask_for: Callable[..., pd.DataFrame]) -> Iterator[pd.DataFrame]:
    at = ctx.addresses
    return (
        _reasoned(part, at, on=None, zone=ctx.zone) for part in in_parts(ask_for, ask.place_of, most=ask.EXPORT_ROWS)
    )


def _pareto(ctx: Context, level: ServiceLevel, rows: pd.DataFrame) -> None:
    """Which reasons, and which of them in which unit, most documents missed for: the few that are worth repairing first."""
    whole = len(rows)
    reasons, table = _by_reason(rows, narrow=ctx.narrow)
    first = reasons.iloc[0]
    frame.chart(
        charts.bars(
            reasons, label="label", value="documents", text="text", hover="hover", style=charts.look(dark=ctx.dark), colour=charts.STUCK,
            height=switches.bars_height(ctx, len(reasons)),
        ),
        f"{percent(float(first['documents']) / whole, digits=0)} missed for one reason: {visible(first['why'])[0].lower()}{visible(first['why'])[1:]}",
        table,
        key="service_levels.reasons",
        note="Documents that missed, by the first reason found between start and end; one document counts once.",
        exported=frame.Exported(ctx, f"{level.title}: why documents missed, {level.window_days} days", f"why-{level.objective}"),
    )  # fmt: skip


@once
def _by_reason(rows: pd.DataFrame, *, narrow: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reasons, that of most documents first, with what is said of each, and the table under the chart."""
    whole = len(rows)
    reasons = (
        rows.groupby("why").agg(documents=("document_id", "nunique"), units=("business_unit", _units_of)).reset_index()
    )
    reasons = reasons.sort_values(["documents", "why"], ascending=[False, True])
    reasons = reasons.assign(up_to=reasons["documents"].cumsum() / whole)
    told = reasons.assign(
        text=[
            f"{row.documents:,}" + ("" if narrow else f"  ·  {percent(row.up_to, digits=0)} with those above")
            for row in reasons.itertuples()
        ],
        hover=[f"{visible(row.why)}: {count(row.documents, 'document')} ({percent(row.documents / whole)})<br>{visible(row.units)}" for row in reasons.itertuples()],
        label=[switches.label(visible(why), narrow=narrow) for why in reasons["why"]],
    )  # fmt: skip
    named = {"why": "Why", "documents": "Missed", "up_to": "With those above", "units": "Where"}
    table = reasons[list(named)].assign(up_to=[percent(value) for value in reasons["up_to"]]).rename(columns=named)
    return told, table


def _units_of(units: pd.Series) -> str:
    return ", ".join(f"{unit} {n:,}" for unit, n in units.value_counts().head(4).items())


@once
def _reasoned(rows: pd.DataFrame, at: Addresses, *, on: str | None, zone: ZoneInfo) -> pd.DataFrame:
    """The documents that missed, those of a day alone where one is named, with why and where each is."""
    if on:
        rows = rows[[deadline.astimezone(zone).date().isoformat() == on for deadline in rows["deadline_at"]]]
    return rows.assign(
        why=[_why(row) for row in rows.to_dict("records")],
        trace=[at.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
    )


def _why(row: dict[str, Any]) -> str:
    if isinstance(row["code"], str):
        return kind_of(row["code"]).title
    if isinstance(row["failed_system"], str):
        return f"A call to {system(row['failed_system'])} failed"
    return "Slow: no exception, no failed call"


def _card_title(row: dict[str, Any]) -> str:
    still = " · still open" if row["good_at"] is None or pd.isna(row["good_at"]) else ""
    return f"**{plain(row['number'])}** · {plain(row['business_unit'])}{still}"


def _alerts(ctx: Context, level: ServiceLevel) -> None:
    st.subheader("Alert windows now", anchor=False)
    rows = pd.DataFrame(
        [
            {
                "row": alert.long_name,
                "standing": "firing"
                if alert.fires
                else "no data"
                if not alert.long.due
                else "too few"
                if alert.long.due < ask.ENOUGH
                else "ok",
                "rule": f"{alert.severity}: over {alert.threshold:g} in {SHORT[alert.long_name]} and {SHORT[alert.short_name]}",
                "long": _burned(alert.long),
                "short": _burned(alert.short),
            }
            for alert in level.alerts
        ]
    )
    work_table(
        ctx,
        rows,
        ALERTS,
        key="service_levels.alerts",
        row_id="row",
        noun="rule",
        title=lambda row: f"**{plain(row['rule'])}**",
    )
    if level.last_five_bad:
        st.caption(f"{level.last_five_bad} of the last five documents missed.")


def _burned(window: ask.Window) -> str:
    return "nothing due" if window.burn is None else f"{window.burn:.1f} ({window.bad:,} of {window.due:,})"


def _by_unit(ctx: Context, chosen: filters.Filters, level: ServiceLevel) -> None:
    st.subheader("By business unit", anchor=False)
    rows = ask.by_unit(ctx.reports, level.objective, chosen.units, since=level.since, until=level.until)
    work_table(
        ctx,
        _with_interval(rows),
        UNITS,
        key="service_levels.units",
        row_id="business_unit",
        noun="business unit",
        title=lambda row: f"**{plain(row['business_unit'])}**",
    )


@once
def _with_interval(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        interval=[f"{percent(low)} to {percent(high)}" for low, high in zip(rows["low"], rows["high"], strict=True)]
    )
