"""The parts of the approvals page about persons, for those who may know who decided: whose queue is how long and how old, and who decides in
whose place. Everybody else sees the same by role."""

from typing import Any

import pandas as pd
import streamlit as st

from pages import approvals_charts, charts, frame, switches
from pages.approvals_parts import Facts, clears, href, link, who
from pages.context import Context
from pages.format import count, duration, money_short, percent, plain, visible
from pages.tables import Column, work_table
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.statistics import FEW


def queues(ctx: Context, facts: Facts) -> None:
    """Per approver what is open and how old that is, what came and went, and when it would be clear."""
    if not facts.asked.named:
        return  # who would be named is said once, beside who decides how
    days = measures.pace_days(facts.found, facts.asked.since, facts.asked.until)
    found = measures.queues(facts.found, days=days, by="approver")
    waits = found[found["open"] > 0]
    if waits.empty:
        return
    oldest = waits.loc[waits["oldest_s"].idxmax()]
    approvals_charts.ages_by(
        ctx, facts, "approver", f"{count(len(waits), 'approver')} {'holds' if len(waits) == 1 else 'hold'} open requests; {visible(oldest['approver'])} has the oldest, {duration(oldest['oldest_s'])}", key="approvals.people.ages",
    )  # fmt: skip
    shown = found.assign(
        rows=[href(ctx, show="open", who=who(name)) if n else None for name, n in zip(found["approver"], found["open"], strict=True)],
        past=[href(ctx, show="decided", who=who(name)) if n else None for name, n in zip(found["approver"], found["decided"], strict=True)],
        clears=[clears(row) for row in found.to_dict("records")],
    )  # fmt: skip
    columns = (
        Column("approver", "Approver", on_card=True), Column("open", "Open", "count", on_card=True), Column("rows", "", "link", display="Show"), Column("value", "Value", "group_money", on_card=True), Column("oldest_s", "Oldest", "age", on_card=True),
        Column("p50_s", "Median age", "working", help="Of what is open, 10 or more, in working time."), Column("p95_s", "95 % age", "working"), Column("arrived", "Came", "count", help=f"Asked for {facts.period.within}; of a group's requests those that somebody took on."),
        Column("decided", "Decided", "count"), Column("past", "", "link", display="Show"), Column("clears", "Clears in", help="At the pace of the period, if nothing more came."),
    )  # fmt: skip
    with switches.folded(ctx, "The queue of each approver"):
        work_table(
            ctx, shown, columns, key="approvals.people", row_id="approver", noun="approver", window=f"open now; came and decided {facts.period.within}", title=lambda row: f"**{plain(row['approver'])}**",
            card_action=lambda row: link(ctx, f"Show {row['open']:,}", show="open", who=who(row["approver"])) if row["open"] else None,
        )  # fmt: skip


def delegations(ctx: Context, facts: Facts) -> None:
    """Who decided in whose place: a bar per pair says it shorter than a river of bands, of which most would be one wide."""
    decided, named = facts.found.decided, facts.asked.named
    if decided.empty:
        return
    found = measures.delegations(decided, named=named)
    if found.empty:
        st.subheader("Nobody decided in somebody else's place", anchor=False)
        st.caption(f"{count(len(decided), 'decision')} {facts.period.within}, each by whoever was asked or by a member of the group that was.")  # fmt: skip
        return
    total = int(found["n"].sum())
    names = [_pair(row) if named else visible(row["role"]) for row in found.to_dict("records")]
    drawn = found.assign(
        label=[switches.label(name, narrow=ctx.narrow) for name in names],
        text=[f"{row['n']:,} of {row['of']:,}" for row in found.to_dict("records")],
        hover=[f"{name}<br>{count(row['n'], 'decision')} worth {money_short(row['value'])}, {percent(row['n'] / row['of'])} of {visible(row['role'])}" for name, row in zip(names, found.to_dict("records"), strict=True)],
    )  # fmt: skip
    first = found.iloc[0]
    finding = f"{count(total, 'decision')} of {len(decided):,} by somebody else than was asked" + (f"; most often {visible(first['approver'])} for {visible(first['asked_person'])}" if named else f"; most often with {visible(first['role'])}")  # fmt: skip
    asks = [{"show": "delegated", "of": row["role"]} | ({"who": who(row["approver"])} if named and isinstance(row["approver"], str) else {}) for row in found.to_dict("records")]  # fmt: skip
    table = pd.DataFrame({"Asked": found["role"], **({"In the place of": found["asked_person"], "Decided": found["approver"]} if named else {}), "Decisions": found["n"], "Of the role's": found["of"], "Value (EUR)": found["value"].round(2), "Median (working hours)": [None if one is None or pd.isna(one) else round(one / 3600, 2) for one in found["p50_s"]]})  # fmt: skip
    order = drawn.sort_values("n", kind="stable").tail(25).index  # as the bars stand
    frame.chart(
        charts.bars(drawn, label="label", value="n", text="text", hover="hover", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(drawn))), finding, table, key="approvals.delegations",
        note=f"Decisions {facts.period.within} by role{', who was asked and who decided' if named else ''}; of how many of that role. A delegate's decision is as good as the asked one's: many of them show absence. A click opens them." + (f" Medians from {FEW} on are in the table." if len(found) else ""),
        exported=frame.Exported(ctx, f"Decisions in somebody else's place, {facts.period.within}", "delegations"), opens=frame.Marks([[asks[place] for place in order]], ("show", "cause", "of", "who")),
    )  # fmt: skip


def _pair(row: Any) -> str:
    asked, by = row["asked_person"], row["approver"]
    return f"{visible(by if isinstance(by, str) else 'somebody')} for {visible(asked if isinstance(asked, str) else 'somebody')}"
