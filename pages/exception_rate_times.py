"""The parts of the page on the exception rate that tell when: which category in which week, and at which hours of the week."""

from zoneinfo import ZoneInfo

import pandas as pd

from pages import charts, charts_spread, frame
from pages.charts import Part
from pages.context import Context
from pages.exception_rate_parts import Facts
from pages.format import CATEGORIES, count, day, percent
from sync_engine.insight.once import once
from sync_engine.insight.statistics import SOME

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@once
def by_week(facts: Facts) -> pd.DataFrame:
    """Documents with an exception by the week in which they entered and the category of the first they met: a row per week, a column
    per category. A document counts once, so that the columns add up to the documents of the week.
    """
    weeks = facts.rows.set_index("document_id")["week"]
    first = facts.causes.sort_values("raised_at", kind="stable").drop_duplicates("document_id")
    first = first.assign(week=first["document_id"].map(weeks)).dropna(subset="week")
    table = pd.crosstab(first["week"], first["category"]).reindex(columns=list(CATEGORIES), fill_value=0)
    return table.rename_axis(columns=None).reset_index()


def categories(ctx: Context, facts: Facts) -> None:
    """Stacked columns: what kind of trouble each week's documents ran into."""
    weeks = by_week(facts)
    if len(weeks) < 2:
        return
    total = weeks[list(CATEGORIES)].sum()
    most = total.idxmax()
    drawn, table = _told_of_weeks(weeks)
    figure = charts.columns(
        drawn,
        x="week",
        parts=[Part(name, CATEGORIES[name], charts.CATEGORY[name]) for name in CATEGORIES if total[name]],
        hover="hover",
        style=charts.look(dark=ctx.dark),
    )
    finding = f"{CATEGORIES[most]} comes first in {percent(float(total[most] / total.sum()), digits=0)} of the documents with an exception"
    frame.chart(
        figure,
        finding,
        table,
        key="rate.categories.weeks",
        note=f"{count(int(total.sum()), 'document')} with an exception by the week in which they entered and the category of the first exception they met; a document counts once. The newest weeks may still rise.",
        exported=frame.Exported(
            ctx,
            f"Documents with an exception by week and category, entered {facts.chosen.period.within}",
            "exceptions-by-week",
        ),
    )


@once
def _told_of_weeks(weeks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The weeks with what is said of each, and as the table under the chart."""
    hover = [
        f"Week from {day(row['week'])}: {count(sum(int(row[name]) for name in CATEGORIES), 'document')}<br>"
        + "<br>".join(f"{CATEGORIES[name]}: {int(row[name]):,}" for name in CATEGORIES if row[name])
        for row in weeks.to_dict("records")
    ]
    drawn = weeks.assign(week=pd.to_datetime(weeks["week"]), hover=hover)
    return drawn, weeks.rename(columns={"week": "Week from"} | CATEGORIES)


@once
def by_hour(facts: Facts, zone: ZoneInfo) -> pd.DataFrame:
    """Day (0: Monday), hour, n: when in the week documents met a cause for the first time, in the reader's zone."""
    raised = pd.to_datetime(facts.causes["raised_at"], utc=True).dt.tz_convert(zone)
    when = pd.DataFrame({"day": raised.dt.day_of_week, "hour": raised.dt.hour})
    return when.groupby(["day", "hour"]).size().rename("n").reset_index()


def hours(ctx: Context, facts: Facts) -> None:
    """A calendar of the week: outages and nightly runs stand out as cells."""
    if len(facts.causes) < SOME:
        return
    cells = by_hour(facts, ctx.zone)
    worst = cells.loc[cells["n"].idxmax()]
    total = int(cells["n"].sum())
    drawn, table = _told_of_hours(cells)
    figure = charts_spread.matrix(
        drawn,
        row="weekday",
        at="hour",
        share="share",
        hover="hover",
        order=DAYS,
        style=charts.look(dark=ctx.dark),
        height=300,
        across={"range": [-0.5, 23.5], "tickvals": list(range(0, 24, 6 if ctx.narrow else 3)), "ticksuffix": ":00"},
    )
    finding = f"Most are met on {DAYS[int(worst['day'])]} between {int(worst['hour']):02}:00 and {int(worst['hour']):02}:59: {percent(worst['n'] / total, digits=0)} of them"
    frame.chart(
        figure,
        finding,
        table,
        key="rate.hours",
        note=f"When each of {total:,} documents and causes met for the first time, by day and hour ({ctx.zone.key}). Without a cell: nothing.",
        exported=frame.Exported(
            ctx,
            f"Exceptions by day and hour, documents that entered {facts.chosen.period.within}",
            "exceptions-by-hour",
        ),
    )


@once
def _told_of_hours(cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for every hour of the week with what is said of it, and those that have something as the table under the chart."""
    total = int(cells["n"].sum())
    named = cells.assign(weekday=[DAYS[number] for number in cells["day"]])
    told = named.assign(
        share=cells["n"] / cells["n"].max(),
        hover=[
            f"{row.weekday} {row.hour:02}:00 to {row.hour:02}:59: {row.n:,} of {total:,}, {percent(row.n / total)}"
            for row in named.itertuples()
        ],
    )
    # Every hour has its place, or a cell beside an empty hour would be drawn over it.
    grid = pd.MultiIndex.from_product([DAYS, range(24)], names=["weekday", "hour"])
    table = named[["weekday", "hour", "n"]].rename(
        columns={"weekday": "Day", "hour": "Hour", "n": "Documents and causes"}
    )
    return told.set_index(["weekday", "hour"]).reindex(grid).reset_index(), table
