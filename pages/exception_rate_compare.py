"""The parts of the page on the exception rate that compare fairly: against the period before at the same mix of units, and what an
exception goes with more often than elsewhere.
"""

import pandas as pd
import streamlit as st

from pages import switches
from pages.context import Context
from pages.exception_rate_parts import Facts
from pages.format import DOCUMENT_TYPES, count, percent, plain, sentence, visible
from pages.tables import Column, work_table
from sync_engine.insight.comparison import lift, standardised
from sync_engine.insight.once import once
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.reports.exception_rate import Rates
from sync_engine.insight.statistics import FEW

LEAST_POINTS = 0.05
"""A difference below is not said: it is rounded away."""


@once
def at_former_mix(rates: Rates) -> float | None:
    """The rate now if every unit had the share of all documents that it had in the period before; None without such a period."""
    now, before = rates.by("business_unit"), rates.by("business_unit", before=True)
    if before["entered"].sum() < FEW:
        return None
    return standardised(
        {row.business_unit: (int(row.with_exception), int(row.entered)) for row in now.itertuples()},
        {row.business_unit: int(row.entered) for row in before.itertuples()},
    )


def mix(facts: Facts) -> None:
    """What the change of the rate would have been without other units sending more or less (PRODUCT.md section 6, trap 11)."""
    now, before, fair = facts.rates.of(), facts.rates.of(before=True), at_former_mix(facts.rates)
    if now.share is None or before.share is None or fair is None or len(facts.rates.by("business_unit")) < 2:
        return
    plainly, fairly = (now.share - before.share) * 100, (fair - before.share) * 100
    told = f"Against the period before the rate moved by {plainly:+.1f} points. With the units' shares of that period it would be {percent(fair)}, a move of {fairly:+.1f} points."
    if plainly * fairly < 0 and min(abs(plainly), abs(fairly)) >= LEAST_POINTS:
        st.warning(
            f"{told} The mix of units hides that the units themselves became {'worse' if fairly > 0 else 'better'}.",
            icon=":material/balance:",
        )
    else:
        st.caption(told)


def goes_with(ctx: Context, facts: Facts) -> None:
    """Units, types, suppliers, requesters and amounts whose documents meet exceptions more often than all others, surely."""
    found = compared(ask.attributes(ctx.reports, facts.wanted))
    if found.empty:
        return
    first = found.iloc[0]
    finding = f"{first['title']} meets {first['ratio']:.1f} times as many exceptions as all others"
    st.subheader(plain(finding), anchor=False)
    st.caption(
        f"Values whose documents meet an exception more often than all other documents, beyond what chance explains (95 %), of {count(int(first['all_entered']), 'document')} that entered. What goes together is not yet a cause; where two values mean nearly the same documents, neither can be blamed alone."
    )
    columns = (
        Column("title", "What", width=240), Column("ratio_said", "Times the others' rate", on_card=True, help="With its 95 % interval."), Column("share", "Rate", "share", on_card=True), Column("entered", "Entered (n)", "count"),
        Column("with_exception", "With an exception", "count"), Column("vanishing_said", "Would vanish", help="Documents that would not have met an exception at the rate of all others."), Column("together", "Cannot be told from", width=280, on_card=True),
    )  # fmt: skip
    with switches.folded(ctx, "What exceptions go with"):
        work_table(
            ctx,
            found,
            columns,
            key="rate.attributes",
            row_id="title",
            noun="value",
            title=lambda row: f"**{plain(row['title'])}**",
        )


@once
def compared(found: pd.DataFrame) -> pd.DataFrame:
    """The attributes' values that surely have more than the others, most vanishing first, with what is said of each."""
    rows = []
    for row in found.to_dict("records"):
        others = (row["all_with_exception"] - row["with_exception"], row["all_entered"] - row["entered"])
        one = lift(row["with_exception"], row["entered"], *others)
        if row["entered"] < FEW or one is None or one.low <= 1:
            continue
        rows.append(
            row
            | {
                "title": _title(row["attribute"], row["value"]),
                "ratio": one.ratio,
                "ratio_said": f"{one.ratio:.1f} ({one.low:.1f} to {one.high:.1f})",
                "share": row["with_exception"] / row["entered"],
                "vanishing": one.vanishing,
                "vanishing_said": f"{one.vanishing:.0f}",
                "together": ", ".join(visible(name) for name in row["goes_with"]),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values("vanishing", ascending=False).reset_index(drop=True) if rows else table


def _title(attribute: str, value: str) -> str:
    said = DOCUMENT_TYPES.get(value, value) if attribute == "type" else value
    return f"{sentence(attribute)} {visible(said)}" + (" EUR" if attribute == "amount" else "")
