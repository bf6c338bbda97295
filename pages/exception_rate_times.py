"""The parts of the page on the exception rate that tell when: which category in which week, and at which hours of the week."""

import pandas as pd

from pages import charts, charts_spread, frame
from pages.charts import Part
from pages.context import Context
from pages.exception_rate_parts import Facts
from pages.format import CATEGORIES, count, day, percent
from sync_engine.insight.statistics import SOME

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


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
    weeks["hover"] = [
        f"Week from {day(row['week'])}: {count(sum(int(row[name]) for name in CATEGORIES), 'document')}<br>"
        + "<br>".join(f"{CATEGORIES[name]}: {int(row[name]):,}" for name in CATEGORIES if row[name])
        for row in weeks.to_dict("records")
    ]
    figure = charts.columns(
        weeks.assign(week=pd.to_datetime(weeks["week"])),
        x="week",
        parts=[Part(name, CATEGORIES[name], charts.CATEGORY[name]) for name in CATEGORIES if total[name]],
        hover="hover",
        style=charts.look(dark=ctx.dark),
    )
    finding = f"{CATEGORIES[most]} comes first in {percent(float(total[most] / total.sum()), digits=0)} of the documents with an exception"
    table = weeks.drop(columns="hover").rename(columns={"week": "Week from"} | CATEGORIES)
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


def by_hour(facts: Facts, zone: object) -> pd.DataFrame:
    """Day (0: Monday), hour, n: when in the week documents met a cause for the first time, in the reader's zone."""
    raised = pd.to_datetime(facts.causes["raised_at"], utc=True).dt.tz_convert(zone)  # type: ignore[arg-type]
    when = pd.DataFrame({"day": raised.dt.day_of_week, "hour": raised.dt.hour})
    return when.groupby(["day", "hour"]).size().rename("n").reset_index()


def hours(ctx: Context, facts: Facts) -> None:
    """A calendar of the week: outages and nightly runs stand out as cells."""
    if len(facts.causes) < SOME:
        return
    cells = by_hour(facts, ctx.zone)
    worst = cells.loc[cells["n"].idxmax()]
    total = int(cells["n"].sum())
    cells["weekday"] = [DAYS[number] for number in cells["day"]]
    cells["share"] = cells["n"] / cells["n"].max()
    cells["hover"] = [
        f"{row.weekday} {row.hour:02}:00 to {row.hour:02}:59: {row.n:,} of {total:,}, {percent(row.n / total)}"
        for row in cells.itertuples()
    ]
    # Every hour has its place, or a cell beside an empty hour would be drawn over it.
    grid = pd.MultiIndex.from_product([DAYS, range(24)], names=["weekday", "hour"])
    figure = charts_spread.matrix(
        cells.set_index(["weekday", "hour"]).reindex(grid).reset_index(),
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
    table = cells[["weekday", "hour", "n"]].rename(
        columns={"weekday": "Day", "hour": "Hour", "n": "Documents and causes"}
    )
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
