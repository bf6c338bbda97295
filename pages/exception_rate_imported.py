"""The page on exceptions for another maker's log. It knows no exceptions; what it shows of trouble is what was done again, what came to
a stage that holds up or ends in vain, and which documents went a path of their own.
"""

from functools import partial
from html import escape

import streamlit as st

from pages import charts, exporting, frame, imported, switches
from pages.context import Context
from pages.format import count, percent, plain, visible, words
from pages.frame import Definition, Explainer, Figure, Said
from pages.imported import OfAType
from pages.tables import Column, work_table
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.reports.imported import HELD

QUESTION = "How often do documents of this log do something again, or come to nothing?"
URL_PATH = "exception-rate"
SHOWN = {
    "again": "Did something again",
    "held": "Held up, or in vain",
    "alone": "Went a path that no other went",
    "straight": "Straight through",
    "all": "All",
}
POPULATION = "documents of the chosen type"
STAGES = ", ".join(words(name) for name in HELD)

DEFINITIONS = (
    Definition("Did something again", "an activity stands more than once in the document's path", POPULATION, "last event in the period", left_out="nothing"),
    Definition("Held up, or in vain", f"it came to one of the stages {STAGES}; which activity comes to them, the log's mapping says, or else the activity's name", POPULATION, "last event in the period", left_out="nothing"),
    Definition("Straight through", "neither of the two", POPULATION, "last event in the period", left_out="nothing"),
    Definition("A path of its own", "no other document of the type that is counted took the same activities in the same order", POPULATION, "last event in the period", left_out="nothing"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    facts = imported.of_a_type(ctx, said, ask.trouble, SHOWN, nothing="There is nothing to count here.", names=("type", "show", "activity"))  # fmt: skip
    if facts is None:
        return
    now = facts.now
    of = f"{count(now['documents'], 'document')} of type “{plain(facts.title)}”"
    said.answer(f"{percent(now['straight'] / now['documents'])} of {of} went straight through; {now['again']:,} did something again, {now['held']:,} were held up or in vain.")  # fmt: skip
    st.caption(f"An imported log carries no exceptions. Held up, or in vain means that {DEFINITIONS[1].what}.")
    frame.figures(_figures(ctx, facts, said))
    if "show" in st.query_params:
        _rows(ctx, facts)
    with frame.part("What was done again"):
        _activities(ctx, facts)
    _units(ctx, facts)
    frame.explain(ctx, DEFINITIONS)


def _figures(ctx: Context, facts: OfAType, said: Said) -> list[Figure]:
    why = Explainer(ctx, DEFINITIONS, said.sources, facts.chosen.period)
    of = facts.now["documents"]
    shown = []
    for which, name in (("straight", "Straight through"), ("again", "Did something again"), ("held", "Held up, or in vain"), ("alone", "A path of its own")):  # fmt: skip
        n = facts.now[which]
        link = partial(ctx.link, URL_PATH, switches.show(ctx, n, "document"), type=facts.kind, show=which) if n else None  # fmt: skip
        shown.append(Figure(name, percent(n / of), n=f"{n:,} of {count(of, 'document')}", link=link, explained=why(which, name, "such documents / documents", of, "document", link=link, is_sampled=True)))  # fmt: skip
    return shown


def _activities(ctx: Context, facts: OfAType) -> None:
    found = ask.trouble_activities(ctx.reports, facts.within, facts.kind)
    if found.empty:
        frame.nothing_happened(f"0 of {count(facts.now['documents'], 'document')} did an activity twice or came to a stage that holds up.")  # fmt: skip
        return
    of = facts.now["documents"]
    found = found.assign(
        what=[SHOWN[kind] for kind in found["kind"]],
        name=[words(activity) for activity in found["activity"]],
        share=[n / of for n in found["documents"]],
        open=[ctx.href(URL_PATH, type=facts.kind, show=kind, activity=activity) for kind, activity in zip(found["kind"], found["activity"], strict=True)],
    )  # fmt: skip
    drawn = found.assign(
        label=[switches.label(escape(visible(f"{name}{', again' if kind == 'again' else ''}")), narrow=ctx.narrow) for name, kind in zip(found["name"], found["kind"], strict=True)],
        text=[f"{n:,} ({percent(share)})" for n, share in zip(found["documents"], found["share"], strict=True)],
        hover=[f"{escape(visible(row.name))}: {row.what.lower()}, {count(row.documents, 'document')}, {count(row.times, 'time')}" for row in found[["name", "what", "documents", "times"]].itertuples(index=False)],
        colour=[charts.WATCH if kind == "again" else charts.STUCK for kind in found["kind"]],
    )  # fmt: skip
    first = found.iloc[0]
    finding = f"“{plain(first['name'])}” {'was done again by' if first['kind'] == 'again' else 'held up'} {percent(first['share'])} of the documents"
    note = f"Documents, of {of:,}; orange: done again, red: came to a stage that holds up or ends in vain. One document can be in several."
    figure = charts.bars(drawn, label="label", value="documents", text="text", hover="hover", colours="colour", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(drawn.head(25))))  # fmt: skip
    exported = exporting.Exported(ctx, f"What was done again or held up, log {ctx.log}, {facts.chosen.period.within}", "done-again")  # fmt: skip
    frame.chart(figure, finding, found[["what", "name", "documents", "share", "times"]], key="rate.imported", note=note, exported=exported)  # fmt: skip
    work_table(
        ctx,
        found.assign(row_id=found["kind"] + " " + found["activity"]),
        (
            Column("name", "Activity", width="medium"),
            Column("what", "What", on_card=True),
            Column("documents", "Documents", "count", on_card=True),
            Column("share", "Share", "share"),
            Column("times", "Times", "count", help="Again: beyond the first time of each document."),
            Column("open", "Rows", "link", display="Open"),
        ),
        key="rate.imported.activities",
        row_id="row_id",
        noun="step",
        title=lambda row: f"**{plain(row['name'])}**",
        card_action=lambda row: ctx.link(
            URL_PATH, f"Show {row['documents']:,}", type=facts.kind, show=row["kind"], activity=row["activity"]
        ),
    )


def _units(ctx: Context, facts: OfAType) -> None:
    if len(facts.units) < 2:
        return
    shown = facts.units.assign(
        **{f"{which}_share": facts.units[which] / facts.units["documents"] for which in ("straight", "again", "held")}
    ).sort_values("straight_share", kind="stable")
    worst = shown.iloc[0]
    st.subheader(f"{plain(worst['business_unit'] or 'no unit')} has the fewest straight through: {percent(worst['straight_share'])} of {worst['documents']:,}", anchor=False)  # fmt: skip
    columns = (
        Column("straight_share", "Straight through", "share", on_card=True),
        Column("again_share", "Did something again", "share"),
        Column("held_share", "Held up, or in vain", "share"),
    )
    imported.units(ctx, shown, columns, path=URL_PATH, kind=facts.kind)


def _rows(ctx: Context, facts: OfAType) -> None:
    which = switches.one_of("show", SHOWN) or "all"
    activity = st.query_params.get("activity") if which in {"again", "held"} else None
    imported.rows(
        ctx, f"{SHOWN[which]}{f': “{plain(words(activity))}”' if activity else ''}", partial(ask.trouble_rows, ctx.reports, facts.within, facts.kind, which, activity),
        lambda rows: rows,
        lambda _: (
            Column("number", "Document", "id"),
            Column("business_unit", "Unit"),
            Column("again", "Done again", "count", on_card=True, help="Activities beyond the first time of each."),
            Column("held", "Held up", "count", help=f"Times it came to one of the stages {STAGES}."),
            Column("events", "Events", "count"),
            Column("s", "First to last event", "elapsed", on_card=True),
            Column("state", "Stands at", "words"),
            Column("last_at", "Last event", "time"),
        ),
        key="rate.imported.rows", of=DEFINITIONS[0], closes={"type": facts.kind},
    )  # fmt: skip
