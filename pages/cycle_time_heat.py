"""Which unit has become slower in which stage: the stays of the period beside the unit's own quarter before."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_time, frame
from pages.context import Context
from pages.cycle_time_parts import Facts
from pages.format import count, plain, visible
from pages.tables import Column, work_table
from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.cycle_time import STAGES
from sync_engine.insight.statistics import FEW

MOST_UNITS = 25
"""A matrix of more rows is read by nobody."""


def draw(ctx: Context, facts: Facts) -> None:
    """The matrix; where there is no room for one, its rows."""
    period = facts.chosen.period
    found = ask.heat(ctx.reports, facts.chosen.units, since=period.since, until=period.until, clock=facts.clock)  # fmt: skip
    found = found[found["stage"].isin(list(STAGES))]
    if found.empty:
        frame.nothing_happened(f"No requisition left a stage in the {period.name}.")
        return
    comparable = (found["stays"] >= FEW) & (found["stays_before"] >= FEW)
    found = found.assign(
        change=(found["p85_s"] / found["p85_before_s"].where(found["p85_before_s"] > 0)).where(comparable),
        name=[STAGES[stage][0] for stage in found["stage"]],
        cell=[facts.short(row.p85_s) if row.stays >= FEW else "few" for row in found.itertuples()],
    )
    found["hover"] = [
        f"{visible(row.business_unit)}, {row.name}<br>85 % of {count(int(row.stays), 'stay')} within {facts.spoken(row.p85_s)}"
        + (f"<br>{facts.spoken(row.p85_before_s)} in the 13 weeks before, n {int(row.stays_before):,}" if pd.notna(row.stays_before) else "<br>nothing to compare with")
        for row in found.itertuples()
    ]  # fmt: skip
    units = list(found.groupby("business_unit")["stays"].sum().sort_values(ascending=False).index)
    order = [name for name, _ in STAGES.values() if name in set(found["name"])]
    worst = found[found["change"] >= 1.1].sort_values("change", ascending=False)
    finding = (
        f"{plain(worst.iloc[0]['business_unit'])} has become slowest in “{worst.iloc[0]['name'].lower()}”: {facts.spoken(worst.iloc[0]['p85_s'])}, {worst.iloc[0]['change']:.1f} times as long as the quarter before"
        if len(worst)
        else "No unit has become clearly slower in any stage"
    )
    if ctx.narrow or len(units) > MOST_UNITS:
        _rows(ctx, facts, found, finding)
        return
    wrapped = {name: "<br>".join(name.replace(", ", ",\n").replace(" ", "\n", 1).split("\n")) for name in order}
    figure = charts_time.against_before(
        found.assign(name=[wrapped[name] for name in found["name"]]),
        row="business_unit",
        column="name",
        change="change",
        text="cell",
        hover="hover",
        rows=units,
        columns=[wrapped[name] for name in order],
        style=charts.look(dark=ctx.dark),
    )
    frame.chart(
        figure,
        finding,
        _table(facts, found),
        key="cycle.heat",
        note=f"85 % of the stays in a stage took at most so long (within 1 %; UTC days). Orange: longer than in the unit's own 13 weeks before, green: shorter, grey: the same or fewer than {FEW} to compare.",
        exported=frame.Exported(ctx, f"85th percentile of stays by unit and stage, {period.name}", "units-and-stages"),
    )


def _table(facts: Facts, found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Unit": [visible(unit) for unit in found["business_unit"]],
            "Stage": found["name"],
            "85 % within": found["cell"],
            "n": found["stays"],
            "13 weeks before": [
                facts.short(row.p85_before_s) if pd.notna(row.stays_before) and row.stays_before >= FEW else "too few"
                for row in found.itertuples()
            ],
            "n before": found["stays_before"].fillna(0),
        }
    )


def _rows(ctx: Context, facts: Facts, found: pd.DataFrame, finding: str) -> None:
    """The same as rows, most slowed down first: where there is no room for a matrix."""
    st.subheader(finding, anchor=False)
    kind: Any = "working" if facts.clock == "business" else "elapsed"
    rows = found.assign(key=found["business_unit"] + " " + found["stage"]).sort_values("change", ascending=False)
    columns = (
        Column("business_unit", "Unit"), Column("name", "Stage", on_card=True), Column("p85_s", "85 % within", kind, on_card=True), Column("stays", "Stays (n)", "count"),
        Column("change", "Times as long as before", "rate", on_card=True),
    )  # fmt: skip
    work_table(ctx, rows, columns, key="cycle.heat.rows", row_id="key", noun="unit and stage", title=partial(_title))  # fmt: skip


def _title(row: dict[str, Any]) -> str:
    return f"**{plain(row['business_unit'])}** · {row['name']}"
