"""The charts of the approvals page: why decisions wait and with whom, how old the open ones are, the week, value, and other limits."""

from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_spread, charts_time, charts_waits, filters, frame, switches
from pages.approvals_parts import CAUSES, FACTORS, Facts, factor, href, link
from pages.charts import Part
from pages.context import Context
from pages.format import NOTHING, count, duration, money_short, percent, plain, visible, working_time
from pages.tables import Column, work_table
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.statistics import FEW

COLOURS = {
    "off": charts.UNKNOWN,
    "unexplained": "#56B4E9",
    "batching": charts.WATCH,
    "contention": charts.WAITING,
    "priority": "#CC79A7",
    "handover": charts.STUCK,
}
ROLES_SHOWN, ROLES_ON_PHONE = 12, 5


def why(ctx: Context, facts: Facts) -> None:
    """The causes of waiting, what documents would gain without each, and with which role the days are lost."""
    found, decided = facts.causes, facts.found.decided
    if decided.empty or not found["s"].sum():
        return
    found = found.assign(
        name=[CAUSES[cause] for cause in found["cause"]],
        label=[switches.label(CAUSES[cause], narrow=ctx.narrow) for cause in found["cause"]],
        days=found["s"] / 86400,
        colour=[COLOURS[cause] for cause in found["cause"]],
        text=[f"{duration(row['s'])}, {percent(row['share'])}" for row in found.to_dict("records")],
        hover=[f"{CAUSES[row['cause']]}: {duration(row['s'])}, {percent(row['share'])} of all waiting, in {count(row['tasks'], 'decision')}<br>documents {duration(row['saved_s'])} sooner without it" for row in found.to_dict("records")],
    )  # fmt: skip
    figure = charts.bars(found, label="label", value="days", text="text", hover="hover", colours="colour", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(found)))  # fmt: skip
    table = pd.DataFrame({"Cause": found["name"], "Decisions": found["tasks"], "Waiting (days)": found["days"].round(3), "Share": [percent(one) for one in found["share"]], "Documents sooner without it (days)": (found["saved_s"] / 86400).round(3)})  # fmt: skip
    frame.chart(
        figure,
        _finding(found),
        table,
        key="approvals.why",
        note=f"{count(len(decided), 'decision')} {facts.period.within}, from ready to known here, wall clock. No tool says when a request was opened, so reading is in the unexplained part.",
        exported=frame.Exported(ctx, f"Why approvals waited, decided {facts.period.within}", "why-approvals-wait"),
    )
    _causes_table(ctx, found)
    _by_role(ctx, facts)


def _finding(found: pd.DataFrame) -> str:
    shares = found.set_index("cause")["share"].astype(float)
    rest = found[~found["cause"].isin(["off", "unexplained"])].sort_values("saved_s", ascending=False, kind="stable").iloc[0]  # fmt: skip
    return f"{percent(shares['off'], digits=0)} of the wait is outside of working hours, {percent(shares['unexplained'], digits=0)} is unexplained; without “{CAUSES[rest['cause']].lower()}” documents would have gained {duration(rest['saved_s'])}"


def _causes_table(ctx: Context, found: pd.DataFrame) -> None:
    shown = found.assign(rows=[href(ctx, show="cause", cause=cause) if n else None for cause, n in zip(found["cause"], found["tasks"], strict=True)])  # fmt: skip
    with switches.folded(ctx, "Each cause with its decisions"):
        work_table(
            ctx,
            shown,
            (
                Column("name", "Cause", on_card=True),
                Column("tasks", "Decisions", "count", on_card=True),
                Column("s", "Waiting", "elapsed", on_card=True),
                Column("share", "Share", "share", on_card=True),
                Column("saved_s", "Sooner without it", "elapsed", on_card=True, help="All documents together. What is waited for side by side counts once."),
                Column("rows", "Rows", "link", display="Show"),
            ),
            key="approvals.causes",
            row_id="cause",
            noun="cause",
            title=lambda row: f"**{plain(row['name'])}**",
            card_action=lambda row: link(ctx, f"Show {row['tasks']:,}", show="cause", cause=row["cause"]) if row["tasks"] else None,
        )  # fmt: skip


def _by_role(ctx: Context, facts: Facts) -> None:
    found = measures.by_role(facts.found)
    found = found.head(ROLES_ON_PHONE if ctx.narrow else ROLES_SHOWN)
    if len(found) < 2:
        return
    names = [name for name in CAUSES if name != "off"]
    found = found.assign(at_work_s=found[names].sum(axis=1)).sort_values("at_work_s", ascending=False, kind="stable")
    found = found.assign(
        label=[switches.label(visible(role), narrow=ctx.narrow) for role in found["role"]],
        text=[f"{duration(s)}, n {n:,}" for s, n in zip(found["at_work_s"], found["n"], strict=True)],
        hover=[f"{visible(row['role'])}: " + ", ".join(f"{CAUSES[name].lower()} {duration(row[name])}" for name in names if row[name]) for row in found.to_dict("records")],
        **{name: found[name] / 86400 for name in names},
    )  # fmt: skip
    figure = charts_time.split_bars(
        found, label="label", parts=[Part(name, CAUSES[name], COLOURS[name]) for name in names], text="text", hover="hover", style=charts.look(dark=ctx.dark),
        height=60 + (50 if ctx.narrow else 34) * len(found),
    )  # fmt: skip
    first = found.iloc[0]
    frame.chart(
        figure,
        f"{visible(first['role'])} holds most of what is waited for in working hours: {duration(first['at_work_s'])} over {count(int(first['n']), 'decision')}",
        pd.DataFrame({"Asked": found["role"], "Decisions": found["n"], **{CAUSES[name]: (found[name]).round(3) for name in names}}),
        key="approvals.by_role",
        note="Days of waiting by role and cause, without nights, weekends and holidays.",
        exported=frame.Exported(ctx, f"Days of waiting by role and cause, decided {facts.period.within}", "waiting-by-role"),
    )  # fmt: skip


def ages(ctx: Context, facts: Facts) -> None:
    """The open requests of each role by their age, on what its decisions took."""
    ages_by(ctx, facts, "role", "", key="approvals.ages")


def ages_by(ctx: Context, facts: Facts, by: str, finding: str, *, key: str) -> None:
    """The open requests of each role or approver (`by`) by their age, on what their decisions took."""
    waits = facts.found.open[(facts.found.open["age_business_s"] > 0) & facts.found.open[by].notna()]
    if waits.empty:
        return
    bands = _bands(facts, by)
    order = list(waits.groupby(by).size().sort_values(ascending=False, kind="stable").index[: 3 if ctx.narrow else 8])  # fmt: skip
    p95, p85 = (bands.set_index("stage")[name].to_dict() for name in ("p95", "p85"))
    drawn = waits[waits[by].isin(order)]
    drawn = drawn.assign(stage=drawn[by], hours=[max(s / 3600, 0.05) for s in drawn["age_business_s"]])
    drawn = drawn.assign(
        rank=pd.Categorical(drawn["stage"], order, ordered=True),
        level=["stuck" if h > p95.get(role, float("inf")) else "watch" if h > p85.get(role, float("inf")) else "moving" for role, h in zip(drawn["stage"], drawn["hours"], strict=True)],
        hover=[f"{visible(row['number'])}, {visible(row['role'])}<br>{working_time(row['age_business_s'])}, {money_short(row['group_amount'])}" for row in drawn.to_dict("records")],
        size=9,
    ).sort_values("rank", kind="stable")  # fmt: skip
    place = drawn.groupby("stage", sort=False, observed=True).cumcount()
    drawn = drawn.assign(at=((place * 0.382) % 1) * 2 - 1)
    over = int((drawn["level"] == "stuck").sum())
    figure = charts_spread.ageing(drawn, stage="stage", at="at", y="hours", level="level", size="size", hover="hover", bands=bands, style=charts.look(dark=ctx.dark), unit="working hours")  # fmt: skip
    frame.chart(
        figure,
        finding or f"{count(over, 'open request')} {'is' if over == 1 else 'are'} older than 95 % of what the same role decided",
        pd.DataFrame({"Document": drawn["number"], "Asked": drawn["role"], **({"Approver": drawn[by]} if by != "role" else {}), "Age (working hours)": drawn["hours"].round(2), "Value": drawn["group_amount"]}),
        key=key,
        note=f"A mark per open request. Bands: what half, 70 %, 85 % and 95 % of the {by}'s decisions {facts.period.within} took; none below {FEW} decisions."
        + (f" The {len(order)} {by}s with most open ones." if waits[by].nunique() > len(order) else ""),
    )  # fmt: skip


def _bands(facts: Facts, by: str) -> pd.DataFrame:
    """What the decisions of each role or approver took, in working hours: stage, p50, p70, p85, p95."""
    shares = {"p50": 0.5, "p70": 0.7, "p85": 0.85, "p95": 0.95}
    rows = [
        {"stage": role} | {name: float(took.quantile(share)) / 3600 for name, share in shares.items()}
        for role, took in facts.found.decided.groupby(by, sort=False)["business_s"]
        if len(took) >= FEW
    ]
    return pd.DataFrame(rows, columns=["stage", *shares])


def week(ctx: Context, facts: Facts) -> None:
    """When requests come and when they are decided."""
    found = measures.by_hour(facts.found)
    if not found[["arrived", "decided"]].to_numpy().sum():
        return
    decided = found[found["decided"] > 0]
    held = decided.sort_values("decided", ascending=False)["decided"].cumsum()
    half = int((held < held.iloc[-1] / 2).sum()) + 1 if len(held) else 0
    frame.chart(
        charts_waits.week(found, style=charts.look(dark=ctx.dark), narrow=ctx.narrow),
        f"Half of all decisions fall into {count(half, 'hour')} of the week" if half else "Nothing was decided in the period",
        pd.DataFrame({"Day": [charts_waits.WEEKDAYS[one] for one in found["weekday"]], "Hour": found["hour"], "Asked for": found["arrived"], "Decided": found["decided"]}),
        key="approvals.week",
        note="By the clock on the wall of each business unit. Decisions in few hours are sittings; hours in which requests come and nobody decides are absence.",
        exported=frame.Exported(ctx, f"Requests and decisions by hour of the week {facts.period.within}", "approvals-by-hour"),
    )  # fmt: skip


def value_and_wait(ctx: Context, facts: Facts) -> None:
    """Whether large ones wait longer."""
    rows = facts.found.decided
    rows = rows.assign(value=pd.to_numeric(rows["group_amount"]).astype(float), hours=rows["business_s"] / 3600)
    rows = rows[(rows["value"] > 0) & (rows["hours"] > 0)]
    if len(rows) < FEW:
        return
    marks = _quarters(rows)
    rows = rows.assign(hover=[f"{visible(row['number'])}, {visible(row['role'])}<br>{money_short(row['value'])}, {working_time(row['business_s'])}" for row in rows.to_dict("records")])  # fmt: skip
    frame.chart(
        charts_waits.value_and_wait(rows, value="value", hours="hours", hover="hover", marks=marks, style=charts.look(dark=ctx.dark)),
        _longer(marks),
        pd.DataFrame({"From (EUR)": [round(low) for low, _, _ in marks], "To (EUR)": [round(high) for _, high, _ in marks], "Median (working hours)": [round(middle, 2) for *_, middle in marks]}),
        key="approvals.value",
        note=f"A mark per decision, at most {charts.MAX_POINTS:,} of the newest; lines: the median of each quarter by value. {count(len(rows), 'decision')} with a value and a wait above zero.",
        exported=frame.Exported(ctx, f"Median wait by value, decided {facts.period.within}", "wait-by-value"),
    )  # fmt: skip


def _quarters(rows: pd.DataFrame) -> list[tuple[float, float, float]]:
    edges = [float(rows["value"].quantile(share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    found = []
    for place, (low, high) in enumerate(pairwise(edges)):
        part = rows[(rows["value"] >= low) & ((rows["value"] < high) | (place == 3))]
        if len(part) >= FEW:
            found.append((low, high, float(part["hours"].median())))
    return found


def _longer(marks: list[tuple[float, float, float]]) -> str:
    if len(marks) < 2:
        return "Too few decisions of different value to compare"
    (_, high, small), (low, _, large) = marks[0], marks[-1]
    ratio = large / small if small else 0
    said = "wait as long as small ones" if 0.8 <= ratio <= 1.25 else f"wait {'longer' if ratio > 1 else 'less long'} than small ones"  # fmt: skip
    return f"Large ones {said}: half within {working_time(large * 3600)} from {money_short(low)} on, within {working_time(small * 3600)} below {money_short(high)}"


def higher(ctx: Context, facts: Facts) -> None:
    """What would not have been asked for with a higher limit, and what nobody would have decided."""
    decided = facts.found.decided
    if decided["limit_amount"].notna().sum() == 0:
        return
    key = "approvals.limit"
    st.session_state[key] = factor()

    def write() -> None:
        value = st.session_state[key]
        filters.put("limit", None if value == 1.5 else f"{value:g}")

    room = st.container()
    times = float(st.select_slider("Times the present limit of each business unit", FACTORS, key=key, format_func=lambda one: f"{one:g}", on_change=write))  # fmt: skip
    found = measures.raised(decided, times)
    with room:
        st.subheader(
            f"With {times:g} times the limit {count(len(found.vanish), 'request')} would not have been made; {money_short(found.value - found.alone)} would have been decided by procurement's chain alone, {money_short(found.alone)} by nobody",
            anchor=False,
        )
        st.caption(f"Of decisions {facts.period.within}. The same requisitions, and each limit times {times:g}; {found.kept:,} more would still have been asked for, because there was another reason (no contract).")  # fmt: skip
    values: list[tuple[str, Any]] = [
        ("Requests that vanish", f"{len(found.vanish):,}, of {count(found.documents, 'requisition')}"),
        ("Working time they waited", working_time(found.wait_s) if len(found.vanish) else NOTHING),
        ("Value without the second approval", money_short(found.value)),
        ("Of it decided by nobody else", money_short(found.alone)),
        ("Refused among them", f"{found.refused:,}"),
    ]
    with st.container(horizontal=True, gap="medium"):
        for name, value in values:
            st.metric(name, value, width="content")
    if len(found.vanish):
        link(ctx, f"Show {count(len(found.vanish), 'request')}", show="higher")
