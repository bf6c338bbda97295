"""The page on cycle time for another maker's log: from a document's first event to its last, by type, where that time went, and which
documents are behind it. Wall clock: a log names no working calendar.
"""

from functools import partial
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, exporting, frame, imported, switches
from pages.context import Context
from pages.format import count, duration, percent, plain, visible, words
from pages.frame import Definition, Explainer, Figure, Said
from pages.imported import OfAType
from pages.tables import Column
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.statistics import FEW, SOME

QUESTION = (
    "How long do the documents of this log take from their first event to their last, and where does the time go?"
)
URL_PATH = "cycle-time"
SHOWN = {"all": "Slowest first", "ended": "At a final stage, slowest first", "open": "Not at a final stage, slowest first"}  # fmt: skip
SECONDS = {"p50_s": "Half within", "p85_s": "85 % within", "p95_s": "95 % within"}

DEFINITIONS = (
    Definition("First to last event", "from the first event that names the document to the last one, also where an event names it beside another", "documents of the chosen type", "last event in the period", "wall clock: a log names no working calendar", "nothing; times that cannot be right count as the log says them"),
    Definition("At a final stage", "stands where the log's mapping says that a document ends; without a mapping: paid, rejected, cancelled, reversed or closed, as guessed from the names of its activities", "the same", "last event in the period"),
    Definition("Where the time goes", "the time up to an event is that of the stage the document stood in before it; the parts add up to the whole", "the same", "last event in the period", "wall clock"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    facts = imported.of_a_type(ctx, said, ask.journeys, SHOWN, nothing="There is nothing to measure here.", names=("type", "show"))  # fmt: skip
    if facts is None:
        return
    said.answer(_answer(facts))
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = "show" in st.query_params
    if asked_for_rows:
        _rows(ctx, facts)
    with frame.part("Where the time goes"):
        _stages(ctx, facts)
    _units(ctx, facts)
    if not asked_for_rows:
        _rows(ctx, facts)
    frame.explain(ctx, DEFINITIONS)


def _answer(facts: OfAType) -> str:
    of = f"{count(facts.n, 'document')} of type “{plain(words(facts.kind))}”"
    if facts.n < FEW:
        return f"{of} had the last event {facts.chosen.period.within}: too few for a percentile."
    return f"Half of {of} took {duration(facts.now['p50_s'])} from their first event to their last, 95 % at most {duration(facts.now['p95_s'])}."


def _link(ctx: Context, facts: OfAType, n: int, which: str) -> Any:
    return partial(ctx.link, URL_PATH, switches.show(ctx, n, "document"), type=facts.kind, show=which) if n else None


def _figures(ctx: Context, facts: OfAType, said: Said) -> list[Figure]:
    why = Explainer(ctx, DEFINITIONS, said.sources, facts.chosen.period)
    ended = int(facts.now["ended"])
    everything, still = _link(ctx, facts, facts.n, "all"), facts.n - ended
    small = ", small sample" if FEW <= facts.n < SOME else ""
    shown = [
        Figure(
            f"{label}, first to last event",
            duration(facts.now[name]) if facts.n >= FEW else "too few",
            n=f"n {facts.n:,}{small}",
            link=everything,
            explained=why(name, "First to last event", "percentile of the documents' durations", facts.n, "document", link=everything, is_sampled=True),
        )
        for name, label in SECONDS.items()
    ]  # fmt: skip
    mean = Figure("Mean, first to last event", duration(facts.now["mean_s"]), n=f"{duration(facts.now['total_s'])} in all", link=everything, explained=why("mean", "First to last event", "sum of the durations / documents", facts.n, "document", link=everything))  # fmt: skip
    final = Figure("At a final stage", percent(ended / facts.n), n=f"{ended:,} of {count(facts.n, 'document')}", link=_link(ctx, facts, ended, "ended"), explained=why("ended", "At a final stage", "documents at a final stage / documents", facts.n, "document", link=_link(ctx, facts, still, "open")))  # fmt: skip
    return [*shown, mean, final]


def _stages(ctx: Context, facts: OfAType) -> None:
    found = ask.journey_stages(ctx.reports, facts.within, facts.kind)
    if found.empty:
        return
    found = found.assign(name=["Named beside other documents" if stage is None else words(stage).capitalize() for stage in found["stage"]])  # fmt: skip
    drawn = found.assign(
        label=[switches.label(escape(visible(name)), narrow=ctx.narrow) for name in found["name"]],
        text=[percent(share) if ctx.narrow else f"{percent(share)}  ·  median {duration(p50)}" for share, p50 in zip(found["share"], found["p50_s"], strict=True)],
        hover=[f"{escape(visible(row.name))}: {percent(row.share)} of all time, {count(int(row.documents), 'document')}, 85 % within {duration(row.p85_s)}" for row in found.itertuples(index=False)],
    )  # fmt: skip
    first = found.iloc[0]
    finding = f"{percent(float(first['share']), digits=0)} of the time is “{plain(first['name']).lower()}”"
    note = f"Share of all time between first and last event of {count(facts.n, 'document')}; the parts add up to the whole. Stages are as the log's mapping names them."
    figure = charts.bars(drawn, label="label", value="total_s", text="text", hover="hover", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(drawn)))  # fmt: skip
    exported = exporting.Exported(ctx, f"Share of time by stage, log {ctx.log}, {facts.chosen.period.within}", "time-by-stage")  # fmt: skip
    frame.chart(figure, finding, drawn[["name", "documents", "share", "total_s", "p50_s", "p85_s"]], key="imported.stages", note=note, exported=exported)  # fmt: skip


def _units(ctx: Context, facts: OfAType) -> None:
    if len(facts.units) < 2:
        return
    named = facts.units[facts.units["documents"].astype(int) >= FEW].sort_values("p50_s", ascending=False)
    finding = f"{plain(named.iloc[0]['business_unit'] or 'no unit')} takes longest: half within {duration(named.iloc[0]['p50_s'])}" if len(named) else "Every unit has too few documents for a percentile"  # fmt: skip
    st.subheader(finding, anchor=False)
    shown = facts.units.assign(
        **{name: [s if n >= FEW else None for s, n in zip(facts.units[name], facts.units["documents"], strict=True)] for name in SECONDS},
    ).sort_values("p50_s", ascending=False, na_position="last")  # fmt: skip
    elapsed = (Column(name, label, "elapsed", on_card=name == "p50_s") for name, label in SECONDS.items())
    columns = (*elapsed, Column("ended", "At a final stage", "count"))
    imported.units(ctx, shown, columns, path=URL_PATH, kind=facts.kind)


def _rows(ctx: Context, facts: OfAType) -> None:
    which: Any = switches.one_of("show", SHOWN) or "all"
    imported.rows(
        ctx, SHOWN[which], partial(ask.journey_rows, ctx.reports, facts.within, facts.kind, which), _in_words,
        lambda _: (
            Column("number", "Document", "id"),
            Column("business_unit", "Unit"),
            Column("s", "First to last event", "elapsed", on_card=True),
            Column("events", "Events", "count", help="Of its own, and those that name it beside another document."),
            Column("again", "Repeats", help="It did one activity more than once."),
            Column("state", "Stands at", "words"),
            Column("first_at", "First event", "time"),
            Column("last_at", "Last event", "time"),
        ),
        key="imported.rows", of=DEFINITIONS[0], closes={"type": facts.kind} if "show" in st.query_params else None,
    )  # fmt: skip


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(again=["yes" if value else "" for value in rows["is_repeated"]])
