"""The parts of the page on stuck documents that draw: why they stand and who moves them, and against whom they are slow."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_pile, charts_spread, exporting, frame, switches
from pages.context import Addresses, Context
from pages.exporting import Exported
from pages.filters import Filters
from pages.format import DOCUMENT_TYPES, count, money_short, percent, plain, sentence, visible, words, working_time
from pages.marks import Marks
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.stuck import LEVELS

URL_PATH = "stuck"
NARROWED = ("level", "because", "taken", "after", "document")
"""Every parameter of the address that says which rows are open."""

STAGES_SHOWN, STAGES_ON_PHONE = 8, 4


def worth(rows: pd.DataFrame) -> Decimal:
    """What these documents are worth together, in group currency."""
    return sum((Decimal(value) for value in rows["group_amount"].dropna()), Decimal(0))


def many(groups: pd.DataFrame) -> int:
    """How many documents these groups of documents have."""
    return int(groups["documents"].sum())


def value_of(groups: pd.DataFrame) -> Decimal:
    """What these groups of documents are worth together, in group currency."""
    return sum(groups["value"], Decimal(0))


def kept_filters(chosen: Filters) -> dict[str, Any]:
    """The filters of this page, for a link that stays within them."""
    return {name: list(values) for name, values in chosen.chosen.items() if values}


@once
def by_reason(groups: pd.DataFrame) -> pd.DataFrame:
    """By reason and team: documents, stuck, watch, value of what is stuck, oldest; most value first."""
    is_stuck = groups["level"] == "stuck"
    money = groups.assign(
        value=groups["value"].astype(float).where(is_stuck, 0.0),
        stuck=groups["documents"].where(is_stuck, 0),
        watch=groups["documents"].where(groups["level"] == "watch", 0),
    )
    by = money.groupby(["reason", "team"], sort=False)
    found = by.agg(
        documents=("documents", "sum"), stuck=("stuck", "sum"), watch=("watch", "sum"), value=("value", "sum"), oldest_s=("oldest_s", "max"),
        next_step=("next_step", lambda steps: steps.iloc[0] if len(set(steps)) == 1 else "Differs: it stands beside each document."),
    ).reset_index()  # fmt: skip
    return found.sort_values(["value", "stuck", "documents"], ascending=False).reset_index(drop=True)


# -- why, and who ----------------------------------------------------------------------------------------------------------


def reasons(ctx: Context, chosen: Filters, found: pd.DataFrame) -> None:
    kept = kept_filters(chosen)
    groups, drawn = _reasons_drawn(found, ctx.addresses, kept, narrow=ctx.narrow)
    total = float(drawn["value"].sum())
    first = drawn.iloc[0]
    finding = (
        f"“{sentence(visible(first['reason']))}” holds {percent(float(first['value']) / total, digits=0)} of the stuck money"
        if total
        else "What stands is without a value"
    )
    st.subheader(finding, anchor=False)
    st.caption(
        "Value of what is stuck by what it stands for"
        + (", in EUR" if ctx.narrow else " and by business unit, in EUR; the area is the value")
        + ". Below, who moves it and how."
    )
    figure = _bars(ctx, drawn) if ctx.narrow or not total else _blocks(ctx, found)
    frame.show_figure(figure, key="stuck.reasons", alt=finding)
    exporting.draw(
        Exported(ctx, "Value of stuck documents by what they stand for, open now", "stuck-by-reason"),
        figure,
        finding,
        "An exception stops them, their agreed date has passed, they are slower than 95 % of their peers, or past an objective.",
        drawn[["name", "stuck", "value"]].rename(columns={"name": "Stands because", "stuck": "Stuck documents", "value": "Value (EUR)"}),
        key="stuck.reasons",
    )  # fmt: skip
    columns = (
        Column("reason", "Stands because", width=210), Column("team", "Who moves it", on_card=True, width=150), Column("stuck", "Stuck", "count", on_card=True), Column("watch", "To watch", "count"),
        Column("value", "Stuck value (EUR)", "group_money", on_card=True), Column("oldest_s", "Oldest", "working"), Column("next_step", "Next step", width=420, on_card=True), Column("open", "", "link", display="Show all of it"),
    )  # fmt: skip
    with switches.folded(ctx, "Who moves what, and how"):
        work_table(
            ctx,
            groups,
            columns,
            key="stuck.groups",
            row_id="key",
            noun="reason",
            height=min(46 + 35 * len(groups), 340),
            title=lambda row: f"**{plain(sentence(row['reason']))}**",
            card_action=lambda row: ctx.link(
                URL_PATH, "Show all of it", **kept | {"reason": row["reason"], "team": row["team"], "level": "all"}
            ),
        )


@once
def _reasons_drawn(found: pd.DataFrame, at: Addresses, kept: dict[str, Any], *, narrow: bool) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """What stands still by reason and team with where its documents are, and what is stuck of it by reason with what is said of each."""
    groups = by_reason(found[~found["level"].isin(["moving", "waiting"])])
    drawn = (
        groups[groups["stuck"] > 0]
        .groupby("reason", sort=False)
        .agg(value=("value", "sum"), stuck=("stuck", "sum"), oldest_s=("oldest_s", "max"))
        .reset_index()
        .sort_values("value", ascending=False)
    )
    total = float(drawn["value"].sum())
    drawn = drawn.assign(name=[sentence(visible(reason)) for reason in drawn["reason"]])
    drawn = drawn.assign(
        label=[switches.label(name, narrow=narrow) for name in drawn["name"]],
        text=[
            money_short(row.value) if narrow else f"{money_short(row.value)} · {count(row.stuck, 'document')}"
            for row in drawn.itertuples()
        ],
        hover=[
            f"{row.name}: {money_short(row.value)} in {count(row.stuck, 'document')}, {percent(row.value / total if total else None, digits=0)} of all that is stuck; oldest {working_time(row.oldest_s)}"
            for row in drawn.itertuples()
        ],
    )
    opened = groups.assign(
        key=groups["reason"] + " | " + groups["team"],
        open=[
            at.href(URL_PATH, **kept | {"reason": reason, "team": team, "level": "all"})
            for reason, team in zip(groups["reason"], groups["team"], strict=True)
        ],
    )
    return opened, drawn


def _bars(ctx: Context, drawn: pd.DataFrame) -> Any:
    return charts.bars(
        drawn,
        label="label",
        value="value",
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
        colour=charts.STUCK,
        height=switches.bars_height(ctx, len(drawn)),
    )


@once
def _cells(found: pd.DataFrame) -> pd.DataFrame:
    """The stuck money by reason and, within each, by unit, with what is said of each cell."""
    stuck = found[found["level"] == "stuck"]
    money = stuck.assign(value=stuck["value"].astype(float))
    by = money.groupby(["reason", "business_unit"], sort=False)
    cells = by.agg(value=("value", "sum"), documents=("documents", "sum"), oldest_s=("oldest_s", "max"))
    cells = cells[cells["value"] > 0].reset_index()
    total = float(cells["value"].sum())
    named = cells.assign(
        name=[sentence(visible(reason)) for reason in cells["reason"]],
        unit=[visible(unit) for unit in cells["business_unit"]],
    )
    return named.assign(
        text=[f"{money_short(row.value)}<br>{count(row.documents, 'document')}" for row in cells.itertuples()],
        hover=[
            f"{row.name}, {row.unit}: {money_short(row.value)} in {count(row.documents, 'document')}, {percent(row.value / total, digits=0)} of the stuck money; oldest {working_time(row.oldest_s)}"
            for row in named.itertuples()
        ],
    )


def _blocks(ctx: Context, found: pd.DataFrame) -> Any:
    return charts_pile.blocks(
        _cells(found),
        outer="name",
        inner="unit",
        value="value",
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
    )


# -- is the pile growing ---------------------------------------------------------------------------------------------------


def pile(ctx: Context, days: pd.DataFrame) -> None:
    """What exceptions stopped and what was let go on each day, those that cured themselves told apart: a pile that shrinks by a
    bulk close is told by how it shrank (PRODUCT.md section 6, traps 12 and 13).
    """
    begun, ended, cured = (int(days[name].sum()) for name in ("begun", "ended", "self_cured"))
    if not (begun or ended or int(days["stopped"].max() or 0)):
        return
    gap = begun - ended
    verdict = (
        "as many were stopped as let go"
        if not gap
        else f"{abs(gap):,} {'more' if gap > 0 else 'fewer'} {'was' if abs(gap) == 1 else 'were'} stopped than let go"
    )
    finding = f"In {count(len(days), 'day')} {verdict}"
    names = ("stopped", "let go", "stopped at the end of the day")
    headings = {"day": "Day", "stopped": "Documents stopped at its end", "begun": "Stops begun", "ended": "Stops ended", "self_cured": "Of these by themselves"}  # fmt: skip
    told, table = charts_pile.told_by_day(days, stands="stopped", noun="document", names=names, headings=headings)
    figure = charts_pile.inflow(
        told,
        x="day",
        up="begun",
        down="ended",
        stands="stopped",
        names=names,
        hover="hover",
        style=charts.look(dark=ctx.dark),
    )
    frame.chart(
        figure,
        finding,
        table,
        key="stuck.pile",
        note=f"Stops by exceptions. {begun:,} began and {ended:,} ended, {cured:,} of these by themselves.",
        exported=Exported(
            ctx, f"Documents that an exception stopped and let go, last {len(days)} days", "stops-by-day"
        ),
    )


# -- against whom it is slow -----------------------------------------------------------------------------------------------


def ages(ctx: Context, asked: ask.Asked, found: pd.DataFrame) -> None:
    """The documents by stage and age on what their peers took; the stages with most stuck in them, on a phone fewer."""
    aged = _aged(found, narrow=ctx.narrow)
    if not aged.documents:
        return
    over = aged.over
    finding = (
        f"{count(over, 'document')} {'has' if over == 1 else 'have'} stood longer than 95 % of {'its' if over == 1 else 'their'} peers"
        if over
        else "Nothing has stood longer than 95 % of its peers"
    )
    drawn = _dots(ask.aged(ctx.reports, asked, stages=aged.stages, most=charts.MAX_POINTS), aged.order)
    figure = charts_spread.ageing(
        drawn,
        stage="stage",
        at="at",
        y="hours",
        level="level",
        size="size",
        hover="hover",
        bands=_bands(drawn),
        style=charts.look(dark=ctx.dark),
        unit="working hours",
    )
    note = "A dot is a document, its size its value; a click shows it alone, with the way to its trace. Shaded is what the stage took elsewhere and before, to 1 %: half, 70 %, 85 % and, up to the dashed line, 95 % of all stays. What waits by agreement and is on time is not drawn."
    left_out = aged.documents - len(drawn)
    frame.chart(
        figure,
        finding,
        aged.table,
        key="stuck.ages",
        note=note
        + (f" {count(left_out, 'document')} {'are' if left_out > 1 else 'is'} in the table only." if left_out else ""),
        exported=Exported(ctx, "Age of open documents in their stage against their peers, open now", "ages-by-stage"),
        opens=Marks(
            [
                [{"document": str(one)} for one in drawn["document_id"][drawn["level"] == level]]
                for level in charts_spread.levels_drawn(drawn["level"])
            ],
            NARROWED,
        ),
    )


@dataclass(frozen=True)
class _Aged:
    """What of everything open is drawn by its age: how many documents, `over` 95 % of their peers, the stages with most stuck in them by
    their names and as they are asked for ("type:state"), and the table under the chart."""

    documents: int
    over: int
    order: tuple[str, ...]
    stages: tuple[str, ...]
    table: pd.DataFrame


@once
def _aged(found: pd.DataFrame, *, narrow: bool) -> _Aged:
    aged = found[found["is_old"] & (found["level"] != "waiting")]
    aged = aged.assign(
        stage=[_stage(kind, state) for kind, state in zip(aged["document_type"], aged["state"], strict=True)],
        stuck=aged["documents"].where(aged["level"] == "stuck", 0),
    )
    sizes = (
        aged.groupby("stage")
        .agg(stuck=("stuck", "sum"), documents=("documents", "sum"))
        .sort_values(["stuck", "documents"], ascending=False)
    )
    order = tuple(sizes.index[: STAGES_ON_PHONE if narrow else STAGES_SHOWN])
    shown = aged[aged["stage"].isin(order)]
    stages = {f"{kind}:{state}" for kind, state in zip(shown["document_type"], shown["state"], strict=True)}
    by = aged.groupby(["stage", "level"]).agg(documents=("documents", "sum"), oldest=("oldest_s", "max")).reset_index()
    table = by.assign(oldest=[working_time(value) for value in by["oldest"]]).rename(
        columns={"stage": "Stage", "level": "Level", "documents": "Documents", "oldest": "Oldest"}
    )
    return _Aged(many(aged), int(aged["over"].sum()), order, tuple(sorted(stages)), table)


@once
def _bands(drawn: pd.DataFrame) -> pd.DataFrame:
    """How long the peers took in each stage, in working hours."""
    found = drawn[drawn["stage_p95_s"].notna()].drop_duplicates("stage")
    names = {"stage_p50_s": "p50", "stage_p70_s": "p70", "stage_p85_s": "p85", "stage_p95_s": "p95"}
    hours = found[list(names)].rename(columns=names) / 3600
    return hours.assign(stage=found["stage"])[["stage", *names.values()]]


def _stage(kind: str, state: str) -> str:
    return f"{sentence(visible(DOCUMENT_TYPES.get(kind, kind)))}: {words(state)}"


@once
def _dots(drawn: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """What is drawn of each document: where, how large, in which order, and what is said of it."""
    drawn = drawn.assign(
        stage=[_stage(kind, state) for kind, state in zip(drawn["document_type"], drawn["state"], strict=True)]
    )
    drawn["hours"] = (drawn["age_business_s"] / 3600).clip(lower=0.05)
    drawn["at"] = [
        int(sha256(document_id.bytes).hexdigest()[:4], 16) / 32767.5 - 1 for document_id in drawn["document_id"]
    ]
    largest = max(float(pd.to_numeric(drawn["group_amount"]).max() or 1), 1.0)
    drawn["size"] = [7 + 15 * (max(float(value), 0) / largest) ** 0.5 for value in drawn["group_amount"].fillna(0)]
    drawn["hover"] = [_hover(row) for row in drawn.to_dict("records")]
    places = drawn["stage"].map({name: place for place, name in enumerate(order)})
    levels = drawn["level"].map({level: place for place, level in enumerate(LEVELS)})
    return drawn.assign(place=places, rank=levels).sort_values(["place", "rank"])


def _hover(row: dict[Any, Any]) -> str:
    pace = (
        f", older than {percent(row['pace'], digits=0)} of {row['peers']:,.0f} peers"
        if row["pace"] is not None and not pd.isna(row["pace"])
        else ", too few peers"
    )
    return f"{visible(row['number'])} ({visible(row['business_unit'])}): {money_short(row['group_amount'])}<br>{visible(row['reason'])}, {working_time(row['age_business_s'])}{pace}<br>{visible(row['team'])}"
