"""The chart of the page on cycle time, one of five: better or worse by week, each one, how they spread beside another period, what is
under way, and which unit has become slower in which stage. Each asks one question; only the one that is looked at is asked.
"""

from math import ceil, floor, log10
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_time, cycle_time_heat, frame, switches
from pages.charts import Line, Part
from pages.context import Context
from pages.cycle_time_parts import Facts
from pages.format import count, day, duration, percent, visible, when
from pages.switches import Switch
from sync_engine.insight.once import once
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.standing import WORKING_DAY_S
from sync_engine.insight.statistics import FEW, difference

CHART = Switch(
    "chart",
    "Chart",
    {"weeks": "By week", "single": "Each one", "spread": "Spread", "flow": "Under way", "heat": "Units and stages"},
)
COMPARE = Switch("compare", "Beside it", {"before": "The period before", "all": "Every unit", "none": "Nothing"})
SEED = 1
"""Of the bootstrap: the same figures have the same bounds whenever they are looked at."""
BIN = 0.1
"""Width of a column of the spread in powers of ten: ten columns from a day to ten."""
ELSEWHERE = (
    "Elsewhere, by other definitions, so in words and not as a line: 5 h at the top and 48 h at the bottom, per requisition line until the order is sent (APQC, 2018); "
    "11.6 h, the mean of the leading fifth of one vendor's customers (Coupa, 2018); 55 h, the median of another's (Procurify, 2026). All of them calendar time."
)
"""Published values for requisition to order. No line is drawn: population, unit and statistic differ from ours, and never beside working
time, which leaves weekends out where they do not (PRODUCT.md 5.2 and trap 9)."""


def draw(ctx: Context, facts: Facts) -> None:
    """The chart that the address names."""
    switches.draw(CHART)
    chosen = switches.read(CHART)
    with frame.part(CHART.options[chosen]):
        _CHARTS[chosen](ctx, facts)


def scale(facts: Facts, longest_s: float) -> tuple[float, str]:
    """Seconds in the unit that suits, and its name."""
    if facts.clock == "business":
        return (WORKING_DAY_S, "working days") if longest_s >= 2 * WORKING_DAY_S else (3600, "working hours")
    return (86400, "days") if longest_s >= 2 * 86400 else (3600, "hours")


def _asked(facts: Facts) -> dict[str, Any]:
    period = facts.chosen.period
    return {"since": period.since, "until": period.until, "stop": facts.stop, "clock": facts.clock}  # fmt: skip


def _said(facts: Facts) -> str:
    return f"First submit to {'order' if facts.stop == 'ordered' else 'posting'}, {facts.chosen.period.name}, {'working' if facts.clock == 'business' else 'calendar'} time"


# -- by week ---------------------------------------------------------------------------------------------------------------


def _weeks(ctx: Context, facts: Facts) -> None:
    weeks = facts.figures.by_week(facts.stop)
    enough = _enough(weeks)
    if len(enough) < 2:
        st.info(
            f"There are not yet two weeks with {FEW} or more {facts.stop} each, so there is no course to draw. “Each one” shows every requisition.",
            icon=":material/timeline:",
        )
        return
    unit_s, unit = scale(facts, float(enough["p85_s"].max()))
    drawn = _weeks_drawn(enough, unit_s)
    style = charts.look(dark=ctx.dark)
    figure = charts.lines(
        drawn,
        x="week",
        series=[Line("p50", "median", style.accent), Line("p85", "85 %", charts.WATCH, dashed=True)],
        style=style,
        up={"title": {"text": unit, "font": {"color": style.quiet, "size": 12}}},
        across=charts.weeks(drawn["week"], narrow=ctx.narrow),
        versions=charts_time.versions_between(ctx.zone, facts.versions, drawn["week"].iloc[0], drawn["week"].iloc[-1]),
    )
    table = _written(facts, weeks, [("week", "Week from")])
    left_out = len(weeks) - len(enough)
    note = f"Median and 85th percentile of what was {facts.stop} in each week, in {unit}. The first and the last week may be cut by the period, and what takes long is not in the last ones yet."
    frame.chart(
        figure,
        _trend(facts, enough),
        table,
        key="cycle.weeks",
        note=note + (f" {count(left_out, 'week')} with fewer than {FEW} not drawn." if left_out else ""),
        exported=frame.Exported(ctx, _said(facts), "cycle-time-by-week"),
    )


@once
def _weeks_drawn(enough: pd.DataFrame, unit_s: float) -> pd.DataFrame:
    """The weeks as the chart takes them, in its unit."""
    return enough.assign(
        p50=enough["p50_s"] / unit_s, p85=enough["p85_s"] / unit_s, week=pd.to_datetime(enough["week"])
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


@once
def _written(facts: Facts, rows: pd.DataFrame, first: list[tuple[str, str]]) -> pd.DataFrame:
    """Percentiles in words, for the table behind a chart; none where there are too few."""
    names = {"p50_s": "Median", "p85_s": "85 % within", "p95_s": "95 % within"}
    table = rows[[name for name, _ in first]].rename(columns=dict(first)).assign(n=rows["n"])
    for name, label in names.items():
        table[label] = [
            facts.spoken(value) if n >= FEW else "too few" for value, n in zip(rows[name], rows["n"], strict=True)
        ]
    return table


@once
def _enough(weeks: pd.DataFrame) -> pd.DataFrame:
    return weeks[weeks["n"] >= FEW]


# -- each one ----------------------------------------------------------------------------------------------------------------


def _single(ctx: Context, facts: Facts) -> None:
    found = ask.completions(ctx.reports, facts.chosen.units, **_asked(facts))
    if found.empty:
        frame.nothing_happened(f"No requisition was {facts.stop} in the {facts.chosen.period.name}.")
        return
    whole = facts.figures.of(facts.stop)
    unit_s, unit = scale(facts, float(found["s"].max()))
    drawn = found.assign(
        at=pd.to_datetime(found["at"], utc=True).dt.tz_convert(ctx.zone.key).dt.tz_localize(None),
        took=found["s"] / unit_s,
        hover=[
            f"{visible(row.number)}, {visible(row.business_unit)}<br>{facts.spoken(row.s)}, {facts.stop} {when(row.at, ctx.zone)}{'<br>went back' if row.went_back else ''}"
            for row in found.itertuples()
        ],
    )
    percentiles = [(whole.p50_s, "median"), (whole.p85_s, "85 %"), (whole.p95_s, "95 %")]
    figure = charts_time.single(
        drawn,
        x="at",
        y="took",
        again="went_back",
        hover="hover",
        lines=[
            *((s / unit_s, name) for s, name in percentiles if s and whole.n >= FEW),
            *([(facts.promised_s / unit_s, "promised")] if facts.promised_s else []),
        ],
        unit=unit,
        style=charts.look(dark=ctx.dark),
    )
    back = int(found["went_back"].astype(bool).sum())
    there = int(found["found"].iloc[0])
    only = f" {len(found):,} of {there:,} are drawn: the slowest, and an even choice of the others." if len(found) < there else ""  # fmt: skip
    slow = found[found["s"] > (whole.p95_s or float("inf"))]
    finding = (
        f"{count(len(slow), 'requisition')} took longer than 95 % of all, {int(slow['went_back'].astype(bool).sum()):,} of them went back"
        if len(slow) and whole.n >= FEW
        else f"{count(len(found), 'requisition')}, {back:,} of them went back"
    )
    table = found.assign(
        Requisition=[visible(value) for value in found["number"]], Unit=[visible(value) for value in found["business_unit"]], Done=[when(value, ctx.zone) for value in found["at"]],
        Took=[facts.spoken(value) for value in found["s"]], **{"Went back": ["yes" if value else "" for value in found["went_back"]]},
    )[["Requisition", "Unit", "Done", "Took", "Went back"]]  # fmt: skip
    frame.chart(
        figure,
        finding,
        table,
        key="cycle.single",
        note=f"One mark per requisition {facts.stop}; {unit} on a log scale.{only}",
        exported=frame.Exported(ctx, _said(facts), "cycle-time-each"),
    )


# -- how they spread ---------------------------------------------------------------------------------------------------------


def _durations(found: pd.DataFrame) -> list[tuple[float, int]]:
    """(seconds, documents), ascending: what each log bucket stands for, within 1 %."""
    return [
        (0.0 if bucket <= -32767 else 2 * 1.02 ** int(bucket) / 2.02, int(documents))
        for bucket, documents in zip(found["bucket"], found["documents"], strict=True)
    ]


def _beside(ctx: Context, facts: Facts) -> tuple[list[tuple[float, int]], str]:
    """What the spread is compared with, and its name; nothing where nothing is chosen."""
    compare, before = switches.read(COMPARE), facts.chosen.period.before
    if compare == "none" or (compare == "all" and facts.chosen.units is None):
        return [], ""
    if compare == "all":
        return _durations(ask.spread(ctx.reports, None, **_asked(facts))), "every unit"
    asked = _asked(facts) | {"since": before.since, "until": before.until}
    return _durations(ask.spread(ctx.reports, facts.chosen.units, **asked)), before.name


def _binned(durations: list[tuple[float, int]], lowest: int, highest: int) -> list[int]:
    held = [0] * (highest - lowest + 1)
    for seconds, documents in durations:
        held[min(max(_bin(seconds), lowest), highest) - lowest] += documents
    return held


def _bin(seconds: float) -> int:
    return floor(log10(max(seconds, 1.0)) / BIN)


def _spread(ctx: Context, facts: Facts) -> None:
    switches.draw(COMPARE)
    ours = _durations(ask.spread(ctx.reports, facts.chosen.units, **_asked(facts)))
    n = sum(documents for _, documents in ours)
    if n < FEW:
        st.info(f"{count(n, 'requisition')} {facts.stop}: too few to show how they spread.", icon=":material/bar_chart:")  # fmt: skip
        return
    theirs, name = _beside(ctx, facts)
    m = sum(documents for _, documents in theirs)
    everything = ours + theirs
    lowest, highest = min(_bin(s) for s, _ in everything), max(_bin(s) for s, _ in everything)
    mine, other = _binned(ours, lowest, highest), _binned(theirs, lowest, highest)
    rows = pd.DataFrame(
        {"at": [(place + 0.5) * BIN for place in range(lowest, highest + 1)], "documents": mine, "beside": other}
    ).assign(share=[held / n for held in mine], other=[held / m if m else 0.0 for held in other])
    rows["between"] = [f"{facts.spoken(10 ** (at - BIN / 2))} to {facts.spoken(10 ** (at + BIN / 2))}" for at in rows["at"]]  # fmt: skip
    rows["hover"] = [
        f"{row.between}<br>{row.documents:,} of {n:,} ({percent(row.share)})" + (f"<br>{name}: {percent(row.other)}" if m else "")
        for row in rows.itertuples()
    ]  # fmt: skip
    whole = facts.figures.of(facts.stop)
    lines = [
        (log10(max(s, 1.0)), f"{words} {facts.spoken(s)}", height)
        for s, words, height in (
            (whole.p50_s, "median", 0.98),
            (whole.p95_s, "95 %", 0.86),
            (facts.promised_s, "promised", 0.74),
        )
        if s is not None
    ]
    figure = charts_time.spread(
        rows,
        at="at",
        name="share",
        other="other" if m >= FEW else None,
        ticks=_ticks(facts, lowest * BIN, (highest + 1) * BIN, narrow=ctx.narrow),
        lines=lines,
        hover="hover",
        names=(facts.chosen.period.name, name),
        style=charts.look(dark=ctx.dark),
    )
    table = rows[["between", "documents"]].rename(columns={"between": "Took", "documents": "Requisitions"})
    if m:
        table[f"Beside it: {name}"] = rows["beside"]
    frame.chart(
        figure,
        _compared(facts, ours, theirs, name),
        table,
        key="cycle.spread",
        note=f"Share of {count(n, 'requisition')} by how long each took, on a log scale" + (f"; the line is {name}, n {m:,}." if m else "."),
        exported=frame.Exported(ctx, _said(facts), "cycle-time-spread"),
    )  # fmt: skip
    if facts.stop == "ordered" and facts.clock == "wall":
        st.caption(ELSEWHERE)


def _compared(facts: Facts, ours: list[tuple[float, int]], theirs: list[tuple[float, int]], name: str) -> str:
    gap = difference(ours, theirs, share=0.5, seed=SEED)
    if gap is None:
        return f"Half take up to {facts.spoken(facts.figures.of(facts.stop).p50_s)}, one in twenty longer than {facts.spoken(facts.figures.of(facts.stop).p95_s)}"
    by, low, high = gap
    bounds = f"95 % sure: {_signed(facts, low)} to {_signed(facts, high)}"
    if low <= 0 <= high:
        return f"No clear difference from {name}: the median is {_signed(facts, by)} ({bounds})"
    return f"The median is {facts.spoken(abs(by))} {'longer' if by > 0 else 'shorter'} than {name} ({bounds})"


def _signed(facts: Facts, seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '-'}{facts.spoken(abs(seconds))}"


def _ticks(facts: Facts, low: float, high: float, *, narrow: bool) -> list[tuple[float, str]]:
    """Round durations on a log axis, within its bounds."""
    day_s = WORKING_DAY_S if facts.clock == "business" else 86400
    word = "wd" if facts.clock == "business" else "d"
    round_ones = [(1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (4 * 3600, "4 h")]
    round_ones += [(n * day_s, f"{n} {word}") for n in (1, 2, 5, 10, 20, 50, 100)]
    fitting = [(log10(s), words) for s, words in round_ones if low <= log10(s) <= high]
    return fitting[:: ceil(len(fitting) / 6)] if narrow else fitting


# -- what is under way -------------------------------------------------------------------------------------------------------


def _flow(ctx: Context, facts: Facts) -> None:
    found = ask.flow(
        ctx.reports, facts.chosen.units, since=facts.chosen.period.since, as_of=ctx.moment.as_of, zone=ctx.zone.key,
    )  # fmt: skip
    days = found.days
    if days.empty:
        return
    first = days.iloc[0]
    begin = float(first["under_way"] - first["submitted"] + first["ordered"] + first["ended"])
    left = (days["ordered"] + days["ended"]).cumsum()
    drawn = days.assign(left=left, come=left + days["under_way"])
    drawn["hover"] = [
        f"{day(row.day)}: {row.submitted:,.0f} submitted, {row.ordered:,.0f} ordered, {row.ended:,.0f} ended otherwise<br>{count(int(row.under_way), 'requisition')} under way at its end"
        for row in drawn.itertuples()
    ]
    style = charts.look(dark=ctx.dark)
    figure = charts_time.under_way(
        drawn,
        x="day",
        parts=[Part("left", "ordered or ended", charts.OK), Part("come", "under way", charts.WAITING)],
        hover="hover",
        style=style,
    )
    now = float(days["under_way"].iloc[-1])
    finding = f"{count(int(now), 'requisition')} under way, {count(int(begin), 'requisition')} when the period began"
    table = days.assign(Day=[day(value) for value in days["day"]])[["Day", "submitted", "ordered", "ended", "under_way"]].rename(
        columns={"submitted": "Submitted", "ordered": "Ordered", "ended": "Ended without an order", "under_way": "Under way at its end"}
    )  # fmt: skip
    frame.chart(
        figure,
        finding,
        table,
        key="cycle.flow",
        note="Cumulative flow: everything that was under way or has come since the period began, and what of it has left. The blue band is what is under way.",
        exported=frame.Exported(ctx, f"Requisitions under way, {facts.chosen.period.name}", "requisitions-under-way"),
    )
    _steadiness(facts, found)


def _steadiness(facts: Facts, found: ask.Flow) -> None:
    """Little's law as a check: figures of a process that fills up or drains say less about tomorrow."""
    with st.container(border=True):
        if found.is_steady is None or found.expected is None or found.under_way is None or found.per_day is None:
            st.markdown(f"**Nothing left in the {facts.chosen.period.name}**, so whether the process is steady cannot be said.")  # fmt: skip
            return
        sums = f"{found.per_day:,.1f} leave a day and take {duration(found.mean_s)} on average (calendar time), so {found.expected:,.1f} should be under way; {found.under_way:,.1f} were."
        if found.is_steady:
            st.markdown(f"**The process is steady** (Little's law). {sums}")
        elif found.under_way > found.expected:
            st.markdown(f"**The process is filling up**: more is under way than what leaves accounts for, so cycle times will rise. {sums}")  # fmt: skip
        else:
            st.markdown(f"**The process is draining**: old ones leave faster than new ones come, so cycle times look longer than they will be. {sums}")  # fmt: skip


_CHARTS = {"weeks": _weeks, "single": _single, "spread": _spread, "flow": _flow, "heat": cycle_time_heat.draw}
