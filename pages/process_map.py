"""What documents really went through: the object-centric map of steps, the paths that ended documents took, and where orders left the
intended way.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Any

import streamlit as st

from pages import charts, charts_map, exporting, filters, frame, imported, switches
from pages import process_map_parts as parts
from pages.charts_map import Drawn, Words
from pages.context import Context
from pages.filters import Choice, Filters, put, put_all
from pages.format import DOCUMENT_TYPES, count, duration, percent, plain, sentence, visible, words
from pages.frame import Definition, Explainer, Figure, Said
from pages.process_map_parts import METRIC, Facts
from pages.switches import Switch
from sync_engine.control.roles import Role
from sync_engine.insight.reports import process_map as ask
from sync_engine.insight.reports.process_map import REVISIONS, Asked, Straight
from sync_engine.insight.reports.reading import OWN_LOG

TITLE = "Process map"
QUESTION = "What do documents really go through, and where do they leave the intended way?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/account_tree:"
LACKS = ""

USUAL = ("requisition", "purchase_order", "goods_receipt", "invoice")
"""Shown unless the reader chooses types: the four that carry a purchase."""

NODES, NODES_NARROW, EDGES = 100, 60, 10
"""Percent of the activities (on a phone) and of the steps that are drawn unless the reader says otherwise."""

DEFINITIONS = (
    Definition("Step", "from one activity of a document to its next; a document takes it as often as it takes it. Times counts each, Documents each document once, Value each document's amount once", "documents of the chosen log and types", "happened in the period", "wall clock"),
    Definition("Order of steps", "as we recorded our own documents' moves; in an imported log by time. An event that names several objects is one step of each of them", "all events, those of other objects an event names included", "the whole life of a document; counted where the step lies in the period", "source time"),
    Definition("Times on the map", f"seconds since the document's step before; median and 85 % with 10 or more, exact up to {ask.EXACT_TO:,} steps, beyond to 1 %", "steps whose clocks agree", "happened in the period", "wall clock", "clocks that contradict each other, which the table counts"),
    Definition("Rework", "steps or activities that the same document had done before, of all times", "the same", "happened in the period"),
    Definition("Dotted line", "where a document begins behind another it is linked with: the other's last step by then", "linked documents of two types", "began in the period"),
    Definition("First time right", "no step among the revisions chosen in the filter", "documents that ended", "ended in the period"),
    Definition("Automatic steps", "no person was named as having done it; decisions on approvals always count as a person's", "steps of documents that ended, our own log alone: others do not say who is a machine", "ended in the period"),
    Definition("Deviations", "; ".join(f"{one.title}: of {one.where}" for one in ask.SCENARIOS), "orders", "began in the period", "source time"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    source = ctx.log
    choices = _choices(ctx, source)
    chosen = filters.row(ctx, choices)
    lane = Switch(
        "lane", "Documents", {name: parts.kind(name) for name in chosen.of("type") or _usual(source, choices[0])}
    )
    imported.draw(ctx, METRIC, *([lane] if ctx.narrow and lane.options else []))
    switches.complain({"metric": METRIC.options})
    facts = _gather(ctx, chosen, source)
    if facts.steps.empty:
        said.answer("There is nothing to draw here.")
        _empty(ctx, said, chosen, source)
        return
    straight = ask.straight(ctx.reports, facts.asked, facts.revisions)
    said.answer(_answer(facts, straight))
    frame.figures(_figures(ctx, facts, straight, said))
    parts.opened(ctx, facts)
    with frame.part("The map"):
        _map(ctx, facts, [switches.read(lane)] if ctx.narrow else facts.types)
    with frame.part("Variants"):
        parts.variants(ctx, facts)
    with frame.part("Deviations"):
        parts.deviations(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _choices(ctx: Context, source: str) -> tuple[Choice, Choice]:
    if source == OWN_LOG:
        kinds: list[str] = list(DOCUMENT_TYPES)
    else:
        everything = Asked(source, datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
        kinds = list(ask.kinds(ctx.reports, everything)["document_type"])
    return (
        Choice("type", "Type", kinds, lambda name: visible(parts.kind(name))),
        Choice("revision", "Counts as done again", REVISIONS, lambda name: sentence(words(name))),
    )


def _usual(source: str, types: Choice) -> tuple[str, ...]:
    """The document types that are shown unless the reader chooses some."""
    return USUAL if source == OWN_LOG else tuple(types.options)


def _gather(ctx: Context, chosen: Filters, source: str) -> Facts:
    types = chosen.of("type") or (USUAL if source == OWN_LOG else None)
    asked = Asked(source, chosen.period.since, chosen.period.until, chosen.units, types)
    steps = ask.steps(ctx.reports, asked)
    shown = list(dict.fromkeys(steps["document_type"]))
    order = [name for name in DOCUMENT_TYPES if name in shown] + [name for name in shown if name not in DOCUMENT_TYPES]
    orders = ask.orders(ctx.reports, asked)
    return Facts(asked, chosen.period, chosen.period.within, steps, order, chosen.of("revision") or REVISIONS, ask.deviations(orders), orders)  # fmt: skip


def _answer(facts: Facts, straight: Straight) -> str:
    between = facts.steps[facts.steps["from_activity"].notna() & (facts.steps["from_activity"] != "")]
    sentence_ = f"{percent(straight.right)} of {count(straight.documents, 'document')} that ended {facts.within} went through without a revision." if straight.documents else f"No document ended {facts.within}."  # fmt: skip
    if len(between) and between["total_s"].max() > 0:
        slow = between.loc[between["total_s"].idxmax()]
        sentence_ += f" Most time passes between {plain(parts.activity(slow['from_activity']))} and {plain(parts.activity(slow['activity']))}: {duration(slow['total_s'])} in all, over {slow['n']:,} times."
    return sentence_


def _figures(ctx: Context, facts: Facts, straight: Straight, said: Said) -> list[Figure]:
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    activities = facts.steps[facts.steps["from_activity"].isna()]
    taken, again = int(activities["n"].sum()), int(activities["repeats"].sum())
    wrong = straight.documents - straight.first_time_right
    why = Explainer(ctx, DEFINITIONS, said.sources, facts.period)
    revised = partial(parts.link, ctx, switches.show(ctx, wrong, "revised document"), revised="yes") if wrong else None
    shown = [
        Figure("First time right", percent(straight.right), n=f"{straight.first_time_right:,} of {count(straight.documents, 'ended document')}", stale=silent, link=revised, explained=why("right", "First time right", "ended documents without a revision / documents that ended", straight.documents, "document", link=revised)),
        Figure("Done again", percent(again / taken if taken else None), n=f"{again:,} of {count(taken, 'step')}", stale=silent, explained=why("rework", "Rework", "activities that the same document had done before / all activities", taken, "activity"), help="Activities that the same document had done before."),
    ]  # fmt: skip
    if facts.asked.source == OWN_LOG:
        begun, away = int(facts.orders["documents"].sum()), ask.off_the_way(facts.orders)
        shown += [
            Figure("Automatic steps", percent(straight.automatic), n=f"{straight.steps - straight.by_people:,} of {count(straight.steps, 'step')} of ended documents", stale=silent, explained=why("automatic", "Automatic steps", "steps that no person did / steps of documents that ended", straight.steps, "step")),
            Figure("Orders off the intended way", percent(away / begun if begun else None), n=f"{away:,} of {count(begun, 'order')} begun", stale=silent, explained=why("off", "Deviations", "orders with at least one deviation / orders begun", begun, "order"), help="At least one of the deviations below."),
        ]  # fmt: skip
    return shown


# -- the map --------------------------------------------------------------------------------------------------------------


def _map(ctx: Context, facts: Facts, types: Sequence[str]) -> None:
    steps = parts.of_types(facts.steps, types)
    room = st.container()
    nodes, edges = _sliders(NODES_NARROW if ctx.narrow else NODES)
    drawn = charts_map.choose(steps, nodes_percent=nodes, edges_percent=edges)
    joins = ask.joins(ctx.reports, facts.asked)
    metric = switches.read(METRIC)
    figure = charts_map.process_map(
        drawn,
        joins,
        types=facts.types,
        metric=metric,
        words=Words(_activity, _kind, parts.written, _asked),
        style=charts.look(dark=ctx.dark),
        narrow=ctx.narrow,
    )  # fmt: skip
    with room:
        st.subheader(_finding(facts, types, drawn), anchor=False)
        st.caption(_hidden(drawn, metric))
        frame.show_figure(figure, key="process.map", alt=_finding(facts, types, drawn), on_click=_clicked)
    exporting.draw(
        frame.Exported(ctx, f"Steps of documents, {facts.within}", "process-map"), figure, _finding(facts, types, drawn), _hidden(drawn, metric),
        facts.steps[["document_type", "from_activity", "activity", "n", "documents", "value", "p50_s", "p85_s", "repeats"]], key="process.map",
    )  # fmt: skip
    with st.expander("The same as a table, with everything that is not drawn", icon=":material/table_rows:"):
        parts.steps_table(ctx, facts)


def _activity(name: str) -> str:
    return escape(visible(parts.activity(name)))


def _kind(name: str) -> str:
    return escape(visible(parts.kind(name)))


def _asked(row: Any) -> str:
    before = row["from_activity"]
    name = _activity(row["activity"])
    way = name if before is None else f"{_activity(before)} → {name}"
    times = "" if row["n"] == row["documents"] else f", {row['n']:,} times"
    median = f"<br>since the step before: median {parts.written('p50_s', row)}, 85 % within {parts.written('p85_s', row)}, n {row['n'] - row['negative']:,}"
    return f"<b>{way}</b><br>{row['documents']:,} documents{times}, {parts.written('value', row)}{median}<br>done again: {parts.written('rework', row)}"


def _finding(facts: Facts, types: Sequence[str], drawn: Drawn) -> str:
    ways = len(drawn.edges) + drawn.hidden_edges
    kinds = ", ".join(plain(parts.kind(name).lower() if name in DOCUMENT_TYPES else name) for name in types)
    return f"{percent(1 - drawn.hidden_share)} of all steps {facts.within} take {len(drawn.edges)} of {count(ways, 'way')} ({kinds})"


def _hidden(drawn: Drawn, metric: str) -> str:
    said = f"Not drawn: {count(drawn.hidden_edges, 'rare way')} with {percent(drawn.hidden_share)} of all steps"
    said += f", and {count(drawn.hidden_nodes, 'activity', 'activities')}" if drawn.hidden_nodes else ""
    said += (
        f". A map holds {charts_map.MOST_NODES} activities: choose fewer types to see the {drawn.too_many} others"
        if drawn.too_many
        else ""
    )
    return f"{said}. Numbers: {METRIC.options[metric].lower()}. A click on an arrow or a point opens its documents, and from a point the time to any other."


def _sliders(default_nodes: int) -> tuple[int, int]:
    with st.container(horizontal=True, gap="large"):
        return tuple(
            _slider(name, title, default)
            for name, title, default in (
                ("nodes", "Activities drawn, %", default_nodes),
                ("edges", "Steps drawn, %", EDGES),
            )
        )  # type: ignore[return-value]


def _slider(name: str, title: str, default: int) -> int:
    asked = st.query_params.get(name, "")
    value = min(max(int(asked), 1), 100) if asked.isascii() and asked.isdigit() and len(asked) < 4 else default
    key = f"finsync.slider.{name}"
    st.session_state[key] = value
    st.slider(title, 1, 100, key=key, on_change=_slid, args=(name, default, key), width=320)
    return value


def _slid(name: str, default: int, key: str) -> None:
    value = st.session_state[key]
    put(name, None if value == default else str(value))


def _clicked() -> None:
    points = st.session_state["process.map"]["selection"]["points"]
    named = [point["customdata"] for point in points if point.get("customdata")]
    if not named:
        return
    kind, before, activity = named[-1][:3]
    put_all(dict.fromkeys(parts.MARK) | {"of": kind, "step": activity, "before": before})


# -- nothing --------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: Filters, source: str) -> None:
    dropped = [name for name, is_set in (("types", chosen.of("type")), ("business units", chosen.units)) if is_set]
    if not ctx.units and not ctx.person.sees_all and source == OWN_LOG:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
    elif dropped:
        frame.nothing_matches("documents", dropped, names=("type", *parts.MARK))
    else:
        imported.outside(ctx, said, chosen.period, **switches.kept(*parts.KEPT))
