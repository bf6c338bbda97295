"""The parts of the page on invoices that are due which draw: the next 30 days, from open to paid, days against money, the ladder, and whether
what was foretold came true."""

from datetime import timedelta
from decimal import Decimal
from textwrap import wrap
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_due, frame, switches
from pages.charts import Part
from pages.context import Addresses, Context
from pages.exporting import Exported
from pages.filters import Filters
from pages.format import count, day, money_short, percent, plain, sentence
from pages.marks import Marks
from pages.tables import Column, work_table
from sync_engine.insight.due import LEAST
from sync_engine.insight.foretold import Bin
from sync_engine.insight.once import once
from sync_engine.insight.open_invoices import AT_RISK, BUCKETS
from sync_engine.insight.reports.invoices_due import Calibration
from sync_engine.insight.reports.stuck import WAYS
from sync_engine.insight.statistics import FEW, wilson

URL_PATH = "invoices-due"
NARROWED = ("show", "due", "day", "risk", "band", "why", "goes", "bin", "invoice")
"""What the address can ask for beside the filters: which rows are open."""
AHEAD_DAYS = 30

BANDS = ("below EUR 1,000", "EUR 1,000 to 10,000", "EUR 10,000 to 100,000", "from EUR 100,000")
_BOUNDS = (1_000, 10_000, 100_000)
RISKS = ("likely in time", "at risk", "cannot be in time", "not known")
_COLOURS = (charts.OK, charts.WATCH, charts.STUCK, charts.UNKNOWN)


def worth(rows: pd.DataFrame) -> Decimal:
    """What these are worth together, in group currency."""
    return sum((Decimal(value) for value in rows["group_amount"].dropna()), Decimal(0))


def kept_filters(chosen: Filters) -> dict[str, Any]:
    """The filters of this page, for a link that stays within them."""
    return {name: list(values) for name, values in chosen.chosen.items() if values}


@once
def told(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the charts divide them by: `risk`, `band` and `value` (EUR)."""
    value = pd.to_numeric(rows["group_amount"]).fillna(0.0).astype(float)
    return rows.assign(
        value=value,
        band=[BANDS[sum(one >= bound for bound in _BOUNDS)] for one in value],
        risk=[_risk(p) for p in rows["p_on_time"]],
    )


def opening(asks: list[Any]) -> Marks:
    """The marks of one chart of this page, by trace."""
    return Marks(asks, NARROWED)


def _risk(p: float | None) -> str:
    if p is None:
        return RISKS[3]
    return RISKS[2] if p <= LEAST else RISKS[1] if p < AT_RISK else RISKS[0]


# -- the next 30 days -------------------------------------------------------------------------------------------------------------


def calendar(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """What is due on each of the next 30 days, by how likely it is paid in time."""
    ahead = rows[[days is not None and 0 <= days <= AHEAD_DAYS for days in rows["days_to_due"]]]
    if ahead.empty:
        frame.nothing_happened(f"Nothing is due in the next {AHEAD_DAYS} days.")
        return
    first = ctx.moment.as_of.date()
    by = ahead.pivot_table(index="due_on", columns="risk", values="value", aggfunc="sum").reindex(columns=RISKS)
    counts = ahead.groupby("due_on")["document_id"].count()
    days = [first + timedelta(days=n) for n in range(AHEAD_DAYS + 1)]
    drawn = by.reindex(days).fillna(0.0).rename_axis("day").reset_index()
    drawn["n"] = [int(counts.get(one, 0)) for one in drawn["day"]]
    drawn["hover"] = [
        f"{day(row['day'])}: {count(row['n'], 'invoice')}<br>" + "<br>".join(f"{name}: {money_short(row[name])}" for name in RISKS if row[name])
        for row in drawn.to_dict("records")
    ]  # fmt: skip
    most = drawn.loc[drawn[list(RISKS)].sum(axis=1).idxmax()]
    finding = f"{money_short(worth(ahead))} is due in the next {AHEAD_DAYS} days, most of it on {day(most['day'])}: {money_short(sum(most[list(RISKS)]))}"
    parts = [Part(name, sentence(name), colour) for name, colour in zip(RISKS, _COLOURS, strict=True) if drawn[name].any()]  # fmt: skip
    figure = charts.columns(
        drawn, x="day", parts=parts,
        hover="hover", style=charts.look(dark=ctx.dark),
    )  # fmt: skip
    held = drawn[drawn["n"] > 0].assign(show=[ctx.href(URL_PATH, **kept_filters(chosen), day=one.isoformat()) for one in drawn[drawn["n"] > 0]["day"]])  # fmt: skip
    frame.chart(
        figure, finding, held[["day", "n", *RISKS]].rename(columns={"day": "Due on", "n": "Invoices", **{name: f"{sentence(name)} (EUR)" for name in RISKS}}),
        key="invoices_due.calendar", note=f"Value by due day (EUR), coloured by P(on time): likely from {percent(AT_RISK, digits=0)}; what cannot be in time has missed its last run. A click opens the invoices.",
        exported=Exported(ctx, f"Open invoices by due day, next {AHEAD_DAYS} days", "invoices-by-due-day"),
        opens=opening([[{"day": on.isoformat(), "risk": part.column} if held else None for on, held in zip(drawn["day"], drawn[part.column], strict=True)] for part in parts]),
    )  # fmt: skip
    with switches.folded(ctx, "The days"):
        work_table(
            ctx, held, (Column("day", "Due on", "date", on_card=True), Column("n", "Invoices", "count", on_card=True), *(Column(name, f"{sentence(name)} (EUR)", "group_money") for name in RISKS), Column("show", "", "link", display="Show")),
            key="invoices_due.days", window="open now", row_id="day", noun="due day", height=180, title=lambda row: f"**{day(row['day'])}**",
            card_action=lambda row: ctx.link(URL_PATH, "Show", **kept_filters(chosen), day=row["day"].isoformat()),
        )  # fmt: skip


# -- from open to paid ----------------------------------------------------------------------------------------------------------------


def from_open_to_paid(ctx: Context, chosen: Filters, rows: pd.DataFrame, paid: tuple[int, float], within: str) -> None:
    """Open, less what is blocked by reason and what is under way, is ready; less what a later run takes, is in the next run."""
    steps = _steps(rows)
    ready = rows[rows["group"] == "ready"]
    in_run = rows[[bool(one) for one in rows["is_in_run"]]]
    blocked = rows[rows["group"] == "blocked"]
    total = float(rows["value"].sum())
    drawn, stands = (
        [
            {
                "name": "Open",
                "amount": total,
                "base": 0.0,
                "n": len(rows),
                "colour": charts.WAITING,
                "opens": {"show": "open"},
            }
        ],
        total,
    )
    for step in steps:
        if step["group"] != "ready":
            stands -= step["value"]
            colour = charts.STUCK if step["group"] == "blocked" else charts.UNKNOWN
            drawn.append({"name": step["title"], "amount": step["value"], "base": stands, "n": step["n"], "colour": colour, "opens": step["opens"]})  # fmt: skip
    of_ready, of_run = float(ready["value"].sum()), float(in_run["value"].sum())
    drawn += [
        {"name": "Ready", "amount": of_ready, "base": 0.0, "n": len(ready), "colour": charts.WAITING, "opens": {"show": "ready"}},
        {"name": "In a later run", "amount": of_ready - of_run, "base": of_run, "n": len(ready) - len(in_run), "colour": charts.UNKNOWN, "opens": {"show": "later-run"}},
        {"name": "In the next run", "amount": of_run, "base": 0.0, "n": len(in_run), "colour": charts.WAITING, "opens": {"show": "next-run"}},
        {"name": "Paid in time", "amount": paid[1], "base": 0.0, "n": paid[0], "colour": charts.OK, "opens": {"show": "in-time"}},
    ]  # fmt: skip
    drawn = pd.DataFrame(drawn)
    drawn["text"] = [money_short(amount) for amount in drawn["amount"]]
    drawn["hover"] = [f"{row['name']}: {money_short(row['amount'])} in {count(row['n'], 'invoice')}" for row in drawn.to_dict("records")]  # fmt: skip
    drawn["label"] = ["<br>".join(wrap(name, 18 if ctx.narrow else 12)) for name in drawn["name"]]
    share = float(blocked["value"].sum()) / total if total else None
    finding = f"{percent(share, digits=0)} of the open money is blocked, {money_short(ready['value'].sum())} is ready to be paid"
    figure = charts_due.waterfall(drawn, label="label", value="amount", base="base", colour="colour", text="text", hover="hover", style=charts.look(dark=ctx.dark), lying=ctx.narrow, height=40 + 42 * len(drawn) if ctx.narrow else 340)  # fmt: skip
    frame.chart(
        figure, finding, drawn[["name", "n", "amount"]].rename(columns={"name": "Step", "n": "Invoices", "amount": "Value (EUR)"}), key="invoices_due.waterfall",
        note=f"Value (EUR). Blocked: an exception stops it, or it waits for a receipt, a review, or a lifted payment block. In the next run: ready, and due by then. Paid in time: what was due {within}.",
        exported=Exported(ctx, "Open invoices from open to paid", "invoices-open-to-paid"),
        opens=opening([[asked if n else None for asked, n in zip(drawn["opens"], drawn["n"], strict=True)]]),
    )  # fmt: skip
    table = pd.DataFrame(steps)
    links = [kept_filters(chosen) | step["opens"] for step in steps]
    table["open"] = [ctx.href(URL_PATH, **link) for link in links]
    table["place"] = [str(place) for place in range(len(steps))]
    columns = (
        Column("title", "Stands", width=230), Column("n", "Invoices", "count", on_card=True), Column("value", "Value (EUR)", "group_money", on_card=True), Column("releases", "Goes on", on_card=True, help="When its condition holds: by itself. By hand: somebody lifts it. Not: it goes back."),
        Column("team", "Who moves it", width=170), Column("late_cost", "Cost of being late (EUR)", "group_money", help="Expected, over all of them."), Column("open", "", "link", display="Show"), Column("next_step", "Next step", width=380),
    )  # fmt: skip
    with switches.folded(ctx, "What stands where, and how it goes on"):
        work_table(
            ctx, table, columns, key="invoices_due.steps", window="open now", row_id="place", noun="reason", height=min(46 + 35 * len(table), 340),
            title=lambda row: f"**{plain(row['title'])}**", card_action=lambda row: ctx.link(URL_PATH, "Show", **links[int(row["place"])]),
        )  # fmt: skip


def _steps(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Blocked by reason and how it goes on (most money first), under way, ready: exclusive, and together all."""
    steps = []
    blocked = rows[rows["group"] == "blocked"]
    for (reason, releases), part in blocked.groupby(["reason", "releases"], sort=False):
        steps.append(_step(part, "blocked", f"Blocked: {reason}", str(reason), str(releases)))
    steps.sort(key=lambda step: -step["value"])
    for group, title, releases in (
        ("under way", "Under way", "by itself"),
        ("ready", "Ready to be paid", "the payment run"),
    ):
        part = rows[rows["group"] == group]
        if len(part):
            steps.append(_step(part, group, title, "", releases))
    return steps  # fmt: skip


def _step(part: pd.DataFrame, group: str, title: str, reason: str, releases: str) -> dict[str, Any]:
    way = WAYS.get(reason, WAYS["waiting for payment" if group == "ready" else "in progress"])
    late = sum(cost for cost in part["late_cost"] if cost is not None)
    opens = {"show": group.replace(" ", "-")} | ({"why": reason, "goes": releases} if group == "blocked" else {})
    return {"opens": opens, "group": group, "title": title, "reason": reason, "releases": releases, "n": len(part), "value": float(part["value"].sum()), "late_cost": late, "team": way.team, "next_step": way.next_step}  # fmt: skip


# -- days against money, and the ladder --------------------------------------------------------------------------------------------------


def risk_matrix(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """Days to the due date against value; the colour is how much of the cell's value is at risk or past saving. The last column of the table
    opens a rung of the ladder."""
    cells, late, late_value = _cells(rows, narrow=ctx.narrow)
    finding = f"{count(late, 'invoice')} worth {money_short(late_value)} {'is' if late == 1 else 'are'} past the due date, {money_short(sum(cells['risky']))} in all will probably be late"
    shown = [name for name in BUCKETS if name in set(cells["bucket"])]
    figure = charts_due.grid(
        cells, row="bucket", column="band", value="share", text="text", hover="hover", rows=shown, columns=[band for band in BANDS if band in set(cells["band"])],
        style=charts.look(dark=ctx.dark), height=(92 if ctx.narrow else 64) + 52 * len(shown), wrapped=9 if ctx.narrow else 40,
    )  # fmt: skip
    frame.chart(
        figure, finding, cells[["bucket", "band", "n", "value", "risky"]].rename(columns={"bucket": "Due", "band": "Value", "n": "Invoices", "value": "Value (EUR)", "risky": "At risk (EUR)"}),
        key="invoices_due.matrix", note="Days to the due date against the invoice's value (EUR); the stronger the colour, the more of the cell is at risk.",
        exported=Exported(ctx, "Open invoices by days to due date and value", "invoices-risk-matrix"),
        opens=opening([[{"due": row.bucket, "band": row.band} for row in cells.itertuples()]]),
    )  # fmt: skip
    ladder = _ladder(rows, shown, ctx.addresses, kept_filters(chosen))
    columns = (Column("bucket", "Due", width=180), Column("n", "Invoices", "count", on_card=True), Column("value", "Value (EUR)", "group_money", on_card=True), Column("late_cost", "Cost of being late (EUR)", "group_money"), Column("open", "", "link", display="Show"))  # fmt: skip
    with switches.folded(ctx, "The ladder of ageing"):
        work_table(
            ctx, ladder, columns, key="invoices_due.ladder", window="open now", row_id="bucket", noun="rung", height=46 + 35 * len(ladder), title=lambda row: f"**{plain(sentence(row['bucket']))}**",
            card_action=lambda row: ctx.link(URL_PATH, "Show", **kept_filters(chosen), due=row["bucket"]),
        )  # fmt: skip


@once
def _cells(rows: pd.DataFrame, *, narrow: bool) -> tuple[pd.DataFrame, int, Decimal]:
    """The cells of the matrix with what is said of each, and how many invoices, of which worth, are past their due date."""
    by = rows.groupby(["bucket", "band"], sort=False)
    cells = by.agg(n=("document_id", "count"), value=("value", "sum")).reset_index()
    risky = rows[[risk in RISKS[1:3] for risk in rows["risk"]]].groupby(["bucket", "band"])["value"].sum()
    cells = cells.assign(risky=[float(risky.get((row.bucket, row.band), 0.0)) for row in cells.itertuples()])
    cells = cells.assign(share=[row.risky / row.value if row.value else 0.0 for row in cells.itertuples()])
    late = rows[[days is not None and days < 0 for days in rows["days_to_due"]]]
    told = cells.assign(
        # A phone's cells have no room for the currency; the caption names it.
        text=[f"{money_short(row.value).removeprefix('EUR ' if narrow else '')}<br>{row.n:,}" for row in cells.itertuples()],
        hover=[f"{row.bucket}, {row.band}: {count(row.n, 'invoice')}, {money_short(row.value)}, {percent(row.share, digits=0)} of it at risk" for row in cells.itertuples()],
    )  # fmt: skip
    return told, len(late), worth(late)


@once
def _ladder(rows: pd.DataFrame, shown: list[str], at: Addresses, kept: dict[str, Any]) -> pd.DataFrame:
    """The rungs: invoices, their value and the cost of being late, by how far away the due date is."""
    rungs = rows.groupby("bucket").agg(n=("document_id", "count"), value=("value", "sum")).reindex(shown).rename_axis("bucket").reset_index()  # fmt: skip
    return rungs.assign(
        late_cost=[sum(cost for cost in rows[rows["bucket"] == name]["late_cost"] if cost is not None) for name in rungs["bucket"]],
        open=[at.href(URL_PATH, **kept, due=name) for name in rungs["bucket"]],
    )  # fmt: skip


# -- was it so -----------------------------------------------------------------------------------------------------------------------


def was_it_so(ctx: Context, found: Calibration) -> None:
    """What would have been foretold in the last quarter against what happened."""
    if found.brier is None or found.n < FEW:
        st.info(
            f"Whether P(on time) comes true cannot be said yet: {count(found.n, 'invoice')} of the last quarter had 30 peers and have come due; it takes {FEW}.",
            icon=":material/hourglass_empty:",
        )
        return
    drawn = pd.DataFrame([_bin(one) for one in found.bins])
    better = "better than" if found.brier_of_share is not None and found.brier < found.brier_of_share else "no better than"  # fmt: skip
    finding = f"Of {count(found.n, 'invoice')} P(on time) scored {found.brier:.3f} (Brier; 0 is perfect), {better} always saying the share that was in time ({found.brier_of_share or 0:.3f})"
    figure = charts_due.reliability(drawn, said="said", happened="happened", low="low", high="high", n="n", few=FEW, hover="hover", style=charts.look(dark=ctx.dark))  # fmt: skip
    frame.chart(
        figure, finding, drawn[["said", "happened", "n"]].rename(columns={"said": "Foretold", "happened": "Paid in time", "n": "Invoices"}), key="invoices_due.calibration",
        note="The newest invoices, in all units you may see, once each, with what was known on the day it would have been said; bars are 95 % intervals, hollow marks fewer than 10.",
        exported=Exported(ctx, "P(on time) as foretold against what happened, last quarter", "invoices-calibration"),
        opens=opening([[], [{"show": "foretold", "bin": f"{one.low:g}"} for one in found.bins]]),
    )  # fmt: skip


def _bin(one: Bin) -> dict[str, Any]:
    low, high = wilson(one.in_time, one.n) or (0.0, 1.0)
    return {
        "said": one.foretold, "happened": one.happened, "n": one.n, "low": low, "high": high,
        "hover": f"foretold {percent(one.foretold, digits=0)}: {one.in_time:,} of {count(one.n, 'invoice')} paid in time, {percent(one.happened, digits=0)}",
    }  # fmt: skip
