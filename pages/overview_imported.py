"""The overview of another maker's log: what moved, how long it took, what had not come to an end, and what was done again; each figure
leads to the page that says more.
"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import filters, frame, imported
from pages.context import Context
from pages.filters import Filters
from pages.format import count, duration, percent, plain, visible, when
from pages.frame import Definition, Explainer, Figure, Said
from pages.imported import type_name
from pages.tables import Column, work_table
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.reports.imported import Within
from sync_engine.insight.statistics import FEW

QUESTION = "What does this log say of its documents?"

DEFINITIONS = (
    Definition("First to last event", "from the first event that names a document to the last one, median", "documents of the type of which most come to an end", "last event in the period", "wall clock: a log names no working calendar", "nothing"),
    Definition("At a final stage", "stands where the log's mapping says that a document ends", "documents of all types", "last event in the period", left_out="nothing"),
    Definition("Did something again", "an activity stands more than once in the document's path", "documents of all types", "last event in the period", left_out="nothing"),
    Definition("Not at an end", "its last event left it at a stage that is not a final one", "documents that events of their own move", "as of the log's last event, because it does not go on", left_out="documents that events of others only name"),
    Definition("Slow", "it had stood in its stage longer than 95 % of its peers", "documents not at an end", "as of the log's last event", "wall clock", "nothing; with fewer than 30 peers there is no pace"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    imported.draw(ctx)
    within = Within(ctx.log, chosen.period.since, chosen.period.until, chosen.units)
    journeys = ask.journeys(ctx.reports, within)
    if journeys.empty:
        said.answer("There is nothing to show here.")
        if chosen.units is not None:
            frame.nothing_matches("documents", ["business units"], names=())
        else:
            imported.outside(ctx, said, chosen.period)
        return
    types, trouble = journeys[journeys["business_unit"].isna()], ask.trouble(ctx.reports, within)
    trouble = trouble[trouble["business_unit"].isna()].set_index("document_type")
    standing = ask.standing(ctx.reports, ctx.log, chosen.units, None)
    said.answer(_answer(ctx, types, standing, chosen))
    frame.figures(_figures(ctx, chosen, said, types, trouble, standing))
    _types(ctx, types, trouble)
    with frame.part("By unit"):
        _units(ctx, journeys[journeys["business_unit"].notna()], str(types.iloc[0]["document_type"]))
    st.caption("An imported log carries no money in group currency, no owners, no exceptions and no promises: the figures that need them are not here.")  # fmt: skip
    frame.explain(ctx, DEFINITIONS)


def _many(standing: pd.DataFrame, *levels: str) -> int:
    return int(standing.loc[standing["level"].isin(levels), "documents"].sum())


def _answer(ctx: Context, types: pd.DataFrame, standing: pd.DataFrame, chosen: Filters) -> str:
    n = int(types["documents"].sum())
    said = f"{count(n, 'document')} had the last event {chosen.period.within}"
    lead = types.iloc[0]
    if lead["documents"] >= FEW:
        said += f"; half of “{plain(type_name(lead['document_type']))}” took at most {duration(lead['p50_s'])}"
    if standing.empty:
        return f"{said}."
    return f"{said}. {_many(standing, 'stuck', 'watch', 'unknown', 'moving'):,} of {count(int(standing['documents'].sum()), 'document')} had not come to an end when the log did, {when(standing['as_of'].iloc[0], ctx.zone)}."


def _figures(ctx: Context, chosen: Filters, said: Said, types: pd.DataFrame, trouble: pd.DataFrame, standing: pd.DataFrame) -> list[Figure]:  # fmt: skip
    why, now = Explainer(ctx, DEFINITIONS, said.sources, chosen.period), Explainer(ctx, DEFINITIONS, said.sources)
    n, ended, again = int(types["documents"].sum()), int(types["ended"].sum()), int(trouble["again"].sum())
    lead = types.iloc[0]
    kind = str(lead["document_type"])
    slowest = partial(ctx.link, "cycle-time", f"Show {count(int(lead['documents']), 'document')}", type=kind, show="all")  # fmt: skip
    shown = [
        Figure(f"{visible(type_name(kind))}, half within", duration(lead["p50_s"]) if lead["documents"] >= FEW else "too few", n=f"n {lead['documents']:,}, first to last event", link=slowest, explained=why("speed", "First to last event", "median of the documents' durations", int(lead["documents"]), "document", link=slowest, is_sampled=True)),
        Figure("At a final stage", percent(ended / n), n=f"{ended:,} of {count(n, 'document')}", explained=why("ended", "At a final stage", "documents at a final stage / documents", n, "document")),
        Figure("Did something again", percent(again / n), n=f"{again:,} of {count(n, 'document')}", explained=why("again", "Did something again", "such documents / documents", n, "document")),
    ]  # fmt: skip
    for name, key, levels in (("Not at an end", "all", ("stuck", "watch", "unknown", "moving")), ("Slow", "stuck", ("stuck",))):  # fmt: skip
        many = _many(standing, *levels)
        link = partial(ctx.link, "stuck", f"Show {count(many, 'document')}", level=key) if many else None
        shown.append(Figure(f"{name}, when the log ended", f"{many:,}", n=f"of {count(int(standing['documents'].sum()), 'document')}", link=link, explained=now(key, name, "count of documents", many, "document", link=link)))  # fmt: skip
    return shown


def _types(ctx: Context, types: pd.DataFrame, trouble: pd.DataFrame) -> None:
    st.subheader(f"{count(len(types), 'type')} of documents, and where each of them says more", anchor=False)
    shown = types.assign(
        name=[visible(type_name(name)) for name in types["document_type"]],
        again=[int(trouble.loc[name, "again"]) for name in types["document_type"]],
        **_percentiles(types),
        time=_open(ctx, types, "cycle-time", "all"),
        rework=[
            at if n else None
            for at, n in zip(
                _open(ctx, types, "exception-rate", "again"), trouble.loc[types["document_type"], "again"], strict=True
            )
        ],
    )
    columns = (
        Column("name", "Type", width="medium"),
        Column("documents", "Documents", "count", on_card=True),
        Column("ended", "At a final stage", "count"),
        Column("p50_s", "Half within", "elapsed", on_card=True),
        Column("p95_s", "95 % within", "elapsed"),
        Column("again", "Did something again", "count"),
        Column("time", "", "link", display="How long"),
        Column("rework", "", "link", display="What again"),
    )
    work_table(ctx, shown, columns, key="overview.types", row_id="name", noun="type", title=lambda row: f"**{plain(row['name'])}**", card_action=lambda row: ctx.link("cycle-time", "How long", type=row["document_type"], show="all"))  # fmt: skip


def _units(ctx: Context, units: pd.DataFrame, kind: str) -> None:
    here = units[units["document_type"] == kind]
    if len(here) < 2:
        return
    st.subheader(f"{plain(type_name(kind))} by unit", anchor=False)
    columns = (
        Column("ended", "At a final stage", "count"),
        Column("p50_s", "Half within", "elapsed", on_card=True),
        Column("p95_s", "95 % within", "elapsed"),
    )
    imported.units(ctx, here.assign(**_percentiles(here)), columns, path="cycle-time", kind=kind)


def _percentiles(found: pd.DataFrame) -> dict[str, Any]:
    is_enough = found["documents"].astype(int) >= FEW
    return {name: found[name].where(is_enough) for name in ("p50_s", "p95_s")}


def _open(ctx: Context, types: pd.DataFrame, page: str, show: str) -> list[str | None]:
    return [ctx.href(page, type=str(name), show=show) for name in types["document_type"]]
